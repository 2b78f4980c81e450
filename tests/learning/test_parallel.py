"""Several processes are one: the same update, the same start, one stop, and a run that goes on to the same last bit."""

import subprocess
import sys

import pytest
import torch

from edge_anp import tasks
from edge_anp.bench_digits import build_network
from edge_anp.learning import parallel
from edge_anp.learning.presets import make
from edge_anp.learning.trainer import train
from edge_anp.network import load

START = """
import atexit, signal, sys, time, torch
from pathlib import Path
from edge_anp import network, tasks
from edge_anp.bench_digits import build_network
from edge_anp.learning import parallel
from edge_anp.learning.presets import make
from edge_anp.learning.trainer import train
torch.set_num_threads(1)
def threads_of_gloo():
    count = 0
    for thread in Path("/proc/self/task").iterdir():
        try:
            count += "gloo" in (thread / "comm").read_text()
        except (FileNotFoundError, ProcessLookupError):
            pass  # it ended meanwhile
    return count
def left():
    for _ in range(200):  # a thread that was joined may still be listed for a moment
        if not threads_of_gloo():
            return not torch.distributed.is_initialized()
        time.sleep(0.05)
    return False
atexit.register(lambda: say("left the group:", left()))
digits, ranks = tasks.load("digits"), parallel.join()
atexit.register(lambda: say("in a group:", threads_of_gloo() > 1))
def say(*words):  # each into a file of its own: in one pipe, lines may mix
    with open(f"said-{ranks.rank}", "a") as file:
        print(*words, file=file)
ours = lambda: build_network(ranks.rank)  # each begins elsewhere
"""


def torchrun(folder, program, *words):
    (folder / "worker.py").write_text(START + program)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "worker.py"]
    done = subprocess.run([*command, *words], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    said = [(folder / f"said-{rank}").read_text() for rank in range(2)]
    assert all(text.endswith("in a group: True\nleft the group: True\n") for text in said)
    return said


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters().values()])


SHARED = ("feedback-anp:reward", "feedback-anp:score", "bptt", "np", "anp", "wp", "reinforce")


@pytest.mark.slow
def test_two_machines_are_one(tmp_path):
    """After one update on the same global batch and seed, within 1e-5; and what the two hold is one thing."""
    program = """
for name in sys.argv[1:]:
    rule, _, signal = name.partition(":")
    h = train(ours(), digits, make(rule, signal=signal or None), updates=1, batch=16, progress=False, optimizer="SGD")
    for x in (*h.network.parameters().values(), *h.state.values()):
        assert torch.equal(ranks.total(x.detach()), 2 * x), "the two hold different numbers"
    if ranks.rank == 0:
        network.save(h.network, f"{name.replace(':', '-')}.npz")
        say(name, h.losses, h.asked)
"""
    said = torchrun(tmp_path, program, *SHARED)[0]
    digits = tasks.load("digits")
    for name in SHARED:
        rule, _, kind = name.partition(":")
        options = {"updates": 1, "batch": 16, "progress": False, "optimizer": "SGD"}
        one = train(build_network(0), digits, make(rule, signal=kind or None), **options)
        two = load(tmp_path / f"{name.replace(':', '-')}.npz")
        assert not torch.equal(weights(one.network), weights(build_network(0)))
        torch.testing.assert_close(weights(two), weights(one.network), rtol=0, atol=1e-5)
        for key, feedback in one.network.feedback.items():
            torch.testing.assert_close(two.feedback[key], feedback, rtol=0, atol=1e-5)
        assert str(one.asked) in said


@pytest.mark.slow
def test_an_interrupt_that_one_hears_stops_all_and_the_run_goes_on_to_the_same_last_bit(tmp_path):
    program = """
rule, options = make("reinforce"), dict(updates=6, batch=16, progress=False)
calls = 0
def reward(outputs, action, sample):
    global calls
    calls += 1
    if calls == 3 and ranks.rank == 1:
        signal.raise_signal(signal.SIGINT)
    return (action == 3).double()
def run(reward, **more):
    return train(ours(), digits, rule, reward=reward, folder=Path("run"), **options, **more)
calm = lambda outputs, action, sample: (action == 3).double()
whole = train(ours(), digits, rule, reward=calm, **options)
try:
    run(reward)
    say("went on")
except KeyboardInterrupt:
    say("stopped after", calls)
again = run(calm, resume=True)
same = [torch.equal(a, b) for a, b in zip(whole.network.parameters().values(), again.network.parameters().values(), strict=True)]
say("equal:", all(same) and whole.losses == again.losses)
"""
    for said in torchrun(tmp_path, program):
        assert said.startswith("stopped after 3\nequal: True\n")


def test_a_batch_is_shared_evenly():
    assert [parallel.Ranks(r, 4).share(8) for r in range(4)] == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8)]
    with pytest.raises(ValueError, match="multiple of the 3"):
        parallel.Ranks(0, 3).share(8)
    with pytest.raises(ValueError, match="try cpu"):
        parallel.choose_device("abacus")
