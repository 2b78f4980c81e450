"""Feedback ANP as a whole: what it takes, what it refuses, what it remembers, and that an update can be replayed."""

import dataclasses

import pytest
import torch

from edge_anp.errors import Unsupported
from edge_anp.learning.bptt import BPTT
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import LIF
from edge_anp.synapses import Dense


def update(rule, net, raster, ask, seed=0, state=None):
    return rule.update(net, rule.init(net, 1) if state is None else state, raster, ask, seed)


@pytest.mark.parametrize("signal", ["label", "score", "reward"])
@pytest.mark.parametrize("look_back", [0, 3, None])
def test_an_update_is_a_function_of_its_seed(make, data, asking, signal, look_back):
    net, (raster, labels) = make(), data()
    rule = FeedbackANP(signal, look_back)
    a, b, c = (update(rule, net, raster, asking(labels, signal), seed) for seed in (5, 5, 6))
    assert a.loss == b.loss
    assert all(torch.equal(a.gradients[k], b.gradients[k]) for k in a.gradients)
    assert all(torch.equal(a.state[k], b.state[k]) for k in a.state)
    assert not torch.equal(a.state["1.0.weight"], c.state["1.0.weight"])


def test_every_weight_and_bias_gets_a_gradient_and_nothing_else_does(make, data, asking):
    net, (raster, labels) = make(), data()
    net.layers[0].neuron.beta.requires_grad_()
    names = {"0.0.weight", "0.0.bias", "0.1.weight", "0.1.bias", "1.0.weight", "1.0.bias"}
    assert update(FeedbackANP(), net, raster, asking(labels)).gradients.keys() == names
    only = update(FeedbackANP(readout_only=True), net, raster, asking(labels))
    assert only.gradients.keys() == {"1.0.weight", "1.0.bias"}
    assert not only.state


def test_the_readout_learns_by_the_same_gradient_as_with_bptt(make, data, asking):
    net, (raster, labels) = make(3), data(3)
    want = BPTT().update(net, {}, raster, asking(labels), 0).gradients
    for rule in (FeedbackANP(), FeedbackANP(readout_only=True), FeedbackANP(feedback="random")):
        got = update(rule, net, raster, asking(labels)).gradients
        for name in ("1.0.weight", "1.0.bias"):
            torch.testing.assert_close(got[name], want[name])


def test_a_batch_is_the_mean_of_its_trials(make, data, asking):
    net, (raster, labels) = make(4), data(4)
    rule = FeedbackANP(look_back=None, feedback="symmetric")
    whole = update(rule, net, raster, asking(labels)).gradients
    each = [update(rule, net, raster[:, b : b + 1], asking(labels[b : b + 1])).gradients for b in range(len(labels))]
    for name, g in whole.items():
        torch.testing.assert_close(g, torch.stack([e[name] for e in each]).mean(0))


def test_random_feedback_stays_and_learned_feedback_moves(make, data, asking):
    net, (raster, labels) = make(), data()
    fixed, learned = FeedbackANP(feedback="random"), FeedbackANP()
    state = fixed.init(net, 3)
    assert state["1.0.weight"].any()
    assert torch.equal(update(fixed, net, raster, asking(labels), state=state).state["1.0.weight"], state["1.0.weight"])
    assert not torch.equal(fixed.init(net, 4)["1.0.weight"], state["1.0.weight"])
    assert not learned.init(net, 3)["1.0.weight"].any()
    assert update(learned, net, raster, asking(labels)).state["1.0.weight"].any()


def test_feedback_that_a_network_carries_is_gone_on_with(make):
    net = make()
    known = torch.randn(4, 12)
    carried = dataclasses.replace(net, feedback={"1.0.weight": known})
    assert torch.equal(FeedbackANP().init(carried, 0)["1.0.weight"], known)
    foreign = dataclasses.replace(net, feedback={"1.0.weight": torch.randn(3, 12)})
    assert not FeedbackANP().init(foreign, 0)["1.0.weight"].any()


def test_what_it_cannot_take_is_refused_with_every_reason(make):
    net = make()
    firing = LIF(torch.tensor(0.9), torch.tensor(1.0))
    back = Connection(1, (Dense(torch.randn(4, 4)),), 1)
    last = Layer((4,), (*net.layers[1].connections, back), firing)
    with pytest.raises(Unsupported) as refusal:
        FeedbackANP().init(Network((net.layers[0], last), net.input, "membrane_mean"), 0)
    text = str(refusal.value)
    assert all(part in text for part in ("layer 1 resets (subtract)", "feeds its spikes back", "or train it with bptt"))


@pytest.mark.parametrize(
    "switches",
    [
        {"signal": "praise"},
        {"feedback": "telepathic"},
        {"look_back": -1},
        {"sigma": 0.0},
        {"eta": 1.5},
        {"probes": 0},
        {"queries": 0},
        {"explore": 1.1},
    ],
)
def test_switches_are_checked(switches):
    with pytest.raises(ValueError, match="must be"):
        FeedbackANP(**switches)
