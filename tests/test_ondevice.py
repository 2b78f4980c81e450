"""The integer learner against the equations it is written from, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge_anp import ondevice_answer, simulate
from edge_anp.errors import Unsupported
from edge_anp.integer import MCU16, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.ondevice import Learner, annealing, horizon, trace
from edge_anp.ondevice_plan import refusals
from edge_anp.ondevice_rates import make_plan
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT, InputContract

T = 12


def small(
    inputs: int = 6, hidden: int = 12, classes: int = 4, seed: int = 0, decode: str = "membrane_mean"
) -> IntegerNetwork:
    """Inputs -> recurrent LIF -> readout (or LIF, where spikes are counted)."""
    rng = np.random.default_rng(seed)

    def weights(n: int, i: int, scale: int) -> tuple[Dense, ...]:
        return (Dense(np.clip(rng.normal(0, scale, (n, i)), -127, 127).astype(np.int8)),)

    into, back = (
        IntegerConnection(INPUT, weights(hidden, inputs, 50), 3),
        IntegerConnection(0, weights(hidden, hidden, 30), 1, 1),
    )
    lif = IntegerNeuron(Leak(np.full(hidden, 230), 8), None, np.full(hidden, 500), "subtract")
    spiking = decode == "count"
    last = IntegerNeuron(
        Leak(np.full(classes, 243), 8),
        None,
        np.full(classes, 300) if spiking else None,
        "subtract" if spiking else "none",
    )
    out = IntegerConnection(0, weights(classes, hidden, 40), 2)
    return IntegerNetwork(
        MCU16,
        (
            IntegerLayer((hidden,), (into, back), np.full(hidden, 20), lif, np.full(hidden, 1 / 500), "hidden"),
            IntegerLayer((classes,), (out,), np.zeros(classes, np.int64), last, np.full(classes, 1 / 400), "out"),
        ),
        InputContract((inputs,)),
        decode,
    )


def rasters(net: IntegerNetwork, count: int = 8, seed: int = 1) -> np.ndarray:
    """[T, B, I] of spikes."""
    return (np.random.default_rng(seed).random((T, count, net.input.size)) < 0.3).astype(np.int8)


def learner(net: IntegerNetwork, learn: str = "all", **options: Any) -> Learner:
    return Learner(net, make_plan(net, learn, rasters(net), **options), seed=5)


def run_trial(one: Learner, raster: np.ndarray, label: int) -> None:
    number = one.begin()
    for x in raster:
        one.step(x)
    one.label(number, label)
    one.commit()


def test_the_forward_pass_is_the_networks_own():
    net = small()
    one, raster = learner(net), rasters(net)[:, 0]
    one.begin()
    for x in raster:
        one.step(x)
    found = simulate.run(net, raster[:, None])
    assert np.array_equal(np.array(one.sent[0]), found.spikes[0][:, 0])
    assert np.array_equal(one.scores, found.states[1]["v"][:, 0].sum(0))


def test_psi_is_one_in_a_box_around_the_threshold():
    net = small()
    one, raster = learner(net), rasters(net)[:, 1]
    one.begin()
    for x in raster:
        one.step(x)
    v = simulate.run(net, raster[:, None]).states[0]["v"][:, 0]
    assert np.array_equal(np.array(one.psi[0]), (v >= 500 - 125) & (v < 500 + 125))


def test_a_trace_decays_to_exact_zero_on_both_sides():
    x, leak = np.array([255, -255, 16, -1]), Leak(np.full(4, 230), 8)
    for _ in range(60):
        x = trace(x, leak, np.zeros(4, np.int64), 4)
    assert not x.any()
    assert trace(np.array([255]), leak, np.array([100]), 4).tolist() == [255]


def test_the_horizon_is_what_a_unit_of_current_adds_to_the_sum():
    """g[t] / 256 = sum over the steps that are left of k^n, to within the floors."""
    net = small()
    exact = [256 * sum((243 / 256) ** n for n in range(T - t)) for t in range(T)]
    assert np.all(np.abs(horizon(net, T) - exact) <= T)


def test_the_answers_probabilities_are_powers_of_two():
    v = ondevice_answer.softmax(np.array([0, -(256 << 5), -(512 << 5), -(100 << 20)]), 5)
    assert v.tolist() == [4096, 2048, 1024, 0]


@pytest.mark.parametrize("classes", [2, 10, 15, 16, 100, 240])
def test_a_softmax_stays_below_16_bits(classes):
    assert ondevice_answer.softmax(np.zeros(classes, np.int64), 0).sum() < 2**16


def test_answers_are_drawn_as_often_as_their_probabilities_and_never_twice():
    v = np.array([4096, 2048, 1024, 0])
    drawn = [ondevice_answer.draw(v, [], w << 16) for w in range(0, 65536, 7)]
    share = np.bincount(drawn, minlength=4) / len(drawn)
    assert np.abs(share - v / v.sum()).max() < 1e-3
    assert ondevice_answer.draw(v, [0, 1, 2], 0) == 3


@pytest.mark.parametrize("tried", [[0], [2, 0]])
def test_the_error_is_the_gradient_of_the_answers_log_probability(tried):
    """Right: -grad log p_a; wrong: half -grad log (1 - P(tried)), half spread evenly; to within the rounding of 1/128."""
    v = np.array([4000, 2500, 900, 700])
    p = v / v.sum()
    yes = p - np.eye(4)[tried[-1]]
    gone = p[tried].sum()
    no = np.where(np.isin(np.arange(4), tried), p, -gone * (p / (1 - gone) + 1 / (4 - len(tried))) / 2)
    assert np.abs(ondevice_answer.error(v, tried, 128) / 128 - yes).max() < 1 / 64
    assert np.abs(ondevice_answer.error(v, tried, 0) / 128 - no).max() < 1 / 32
    assert np.abs(ondevice_answer.error(v, tried, 64) / 128 - (yes + no) / 2).max() < 1 / 32


def test_a_class_out_of_reach_is_pushed_when_others_were_wrong():
    """It is never drawn, but what was wrong says of it as much as of the others."""
    v = ondevice_answer.softmax(np.array([30_000, 29_000, -100_000]), 0)
    assert v[2] == 0
    assert ondevice_answer.error(v, [0], 0)[2] < -ondevice_answer.ONE // 8


def gradient(one: Learner) -> list[np.ndarray]:
    """The rule in floats, from its equations: sum_t h g psi x, one exponential trace per input; for the readout sum_t e g s."""
    net, plan = one.net, one.plan
    g = horizon(net, T) / 256
    h = net.layers[1].connections[0].path[0].weight.T.astype(float) @ one.e / 8
    found = []
    for s in plan.synapses:
        c = net.layers[s.layer].connections[s.connection]
        x = np.zeros(net.input.size if c.source == INPUT else net.layers[c.source].size)
        total: Any = 0
        for t in range(T):
            past = one._past(c.source, t - c.delay)
            x = x * 230 / 256 + past * 2.0**s.gain
            total = total + (np.outer(x, h * g[t] * one.psi[0][t]) if s.layer == 0 else np.outer(past, one.e * g[t]))
        found.append(total)
    return found


def test_a_commit_follows_the_rule_in_floats():
    net = small()
    one = learner(net, budget=0)
    plan = replace(one.plan, synapses=tuple(replace(s, rate=max(1, s.rate - 3), limit=8191) for s in one.plan.synapses))
    one = Learner(net, plan, seed=5)
    before = [u.copy() for u in one.weights]
    number = one.begin()
    for x in rasters(net)[:, 2]:
        one.step(x)
    one.label(number, 1)
    wanted = gradient(one)
    one.commit()
    for s, u0, u1, w in zip(plan.synapses, before, one.weights, wanted, strict=True):
        moved = (u0 - u1).ravel().astype(float)
        assert np.abs(w).max() > 0
        assert np.dot(moved, w.ravel()) / (np.linalg.norm(moved) * np.linalg.norm(w)) > 0.97, s


def test_labels_are_learned():
    net = small()
    one, some = learner(net, budget=600), rasters(net, 4)
    for _ in range(150):
        for k in range(4):
            run_trial(one, some[:, k], (k + 1) % 4)
    found = simulate.run(one.network(), some).states[1]["v"].sum(0).argmax(1)
    assert (found == [1, 2, 3, 0]).sum() >= 3


def test_spike_counts_are_learned_too():
    net = small(decode="count")
    one, some = learner(net, budget=0), rasters(net, 3)
    first = simulate.run(net, some).spikes[1].sum(0)
    for _ in range(80):
        for k in range(3):
            run_trial(one, some[:, k], k)
    last = simulate.run(one.network(), some).spikes[1].sum(0)
    margin = lambda s: sum(int(s[k, k]) - int(np.delete(s[k], k).max()) for k in range(3))  # noqa: E731
    assert margin(last) > margin(first)


def test_perturbation_moves_along_the_noise_that_was_rewarded():
    net = small()
    one = learner(net, rule="perturbation", sigma=60, budget=0)
    before = [u.copy() for u in one.weights]
    for mirrored, reward in ((False, 128), (True, 0)):
        number = one.begin(mirrored) if not mirrored else one.begin(True)
        for x in rasters(net)[:, 0]:
            one.step(x)
        one.answer()
        one.reward(one.trial, reward)
    assert number == one.trial
    one.commit()
    along, x = np.zeros_like(before[0]), np.zeros(net.input.size, np.int64)
    for t in range(T):
        x = trace(x, net.layers[0].neuron.leak, rasters(net)[t, 0].astype(np.int64), one.plan.synapses[0].gain)
        along += np.outer(x, one._xi(t, 0))
    moved = one.weights[0] - before[0]
    assert np.corrcoef(moved.ravel(), along.ravel())[0, 1] > 0.95


def test_no_weight_moves_further_than_the_bound():
    net = small()
    one, some = learner(net, budget=0), rasters(net)
    plan = replace(one.plan, synapses=tuple(replace(s, rate=max(1, s.rate - 8)) for s in one.plan.synapses))
    one = Learner(net, plan, seed=5)
    one.plan = replace(
        plan, synapses=tuple(replace(s, limit=max(1, 32 * 256 * 2**s.rate // (255 * T))) for s in plan.synapses)
    )
    before = [u.copy() for u in one.weights]
    run_trial(one, some[:, 0], 0)
    assert max(int(np.abs(a - b).max()) for a, b in zip(before, one.weights, strict=True)) <= 32 * 256 + T


def test_a_late_reward_names_its_trial_and_a_stale_one_is_refused():
    net = small()
    one, raster = learner(net), rasters(net)[:, 0]
    old = one.begin()
    for x in raster:
        one.step(x)
    one.answer()
    new = one.begin()
    assert new == old + 1
    with pytest.raises(ValueError, match=f"for trial {old}; the trial that is kept is {new}"):
        one.reward(old, 128)
    with pytest.raises(ValueError, match="there must be a reward that waits"):
        one.commit()


def test_the_trial_counter_wraps():
    net = small()
    one = learner(net)
    one.trial = 2**32 - 1
    assert one.begin() == 0


def test_rates_halve_whenever_half_of_what_is_left_of_the_budget_is_spent():
    plan = learner(small(), budget=80).plan
    assert [annealing(plan, t) for t in (0, 39, 40, 59, 60, 69, 70, 2**32 - 1)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert annealing(replace(plan, budget=0), 2**32 - 1) == 0


def test_freezing_keeps_every_weight():
    net = small()
    one = learner(net)
    crc, one.frozen = one.crc(), True
    run_trial(one, rasters(net)[:, 0], 0)
    assert one.crc() == crc


@pytest.mark.parametrize("answers", [(0,), (1, 0), (2, 3, 1)])
@pytest.mark.parametrize("reward", [0, 50, 128])
def test_no_error_moves_all_outputs(answers, reward):
    for scores in np.random.default_rng(3).integers(-4000, 4000, (200, 6)):
        v = ondevice_answer.softmax(scores, 1)
        for e in (ondevice_answer.error(v, answers, reward), ondevice_answer.label_error(v, answers[0])):
            assert e.sum() == 0
            assert np.abs(e).max() <= 128


def test_everything_that_cannot_learn_is_refused_by_name_and_all_at_once():
    net = small()
    uneven = replace(net.layers[0].neuron, leak=Leak(np.arange(200, 212), 8), reset_delay=False)
    layers = (replace(net.layers[0], neuron=uneven, unit=np.arange(1.0, 13.0)), net.layers[1])
    found = "\n".join(refusals(replace(net, layers=layers, decode="first_spike"), "all", 5000))
    for reason in ("12 different leaks", "resets within the step", "one unit per neuron", "first spike", "5000 steps"):
        assert reason in found
    with pytest.raises(Unsupported, match="--learn all cannot run"):
        make_plan(replace(net, layers=layers), "all", rasters(net))
    assert not refusals(net, "all", T)


def test_a_readout_of_numbers_is_refused_where_its_sum_could_leave_31_bits():
    """A readout that never forgets: g grows by 256 a step, up to 65535."""
    net = small()
    still = replace(net.layers[1].neuron, leak=Leak(np.full(4, 256), 8))
    direct = replace(net.layers[1], connections=(replace(net.layers[1].connections[0], source=INPUT),), neuron=still)
    weight = np.ones((4, 6), np.int8)
    direct = replace(direct, connections=(replace(direct.connections[0], path=(Dense(weight),)),))
    graded = replace(net, layers=(direct,), input=InputContract((6,), scale=1 / 127))
    values = rasters(net) * 127
    longest = next(t for t in range(1, 2048) if 127 * int(horizon(graded, t).sum()) >= 2**31) - 1
    assert make_plan(graded, "all", values, longest).steps == longest
    with pytest.raises(Unsupported, match="reads numbers up to 127"):
        make_plan(graded, "all", values, longest + 1)
