"""Learning on the device, measured: networks trained on the host, 40 % of their input channels rewired, then trials of the C learner.

A cell is a task, what the world says, and who learns what from it. Every finished course of learning is a line in a file, so that a bench
that was stopped goes on. No rate is chosen on these networks: rates come from ondevice_rates.py, whose constants were chosen on networks
of other seeds.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from edge_anp import continual, device_learning, tasks
from edge_anp import network as floats
from edge_anp import target as targets
from edge_anp.compilation import CALIBRATION, compile_network, learning_layers
from edge_anp.integer import IntegerNetwork, quantize_input
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.trainer import train
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import LIF, Readout
from edge_anp.ondevice_plan import LearningPlan
from edge_anp.ondevice_rates import make_plan
from edge_anp.quantize import quantize
from edge_anp.synapses import Dense
from edge_anp.tasks import Task
from edge_anp.topology import INPUT, InputContract

HIDDEN, UPDATES, TRIALS, DRIFT, POINTS = 128, 600, 4000, 0.4, 8
GUESSES = {"one answer": 1, "two answers": 2, "label": 0}
FLOATS = ("float", "REINFORCE", "queries")
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
    found = [Cell(task, world, streams=3) for world in GUESSES]
    found += [Cell(task, world, learn) for learn in ("input,readout", "readout") for world in GUESSES]
    found += [Cell(task, "one answer", bits=8), Cell(task, "one answer", trials=2 * TRIALS)]
    found += [Cell(task, world, by="float", streams=3) for world in GUESSES]
    found += [Cell(task, "one answer", by=by) for by in ("REINFORCE", "queries", "perturbation")]
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


def measure(network: Network, task: Task, wanted: Sequence[tuple[Cell, int]], seed: int) -> Iterator[dict[str, Any]]:
    """Compile, drift, learn on this machine's build of the C learner: one build for cells that differ in their world only.

    wanted: (cell, stream); stream: another order of the samples, another seed of the noise.
    """
    first = wanted[0][0]
    rule, part = (
        "perturbation" if first.by == "perturbation" else "feedback",
        continual.stream(f"rewire:{DRIFT}", task, seed),
    )
    with tempfile.TemporaryDirectory() as place:
        done = compile_network(
            network, "mcu", Path(place) / "a", task.train, learn=first.learn, guesses=max(GUESSES.values()), bits=first.bits,
            budget=first.trials, every=EVERY.get(task.name, 2), rule=rule,
        )  # fmt: skip
        with device_learning.open_learner(done.artifact.folder, "host") as session:
            for cell, stream in wanted:
                course = device_learning.follow(
                    session, done.network.input, task, part, cell.trials, GUESSES[cell.world], seed + 1000 * stream, cell.guarded, POINTS
                )  # fmt: skip
                yield {
                    "key": key(cell, seed, stream), **asdict(cell), "seed": seed, "stream": stream,
                    "before": course.accuracy_before, "drifted": course.accuracy_after_drift, "after": course.accuracy_after,
                    "asked": course.answers_asked / course.trials, "curve": course.curve,
                }  # fmt: skip


def measure_floats(
    networks: Sequence[Network], task: Task, cell: Cell, which: Sequence[tuple[int, int]]
) -> list[dict[str, Any]]:
    """Courses in floats on the host, all at once; which: (seed, stream) of each, networks: of each."""
    from edge_anp import bench_ondevice_float as host

    nets, plans = zip(*(planned(network, task, cell) for network in networks), strict=True)
    worlds = [continual.stream(f"rewire:{DRIFT}", task, seed)[0] for seed, _ in which]
    made, orders = host.courses(networks, nets, plans), [seed + 1000 * stream for seed, stream in which]
    found = host.learn(made, plans[0], cell.by, worlds, task, orders, cell.trials, GUESSES[cell.world], POINTS)
    return [
        {"key": key(cell, seed, stream), **asdict(cell), "seed": seed, "stream": stream, **row}
        for (seed, stream), row in zip(which, found, strict=True)
    ]


def planned(network: Network, task: Task, cell: Cell) -> tuple[IntegerNetwork, LearningPlan]:
    """What the device would run, and its rates."""
    machine, (raster, _) = targets.find("mcu"), task.train.batch(range(CALIBRATION))
    legal, _ = machine.legalize(network)
    net, _ = quantize(legal, raster, machine.arithmetics[0], None, learning_layers(legal, cell.learn))
    calibration = quantize_input(raster.numpy(), net.input)
    guesses, every = max(GUESSES[cell.world], 1), EVERY.get(task.name, 2)
    return net, make_plan(net, cell.learn, calibration, guesses=guesses, budget=cell.trials, every=every)


def key(cell: Cell, seed: int, stream: int) -> str:
    """Which line of the file this is."""
    return f"{cell.name}/seed {seed}/stream {stream}"


def run(wanted: Sequence[Cell], seeds: Sequence[int], out: Path) -> list[dict[str, Any]]:
    """Do what the file lacks; return every row that it has then."""
    from edge_anp import bench_ondevice_report

    torch.set_num_threads(1)
    file = out / "cells" / "ondevice_courses.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    done = bench_ondevice_report.done(out, "courses")
    builds: dict[tuple[Any, ...], list[Cell]] = {}
    for c in wanted:
        builds.setdefault((c.task, c.by, c.learn, c.bits, c.trials), []).append(c)
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("courses", total=sum(c.streams for c in wanted) * len(seeds))
        for (name, by, *_), some in builds.items():
            for row in _missing(name, by, some, seeds, done, file.parent / "networks"):
                done[row["key"]] = row
                with file.open("a") as lines:
                    lines.write(json.dumps(row) + "\n")
                progress.update(bar, completed=len(done))
            bench_ondevice_report.write(out, courses=done)
    return list(done.values())


def _missing(
    name: str, by: str, some: Sequence[Cell], seeds: Sequence[int], done: Collection[str], folder: Path
) -> Iterator[dict[str, Any]]:
    """The courses of one build that are not done, each as soon as it is."""
    left = [(c, s, n) for s in seeds for c in some for n in range(c.streams) if key(c, s, n) not in done]
    if not left:
        return
    task = tasks.load(name)
    networks = {s: pretrain(task, s, folder) for s in sorted({s for _, s, _ in left})}
    if by in FLOATS:
        for c in some:
            which = [(s, n) for d, s, n in left if d == c]
            if which:
                yield from measure_floats([networks[s] for s, _ in which], task, c, which)
    else:
        for seed, network in networks.items():
            yield from measure(network, task, [(c, n) for c, s, n in left if s == seed], seed)


def bench(seeds: int, out: Path, names: Sequence[str] = ("digits", "braille7")) -> None:
    """Every learner on every network, then new speakers and words, then what it costs; the table is written as it grows."""
    from edge_anp import bench_ondevice_report, bench_ondevice_spoken

    run([cell for name in names for cell in cells(name)], range(seeds), out)
    bench_ondevice_spoken.run(range(min(seeds, 3)), out)
    bench_ondevice_report.write(out, cost=targets.find("mcu").learning_costs())  # type: ignore[attr-defined]
    Console(width=220).print((out / "ondevice.md").read_text(), markup=False)
