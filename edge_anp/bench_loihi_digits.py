"""Digits on Loihi's neurons: what the integers keep of a network that learned from a reward, for each reset, with and without netx.

Also the drift that on-chip learning is measured on: the same digits, their rows mirrored.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from edge_anp import quantization_loss, simulate, tasks
from edge_anp.compilation import compile_network
from edge_anp.demo_net import build
from edge_anp.integer import LOIHI2, quantize_input
from edge_anp.learning.bptt import BPTT
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.trainer import train
from edge_anp.network import Network, run
from edge_anp.neurons import LIF
from edge_anp.quantize import quantize
from edge_anp.snntorch_model import read
from edge_anp.verify import verify

WAYS = (("subtract", {}), ("zero", {}), ("zero", {"netx": "yes"}))  # the demo's own reset first
SAMPLES = 40  # that Lava runs too, of the test set's 360


def demo_network(reset: str = "subtract") -> Network:
    """The demo's network as it begins; reset "zero": at once, which the stock LIF has."""
    network = read(build(), torch.rand(8, 4, 8, generator=torch.Generator().manual_seed(0))).network
    hidden, readout = network.layers
    if reset == "zero":
        assert isinstance(hidden.neuron, LIF)
        hidden = replace(hidden, neuron=replace(hidden.neuron, reset="zero", reset_delay=False))
    return replace(network, layers=(hidden, readout))


def table() -> list[str]:
    """A row a way: accuracies on the test set, and what Lava found."""
    task = tasks.load("digits")
    raster, labels = task.test.batch(range(len(task.test)))
    networks = {}
    for reset in ("subtract", "zero"):
        networks[reset] = demo_network(reset)
        train(networks[reset], task, FeedbackANP("reward"), progress=False)
    lines = [
        "| reset | option | float | integers | hidden layer | network.net | differences in Lava |",
        "|---|---|---|---|---|---|---|",
    ]
    for reset, options in WAYS:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "out"
            done = compile_network(networks[reset], "loihi", folder, task.train, options=options)
            loss = quantization_loss.measure(
                networks[reset], done.network, raster, run(networks[reset], raster), labels.numpy()
            )
            found = verify(folder, task.test.rasters[:SAMPLES], "lava-fixed").runners["lava-fixed"]
            kind = json.loads((folder / "report.json").read_text())["tables"][0]["rows"][0][1]
            written = "yes" if (folder / "network.net").is_file() else "no"
        option = " ".join(f"{name}={value}" for name, value in options.items())
        differ = found.spike_mismatches + (found.state_mismatches or 0)
        cells = (reset, option, f"{loss.float_accuracy:.3f}", f"{loss.integer_accuracy:.3f}", kind, written, differ)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def drifted_digits() -> dict[str, np.ndarray]:
    """Spikes of the demo's trained hidden layer on digits, and on digits whose rows are mirrored, as integers see them."""
    task = tasks.load("digits")
    raster, labels = task.train.batch(np.arange(len(task.train)))
    test, test_labels = task.test.batch(np.arange(len(task.test)))
    network = demo_network()
    train(network, task, BPTT(), progress=False)
    integers, _ = quantize(network, torch.cat([raster[:, :128], raster[:, :128].flip(2)], 1), LOIHI2)
    found = {"labels": labels.numpy(), "test_labels": test_labels.numpy()}
    for name, x in (("", raster), ("test_", test)):
        for when, seen in (("before", x), ("after", x.flip(2))):
            whole = quantize_input(seen.numpy(), integers.input)
            found[name + when] = simulate.run(integers, whole).spikes[0].astype(np.int64)
    return found
