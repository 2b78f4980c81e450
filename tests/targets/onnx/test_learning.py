"""The learning graphs are ondevice.py, bit for bit, for any network that learns, whatever runs them; a stranger can use them."""

from __future__ import annotations

import json
import re
import tempfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from edge_anp import ondevice_plan
from edge_anp.conformance_learning import STEPS, learning_network, random_plan
from edge_anp.conformance_networks import random_raster
from edge_anp.errors import BadFile, Unsupported
from edge_anp.integer import IntegerNetwork
from edge_anp.ondevice import Learner
from edge_anp.ondevice_plan import LearningPlan
from edge_anp.target import compile_to
from targets.onnx import TARGET, learning
from targets.onnx.learn_session import GRAPHS, LearnSession, Model

SEED = 2**32 - 7
OPERATORS = {
    *("Add", "Sub", "Mul", "Div", "Abs", "Sign", "Min", "Max", "Clip", "BitShift", "MatMulInteger", "CumSum", "ReduceSum", "ReduceMax"),
    *("Greater", "Equal", "Where", "Cast", "Reshape", "Gather"),
    *("ConvInteger", "Conv", "MaxPool"),  # of layers that do not learn
}  # fmt: skip


def compiled(folder: Path, net: IntegerNetwork, plan: LearningPlan) -> LearnSession:
    compile_to(TARGET, net, folder, None, [random_raster(net, 1, 4)], None, plan)
    return TARGET.open_learner(folder, "onnxruntime")


def trial(one: Any, raster: np.ndarray, guesses: int, rewards: list[int], mirrored: bool = False) -> list[int]:
    """A trial up to its commit, the same calls for the reference and a session; guesses 0: the label is told. Its answers."""
    number = one.begin(mirrored) if mirrored else one.begin()
    for x in raster:
        one.step(x)
    answers = []
    if guesses == 0:
        one.label(number, rewards[0] % one.net.layers[-1].size)
    for k in range(min(guesses, one.net.layers[-1].size)):
        answers.append(one.answer())
        one.reward(number, rewards[k])
    return answers


def check_trial(wanted: Learner, got: LearnSession) -> None:
    """All that a step emitted, and what the reward taught."""
    for t, seen in enumerate(got.seen):
        for name, value in seen.items():
            if found := re.fullmatch(r"(s|psi)(\d+)", name):
                kept = wanted.sent if found[1] == "s" else wanted.psi
                assert np.array_equal(np.ravel(value), kept[int(found[2])][t]), name
    assert np.array_equal(np.ravel(got.scores), wanted.scores)
    if wanted.plan.rule == "feedback":
        assert np.array_equal(np.ravel(got.taught["e"]), wanted.e)
        for c in wanted.plan.credits:
            assert np.array_equal(np.ravel(got.taught[f"h{c.layer}"]), wanted._credit(c)), c.kind


def check_weights(wanted: Learner, got: LearnSession) -> None:
    for mine, theirs in zip(wanted.weights, got.masters(), strict=True):
        assert np.array_equal(mine - 128 * wanted.one, theirs)
    assert wanted.crc() == got.crc()


def both(wanted: Learner, got: LearnSession, net: IntegerNetwork, seed: int, trials: int) -> None:
    """The same trials for both, every tensor compared after every one."""
    rng = np.random.default_rng([seed, 4])
    for k in range(trials):
        guesses = int(rng.integers(0, wanted.plan.guesses + 1))
        pair = wanted.plan.rule == "perturbation" and k % 3 < 2
        for mirrored in (False, True) if pair else (False,):
            raster = random_raster(net, seed + 2 * k, int(rng.integers(1, STEPS + 1)))
            rewards = [int(r) for r in rng.choice([0, 0, 128, 128, 37], 8)]
            most = max(guesses, 1) if wanted.plan.rule == "perturbation" else guesses
            assert trial(wanted, raster, most, rewards, mirrored) == trial(got, raster, most, rewards, mirrored)
            check_trial(wanted, got)
        wanted.commit()
        got.commit()
        check_weights(wanted, got)
        assert wanted.guard == got.guard


@given(st.integers(0, 10**6))
def test_any_network_learns_what_the_reference_learns(seed):
    net, learn = learning_network(seed)
    plan = random_plan(seed, net, learn)
    wanted = Learner(net, plan, SEED)
    with tempfile.TemporaryDirectory() as folder, compiled(Path(folder) / "a", net, plan) as got:
        got.start(SEED)
        if seed % 3 == 0:  # the counter wraps
            wanted.trial = got.trial = 2**32 - 3
        check_weights(wanted, got)
        both(wanted, got, net, seed, 6)


def test_the_reference_evaluator_of_onnx_agrees(tmp_path):
    """A second runtime, in numpy, of ONNX's own authors."""
    for seed in (1, 4, 15):
        net, learn = learning_network(seed)
        plan = random_plan(seed, net, learn)
        wanted, found = Learner(net, plan, SEED), compiled(tmp_path / f"{seed}", net, plan)
        models = {
            name: replace(m, engine=ReferenceEvaluator(str(tmp_path / f"{seed}" / f"{name}.onnx")))
            for name, m in found.models.items()
        }
        got = LearnSession(models, net, plan)
        got.start(SEED)
        both(wanted, got, net, seed, 2)
        assert wanted.crc() != Learner(net, plan, SEED).crc()
