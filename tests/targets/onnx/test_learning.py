"""The learning graphs are ondevice.py, bit for bit, for any network that learns, whatever runs them; a stranger can use them."""

from __future__ import annotations

import json
import re
import tempfile
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
from targets.onnx.learn_models import GRAPHS
from targets.onnx.learn_session import LearnSession

SEED = 2**32 - 7
OPERATORS = {
    *("Add", "Sub", "Mul", "Div", "Abs", "Sign", "Min", "Max", "Clip", "BitShift", "MatMulInteger", "CumSum", "ReduceSum", "ReduceMax"),
    *("Greater", "Equal", "Where", "Cast", "Reshape", "Gather"),
    *("ConvInteger", "Conv", "MaxPool"),  # of layers that do not learn
}  # fmt: skip


def lively(seed: int) -> tuple[IntegerNetwork, LearningPlan]:
    net, learn = learning_network(seed)
    return net, replace(random_plan(seed, net, learn), guesses=2)


LIVELY = lively(148)  # two layers, the second a readout of the first and of the input 4 steps ago, both learn


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
    for seed in (47, 82, 142):
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


def test_the_readme_is_all_that_a_stranger_needs(tmp_path):
    """Its code, cut out and run as it stands, learns what the reference learns."""
    text = (Path(learning.__file__).parent / "README.md").read_text()
    (block,) = (b for b in re.findall(r"(?:^    .*\n)+", text, re.MULTILINE) if "learn_{n}" in b)
    lines = [line[4:] for line in block.splitlines()]
    assert len(lines) < 25
    net, plan = LIVELY
    compiled(tmp_path / "a", net, plan)
    rasters, labels = [random_raster(net, 2 * k, STEPS) for k in range(6)], [k % 2 for k in range(6)]
    known: dict[str, Any] = {"folder": tmp_path / "a", "rasters": rasters, "labels": labels, "seed": SEED, "guesses": 2}
    known |= {"onnxruntime": onnxruntime, "np": np, "json": json}
    exec("\n".join(lines), known)
    wanted = Learner(net, plan, SEED)
    for raster, label in zip(rasters, labels, strict=True):
        number = wanted.begin()
        for x in raster:
            wanted.step(x)
        for _ in range(2):
            right = wanted.answer() == label
            wanted.reward(number, 128 * right)
            if right:
                break
        wanted.commit()
    for k, u in enumerate(wanted.weights):
        w, f = known["weights"][f"w{k}"], known["weights"].get(f"f{k}", np.int64(0))
        assert np.array_equal(w * np.int64(wanted.one) + f, u - 128 * wanted.one)
    assert wanted.crc() != Learner(net, plan, SEED).crc()


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_files_keep_the_rules(seed):
    net, learn = learning_network(seed)
    models = learning.models(net, random_plan(seed, net, learn))
    assert tuple(models) == GRAPHS
    for name, model in models.items():
        onnx.checker.check_model(model, full_check=True)
        assert (model.opset_import[0].version, model.ir_version) == (13, 8)
        assert {node.op_type for node in model.graph.node} <= OPERATORS, name
        given = [v.name for v in (*model.graph.input, *model.graph.initializer)]
        given += [n for node in model.graph.node for n in node.output]
        assert len(given) == len(set(given))
        assert all(re.fullmatch("[A-Za-z][A-Za-z0-9_]*", n) for n in given)
        for value in (*model.graph.input, *model.graph.output):
            assert all(d.dim_value > 0 for d in value.type.tensor_type.shape.dim)


@pytest.fixture
def started(tmp_path):
    net, plan = LIVELY
    return compiled(tmp_path / "a", net, plan)


def test_calls_out_of_order_and_stale_rewards_are_refused(started):
    x = np.zeros(started.net.input.size, np.int8)
    with pytest.raises(ValueError, match="there is no trial"):
        started.step(x)
    old = started.begin()
    started.step(x)
    with pytest.raises(ValueError, match="there must be an answer"):
        started.reward(old, 128)
    started.answer()
    new = started.begin()
    with pytest.raises(ValueError, match=f"for trial {old}; the trial that is kept is {new}"):
        started.reward(old, 128)
    for _ in range(started.plan.steps):
        started.step(x)
    with pytest.raises(ValueError, match=f"{started.plan.steps} steps already"):
        started.step(x)
    for bad in (-1, started.scores.size):
        with pytest.raises(ValueError, match=f"the label is {bad}"):
            started.label(new, bad)
    started.answer()
    with pytest.raises(ValueError, match="the reward is 129"):
        started.reward(new, 129)
    started.answer()
    with pytest.raises(ValueError, match="2 answers were given"):
        started.answer()
    with pytest.raises(ValueError, match="there must be a reward that waits"):
        started.commit()


def test_what_is_saved_comes_back_and_freezing_keeps_it(started):
    def learn(label: int) -> None:
        started.trials([random_raster(started.net, 2, STEPS)], [label], 0)

    shipped = started.crc()
    learn(0)
    first = started.crc()
    assert first != shipped
    started.roll_back()
    assert started.crc() == shipped
    assert started.trial == 1
    learn(0)
    started.save()
    saved = started.crc()
    learn(1)
    assert started.crc() != saved
    started.roll_back()
    assert started.crc() == saved
    started.freeze(True)
    learn(1)
    assert started.crc() == saved


def test_looking_at_answers_changes_nothing_that_is_learned(started):
    rasters = [random_raster(started.net, 2 * k, STEPS) for k in range(6)]
    found = []
    for look in (False, True):
        started.start(SEED)
        for k in range(3):
            started.trials(rasters[k : k + 2], [0, 1], 2, guarded=True)
            if look:
                assert started.answers(rasters).shape == (6,)
        found.append((started.crc(), started.trial, started.guard))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", GRAPHS)
def test_a_bad_file_is_one_sentence(name, tmp_path):
    compiled(tmp_path / "a", *LIVELY)
    path = tmp_path / "a" / f"{name}.onnx"
    content = path.read_bytes()
    other = tmp_path / "a" / ("step_q.onnx" if name != "learn_start" else "learn_step.onnx")
    for damaged, words in (
        (None, "no such file"),
        (content[:-200], "refuses it"),
        (other.read_bytes(), "another model"),
    ):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        with pytest.raises(BadFile, match=words) as error:
            TARGET.open_learner(tmp_path / "a", "onnxruntime")
        assert "\n" not in str(error.value)


def test_sums_that_would_not_fit_are_refused_before_any_file(tmp_path):
    """Graded input straight into a readout that never leaks, for 2048 steps."""
    for seed in range(200):
        net, learn = learning_network(seed)
        direct = {(0, -1)} & {(i, c.source) for i, x in enumerate(net.layers) for c in x.connections}
        if len(net.layers) == 1 and direct and net.layers[0].neuron.vth is None:
            break
    plan = replace(random_plan(seed, net, learn), rule="feedback", steps=ondevice_plan.STEPS)
    layer = net.layers[0]
    slow = replace(
        layer.neuron, leak=replace(layer.neuron.leak, keep=layer.neuron.leak.keep * 0 + 2**layer.neuron.leak.bits)
    )
    net = replace(net, layers=(replace(layer, neuron=slow),), decode="membrane_mean")
    with pytest.raises(Unsupported, match="reads numbers up to 127: their sum over 2048 steps could reach"):
        compile_to(TARGET, net, tmp_path / "a", None, [random_raster(net, 1, 4)], None, plan)
    assert not (tmp_path / "a").exists()
