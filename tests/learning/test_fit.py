"""fit: one loop for every rule; deterministic by its seed, and it stops with advice where it would go on for nothing."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch

from edge_anp import tasks
from edge_anp.bench_digits import build_network
from edge_anp.errors import EdgeAnpError
from edge_anp.learning.bptt import BPTT
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.fit import evaluate, fit
from edge_anp.learning.rule import Signal, Update
from edge_anp.learning.trainer import draw_batches, train
from edge_anp.learning.watch import Watch
from edge_anp.network import run, scores


@pytest.fixture(scope="module")
def digits():
    return tasks.load("digits")


def trained(task, rule, seed=0, net_seed=0, **options):
    settings = {"updates": 4, "batch": 8, "progress": False, **options}
    return train(build_network(net_seed), task, rule, seed=seed, **settings)


def weights(history):
    return torch.cat([p.detach().flatten() for p in history.network.parameters().values()])


@pytest.mark.parametrize("rule", [BPTT(), FeedbackANP("reward"), FeedbackANP("score", look_back=4)])
def test_a_run_is_a_function_of_its_seed(digits, rule):
    a, b, c = trained(digits, rule), trained(digits, rule), trained(digits, rule, seed=1)
    assert torch.equal(weights(a), weights(b))
    assert a.losses == b.losses
    assert all(torch.equal(a.state[k], b.state[k]) for k in a.state)
    assert not torch.equal(weights(a), weights(c))


@pytest.mark.parametrize(
    ("rule", "updates"), [(BPTT(), 30), (FeedbackANP("label", None), 30), (FeedbackANP("reward"), 60)]
)
def test_it_learns(digits, rule, updates):
    history = trained(digits, rule, updates=updates, batch=64, rate=8e-3)
    assert evaluate(history.network, digits.validation) > 0.4  # chance is .1
    assert len(history.losses) == updates


def test_what_was_asked_is_counted(digits):
    assert trained(digits, FeedbackANP("reward")).asked == {"rewards": 4 * 8}
    assert trained(digits, FeedbackANP("score", queries=2)).asked == {"scores": 4 * 8 * 4}
    assert trained(digits, BPTT()).asked == {"labels": 4 * 8}


def test_learned_feedback_travels_in_the_network(digits):
    history = trained(digits, FeedbackANP("label", None))
    assert set(history.network.feedback) == {"1.0.weight", "0.1.weight"}
    assert torch.equal(history.network.feedback["1.0.weight"], history.state["1.0.weight"])


def test_every_epoch_shows_every_sample_once_in_an_order_of_its_own():
    drawn = np.concatenate(list(draw_batches(10, 4, 5, seed=3)))
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert list(drawn[:10]) != list(drawn[10:])
    assert [len(b) for b in draw_batches(3, 99, 2, seed=0)] == [3, 3]
    same, other = (np.concatenate(list(draw_batches(10, 4, 5, seed=s))) for s in (3, 4))
    assert np.array_equal(same, drawn)
    assert not np.array_equal(other, drawn)


class Mine:
    """A rule from outside: it moves the last bias-free weights along the Hebbian product of nothing, and counts."""

    signal = Signal.REWARD

    def init(self, network, seed):
        return {"count": torch.zeros(())}

    def update(self, network, state, raster, ask, seed):
        with torch.no_grad():
            answer = scores(network, run(network, raster)).argmax(1)
        reward = ask.reward(answer)
        step = {name: torch.ones_like(p) for name, p in network.parameters().items()}
        return Update(step, {"count": state["count"] + 1}, float(1 - reward.mean()))


def test_a_rule_of_the_users_own(digits):
    before = build_network(0)
    history = trained(digits, Mine())
    assert history.state["count"] == 4
    assert history.asked == {"rewards": 32}
    after = history.network.parameters()
    assert all((after[name] < p).all() for name, p in before.parameters().items())


def test_the_signal_of_batches_and_rule_must_agree(make, data, asking):
    net, (raster, labels) = make(), data()
    optimizer = torch.optim.SGD(net.parameters().values(), lr=0.1)
    with pytest.raises(ValueError, match=r"answer a reward.*learns from a label"):
        fit(net, BPTT(), [(raster, asking(labels, "reward"))], optimizer, 0)


def test_a_run_in_two_parts_is_the_run_in_one(make, data, asking):
    batches = [data(k) for k in range(8)]

    def go(net, part, state, optimizer, first):
        asks = [(raster, asking(labels, "reward")) for raster, labels in part]
        return fit(net, FeedbackANP("reward", 4), asks, optimizer, first, state=state)

    whole, parts = make(), make()
    optimizer = torch.optim.SGD(whole.parameters().values(), lr=0.1)
    once = go(whole, batches, None, optimizer, 10)
    optimizer = torch.optim.SGD(parts.parameters().values(), lr=0.1)
    half = go(parts, batches[:5], None, optimizer, 10)
    again = go(parts, batches[5:], half.state, optimizer, 15)
    assert torch.equal(weights(once), weights(again))
    assert once.losses == half.losses + again.losses


def test_a_silent_network_stops_with_advice(digits):
    net = build_network(0)
    quiet = dataclasses.replace(
        net.layers[0], neuron=dataclasses.replace(net.layers[0].neuron, threshold=torch.tensor(1e6))
    )
    net = dataclasses.replace(net, layers=(quiet, net.layers[1]))
    with pytest.raises(EdgeAnpError, match=r"no hidden neuron has spiked for 40 updates.*lower the thresholds"):
        train(net, digits, FeedbackANP(), updates=60, batch=8, progress=False)


@pytest.mark.parametrize(("loss", "gradient", "reason"), [
    (1e6, 0.0, "explodes.*smaller rate"),
    (float("nan"), 0.0, "the loss is no number.*smaller rate"),
    (1.0, float("inf"), r"the gradient of 1\.0\.weight is no number"),
])  # fmt: skip
def test_a_diverging_run_stops_before_the_weights_are_spoiled(make, data, asking, loss, gradient, reason):
    class Diverges(Mine):
        def update(self, network, state, raster, ask, seed):
            w = network.parameters()["1.0.weight"]
            return Update({"1.0.weight": torch.full_like(w, gradient)}, state, loss)

    net, (raster, labels) = make(), data()
    before = weights(dataclasses.make_dataclass("H", ["network"])(net))
    optimizer = torch.optim.SGD(net.parameters().values(), lr=0.1)
    with pytest.raises(EdgeAnpError, match=reason):
        fit(net, Diverges(), [(raster, asking(labels, "reward"))], optimizer, 0)
    assert torch.equal(weights(dataclasses.make_dataclass("H", ["network"])(net)), before)


def test_the_spike_rate_is_that_of_the_hidden_layers(make, data, asking):
    net, (raster, _) = make(), data()
    watch = Watch(net)
    watch.check(0, raster, Update({}, {}, 1.0))
    assert watch.spike_rate == pytest.approx(float(run(net, raster).spikes[0].mean()))


@pytest.mark.parametrize(("option", "value"), [("updates", 0), ("batch", 0), ("rate", 0.0), ("rate", float("nan"))])
def test_settings_are_checked(digits, option, value):
    with pytest.raises(ValueError, match="must be"):
        trained(digits, BPTT(), **{option: value})


def test_a_network_for_other_data_is_refused(digits, make):
    with pytest.raises(ValueError, match=r"8 values.*takes 5"):
        train(make(), digits, BPTT(), progress=False)


def test_a_frozen_network_is_refused(digits):
    net = build_network(0)
    for p in net.parameters().values():
        p.requires_grad_(False)
    with pytest.raises(ValueError, match="requires a gradient"):
        train(net, digits, BPTT(), progress=False)


def test_evaluation_is_the_share_of_right_answers_and_ties_go_to_the_lowest(digits):
    net = build_network(0)
    raster, labels = digits.test.batch(range(len(digits.test)))
    want = float((scores(net, run(net, raster)).numpy(force=True).argmax(1) == labels.numpy()).mean())
    assert evaluate(net, digits.test, batch=50) == pytest.approx(want)
    with torch.no_grad():
        for p in net.parameters().values():
            p.zero_()
    assert evaluate(net, digits.test) == pytest.approx(float(np.mean(digits.test.targets == 0)))
    assert Counter(digits.test.targets.tolist())[0] > 0
    with pytest.raises(ValueError, match="no samples"):
        evaluate(net, digits.test.choose(np.zeros(len(digits.test), bool)))
