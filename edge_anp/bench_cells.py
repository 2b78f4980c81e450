"""Tables of trainings as a list of cells that can be stopped and gone on with: every finished training is a line in a file.

A cell is a task, a network and a rule. Its rate is searched for first: every rate of one grid, trained on the training part and judged on
the validation part. Then every seed is trained anew on both parts, and judged once on the test part. Tables show what the file holds,
whoever did it and when: a cell appears with its first seed, and is listed as missing until its last.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from edge_anp import tasks, training
from edge_anp.learning.bptt import BPTT
from edge_anp.learning.fit import evaluate, measured
from edge_anp.learning.memory import keep_freed_memory
from edge_anp.learning.on_integers import OnIntegers, put_on_integers
from edge_anp.learning.trainer import train
from edge_anp.network import Network
from edge_anp.tasks import Samples, Task

SEEDS = (42, 101, 300, 482, 708, 7, 19, 53, 211, 997)  # the source paper's five, and five more
PASSES = {"np": 2, "wp": 2, "anp": 2, "np-trace": 3, "anp-trace": 3}  # runs of a batch that an update takes


@dataclass(frozen=True)
class Cell:
    """network: a name that `build` knows. look_back: steps, or T. decorrelate: eta, 0 is without.

    on: float; integer (trained on integers, judged as such); or quantized (trained in floats, judged as integers).
    wide: its rate is searched for in a wider grid. That changes no training, so that it shares those of the other cell.
    switches: of the rule, or words of the command line; variant: what the name says of them. judged: validation, where the test part is
    not to be touched: then the final trainings see the training part alone.
    seeds: how many of SEEDS the cell is done with. search_seeds, search_updates: of a trial of the rate search (0: as many as in the end).
    """

    task: str
    network: str
    rule: str
    signal: str
    look_back: str = ""
    error: str = "end"
    updates: int = 600
    batch: int = 128
    optimizer: str = "Adam"
    decorrelate: float = 0.0
    switches: tuple[tuple[str, Any], ...] = ()
    seeds: int = 10
    search_seeds: int = 2
    search_updates: int = 0
    on: str = "float"
    wide: bool = False
    variant: str = ""
    judged: str = "test"

    @property
    def name(self) -> str:
        parts = [self.rule, self.signal, *([f"D={self.look_back}"] if self.look_back else [])]
        parts += ["streaming"] if self.error == "streaming" and "anp" in self.rule else []
        parts += ["decorrelated"] if self.decorrelate else []
        parts += [f"on={self.on}"] if self.on != "float" else []
        parts += [p for p in ("wide" if self.wide else "", self.variant) if p]
        return f"{self.task}/{self.network}/{' '.join(parts)}"


@dataclass(frozen=True)
class Job:
    """One training. final: on training and validation part, judged on the test part (see Cell); else on the one, judged on the other."""

    cell: Cell
    rate: float
    seed: int
    final: bool

    @property
    def key(self) -> str:
        return f"{replace(self.cell, wide=False).name} rate={self.rate:g} seed={self.seed} {'final' if self.final else 'search'}"


Build = Callable[[str, Task, int], Network]


def rule_of(cell: Cell) -> Any:
    """The rule of a cell, by the words of the command line."""
    words = {f.name for f in dataclasses.fields(training.Choices)}
    said = {name: value for name, value in cell.switches if name in words}
    inside = {name: value for name, value in cell.switches if name not in words}
    own = ".py:" in cell.rule
    choices = training.Choices(
        "", cell.task, cell.rule, None if own or not cell.rule.startswith("feedback") else cell.signal,
        {"T": "trial", "": None}.get(cell.look_back, cell.look_back), error=None if own or cell.error == "end" else cell.error,
        decorrelate=cell.decorrelate > 0, decorrelation_rate=cell.decorrelate or 1e-3,
    )  # fmt: skip
    rule: Any = training.chosen_rule(replace(choices, **said))
    return replace(rule, **inside) if inside else rule


def measure(job: Job, build: Build, grow: bool = True) -> dict[str, Any]:
    """Train and judge once, on one thread. A run that diverges or falls silent has no accuracy: it is judged as it stands."""
    from edge_anp.errors import EdgeAnpError

    torch.set_num_threads(1)
    keep_freed_memory()
    task = tasks.load(job.cell.task)
    judge = task.validation
    if job.final and job.cell.judged == "test":
        both = (task.train, task.validation)
        known = Samples(np.concatenate([s.rasters for s in both]), np.concatenate([s.targets for s in both]))
        task, judge = dataclasses.replace(task, train=known), task.test
    net, started, stopped, asked = build(job.cell.network, task, job.seed), time.perf_counter(), "", {}
    cell = job.cell
    updates = cell.updates if job.final else cell.search_updates or cell.updates
    try:
        history = train(
            net, task, rule_of(cell), updates, cell.batch, job.rate, job.seed, False, cell.optimizer, on_integer=cell.on == "integer"
        )  # fmt: skip
        net, asked = history.forward or history.network, history.asked
    except EdgeAnpError as error:
        stopped = str(error)
    if cell.on != "float" and not isinstance(net, OnIntegers):
        net = put_on_integers(net, task.train.batch(range(256))[0])
    found = evaluate(net, judge)
    trials = updates * min(cell.batch, len(task.train))
    passes = PASSES.get(cell.rule, 1) + (cell.decorrelate > 0)
    what = "mse" if measured(judge) != "accuracy" else "accuracy"
    return {"key": job.key, what: found, "seconds": time.perf_counter() - started, "asked": asked, "stopped": stopped,
            "samples": trials, "forward_passes": trials * passes}  # fmt: skip


Rates = Callable[[Cell], Sequence[float]]


def bench_cells(
    name: str, cells: Sequence[Cell], shown: Sequence[Cell], rates: Rates, build: Build,
    table: Callable[[list[dict[str, Any]], list[str]], str], out: Path, only: str | None, jobs: int, seeds: int, console: Console | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Do what is missing of `cells`, and write NAME.json and NAME.md into `out`: of all cells to be shown that are done, by now or by then.

    only: do cells whose name holds this; raise ValueError where there is none. table: from rows, and what is missing, to Markdown.
    """
    wanted = [c for c in cells if only is None or only in c.name]
    if not wanted:
        raise ValueError(f"no cell holds {only!r}; there are: {', '.join(c.name for c in cells)}")
    console, file = console or Console(), out / "cells" / f"{name}.jsonl"
    run_cells(wanted, rates, build, file, seeds, jobs, console)
    rows, missing = collect(shown, rates, file)
    text = table(rows, missing)
    console.print(text)
    (out / f"{name}.json").write_text(json.dumps(rows, indent=1) + "\n")
    (out / f"{name}.md").write_text(text)
    return rows


def run_cells(
    cells: Sequence[Cell], rates: Rates, build: Build, file: Path, seeds: int = len(SEEDS), jobs: int = 1,
    console: Console | None = None,
) -> None:  # fmt: skip
    """Do what is missing in `file`, cell by cell, with the first `seeds` of each cell's seeds."""
    done = read(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool, Progress(console=console) as progress:
        bar = progress.add_task("cells", total=len(cells))
        for cell in cells:
            search = _search(cell, rates)
            _finish(search, build, done, file, pool)
            rate = best_rate(search, done)
            _finish([Job(cell, rate, s, True) for s in SEEDS[: min(seeds, cell.seeds)]], build, done, file, pool)
            progress.advance(bar)


def collect(cells: Sequence[Cell], rates: Rates, file: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """What the file holds: a row for every seed that is done, and what is missing, by cell: its name, and how much if some is there."""
    done, rows, missing = read(file), [], []
    for cell in cells:
        search, want = _search(cell, rates), cell.seeds
        left, final = sum(job.key not in done for job in search), []
        if not left:
            rate = best_rate(search, done)
            final = [job for job in (Job(cell, rate, s, True) for s in SEEDS[:want]) if job.key in done]
        rows += [_row(job, done[job.key], len(search)) for job in final]
        if left:
            missing.append(
                f"{cell.name}{f' ({left} of {len(search)} trials of the search)' if left < len(search) else ''}"
            )
        elif len(final) < want:
            missing.append(f"{cell.name} ({want - len(final)} of {want} seeds)")
    return rows, missing


def said_missing(missing: Sequence[str]) -> list[str]:
    """The lines of a table's file that say what it lacks, one a task and network."""
    by_table: dict[str, list[str]] = {}
    for name in missing:
        task, network, rule = name.split("/", 2)
        by_table.setdefault(f"{task}, {network}", []).append(rule)
    lines = [f"- {table}: {', '.join(rules)}" for table, rules in by_table.items()]
    return ["## Missing", "", *lines, ""] if missing else []


def of(rows: list[dict[str, Any]]) -> str:
    """How many seeds a row of a table stands for, where it is not all of them."""
    return str(len(rows)) if len(rows) == rows[0]["of_seeds"] else f"{len(rows)} of {rows[0]['of_seeds']}"


def _search(cell: Cell, rates: Rates) -> list[Job]:
    return [Job(cell, r, s, False) for r in rates(cell) for s in SEEDS[: cell.search_seeds]]


def _finish(wanted: Iterable[Job], build: Build, done: dict[str, dict], file: Path, pool: Executor) -> None:
    """Run those that the file does not hold yet; each goes into it as soon as it is done."""
    waiting = [pool.submit(measure, job, build) for job in wanted if job.key not in done]
    for finished in as_completed(waiting):
        outcome = finished.result()
        done[outcome["key"]] = outcome
        with file.open("a") as out:
            out.write(json.dumps(outcome) + "\n")


def read(file: Path) -> dict[str, dict]:
    """What is done already; a last line that was cut off is done again."""
    done: dict[str, dict] = {}
    lines = file.read_text().splitlines() if file.is_file() else []
    for line in lines:
        try:
            outcome = json.loads(line)
        except ValueError:
            continue
        done[outcome["key"]] = outcome
    if len(done) < len(lines):
        file.write_text("".join(json.dumps(outcome) + "\n" for outcome in done.values()))
    return done


def best_rate(search: Sequence[Job], done: dict[str, dict]) -> float:
    """The rate of the best mean over the search's seeds: of those at which no run stopped, if any; the smaller of two that are equal."""

    def worth(rate: float) -> tuple[bool, float]:
        outcomes = [done[j.key] for j in search if j.rate == rate]
        return not any(o["stopped"] for o in outcomes), mean(
            o["accuracy"] if "accuracy" in o else -o["mse"] for o in outcomes
        )

    return max(sorted({j.rate for j in search}), key=worth)


def _row(job: Job, outcome: dict[str, Any], trials: int) -> dict[str, Any]:
    """A line of the table's .json. look_back is the rule's own: steps, or T for the whole trial; 0 for rules that never look back."""
    cell, rule = job.cell, rule_of(job.cell)
    rule = getattr(rule, "rule", rule)
    look_back = getattr(rule, "look_back", 0)
    if isinstance(rule, BPTT):
        look_back = 0 if rule.one_step else None
    return {
        "task": cell.task,
        "network": cell.network,
        "rule": cell.rule,
        "signal": str(rule.signal),
        "look_back": "T" if look_back is None else look_back,
        "error": cell.error,
        "seed": job.seed,
        **{k: v for k, v in outcome.items() if k != "key"},
        "rate": job.rate,
        "trials": trials,
        "of_seeds": cell.seeds,
        "updates": cell.updates,
        "batch": cell.batch,
        "optimizer": cell.optimizer,
        "decorrelate": cell.decorrelate,
        "on": cell.on,
        "variant": cell.variant,
    }
