"""Runs around the loop: cut off and resumed to the last bit, on integers, with a reward of the user's own."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from rich.console import Console

from edge_anp import integer, storage, tasks
from edge_anp.bench_digits import build_network
from edge_anp.errors import BadFile, Unsupported
from edge_anp.learning import checkpoint
from edge_anp.learning.bptt import BPTT
from edge_anp.learning.decorrelation import Decorrelated
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.fit import evaluate
from edge_anp.learning.on_integers import OnIntegers
from edge_anp.learning.presets import PRESETS
from edge_anp.learning.presets import make as preset
from edge_anp.learning.trainer import make_optimizer, train
from edge_anp.network import load, run
from edge_anp.training import Choices, resume_run, train_run


@pytest.fixture(scope="module")
def digits():
    return tasks.load("digits")


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters().values()])


def go(digits, rule, net=None, **options):
    return train(net or build_network(0), digits, rule, **{"updates": 6, "batch": 8, "progress": False, **options})


class CutOff(Exception):
    pass


@pytest.mark.parametrize("name", ["feedback-anp", "reinforce", "bptt", "np", "decorrelated", "integers"])
def test_a_run_that_was_cut_off_goes_on_to_the_same_last_bit(digits, tmp_path, name):
    rule = (
        Decorrelated(FeedbackANP("reward"))
        if name == "decorrelated"
        else preset("feedback-anp" if name == "integers" else name)
    )
    on = name == "integers"
    whole = go(digits, rule, on_integer=on)

    @dataclasses.dataclass(frozen=True)
    class Cut:  # the same rule, cut off in the middle of update 5
        signal = rule.signal
        answers = getattr(rule, "answers", 1)
        init = rule.init

        def update(self, network, state, raster, ask, seed):
            if seed - first_seed == 5:
                raise CutOff
            return rule.update(network, state, raster, ask, seed)

    from edge_anp.learning.draws import Draw
    from edge_anp.noise import noise

    first_seed = int(noise(0, 0, int(Draw.RUN), 0, 0, 0))
    with pytest.raises(CutOff):
        go(digits, Cut(), folder=tmp_path, every=2, on_integer=on)
    assert checkpoint.load(tmp_path).done == 4
    again = go(
        digits, rule, net=build_network(7), folder=tmp_path, resume=True, on_integer=on
    )  # weights come from the run
    assert torch.equal(weights(whole.network), weights(again.network))
    assert (whole.losses, whole.asked) == (again.losses, again.asked)
    assert all(torch.equal(whole.state[k], again.state[k]) for k in whole.state)


def command(*words):
    return [sys.executable, "-m", "edge_anp", *map(str, words)]


MODEL = os.path.join(os.path.dirname(__file__), "..", "..", "examples", "my_net.py:build")  # noqa: PTH118, PTH120
RUN = ("train", MODEL, "--task", "digits", "--signal", "reward", "--updates", 60, "--batch", 16)


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_last_bit(tmp_path):
    whole = subprocess.run(command(*RUN, "--out", tmp_path / "whole"), capture_output=True, text=True, timeout=300)
    assert whole.returncode == 0, whole.stderr
    for how, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130)):
        folder = tmp_path / how.name
        words, least = (
            command(*RUN, "--out", folder, "--checkpoint", 1),
            random.randrange(1, 30),
        )  # any moment, but not so late that it ends first
        cut = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while cut.poll() is None and not (
            (folder / checkpoint.NAME).exists() and checkpoint.load(folder).done >= least
        ):
            time.sleep(0.01)
        cut.send_signal(how)
        _, err = cut.communicate(timeout=300)
        assert cut.returncode == code
        assert "Traceback" not in err
        assert least <= checkpoint.load(folder).done < 60
        resumed = subprocess.run(
            command("train", MODEL, "--resume", folder), capture_output=True, text=True, timeout=300
        )
        assert resumed.returncode == 0, resumed.stderr
        a, b = (load(d / "network.npz") for d in (tmp_path / "whole", folder))
        assert torch.equal(weights(a), weights(b))
        assert a.feedback.keys() == b.feedback.keys()
        results = [json.loads((d / "result.json").read_text()) for d in (tmp_path / "whole", folder)]
        assert results[0] == results[1]
        assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")


FACTORY = """
import random, numpy, torch
import snntorch as snn
from torch import nn

def build():
    first = nn.Linear(8, 24)
    first.weight.requires_grad = False  # a frozen projection, drawn without a seed, thinned by numpy and Python
    first.weight.data *= torch.as_tensor(numpy.random.rand(24, 8) < 0.7) * random.uniform(1, 2)
    leaky = lambda **more: snn.Leaky(beta=0.9, init_hidden=True, **more)
    return nn.Sequential(first, leaky(), nn.Linear(24, 10), leaky(reset_mechanism="none", output=True))
"""


def test_a_factory_that_sets_no_seed_builds_one_network_for_one_seed(tmp_path):
    (tmp_path / "net.py").write_text(FACTORY)
    model, out = f"{tmp_path / 'net.py'}:build", Console(quiet=True)

    def settled(seed, updates, name):
        train_run(Choices(model, "digits", updates=updates, batch=16, seed=seed), tmp_path / name, 1, out)
        return load(tmp_path / name / "network.npz")

    first, again, other = settled(5, 2, "first"), settled(5, 2, "again"), settled(6, 2, "other")
    frozen = [n.layers[0].connections[0].path[0].weight for n in (first, again, other)]
    assert torch.equal(frozen[0], frozen[1])
    assert not torch.equal(frozen[0], frozen[2])
    assert storage.digest(first) == storage.digest(again)
    resume_run(model, tmp_path / "first", out)  # with the frozen projection that it began with
    assert storage.digest(load(tmp_path / "first" / "network.npz")) == storage.digest(first)


def test_a_run_goes_on_with_the_network_that_it_began_with_or_not_at_all(tmp_path):
    (tmp_path / "net.py").write_text(FACTORY)
    model, out = f"{tmp_path / 'net.py'}:build", Console(quiet=True)
    train_run(Choices(model, "digits", updates=1, batch=16), tmp_path / "run", 1, out)
    (tmp_path / "net.py").write_text(FACTORY.replace("0.9", "0.8"))
    with pytest.raises(ValueError, match=r"frozen weights or wiring.*changed since the run began"):
        resume_run(model, tmp_path / "run", out)


def test_a_run_goes_on_with_the_data_that_it_began_with_or_not_at_all(tmp_path):
    (tmp_path / "net.py").write_text(FACTORY)
    model, out, data = f"{tmp_path / 'net.py'}:build", Console(quiet=True), tmp_path / "data.npz"
    x, y = np.random.default_rng(0).random((40, 6, 8), np.float32), np.arange(40) % 10
    np.savez(data, x=x, y=y)
    train_run(Choices(model, str(data), updates=1, batch=16), tmp_path / "run", 1, out)
    resume_run(model, tmp_path / "run", out)
    x[11, 0, 0] += 1
    np.savez(data, x=x, y=y)
    with pytest.raises(ValueError, match="samples changed since the run began"):
        resume_run(model, tmp_path / "run", out)


def test_a_bad_checkpoint_is_named(digits, tmp_path):
    with pytest.raises(BadFile, match="no checkpoint"):
        go(digits, BPTT(), folder=tmp_path, resume=True)
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / checkpoint.NAME).write_bytes(b"PK nonsense")
    with pytest.raises(BadFile, match="cannot be read"):
        go(digits, BPTT(), folder=tmp_path, resume=True)


@pytest.mark.parametrize("name", PRESETS)
def test_every_rule_by_name_trains(digits, name):
    history = go(digits, preset(name), updates=2)
    assert all(loss == loss for loss in history.losses)
    assert not torch.equal(weights(history.network), weights(build_network(0)))


@pytest.mark.parametrize("name", ["adam", "SGD:momentum=0.9,nesterov=True", "RMSprop", "AdamW:betas=(0.8, 0.9)"])
def test_any_optimizer(digits, name):
    if name.startswith("AdamW"):
        with pytest.raises(ValueError, match="AdamW"):
            make_optimizer(name, [torch.zeros(1, requires_grad=True)], 0.1)
        return
    assert go(digits, BPTT(), optimizer=name, updates=2).losses


def test_an_optimizer_that_is_none(digits):
    for text in ("Sgdd", "SGD:speed=3"):
        with pytest.raises(ValueError, match=r"optimizer"):
            go(digits, BPTT(), optimizer=text)


def test_a_reward_of_the_users_own(digits):
    """Partial credit: 1 for the right digit, .5 for a neighbor; no label is asked for."""
    seen = []

    def reward(outputs, action, sample):
        seen.append((outputs.shape, action.shape, sample.raster.shape))
        return ((action == sample.target).float() + 0.5 * ((action - sample.target).abs() == 1).float()).clamp(max=1)

    history = go(digits, FeedbackANP("reward"), reward=reward)
    assert history.asked == {"rewards": 48}
    assert seen == [((8, 10), (8,), (16, 8, 8))] * 6
    with pytest.raises(ValueError, match=r"must give \[8\] in 0\.\.1"):
        go(digits, FeedbackANP("reward"), reward=lambda *_: torch.full((8,), 2.0))


@pytest.mark.parametrize("rule", [FeedbackANP("reward"), FeedbackANP("label", None), BPTT()])
def test_on_integers_the_forward_pass_is_what_ships(digits, rule):
    history = go(digits, rule, on_integer=True, updates=4)
    final = history.forward
    assert isinstance(final, OnIntegers)
    raster, _ = digits.test.batch(range(20))
    net, trace = final.integers(), run(final, raster)
    from edge_anp import simulate

    found = simulate.run(net, integer.quantize_input(raster.numpy(), net.input))
    for mine, theirs in zip(trace.spikes, found.spikes, strict=True):
        assert torch.equal(mine, torch.from_numpy(theirs).float())
    assert evaluate(final, digits.test) >= 0.05
    assert not torch.equal(weights(history.network), weights(build_network(0)))


def test_backpropagation_goes_straight_through(digits, asking):
    """Forward the integers' numbers, backward close to the float network's gradient."""
    from edge_anp.learning.on_integers import put_on_integers

    net = build_network(0)
    raster, labels = digits.train.batch(range(64))
    ours, there = (
        BPTT().update(n, {}, raster, asking(labels, classes=10), 0) for n in (net, put_on_integers(net, raster))
    )
    assert ours.gradients.keys() == there.gradients.keys()
    x, y = (torch.cat([g.flatten() for g in u.gradients.values()]) for u in (ours, there))
    assert float(torch.cosine_similarity(x, y, 0)) > 0.9
    assert ours.loss != there.loss


def test_what_integers_cannot_do_is_refused(digits, make):
    from edge_anp.learning.on_integers import put_on_integers

    with pytest.raises(Unsupported, match="resets at once"):
        put_on_integers(make(reset_delay=False), torch.zeros(3, 2, 5))
    with pytest.raises(Unsupported, match="feedback-anp or bptt"):
        go(digits, preset("np"), on_integer=True)


def test_decorrelation_is_folded_away(digits):
    """The trained network is an ordinary one; with D = 1 and nothing learned of it, the rule is the rule."""
    rule = Decorrelated(BPTT(), rate=1e-12)
    plain, folded = go(digits, BPTT(), optimizer="SGD"), go(digits, rule, optimizer="SGD")
    torch.testing.assert_close(weights(plain.network), weights(folded.network), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", ["multiplicative", "additive"])
def test_decorrelation_decorrelates(make, data, asking, form):
    net, (raster, labels) = make(per_neuron=False), data(steps=30, batch=40)
    mixed = raster @ torch.randn(5, 5, generator=torch.Generator().manual_seed(3), dtype=raster.dtype)
    mixed = mixed / mixed.flatten(0, 1).std()
    rule = Decorrelated(FeedbackANP(readout_only=True), rate=0.2, hidden=False, form=form)
    state = rule.init(net, 0)

    def off(d):
        x = mixed.flatten(0, 1) @ d.T
        c = x.T @ x / len(x)
        return float((c - torch.diag(c.diag())).norm() / c.diag().norm())

    for k in range(60):
        state = rule.update(net, state, mixed, asking(labels), k).state
    assert off(state["decorrelate.-1"]) < 0.1 * off(torch.eye(5, dtype=raster.dtype))


def test_the_gradient_of_the_weights_comes_back_through_d(make, data, asking):
    """d loss(W D) / dW by finite differences along a random direction."""
    net, (raster, labels) = make(reset="none", recurrence="none"), data()
    rule = Decorrelated(BPTT(), rate=0.01)
    state = dict(rule.init(net, 0))
    for name in ("decorrelate.-1", "decorrelate.0"):
        state[name] = state[name] + 0.2 * torch.randn_like(state[name])
    w = net.parameters()["1.0.weight"]  # the loss is smooth in the readout
    update = rule.update(net, state, raster, asking(labels), 0)
    step = torch.randn_like(w)
    losses = []
    for sign in (1, -1):
        with torch.no_grad():
            w += sign * 1e-5 * step
        losses.append(rule.update(net, state, raster, asking(labels), 0).loss)
        with torch.no_grad():
            w -= sign * 1e-5 * step
    assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(
        float((update.gradients["1.0.weight"] * step).sum()), rel=1e-3
    )
