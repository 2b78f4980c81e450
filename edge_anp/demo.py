"""The whole road on handwritten digits, once: four learning rules, integers, ONNX, verified bit for bit.

Every digit of 8 x 8 pixels is shown row by row over 16 steps. The network that goes on to the integers is the one that learned
forward-only (look-back 0) from right or wrong alone, one answer a sample.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from edge_anp import demo_net, network, report, tasks
from edge_anp.compilation import compile_network
from edge_anp.integer import quantize_input
from edge_anp.learning.bptt import BPTT
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.fit import evaluate
from edge_anp.learning.rule import Rule
from edge_anp.learning.trainer import train
from edge_anp.quantization_loss import measure
from edge_anp.snntorch_model import read
from edge_anp.verify import verify

# rates: the best of `edge-anp bench digits` on validation data (docs/results/digits.md)
RULES: dict[str, tuple[str, Rule, float]] = {
    "readout": ("only the readout learns, labels", FeedbackANP(signal="label", readout_only=True), 32e-3),
    "bptt": ("surrogate backpropagation, labels", BPTT(), 8e-3),
    "feedback_label": (
        "feedback ANP, labels, looks back on the trial",
        FeedbackANP(signal="label", look_back=None),
        4e-3,
    ),
    "feedback_reward": (
        "feedback ANP, right or wrong only, forward only",
        FeedbackANP(signal="reward", look_back=0),
        4e-3,
    ),
}


def run_demo(folder: Path, seed: int, updates: int, out: Console) -> dict[str, Any]:
    """Run every stage, write `folder`, print the closing table; return the content of report.json."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # the matrices are small: on a busy machine two threads would mostly wait for each other
    seconds: dict[str, float] = {}
    task = tasks.load("digits")
    rules: dict[str, dict[str, float]] = {}
    networks = {}
    for name, (what, rule, rate) in RULES.items():
        out.print(f"[bold]{name}[/]: {what}")
        started = time.perf_counter()
        raster, _ = task.train.batch(range(4))
        reading = read(demo_net.build(seed), raster.reshape(*raster.shape[:2], *task.input.shape))
        history = train(reading.network, task, rule, updates=updates, rate=rate, seed=seed, progress=True)
        seconds[f"train_{name}"] = time.perf_counter() - started
        networks[name] = history.network
        rules[name] = {"accuracy": evaluate(history.network, task.test), "seconds": seconds[f"train_{name}"]}

    learned = networks["feedback_reward"]
    network.save(learned, folder / "network.npz")
    with _stage("compile", "quantizing and compiling to ONNX", seconds, out):
        compiled = compile_network(learned, "onnx", folder / "onnx", task.train)
    integers = (folder / "onnx" / "integer.npz").read_bytes()
    (folder / "integer.npz").write_bytes(integers)
    with _stage("quantize_test", "integers on the test set", seconds, out):
        raster, targets = task.test.batch(range(len(task.test)))
        loss = measure(learned, compiled.network, raster, network.run(learned, raster), targets.numpy())
    with _stage("verify", "verifying every spike and state of the test set", seconds, out):
        rows = quantize_input(raster.numpy(), compiled.network.input)
        checked = verify(folder / "onnx", [rows[:, b] for b in range(rows.shape[1])])
    verification = checked.to_json()["runners"]
    result = {
        "schema": 1,
        "rules": rules,
        "integer": {
            "accuracy": loss.integer_accuracy,
            "spike_agreement": list(loss.agreement),
            "saturated": loss.saturated,
            "costliest": loss.costliest.name,
        },
        "verify": verification,
        "files": report.file_sizes(folder),
        "seconds": seconds,
    }
    (folder / "report.json").write_text(json.dumps(result, indent=1) + "\n")
    out.print(_closing_table(result))
    out.print(f"everything is in {folder}")
    checked.check()
    return result


@contextmanager
def _stage(name: str, what: str, seconds: dict[str, float], out: Console) -> Iterator[None]:
    """Time a stage and show that it is going on."""
    started = time.perf_counter()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=out) as progress:
        progress.add_task(what, total=None)
        yield
    seconds[name] = time.perf_counter() - started


def _closing_table(result: dict[str, Any]) -> Table:
    table = Table("", "accuracy", "seconds", "", title="digits, 360 test samples, one seed")
    for name, row in result["rules"].items():
        table.add_row(name, f"{row['accuracy']:.3f}", f"{row['seconds']:.0f}", RULES[name][0])
    integer = result["integer"]
    agreement = ", ".join("-" if a is None else f"{a:.3f}" for a in integer["spike_agreement"])
    table.add_section()
    table.add_row(
        "integers", f"{integer['accuracy']:.3f}", "", f"of feedback_reward; spike agreement per layer {agreement}"
    )
    for name, row in result["verify"].items():
        states = row.get("state_mismatches")
        what = f"{row['spike_mismatches']} spikes" + ("" if states is None else f" and {states} states") + " differ"
        table.add_row(name, "", "", f"{what}, of {row['neuron_steps']:,} neuron-steps")
    for name, size in result["files"].items():
        if name.endswith((".onnx", "network.npz", "integer.npz")):
            table.add_row(name, "", "", f"{size:,} bytes")
    table.add_row("whole demo", "", f"{sum(result['seconds'].values()):.0f}", "")
    return table
