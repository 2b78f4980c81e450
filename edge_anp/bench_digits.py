"""The learning rules on handwritten digits, each at its best rate from one grid, on one network, with the same number of updates.

A rate is chosen by the mean accuracy over all seeds on the validation part, after training on the training part. Then the network is
trained anew on both, and judged once on the test part. Nothing else is tuned for any rule.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from edge_anp import tasks
from edge_anp.learning.bptt import BPTT
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.fit import evaluate
from edge_anp.learning.rule import Rule
from edge_anp.learning.trainer import train
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import LIF, Readout
from edge_anp.synapses import Dense
from edge_anp.tasks import Samples
from edge_anp.topology import INPUT, InputContract

RATES = (1e-3, 2e-3, 4e-3, 8e-3, 16e-3)
UPDATES, BATCH = 600, 128
ROW, HIDDEN, CLASSES = 8, 128, 10
RULES: dict[str, tuple[Rule, str]] = {  # name -> rule, its look-back in words
    "bptt": (BPTT(), "whole trial"),
    "feedback_label": (FeedbackANP("label", look_back=None), "whole trial"),
    "feedback_label_forward": (FeedbackANP("label", look_back=0), "0: forward-only"),
    "feedback_reward_look_back": (FeedbackANP("reward", look_back=None), "whole trial"),
    "feedback_reward": (FeedbackANP("reward", look_back=0), "0: forward-only"),
    "readout": (FeedbackANP("label", readout_only=True), "none: reservoir"),
}


@dataclass(frozen=True)
class Row:
    """A rule at its best rate. validation: mean accuracy that the rate was chosen by; test: one accuracy a seed.

    behind_bptt: points of test accuracy; asked: labels, scores or rewards a run; seconds: a run, the mean.
    """

    rule: str
    signal: str
    look_back: str
    rate: float
    validation: float
    test: tuple[float, ...]
    behind_bptt: float
    asked: dict[str, int]
    seconds: float


def build_network(seed: int) -> Network:
    """8 pixels of a row -> 128 recurrent LIF (beta 0.9, threshold 1, subtract) -> 10 readouts (beta 0.95), read by the mean membrane.

    Weights are normal, of scale 1.2 / sqrt(inputs), 0.4 / sqrt(hidden) and 1 / sqrt(hidden); biases are 0.
    """
    generator = torch.Generator().manual_seed(seed)

    def dense(rows: int, columns: int, gain: float, bias: bool = True) -> Dense:
        weight = torch.randn(rows, columns, generator=generator) * (gain / math.sqrt(columns))
        return Dense(weight.requires_grad_(), torch.zeros(rows, requires_grad=True) if bias else None)

    into = Connection(INPUT, (dense(HIDDEN, ROW, 1.2),))
    back = Connection(0, (dense(HIDDEN, HIDDEN, 0.4),), delay=1)
    out = Connection(0, (dense(CLASSES, HIDDEN, 1.0, bias=False),))
    hidden = Layer((HIDDEN,), (into, back), LIF(torch.tensor(0.9), torch.tensor(1.0)), "hidden")
    readout = Layer((CLASSES,), (out,), Readout(torch.tensor(0.95)), "readout")
    return Network((hidden, readout), InputContract((ROW,)), "membrane_mean")


@dataclass(frozen=True)
class Run:
    """One training. final: on training and validation part, judged on the test part; else on the one, judged on the other."""

    rule: str
    rate: float
    seed: int
    final: bool
    updates: int
    batch: int


@dataclass(frozen=True)
class Outcome:
    accuracy: float
    seconds: float
    asked: dict[str, int]


def measure(run: Run) -> Outcome:
    """Train and judge once, on one thread."""
    torch.set_num_threads(1)
    task = tasks.load("digits")
    judge = task.validation
    if run.final:
        both = (task.train, task.validation)
        known = Samples(np.concatenate([s.rasters for s in both]), np.concatenate([s.targets for s in both]))
        task, judge = dataclasses.replace(task, train=known), task.test
    net, started = build_network(run.seed), time.perf_counter()
    rule = RULES[run.rule][0]
    history = train(net, task, rule, run.updates, run.batch, run.rate, run.seed, progress=False)
    return Outcome(evaluate(history.network, judge), time.perf_counter() - started, history.asked)


def bench_digits(
    seeds: int = 3,
    jobs: int = 2,
    out: str | Path | None = None,
    updates: int = UPDATES,
    batch: int = BATCH,
    rates: tuple[float, ...] = RATES,
    console: Console | None = None,
) -> list[Row]:
    """Measure every rule with `seeds` seeds in `jobs` processes; print the table, and write digits.md and digits.json into `out`."""
    for name, value in (("seeds", seeds), ("jobs", jobs)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")
    console = console or Console()
    plan = [Run(rule, rate, s, False, updates, batch) for rule in RULES for rate in rates for s in range(seeds)]
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool, Progress(console=console) as progress:
        bar = progress.add_task("trainings", total=len(plan) + seeds * len(RULES))

        def measure_all(runs: list[Run]) -> dict[Run, Outcome]:
            waiting, found = {pool.submit(measure, run): run for run in runs}, {}
            for done in as_completed(waiting):
                found[waiting[done]] = done.result()
                progress.advance(bar)
            return found

        tried = measure_all(plan)
        chosen: dict[str, tuple[float, float]] = {}
        for rule in RULES:
            by_rate = {
                r: mean(o.accuracy for run, o in tried.items() if (run.rule, run.rate) == (rule, r)) for r in rates
            }
            best = max(rates, key=lambda r, by_rate=by_rate: by_rate[r])
            chosen[rule] = best, by_rate[best]
        final = measure_all(
            [Run(rule, chosen[rule][0], s, True, updates, batch) for rule in RULES for s in range(seeds)]
        )
    rows = _rows(chosen, final)
    settings = {"seeds": seeds, "updates": updates, "batch": batch, "rates": list(rates)}
    console.print(_table(rows, settings))
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        runs = [{**dataclasses.asdict(r), **dataclasses.asdict(o)} for r, o in {**tried, **final}.items()]
        content = {"settings": settings, "rows": [dataclasses.asdict(r) for r in rows], "runs": runs}
        (folder / "digits.json").write_text(json.dumps(content, indent=1) + "\n")
        (folder / "digits.md").write_text(_markdown(rows, settings))
    return rows


def _rows(chosen: dict[str, tuple[float, float]], final: dict[Run, Outcome]) -> list[Row]:
    of: Callable[[str], list[Outcome]] = lambda rule: [o for run, o in final.items() if run.rule == rule]  # noqa: E731
    yardstick = mean(o.accuracy for o in of("bptt"))
    rows = []
    for name, (rule, look_back) in RULES.items():
        test = tuple(o.accuracy for o in sorted(of(name), key=lambda o: o.accuracy))
        rate, validation = chosen[name]
        behind, seconds = 100 * (yardstick - mean(test)), mean(o.seconds for o in of(name))
        rows.append(Row(name, str(rule.signal), look_back, rate, validation, test, behind, of(name)[0].asked, seconds))
    return rows


HEADINGS = (
    "rule",
    "learns from",
    "look-back",
    "rate",
    "validation",
    "test",
    "each seed",
    "behind BPTT",
    "asked a run",
    "seconds",
)


def _cells(row: Row) -> tuple[str, ...]:
    spread = f" ± {stdev(row.test):.3f}" if len(row.test) > 1 else ""
    asked = ", ".join(f"{n:,} {what}" for what, n in row.asked.items())
    each = " ".join(f"{a:.3f}" for a in row.test)
    accuracy = (f"{row.validation:.3f}", f"{mean(row.test):.3f}{spread}", each, f"{row.behind_bptt:+.1f}")
    return (row.rule, row.signal, row.look_back, f"{row.rate:g}", *accuracy, asked, f"{row.seconds:.0f}")


def _describe(settings: dict[str, object]) -> str:
    return (
        f"{settings['seeds']} seeds, {settings['updates']} updates of batch {settings['batch']}, Adam annealed along a cosine; "
        f"rate from {settings['rates']}, chosen on the validation part; then trained anew on training and validation part"
    )


def _table(rows: list[Row], settings: dict[str, object]) -> Table:
    table = Table(*HEADINGS, title="digits, row by row", caption=_describe(settings))
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _markdown(rows: list[Row], settings: dict[str, object]) -> str:
    lines = ["# Learning rules on handwritten digits", "", f"`edge-anp bench digits`: {_describe(settings)}.", ""]
    lines += ["| " + " | ".join(cells) + " |" for cells in (HEADINGS, ("---",) * len(HEADINGS), *map(_cells, rows))]
    notes = [
        "Accuracy: share of the 360 test samples, mean and standard deviation over seeds; each seed, from the worst. One seed is",
        "uncertain by 0.015. Seconds: of one training on one thread. Label, score and reward are different signals: a reward is one",
        "right or wrong a trial.",
    ]
    return "\n".join([*lines, "", *notes, ""])
