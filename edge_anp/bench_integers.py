"""Training on the integers that ship, beside quantizing the floats that were trained; both judged as integers, bit for bit what ships.

digits, feedback ANP, one right or wrong a trial. Each of the two has a rate of its own from the grid of `bench accuracy`, chosen by the
accuracy of its integers on the validation part. Quantized afterwards: units chosen by 256 samples of the training part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console

from edge_anp.bench_accuracy import build, difference, rates
from edge_anp.bench_cells import Cell, bench_cells, of, said_missing

WAYS = {"quantized": "quantized afterwards", "integer": "trained on integers"}


def all_cells() -> list[Cell]:
    """Both ways, forward-only."""
    first = Cell("digits", "recurrent-128", "feedback-anp", "reward", "0", seeds=5)
    return [replace(first, on=way) for way in WAYS]


def bench_integers(out: Path, only: str | None, jobs: int, seeds: int, console: Console | None = None) -> list[dict]:
    """Do what is missing, and write integers.json and integers.md into `out`; only: do cells whose name holds this."""
    every = all_cells()
    return bench_cells("integers", every, every, rates, build, table, out, only, jobs, seeds, console)


def table(rows: list[dict[str, Any]], missing: Sequence[str] = ()) -> str:
    """A row for each way; differences to quantizing afterwards in points, paired by seed, with a 95 % interval."""
    lines = ["# Training on integers", "", f"`edge-anp bench integers`: {__doc__}".strip(), ""]
    head = "| integers | learns from | look-back | rate | seeds | accuracy | to quantizing afterwards | seconds |"
    lines += [head, "|" + "---|" * 8]
    base = {r["seed"]: r["accuracy"] for r in rows if r["on"] == "quantized"}
    for way in dict.fromkeys(r["on"] for r in rows):
        each = [r for r in rows if r["on"] == way]
        accuracy = [r["accuracy"] for r in each]
        spread = f" ± {stdev(accuracy):.4f}" if len(each) > 1 else ""
        off = "" if way == "quantized" else difference(each, base)
        seconds = mean(r["seconds"] for r in each)
        lines.append(
            f"| {WAYS[way]} | {each[0]['signal']} | {each[0]['look_back']} | {each[0]['rate']:g} | {of(each)} "
            f"| {mean(accuracy):.4f}{spread} | {off} | {seconds:.0f} |"
        )
    return "\n".join([*lines, "", *said_missing(missing)])
