"""`edge-anp learn` and what it leaves: a result, a curve, a journal that a device loads, and a log that replays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_anp import tasks
from edge_anp.bench_ondevice import build
from edge_anp.cli import app
from edge_anp.compilation import compile_network


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(w) for w in words])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.mark.slow
def test_a_course_can_be_dumped_replayed_and_gone_on_with(tmp_path):
    task = tasks.load("digits")
    task = replace(task, test=task.test.choose(task.test.targets < 2))
    folder = compile_network(build(8, 10, 0), "mcu", tmp_path / "a", task.train, learn="all", guesses=2).artifact.folder
    world = ("--task", "digits", "--drift", "rewire:0.4", "--guesses", 2, "--trials", 30, "--seed", 1)
    run("learn", folder, *world, "--out", tmp_path / "one", "--log", tmp_path / "one.log")
    one = json.loads((tmp_path / "one" / "result.json").read_text())
    assert one["trials"] == 30
    assert one["curve"][-1][0] == 30
    assert one["weights_crc"] in run("dump", folder, tmp_path / "one" / "journal.bin")
    assert one["weights_crc"] in run("replay", folder, tmp_path / "one.log")

    journal = ("--journal", tmp_path / "one" / "journal.bin")
    run("learn", folder, *world, *journal, "--out", tmp_path / "two", "--log", tmp_path / "two.log")
    two = json.loads((tmp_path / "two" / "result.json").read_text())
    assert two["weights_crc"] != one["weights_crc"]
    assert two["accuracy_after_drift"] == one["accuracy_after"]
    assert two["weights_crc"] in run("replay", folder, tmp_path / "two.log", *journal, "--runner", "host")

    run("learn", folder, *world, *journal, "--out", tmp_path / "three")
    assert json.loads((tmp_path / "three" / "result.json").read_text())["weights_crc"] == two["weights_crc"]
    assert Path(tmp_path / "three" / "journal.bin").read_bytes() == Path(tmp_path / "two" / "journal.bin").read_bytes()
