"""Learning on the device, measured: networks trained on the host, 40 % of their input channels rewired, then trials of the C learner.

A cell is a task, what the world says, and who learns what from it. Every finished course of learning is a line in a file, so that a bench
that was stopped goes on. No rate is chosen on these networks: rates come from ondevice_rates.py, whose constants were chosen on networks
of other seeds.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from edge_anp import bench_cells, continual, device_learning, tasks
from edge_anp import network as floats
from edge_anp import target as targets
from edge_anp.compilation import compile_network
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.trainer import train
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import LIF, Readout
from edge_anp.synapses import Dense
from edge_anp.tasks import Task
from edge_anp.topology import INPUT, InputContract

HIDDEN, UPDATES, TRIALS, DRIFT, POINTS = 128, 600, 4000, 0.4, 8
GUESSES = {"one answer": 1, "two answers": 2, "label": 0}
BATCH, EVERY = {"digits": 128}, {"digits": 0}  # braille7: 64, and one step in four updates


@dataclass(frozen=True)
class Cell:
    """A row of the table. by: the C learner by its rule, or by "perturbation"; or, in floats, "float", "REINFORCE", "queries"."""

    task: str
    world: str
    learn: str = "all"
    bits: int = 16
    guarded: bool = True
    trials: int = TRIALS
    by: str = "rule"
    streams: int = 1

    @property
    def name(self) -> str:
        guard = "guarded" if self.guarded else "unguarded"
        return f"{self.task}/{self.world}/{self.by}/{self.learn}/int{self.bits}/{guard}/{self.trials}"


def cells(task: str) -> list[Cell]:
    """What is measured on a task, the most wanted first."""
    found = [Cell(task, world) for world in GUESSES]
    found += [Cell(task, world, learn) for learn in ("input,readout", "readout") for world in GUESSES]
    found += [Cell(task, "one answer", bits=8), Cell(task, "one answer", trials=2 * TRIALS)]
    return found


def build(inputs: int, classes: int, seed: int) -> Network:
    """Inputs -> 128 recurrent LIF (beta 0.9) -> readouts (beta 0.95) read by the mean membrane; normal weights."""
    generator = torch.Generator().manual_seed(seed)

    def dense(rows: int, columns: int, gain: float, bias: bool) -> Dense:
        weight = torch.randn(rows, columns, generator=generator) * (gain / math.sqrt(columns))
        return Dense(weight.requires_grad_(), torch.zeros(rows, requires_grad=True) if bias else None)

    into = Connection(INPUT, (dense(HIDDEN, inputs, 1.2, True),))
    back = Connection(0, (dense(HIDDEN, HIDDEN, 0.4, True),), delay=1)
    out = Connection(0, (dense(classes, HIDDEN, 1.0, False),))
    hidden = Layer((HIDDEN,), (into, back), LIF(torch.tensor(0.9), torch.tensor(1.0)), "hidden")
    readout = Layer((classes,), (out,), Readout(torch.tensor(0.95)), "readout")
    return Network((hidden, readout), InputContract((inputs,)), "membrane_mean")


def pretrain(task: Task, seed: int, folder: Path | None = None) -> Network:
    """The network that ships: feedback ANP with labels, forward-only; kept in `folder`."""
    kept = None if folder is None else folder / f"{task.name}-{seed}.npz"
    if kept is not None and kept.is_file():
        return floats.load(kept)
    network = build(task.input.size, task.classes, seed)
    rule = FeedbackANP("label", look_back=0)
    train(network, task, rule, UPDATES, BATCH.get(task.name, 64), 4e-3, seed, progress=False)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        floats.save(network, kept)
    return network


def measure(network: Network, task: Task, cell: Cell, seed: int, stream: int = 0) -> dict[str, Any]:
    """Compile, drift, learn on this machine's build of the C learner. stream: another order of the samples, another seed of the noise."""
    guesses, rule = GUESSES[cell.world], "perturbation" if cell.by == "perturbation" else "feedback"
    with tempfile.TemporaryDirectory() as place:
        done = compile_network(
            network, "mcu", Path(place) / "a", task.train, learn=cell.learn, guesses=max(guesses, 1), bits=cell.bits,
            budget=cell.trials, every=EVERY.get(task.name, 2), rule=rule,
        )  # fmt: skip
        parts = continual.stream(f"rewire:{DRIFT}", task, seed)
        with targets.find("mcu").open_learner(done.artifact.folder, "host") as session:  # type: ignore[attr-defined]
            course = device_learning.follow(
                session, done.network.input, task, parts, cell.trials, guesses, seed + 1000 * stream, cell.guarded, POINTS
            )  # fmt: skip
    return {
        "key": key(cell, seed, stream), **asdict(cell), "seed": seed, "stream": stream, "before": course.accuracy_before,
        "drifted": course.accuracy_after_drift, "after": course.accuracy_after,
        "asked": course.answers_asked / course.trials, "curve": course.curve,
    }  # fmt: skip


def key(cell: Cell, seed: int, stream: int) -> str:
    """Which line of the file this is."""
    return f"{cell.name}/seed {seed}/stream {stream}"


def run(wanted: Sequence[Cell], seeds: Sequence[int], out: Path) -> list[dict[str, Any]]:
    """Do what the file lacks; return every row of the cells that are complete."""
    from edge_anp import bench_ondevice_report

    torch.set_num_threads(1)
    file = out / "cells" / "ondevice.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    done, loaded = bench_cells.read(file), {}
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("cells", total=len(wanted))
        for cell in wanted:
            for stream in range(cell.streams):
                for seed in seeds:
                    if key(cell, seed, stream) in done:
                        continue
                    if cell.task not in loaded:
                        loaded[cell.task] = tasks.load(cell.task)
                    task = loaded[cell.task]
                    row = measure(pretrain(task, seed, file.parent / "networks"), task, cell, seed, stream)
                    done[row["key"]] = row
                    with file.open("a") as lines:
                        lines.write(json.dumps(row) + "\n")
            bench_ondevice_report.write(list(done.values()), out)
            progress.advance(bar)
    return list(done.values())


def bench(seeds: int, out: Path, names: Sequence[str] = ("digits", "braille7")) -> None:
    """Every learner on every network; the table is written as it grows."""
    from edge_anp import bench_ondevice_report

    rows = run([cell for name in names for cell in cells(name)], range(seeds), out)
    Console(width=220).print(bench_ondevice_report.table(rows), markup=False)
