"""The source paper's tasks: rate networks of its form (Elman, tanh, no biases) on weather, Mackey-Glass and copying.

They stand beside trivial anchors. Every rule has a rate of its own from a grid of five; the perturbation rules run as their authors' code
has them, on plain SGD, the others on Adam. What is unlike the paper: trials are pieces (48 hours, 250 points, 45 symbols), with one update
a batch of pieces, and there are 100 hidden units; a training takes 1500 updates of 32 pieces (on Mackey-Glass, whose pieces are the
longest, 750: 400 epochs), less than 20 minutes. The weather is learned twice by every rule: by the paper's network, and by the same with a
linear connection from the input to the output, which starts as "the next hour is like this one", so that what is learned is the difference
(rate-100-difference). The feedback of feedback ANP follows the weights with eta = 0.8: at 0.4 it comes too late for weights that move as
fast as here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import numpy as np
import torch
from rich.console import Console

from edge_anp import tasks
from edge_anp.bench_cells import Cell, bench_cells, of, said_missing
from edge_anp.errors import BadFile
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import Readout, Tanh
from edge_anp.synapses import Dense
from edge_anp.tasks import Task
from edge_anp.topology import INPUT

HIDDEN, BATCH, DECORRELATION = 100, 32, 1e-3
UPDATES = {"weather": 1500, "mackey_glass": 750, "mackey_glass_forecast": 750, "copying": 1500}
TEMPERATURE = 1  # which of the inputs of `weather` is wanted an hour later
NETWORKS = {"weather": (f"rate-{HIDDEN}-difference", f"rate-{HIDDEN}")}
ADAM = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
NEAR = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)  # where a network starts near to what it has to say
SGD = {  # a factor of four apart, up to where nearly every task explodes
    "wp": (0.0025, 0.01, 0.04, 0.16, 0.64),
    "np": (0.005, 0.02, 0.08, 0.32, 1.28),
    "anp": (0.001, 0.004, 0.016, 0.064, 0.256),
}
# at 0.4 the feedback comes too late for weights that move so fast, and look-back T does not learn to copy
FAST = (("eta", 0.8),)
RULES: tuple[tuple[str, str], ...] = (
    ("feedback-anp", "0"), ("bptt", ""), ("onestep", ""), ("readout", ""), ("feedback-anp", "T"), ("anp", ""), ("np", ""), ("wp", ""),
)  # fmt: skip


def build(name: str, task: Task, seed: int) -> Network:
    """rate-N: weights of Xavier's normal scale, no biases; the output is linear.

    rate-N-difference: the output reads the input too, and says at first what the input said of the wanted number.
    """
    g = torch.Generator().manual_seed(seed)
    outputs = task.train.targets.shape[-1] if task.train.targets.ndim == 3 else task.input.size
    size, difference = int(name.split("-")[1]), name.endswith("-difference")
    draw = lambda n, i: Dense((torch.randn(n, i, generator=g) * math.sqrt(2 / (n + i))).requires_grad_())  # noqa: E731
    hidden = Layer(
        (size,), (Connection(INPUT, (draw(size, task.input.size),)), Connection(0, (draw(size, size),), 1)), Tanh()
    )
    reads = [Connection(0, (draw(outputs, size),))]
    if difference:
        before = torch.zeros(outputs, task.input.size)
        before[0, TEMPERATURE] = 1
        reads = [
            Connection(0, (Dense(torch.zeros(outputs, size).requires_grad_()),)),
            Connection(INPUT, (Dense(before.requires_grad_()),)),
        ]
    readout = Layer((outputs,), tuple(reads), Readout(torch.tensor(0.0)))
    return Network((hidden, readout), task.input, "membrane_mean")


def all_cells(own: str | None = None) -> list[Cell]:
    """Every cell; the perturbation rules with decorrelated hidden states too."""
    cells = []
    for task in UPDATES:
        for network in NETWORKS.get(task, (f"rate-{HIDDEN}",)):
            for rule, look_back in RULES if own is None else ((own, ""),):
                signal = "score" if rule in SGD else "label"
                cell = Cell(
                    task, network, rule, signal, look_back, updates=UPDATES[task], batch=BATCH, seeds=5, search_seeds=1
                )
                cell = replace(cell, optimizer="SGD") if rule in SGD else cell
                cell = replace(cell, switches=FAST) if rule == "feedback-anp" else cell
                cells += [cell, replace(cell, decorrelate=DECORRELATION)] if rule in SGD else [cell]
    return cells


def rates(cell: Cell) -> Sequence[float]:
    return SGD.get(cell.rule, NEAR if cell.network.endswith("difference") else ADAM)


def anchors(task: Task) -> dict[str, float]:
    """Mean square errors on the test part without any network: nothing, the mean, the input itself, a line through the last inputs."""
    (x, y), (tx, ty) = (
        (p.rasters.astype(np.float64), _numbers(p.targets, task.input.size)) for p in (task.train, task.test)
    )
    found = {"zero": float((ty**2).mean()), "mean": float(((ty - y.mean((0, 1))) ** 2).mean())}
    if task.name == "weather":
        found["persistence"] = float(((tx[:, :, TEMPERATURE : TEMPERATURE + 1] - ty) ** 2).mean())
    for lags in (1, 10, 16):
        a, b = (_lagged(part, lags) for part in (x, tx))
        line = np.linalg.lstsq(a.reshape(-1, a.shape[2]), y.reshape(-1, y.shape[2]), rcond=None)[0]
        found[f"line through {lags}"] = float(((b @ line - ty) ** 2).mean())
    return found


def _lagged(x: np.ndarray, lags: int) -> np.ndarray:
    """The inputs of the last `lags` steps, and a 1."""
    padded = np.pad(x, ((0, 0), (lags - 1, 0), (0, 0)))
    return np.concatenate([*(padded[:, k : k + x.shape[1]] for k in range(lags)), np.ones((*x.shape[:2], 1))], 2)


def _numbers(targets: np.ndarray, classes: int) -> np.ndarray:
    return targets.astype(np.float64) if targets.ndim == 3 else np.eye(classes)[targets]


def bench_paper(
    out: Path, own: str | None, only: str | None, jobs: int, seeds: int, console: Console | None = None
) -> list[dict]:
    """Do what is missing, and write paper.json and paper.md into `out`; only: do cells whose name holds this."""
    mine = all_cells(own)
    shown = mine if own is None else [*all_cells(), *mine]
    return bench_cells("paper", mine, shown, rates, build, tables, out, only, jobs, seeds, console)


def tables(rows: list[dict[str, Any]], missing: Sequence[str] = ()) -> str:
    """A table for each task, its anchors first."""
    lines = ["# The source paper's tasks", "", f"`edge-anp bench paper`: {__doc__}".strip(), ""]
    for task, network in dict.fromkeys((r["task"], r["network"]) for r in rows):
        here = [r for r in rows if (r["task"], r["network"]) == (task, network)]
        what = "mse" if "mse" in here[0] else "accuracy"
        lines += [
            f"## {task}, {network}",
            "",
            f"| rule | look-back | decorrelated | rate | seeds | test {what} | seconds |",
            "|" + "---|" * 7,
        ]
        if what == "mse":
            lines += _anchor_lines(task)
        for key in dict.fromkeys((r["rule"], r["look_back"], r["decorrelate"]) for r in here):
            each = [r for r in here if (r["rule"], r["look_back"], r["decorrelate"]) == key]
            values = [r[what] for r in each]
            stopped = sum(bool(r["stopped"]) for r in each)
            spread = f" ± {stdev(values):.6f}" if len(values) > 1 else ""
            folded = "yes" if key[2] else ""
            seconds = mean(r["seconds"] for r in each)
            lines.append(
                f"| {key[0]} | {key[1]} | {folded} | {each[0]['rate']:g} | {of(each)} | {mean(values):.6f}{spread}"
                f"{f' ({stopped} diverged; median {median(values):.6f})' if stopped else ''} | {seconds:.0f} |"
            )
        lines.append("")
    return "\n".join([*lines, "## Which of the paper's claims hold", "", claims(rows), "", *said_missing(missing)])


ABSTRACT = """The abstract says that ANP has "similar performance [...] when compared to BPTT, strongly outperforming standard node
perturbation and weight perturbation methods". Here every rule has its own best rate, BPTT is true backpropagation through time (the
authors' code calls one step of it BPTT: onestep), and errors are medians over seeds on the test part."""


def claims(rows: list[dict[str, Any]]) -> str:
    """A paragraph on the claims of the paper's abstract, from what is measured; "similar" is within a tenth, "strongly" twice as good."""
    said, ratios = [ABSTRACT], []
    for task, network in dict.fromkeys((r["task"], r["network"]) for r in rows):
        here = [r for r in rows if (r["task"], r["network"]) == (task, network)]
        best: dict[str, float] = {}
        for rule in {r["rule"] for r in here}:
            each = [r for r in here if r["rule"] == rule]
            by_form = [
                median(_error(r) for r in each if r["decorrelate"] == d) for d in {r["decorrelate"] for r in each}
            ]
            best[rule] = min(by_form)  # decorrelated or not, whichever is better
        if "anp" not in best:
            continue
        others = [(name, best["anp"] / best[name]) for name in ("bptt", "onestep", "readout") if best.get(name)]
        text = [f"{'about' if 0.9 <= x <= 1.1 else f'{x:.2f} times'} that of {name}" for name, x in others]
        line = f"{task}, {network}: ANP's error is {', '.join(text) or format(best['anp'], '.4g')}"
        for name in ("np", "wp"):
            if name in best:
                x = best[name] / best["anp"]
                verdict = "strongly better" if x >= 2 else "better" if x > 1.1 else "similar" if x >= 0.9 else "worse"
                line += f"; beside {name} ({x:.2f} times its error) it is {verdict}"
        said.append(line + ".")
        ratios.append({name: best["anp"] / best[name] for name in best})
    return " ".join([*said, _in_sum(ratios)]) if ratios else "ANP is not measured yet."


def _in_sum(ratios: list[dict[str, float]]) -> str:
    """How often each claim holds; a ratio is ANP's error in units of another rule's."""
    similar = {n: sum(r[n] <= 1.1 for r in ratios if n in r) for n in ("bptt", "onestep")}
    strongly = {n: sum(r[n] <= 0.5 for r in ratios if n in r) for n in ("np", "wp")}
    better = {n: sum(r[n] < 1 / 1.1 for r in ratios if n in r) for n in ("np", "wp")}
    return (
        f"In sum, of {len(ratios)}: similar to BPTT (or better) {similar['bptt']}, to one step of it {similar['onestep']}; strongly "
        f"better than np {strongly['np']} and better {better['np']}, strongly better than wp {strongly['wp']} and better {better['wp']}."
    )


def _error(row: dict[str, Any]) -> float:
    return row["mse"] if "mse" in row else 1 - row["accuracy"]


def _anchor_lines(task: str) -> list[str]:
    try:
        found = anchors(tasks.load(task))
    except BadFile:
        return ["| anchors: the data are not on the machine that wrote this table | | | | | | |"]
    return [f"| anchor: {name} | | | | | {value:.6f} | |" for name, value in found.items()]
