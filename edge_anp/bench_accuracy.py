"""The learning rules beside one another: every task, every rule at its own best rate, the same networks, data and number of updates.

The rules learn from one answer at the end of a trial, except in rows that say streaming. anp and wp are as the source paper has them, on
plain SGD: one difference of losses for the whole batch, at every step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from rich.console import Console

from edge_anp.bench_cells import Cell, bench_cells, collect, of, said_missing
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import LIF, Readout
from edge_anp.synapses import Conv1d, Dense
from edge_anp.tasks import Task
from edge_anp.topology import INPUT

RATES = (1e-3, 2e-3, 4e-3, 8e-3, 16e-3)
WIDE = (25e-5, 5e-4, *RATES, 32e-3, 64e-3, 128e-3)
SGD = {  # for rules that the source paper runs without a scale: from standing still to exploding
    "wp": (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    "anp": (1e-3, 1e-2, 1e-1, 1.0, 10.0),
}
TASKS = ("digits", "braille7", "fsdd")
LONG: dict[str, Any] = {"updates": 6000, "batch": 256, "seeds": 3, "search_seeds": 1, "search_updates": 1000}  # MNIST's
PAPER_SIGMA = (("sigma", 0.3),)  # noise of 0.001 flips no spike
RULES: tuple[tuple[str, str, str], ...] = (
    ("bptt", "label", "T"),
    ("feedback-anp", "label", "T"), ("feedback-anp", "reward", "T"), ("feedback-anp", "reward", "8"),
    ("feedback-anp", "reward", "0"), ("readout", "label", "0"), ("feedback-anp", "label", "0"), ("feedback-anp", "label", "8"),
    ("feedback-anp", "score", "0"), ("feedback-anp", "score", "8"), ("feedback-anp", "score", "T"), ("onestep", "label", "0"),
    ("eprop-random", "label", "0"), ("eprop-symmetric", "label", "0"), ("reinforce", "reward", "T"),
    ("np-trace", "score", ""), ("anp", "score", ""), ("wp", "score", ""),
)  # fmt: skip
MNIST: tuple[tuple[str, str, str, str], ...] = (
    ("feedback-anp", "reward", "0", "end"), ("feedback-anp", "label", "8", "streaming"), ("bptt", "label", "T", "end"),
    ("feedback-anp", "label", "T", "end"), ("feedback-anp", "reward", "T", "end"),
)  # fmt: skip
BATCHES = {"braille7": 64}
CRITICAL = {2: 12.71, 3: 4.303, 5: 2.776, 10: 2.262}  # Student's t, 95 %, two-sided, by the number of pairs


def build(name: str, task: Task, seed: int) -> Network:
    """recurrent-N: N LIF that read themselves. two-layers: 64 and 64. convolution: over a row. Leaky readout, read by the mean membrane."""
    g = torch.Generator().manual_seed(seed)
    classes = task.classes or task.train.targets.shape[-1]

    def dense(rows: int, columns: int, gain: float, bias: bool = True) -> Dense:
        weight = torch.randn(rows, columns, generator=g) * (gain / math.sqrt(columns))
        return Dense(weight.requires_grad_(), torch.zeros(rows, requires_grad=True) if bias else None)

    lif, size = LIF(torch.tensor(0.9), torch.tensor(1.0)), task.input.size
    if name == "convolution":
        kernel = (torch.randn(8, 1, 3, generator=g) * 0.8).requires_grad_()
        conv = Conv1d((1, size), (3,), (1,), (1,), kernel, torch.zeros(8, requires_grad=True))
        hidden = [Layer((8, size), (Connection(INPUT, (conv,)),), lif), *_recurrent(dense, (64,), 8 * size, lif, 1)]
    elif name == "two-layers":
        hidden = _recurrent(dense, (64, 64), size, lif, 0)
    else:
        hidden = _recurrent(dense, (int(name.removeprefix("recurrent-")),), size, lif, 0)
    out = Connection(len(hidden) - 1, (dense(classes, hidden[-1].size, 1.0, bias=False),))
    return Network((*hidden, Layer((classes,), (out,), Readout(torch.tensor(0.95)))), task.input, "membrane_mean")


def _recurrent(dense: Any, sizes: Sequence[int], inputs: int, lif: LIF, first: int) -> list[Layer]:
    layers = []
    for k, size in enumerate(sizes, first):
        into = Connection(k - 1, (dense(size, inputs, 1.2 if k == 0 else 2.0),))
        layers.append(Layer((size,), (into, Connection(k, (dense(size, size, 0.4),), 1)), lif))
        inputs = size
    return layers


def all_cells(own: str | None = None) -> list[Cell]:
    """Every cell, those that the bars are about first; a rule of the user's own stands in place of the others."""
    rules = RULES if own is None else ((own, "own", ""),)
    cells = []
    for task in TASKS:
        for rule, signal, look_back in rules:
            shown = look_back if rule == "feedback-anp" else ""
            cell = Cell(task, "recurrent-128", rule, signal, shown, batch=BATCHES.get(task, 128))
            if rule in SGD:
                cell = replace(cell, optimizer="SGD", error="streaming", switches=PAPER_SIGMA)
            cells.append(cell)
    for network in ("two-layers", "convolution"):
        same = [c for c in cells if c.task == "digits" and c.network == "recurrent-128"]
        cells += [replace(c, network=network, seeds=5) for c in same]
    for rule, signal, look_back, error in MNIST if own is None else ((own, "own", "", "end"),):
        shown = look_back if rule == "feedback-anp" else ""
        cells.append(Cell("mnist", "recurrent-256", rule, signal, shown, error, **LONG))
    return cells


def yardsticks() -> list[Cell]:
    """What the rules are compared with, once more with rates beyond the ends of the grid that all share."""
    of_five = [c for c in all_cells() if c.rule in ("bptt", "readout") and c.task in TASKS]
    return [replace(c, wide=True) for c in of_five]


def rates(cell: Cell) -> Sequence[float]:
    """The grid of a cell, the same for every rule of a table: five rates; on MNIST three; ten where it is wide."""
    return WIDE if cell.wide else SGD.get(cell.rule, RATES[1:4] if cell.task == "mnist" else RATES)


def bench_accuracy(
    out: Path, own: str | None, only: str | None, jobs: int, seeds: int, console: Console | None = None
) -> list[dict]:
    """Do what is missing, and write accuracy.json and accuracy.md into `out`; only: do cells whose name holds this."""
    mine = all_cells(own)
    cells, shown = ([*mine, *yardsticks()], mine) if own is None else (mine, [*all_cells(), *mine])

    def table(rows: list[dict[str, Any]], missing: list[str]) -> str:
        return tables(rows, missing, *collect(yardsticks(), rates, out / "cells" / "accuracy.jsonl"))

    return bench_cells("accuracy", cells, shown, rates, build, table, out, only, jobs, seeds, console)


def tables(
    rows: list[dict[str, Any]],
    missing: Sequence[str] = (),
    wide: Sequence[dict[str, Any]] = (),
    wide_missing: Sequence[str] = (),
) -> str:
    """One table for each task and network; differences to BPTT in points, paired by seed, with a 95 % interval.

    wide: the yardsticks' rows with the wider grid.
    """
    lines = ["# Learning rules side by side", "", f"`edge-anp bench accuracy`: {__doc__}".strip(), ""]
    for task, network in dict.fromkeys((r["task"], r["network"]) for r in rows):
        here = [r for r in rows if (r["task"], r["network"]) == (task, network)]
        base = {r["seed"]: r["accuracy"] for r in here if r["rule"] == "bptt"}
        head = "| rule | learns from | look-back | error | rate | seeds | accuracy | to BPTT | asked a run | passes | seconds | search |"
        lines += [f"## {task}, {network}", "", head, "|" + "---|" * 12]
        for rule in dict.fromkeys((r["rule"], r["signal"], r["look_back"], r["error"]) for r in here):
            each = [r for r in here if (r["rule"], r["signal"], r["look_back"], r["error"]) == rule]
            accuracy = [r["accuracy"] for r in each]
            spread = f" ± {stdev(accuracy):.4f}" if len(accuracy) > 1 else ""
            asked = ", ".join(f"{n:,} {what}" for what, n in each[0]["asked"].items())
            stopped = sum(bool(r["stopped"]) for r in each)
            note = f" ({stopped} stopped)" if stopped else ""
            seconds = mean(r["seconds"] for r in each)
            lines.append(
                f"| {rule[0]} | {rule[1]} | {rule[2]} | {rule[3]} | {each[0]['rate']:g} | {of(each)} | {mean(accuracy):.4f}{spread}{note} "
                f"| {difference(each, base)} | {asked} | {each[0]['forward_passes']:,} | {seconds:.0f} | {each[0]['trials']} |"
            )
        lines.append("")
    return "\n".join(lines + _beyond(rows, wide) + said_missing([*missing, *wide_missing]))


BEYOND = """The grid of five rates is the same for every rule. Where a yardstick's best is at an end of it, more would serve it better:
here are both with ten rates, 0.00025 to 0.128, and what learns from the reward beside them, at its own best of five."""


def _beyond(rows: list[dict[str, Any]], wide: Sequence[dict[str, Any]]) -> list[str]:
    """The yardsticks with a wider grid, and the differences of reward-only learning to them in points, paired by seed."""
    head = "| task, network | yardstick | rate: of five, of ten | accuracy: of five, of ten | reward D=T | reward D=8 | reward D=0 |"
    lines = ["## Yardsticks with a wider grid of rates", "", BEYOND, "", head, "|" + "---|" * 7]
    for task, network, rule in dict.fromkeys((r["task"], r["network"], r["rule"]) for r in wide):
        here = [r for r in rows if (r["task"], r["network"]) == (task, network)]
        five = [r for r in here if r["rule"] == rule]
        ten = [r for r in wide if (r["task"], r["network"], r["rule"]) == (task, network, rule)]
        base = {r["seed"]: r["accuracy"] for r in ten}
        said = [f"{each[0]['rate']:g}" if each else "-" for each in (five, ten)]
        said += [f"{mean(r['accuracy'] for r in each):.4f}" if each else "-" for each in (five, ten)]
        rewarded = [
            [r for r in here if (r["rule"], r["signal"], r["look_back"]) == ("feedback-anp", "reward", d)]
            for d in ("T", 8, 0)
        ]
        differences = " | ".join(difference(each, base) for each in rewarded)
        lines.append(f"| {task}, {network} | {rule} | {', '.join(said[:2])} | {', '.join(said[2:])} | {differences} |")
    return [*lines, ""] if wide else []


def difference(rows: list[dict[str, Any]], base: dict[int, float]) -> str:
    """The mean difference in points over the seeds that both have, and its 95 % interval."""
    off = [100 * (r["accuracy"] - base[r["seed"]]) for r in rows if r["seed"] in base]
    if len(off) < 2:
        return "-"
    t = CRITICAL.get(len(off), 2.0)
    return f"{mean(off):+.2f} ± {t * stdev(off) / math.sqrt(len(off)):.2f}"
