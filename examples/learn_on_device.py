"""A compiled network goes on learning in C, by right and wrong alone: python examples/learn_on_device.py [RUNNER ...] [FOLDER]

A runner is where the C runs: host (this machine), qemu:m4 and its like (an emulated core), serial:/dev/ttyACM0 (a board that runs the
folder's harness_learn/). The calls are the ones that firmware makes (examples/board/main.c), and every runner ends with the same weights.
"""

import sys
from pathlib import Path

from my_net import build

import edge_anp
from edge_anp import continual, integer
from edge_anp.integer import quantize_input
from edge_anp.target import find

TRIALS, GUESSES, SEED = 40, 2, 1
words = sys.argv[1:]
runners = [w for w in words if w.startswith(("host", "qemu:", "serial:"))] or ["host"]
folder = Path(next((w for w in words if w not in runners), "build/learn_on_device"))

# The network as it is shipped, and a world in which four of ten sensor channels are wired otherwise.
digits = edge_anp.load_task("digits")
if not (folder / "artifact.json").is_file():
    network = edge_anp.read(build(), digits.train.batch(range(4))[0]).network
    edge_anp.train(network, digits, edge_anp.FeedbackANP(), updates=60, progress=False)
    edge_anp.compile_network(network, "mcu", folder, digits.train, learn="all", guesses=GUESSES, budget=4000)
world = continual.stream("rewire:0.4", digits, SEED)[0].train
contract = integer.load(folder / "integer.npz").input


def go_on_learning(device):
    """Forty trials; the checksum of the weights, and how many were answered rightly at once."""
    device.start(SEED)
    right_at_once = 0
    for k in continual.schedule(len(world), TRIALS, SEED):
        trial = device.begin()
        for x in quantize_input(world.rasters[k], contract):
            device.step(x)
        for guess in range(GUESSES):
            right = device.answer() == world.targets[k]
            device.reward(trial, 128 if right else 0)  # late is fine, as long as no other trial began
            if right:
                right_at_once += guess == 0
                break
        while not device.commit(rows=64):  # in slices, so that a sensor can be served in between
            pass
    return device.crc(), right_at_once


def lose_power(device):
    """Save, start anew, load: the weights are back."""
    device.save()
    device.start(SEED + 1)
    device.load()
    return device.crc()


found = {}
for runner in runners:
    with find("mcu").open_learner(folder, runner) as device:  # type: ignore[attr-defined]
        found[runner], right = go_on_learning(device)
        print(f"{runner}: {right} of {TRIALS} right at once; weights {found[runner]:08x} on {device.ran}")
        if device.has_flash:
            assert lose_power(device) == found[runner]
assert len(set(found.values())) == 1
