"""The guard against worlds that are honest, random, changed and turned round; and the C learner against it, whatever is saved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from edge_anp.ondevice_guard import KEEP, LONGER, ROLL_BACK, SAVE, Guard, Kept
from edge_anp.ondevice_rates import make_plan
from edge_anp.target import compile_to, find
from edge_anp.trial_log import Reference
from targets.mcu import TARGET
from targets.mcu.learn_workloads import network, rasters

PLAN = make_plan(network(), "readout", rasters(network()))


def advised(rewards: Iterable[int], guard: Guard | None = None) -> tuple[list[int], Guard]:
    """A guard's advice after every reward, followed."""
    plan, guard, advice = PLAN, guard or Guard(), []
    for reward in rewards:
        guard = guard.judge(plan, int(reward))
        advice.append(guard.health(plan))
        guard = {KEEP: guard, SAVE: guard.saved(anchored=False), ROLL_BACK: guard.rolled_back()}[advice[-1]]
    return advice, guard


def test_a_guard_saves_gains_and_rolls_losses_back():
    advice, guard = advised([0] * 80 + [128] * 4000 + [0] * 100)
    assert SAVE in advice[:80]
    assert SAVE in advice[80:4080]
    assert ROLL_BACK not in advice[:4080]
    assert advice[4080:].count(ROLL_BACK) == 1
    assert guard.troubled


def test_rewards_without_a_meaning_are_never_saved_and_never_last():
    """Right in nine of ten, then a coin: rolled back after 2, 4, 8, 16 long windows, until the rewards mean something again."""
    rng = np.random.default_rng(1)
    _, guard = advised(128 * (rng.random(8000) < 0.9))
    advice, troubled = advised(128 * (rng.random(20_000) < 0.5), guard)
    assert advice.count(SAVE) == 0
    assert 3 <= advice.count(ROLL_BACK) <= 5
    advice, guard = advised(128 * (rng.random(4000) < 0.9), troubled)
    assert not guard.troubled


def test_a_world_that_changed_is_learned_not_fought():
    """A fall, then a tenth more in every thousand trials: rolled back once, then left alone, and saved again and again."""
    rng = np.random.default_rng(2)
    _, guard = advised(128 * (rng.random(8000) < 0.9))
    rising = np.concatenate([np.full(150, 0.4), np.linspace(0.4, 0.8, 4000)])
    advice, _ = advised(128 * (rng.random(len(rising)) < rising), guard)
    assert advice.count(ROLL_BACK) == 1
    assert advice.count(SAVE) >= 2


@pytest.mark.parametrize("sudden", [True, False])
def test_the_world_of_before_comes_back_and_so_do_its_weights(sudden):
    """Right and wrong change places for a while, and are learned so: suddenly (the rewards rise) or slowly (they fall first). When they
    change back, the weights of before are tried after one long window, are worth more, and are saved."""
    rng, plan = np.random.default_rng(4), PLAN
    guard, kept, here, found = Guard(), Kept[str](), "honest", []
    long = 1 << plan.window + LONGER
    for t in range(40 * long):
        inverted = 10 * long <= t < 25 * long
        begun = (t - 10 * long) / long
        if inverted and begun >= (0 if sudden else 3):
            here = "inverted"
        worth = (0.95 if inverted else 0.65) if here == ("inverted" if inverted else "honest") else 0.1
        guard = guard.judge(plan, 128 * int(rng.random() < worth))
        advice = guard.health(plan)
        if advice == SAVE:
            kept, guard = kept.save(here, guard, plan)
        elif advice == ROLL_BACK:
            back, guard = kept.roll_back(guard)
            here = back or here
        found.append((here, advice))
        if inverted and t == 25 * long - 1:
            assert kept == Kept("inverted", "honest")
    after = found[25 * long :]
    assert [here for here, _ in after].index("honest") < 1.3 * long
    assert after[-1][0] == "honest"
    assert kept == Kept("honest", "inverted")
    assert not guard.troubled


@pytest.mark.parametrize("slots", [2, 3])
def test_device_and_reference_agree_whatever_is_saved_loaded_and_rolled_back(slots, tmp_path):
    """By chance, not by advice; with a window of 2 trials, so that falls, troubles and anchors come and go."""
    net = network(inputs=4, hidden=5, classes=3)
    plan = replace(make_plan(net, "readout", rasters(net), guesses=1), window=1)
    compile_to(find("mcu"), net, tmp_path / "a", None, [rasters(net)[:, 0]], None, plan)
    reference = Reference(net, plan, TARGET.layout(tmp_path / "a"), slots=slots)
    rng, ways = np.random.default_rng(slots), set()
    with TARGET.open_learner(tmp_path / "a", "host", slots=slots) as session:
        for one in (session, reference):
            one.start(5)
        saved = False
        for right in rng.random(1500) < np.repeat([0.9, 0.1, 0.9], 500):
            numbers = [one.begin() for one in (session, reference)]
            for one in (session, reference):
                one.step(rasters(net)[0, 0])
                one.answer()
                one.reward(numbers[0], 128 * int(right))
                one.commit()
            what = rng.choice(["nothing", "save", "load", "roll_back"], p=[0.7, 0.1, 0.02, 0.18])
            saved = saved or what == "save"
            if what != "nothing" and (what != "load" or saved):
                for one in (session, reference):
                    getattr(one, what)()
            guard = reference.guard
            ways.add((guard.trying, guard.anchored))
            assert session.advice() == guard.health(plan)
            assert session.crc() == reference.crc()
    assert len(ways) == (1 if slots == 2 else 4)
