"""One course of learning on digits: the same checksum, answers and curve from numpy, from ONNX and from C."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from edge_anp import bench_ondevice, continual, integer, ondevice_plan, tasks
from edge_anp import network as floats
from edge_anp import target as targets
from edge_anp.cli import app
from edge_anp.conformance_learning import STEPS, learning_network, random_plan
from edge_anp.conformance_networks import random_raster
from edge_anp.integer import quantize_input
from edge_anp.ondevice import Learner
from edge_anp.ondevice_guard import ROLL_BACK, SAVE, Kept

SEED, GUESSES, DRIFT = 1, 2, "rewire:0.4"


def learned(folder: Path, target: str, trials: int) -> dict[str, object]:
    """compile and learn from the command line; result.json."""
    compile_ = f"compile {folder}/net.npz --calibrate digits --learn all --samples 64 --target {target} --out {folder}/{target}"
    world = f"--task digits --drift {DRIFT} --guesses {GUESSES} --trials {trials} --seed {SEED}"
    learn = f"learn {folder}/{target} {world} --out {folder}/run_{target}"
    for words in (compile_, learn):
        done = CliRunner().invoke(app, words.split())
        assert done.exit_code == 0, done.output
    assert (folder / f"run_{target}" / "curve.svg").read_text().startswith("<svg")
    return json.loads((folder / f"run_{target}" / "result.json").read_text())


def reference(folder: Path, trials: int) -> tuple[str, int]:
    """The same course in ondevice.py: its checksum, and how many answers it asked for."""
    net, plan = integer.load(folder / "integer.npz"), ondevice_plan.load(folder / "learning.npz")
    one, asked = Learner(net, plan, SEED), 0
    shipped, kept = [u.copy() for u in one.weights], Kept[list[np.ndarray]]()
    part = continual.stream(DRIFT, tasks.load("digits", None), SEED)[0].train
    rows = quantize_input(part.rasters, net.input)
    for k in continual.schedule(len(rows), trials, SEED):
        number = one.begin()
        for x in rows[k]:
            one.step(x)
        for _ in range(GUESSES):
            right = one.answer() == part.targets[k]
            one.reward(number, 128 * int(right))
            asked += 1
            if right:
                break
        one.commit()
        advice = one.guard.health(plan)
        if advice == SAVE:
            kept, one.guard = kept.save([u.copy() for u in one.weights], one.guard, plan)
        if advice == ROLL_BACK:
            saved, one.guard = kept.roll_back(one.guard)
            one.weights = [u.copy() for u in saved or shipped]
            one._refresh()
    return f"{one.crc():08x}", asked


@pytest.mark.parametrize(("rule", "guesses"), [("feedback", 2), ("feedback", 0), ("perturbation", 1)])
def test_whole_trials_are_the_same_in_onnx_and_c(rule, guesses, tmp_path):
    """Under a guard that is quick to save and to roll back, with looks in between."""
    net, learn = learning_network(148)
    plan = replace(random_plan(148, net, learn), guesses=2, window=1, drop=500, gain=100)
    if rule == "perturbation":
        plan = replace(plan, rule=rule, credits=())
    rasters, found = [random_raster(net, 2 * k, STEPS) for k in range(20)], []
    for target, runner in (("onnx", "onnxruntime"), ("mcu", "host")):
        machine: Any = targets.find(target)
        targets.compile_to(machine, net, tmp_path / target, None, rasters[:1], None, plan)
        seen: list[object] = []
        with machine.open_learner(tmp_path / target, runner, 60) as one:
            one.start(SEED)
            for k in map(int, continual.schedule(20, 120, SEED)):
                one.trials([rasters[k]], [k % 2], guesses, guarded=True)
                seen += [one.asked.tolist(), one.right.tolist(), one.crc(), one.advice()]
                if k == 0:
                    seen += one.answers(rasters).tolist()
        found.append(seen)
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_thousand_trials_end_in_one_checksum_in_numpy_onnx_and_c(tmp_path):
    trials = 1000
    floats.save(floats.copy_to_numpy(bench_ondevice.build(8, 10, 0)), tmp_path / "net.npz")
    onnx, c = (learned(tmp_path, target, trials) for target in ("onnx", "mcu"))
    assert (onnx.pop("runner"), c.pop("runner")) == ("onnxruntime", "host")
    assert onnx == c
    assert reference(tmp_path / "onnx", trials) == (onnx["weights_crc"], onnx["answers_asked"])
    assert np.ptp([accuracy for _, accuracy in onnx["curve"]]) > 0  # type: ignore[union-attr]
