"""The road from the command line to a core, as a user walks it: a convolutional network on an M4, and a trained one everywhere."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from edge_anp.cli import app

CONVOLUTIONAL = """
import snntorch as snn
import torch
from torch import nn


def build():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 5), nn.MaxPool2d(2), snn.Leaky(beta=0.9, init_hidden=True),
        nn.Conv2d(8, 16, 5), nn.MaxPool2d(2), snn.Leaky(beta=0.9, init_hidden=True),
        nn.Flatten(), nn.Linear(256, 10), snn.Leaky(beta=0.95, init_hidden=True, output=True),
    )
    for layer in (net[0], net[3], net[7]):
        nn.init.normal_(layer.weight, 0.05, 0.3)
    net.input_shape = (1, 28, 28)
    return net
"""


def edge_anp(*words):
    result = CliRunner().invoke(app, [str(w) for w in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join((result.output + getattr(result, "stderr", "")).split())


@pytest.mark.slow
def test_a_convolutional_network_runs_on_an_m4(tmp_path):
    (tmp_path / "conv_net.py").write_text(CONVOLUTIONAL)
    rng = np.random.default_rng(0)
    images = (rng.random((8, 6, 1, 28, 28)) * (rng.random((8, 6, 1, 28, 28)) < 0.2)).astype(np.float32)
    np.savez(tmp_path / "images.npz", x=images, y=rng.integers(0, 10, 8))
    words = ("--target", "mcu", "--calibrate", tmp_path / "images.npz", "--option", "prefix=eyes")
    code, text = edge_anp("compile", f"{tmp_path / 'conv_net.py'}:build", *words, "--out", tmp_path / "mcu")
    assert code == 0, text
    for runner in ("host", "qemu:m4"):
        out = tmp_path / "v.json"
        code, text = edge_anp(
            "verify", tmp_path / "mcu", "--task", tmp_path / "images.npz", "--runner", runner, "--json", out
        )
        assert code == 0, text
        found = json.loads(out.read_text())
        row = found["runners"][runner]
        assert (row["spike_mismatches"], row["state_mismatches"], row["first"]) == (0, 0, None)
        assert row["neuron_steps"] >= 6 * (8 * 144 + 16 * 16 + 10)
        assert runner == "host" or "mps2-an386" in found["ran"]
    assert "extern const ea_model eyes;" in (tmp_path / "mcu" / "model.h").read_text()


def test_a_wrong_option_is_answered(tmp_path):
    words = ("--target", "onnx", "--calibrate", "digits", "--out", tmp_path / "x", "--option", "prefix=eyes")
    assert edge_anp("compile", "examples/my_net.py:build", *words)[1].endswith(
        "onnx has no option 'prefix'; it has none"
    )
    words = ("--target", "mcu", "--calibrate", "digits", "--out", tmp_path / "x", "--option", "prefix")
    assert "it must be NAME=VALUE" in edge_anp("compile", "examples/my_net.py:build", *words)[1]
    assert not (tmp_path / "x").exists()
