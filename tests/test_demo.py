"""The demo, with few updates: the report has its schema, and every bit is verified."""

import json

import pytest
from rich.console import Console

from edge_anp import integer, network
from edge_anp.demo import run_demo


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    run_demo(folder, seed=0, updates=20, out=Console(quiet=True))
    return folder


def test_report_has_its_schema(folder):
    report = json.loads((folder / "report.json").read_text())
    assert report["schema"] == 1
    assert set(report["rules"]) == {"bptt", "feedback_label", "feedback_reward", "readout"}
    for row in report["rules"].values():
        assert 0 <= row["accuracy"] <= 1
        assert row["seconds"] > 0
    assert {"accuracy", "spike_agreement", "saturated"} <= set(report["integer"])
    assert len(report["integer"]["spike_agreement"]) == 2
    for name in ("step_q", "step_i32"):
        runner = report["verify"][name]
        assert (runner["spike_mismatches"], runner["state_mismatches"]) == (0, 0)
        assert runner["neuron_steps"] == 360 * 16 * 138
    assert "spike_mismatches" in report["verify"]["step_float"]
    assert report["files"]["network.npz"] > 0
    assert sum(report["seconds"].values()) > 0


def test_the_folder_holds_what_can_be_used_again(folder):
    assert len(network.load(folder / "network.npz").layers) == 2
    assert len(integer.load(folder / "integer.npz").layers) == 2
    assert {"artifact.json", "integer.npz", "golden.npz"} <= {p.name for p in (folder / "onnx").iterdir()}
