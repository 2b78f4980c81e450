"""A short soak: ten thousand trials, a tenth of them with bad rewards; the weights stay off the rails, and the files say so."""

from __future__ import annotations

import json

import pytest

from edge_anp import bench_soak, tasks
from edge_anp.bench_ondevice import build
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.trainer import train

TRIALS = 10_000


@pytest.mark.slow
def test_ten_thousand_trials_leave_the_weights_on_the_rails(tmp_path):
    task = tasks.load("digits")
    network = build(task.input.size, task.classes, 0)
    train(network, task, FeedbackANP("label", look_back=0), 100, 128, 4e-3, 0, progress=False)
    found = bench_soak.soak(network, task, "one answer", True, True, TRIALS)
    assert [p.trial for p in found.points] == list(range(100, TRIALS + 1, 100))
    assert {p.world for p in found.points} == {"honest", "random", "inverted"}
    assert sum(p.saves for p in found.points) > 0
    assert all(sum(p.at_an_end) <= 0.001 * sum(found.weights) for p in found.points)
    assert found.around(1.0, False) > found.drifted + 0.1
    assert [sum(bins) for bins in found.histograms["after"]] == found.weights

    bench_soak.write([found], tmp_path)
    assert bench_soak.read(tmp_path / "soak.json", TRIALS) == [found]
    assert bench_soak.read(tmp_path / "soak.json", TRIALS + 1) == []
    assert "with bad stretches" in (tmp_path / "soak.md").read_text()
    assert (tmp_path / "soak.svg").read_text().count("<polyline") == 1
    assert json.loads((tmp_path / "soak.json").read_text())[0]["trials"] == TRIALS
