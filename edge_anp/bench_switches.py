"""What the switches of the forward-only rules are worth: each turned alone, on digits, judged on the validation part.

The network and the updates are those of `bench accuracy`. Every row has a rate of its own from the same grid of five, searched for with one
seed, then five seeds, trained on the training part alone: the test part is not touched here. Differences are to the rule as it ships.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console

from edge_anp.bench_accuracy import RATES, build, difference
from edge_anp.bench_cells import Cell, bench_cells, of, said_missing

REWARD = Cell("digits", "recurrent-128", "feedback-anp", "reward", "0", seeds=5, search_seeds=1, judged="validation")
NODES = replace(REWARD, rule="np-trace", signal="score", look_back="")
TURNED: tuple[tuple[Cell, tuple[dict[str, Any], ...]], ...] = (
    (
        REWARD,
        (
            {"explore": 0.0}, {"explore": 0.05}, {"explore": 0.2}, {"baseline": "mean"}, {"feedback": "symmetric"},
            {"feedback": "random"}, {"sigma": 0.3}, {"probes": 4}, {"eta": 0.1}, {"eta": 1.0},
        ),
    ),
    (replace(REWARD, look_back="T"), ({"explore": 0.0}, {"baseline": "mean"}, {"eta": 1.0})),
    (
        NODES,
        (
            {"draws": 4}, {"signs": True}, {"sigma": 0.1}, {"sigma": 1.0}, {"antithetic": False}, {"per_sample": False},
            {"error": "streaming", "trace": 0.8},
        ),
    ),
    (
        replace(NODES, rule="anp-trace"),
        ({"draws": 4}, {"norm": "layer"}, {"error": "end", "trace": 1.0}, {"per_sample": False}),
    ),
)  # fmt: skip


def all_cells() -> list[Cell]:
    """Each rule as it ships, then with one thing changed; forward-only feedback with decorrelated states and twice the updates, too."""
    cells = []
    for first, turned in TURNED:
        cells += [first, *(replace(first, switches=tuple(t.items()), variant=_said(t)) for t in turned)]
    more = [replace(REWARD, decorrelate=1e-3), replace(REWARD, updates=1200, variant="1200 updates")]
    return [*cells, *more]


def _said(turned: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in turned.items())


def rates(cell: Cell) -> Sequence[float]:
    """The same grid for every row."""
    return RATES


def bench_switches(out: Path, only: str | None, jobs: int, seeds: int, console: Console | None = None) -> list[dict]:
    """Do what is missing, and write switches.json and switches.md into `out`; only: do cells whose name holds this."""
    every = all_cells()
    return bench_cells("switches", every, every, rates, build, table, out, only, jobs, seeds, console)


def table(rows: list[dict[str, Any]], missing: Sequence[str] = ()) -> str:
    """A row for each setting; differences to the rule as it ships in points, paired by seed, with a 95 % interval."""
    lines = ["# What the switches are worth", "", f"`edge-anp bench switches`: {__doc__}".strip(), ""]
    head = (
        "| rule | learns from | look-back | changed | rate | seeds | validation | to the rule as it ships | seconds |"
    )
    lines += [head, "|" + "---|" * 9]
    for rule, signal, look_back in dict.fromkeys((r["rule"], r["signal"], r["look_back"]) for r in rows):
        here = [r for r in rows if (r["rule"], r["signal"], r["look_back"]) == (rule, signal, look_back)]
        base = {r["seed"]: r["accuracy"] for r in here if not _changed(r)}
        for changed in dict.fromkeys(_changed(r) for r in here):
            each = [r for r in here if _changed(r) == changed]
            accuracy = [r["accuracy"] for r in each]
            spread = f" ± {stdev(accuracy):.4f}" if len(each) > 1 else ""
            off = difference(each, base) if changed else ""
            first, seconds = each[0], mean(r["seconds"] for r in each)
            lines.append(
                f"| {rule} | {signal} | {first['look_back']} | {changed} | {first['rate']:g} | {of(each)} "
                f"| {mean(accuracy):.4f}{spread} | {off} | {seconds:.0f} |"
            )
    return "\n".join([*lines, "", *said_missing(missing)])


def _changed(row: dict[str, Any]) -> str:
    return row["variant"] or ("decorrelated" if row["decorrelate"] else "")
