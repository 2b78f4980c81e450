"""Tables of trainings as a list of cells that can be stopped and gone on with: every finished training is a line in a file.

A cell is a task, a network and a rule. Its rate is searched for first: every rate of one grid, two seeds, trained on the training part
and judged on the validation part. Then every seed is trained anew on both parts, and judged once on the test part.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from edge_anp import tasks, training
from edge_anp.learning.fit import evaluate, measured
from edge_anp.learning.trainer import train
from edge_anp.network import Network
from edge_anp.tasks import Samples, Task

SEEDS = (42, 101, 300, 482, 708, 7, 19, 53, 211, 997)  # the source paper's five, and five more
SEARCH_SEEDS = 2


@dataclass(frozen=True)
class Cell:
    """network: a name that `build` knows. look_back: steps, or T. decorrelate: eta, 0 is without."""

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

    @property
    def name(self) -> str:
        parts = [self.rule, self.signal, *([f"D={self.look_back}"] if self.look_back else [])]
        parts += ["streaming"] if self.error == "streaming" and "anp" in self.rule else []
        parts += ["decorrelated"] if self.decorrelate else []
        return f"{self.task}/{self.network}/{' '.join(parts)}"


@dataclass(frozen=True)
class Job:
    """One training. final: on training and validation part, judged on the test part; else on the one, judged on the other."""

    cell: Cell
    rate: float
    seed: int
    final: bool

    @property
    def key(self) -> str:
        return f"{self.cell.name} rate={self.rate:g} seed={self.seed} {'final' if self.final else 'search'}"


Build = Callable[[str, Task, int], Network]


def rule_of(cell: Cell) -> Any:
    """The rule of a cell, by the words of the command line."""
    extra = dict(cell.switches)
    own = ".py:" in cell.rule
    choices = training.Choices(
        "", cell.task, cell.rule, None if own or not cell.rule.startswith("feedback") else cell.signal,
        {"T": "trial", "": None}.get(cell.look_back, cell.look_back), error=None if own or cell.error == "end" else cell.error,
        decorrelate=cell.decorrelate > 0, decorrelation_rate=cell.decorrelate or 1e-3,
    )  # fmt: skip
    return training.chosen_rule(replace(choices, **extra))


def measure(job: Job, build: Build, grow: bool = True) -> dict[str, Any]:
    """Train and judge once, on one thread. A run that diverges or falls silent has no accuracy: it is judged as it stands."""
    from edge_anp.errors import EdgeAnpError

    torch.set_num_threads(1)
    task = tasks.load(job.cell.task)
    judge = task.validation
    if job.final:
        both = (task.train, task.validation)
        known = Samples(np.concatenate([s.rasters for s in both]), np.concatenate([s.targets for s in both]))
        task, judge = dataclasses.replace(task, train=known), task.test
    net, started, stopped, asked = build(job.cell.network, task, job.seed), time.perf_counter(), "", {}
    cell = job.cell
    try:
        history = train(net, task, rule_of(cell), cell.updates, cell.batch, job.rate, job.seed, False, cell.optimizer)
        net, asked = history.network, history.asked
    except EdgeAnpError as error:
        stopped = str(error)
    found = evaluate(net, judge)
    trials = cell.updates * min(cell.batch, len(task.train))
    passes = {"np": 2, "wp": 2, "anp": 2, "np-trace": 3, "anp-trace": 3}.get(cell.rule, 1)
    what = "mse" if measured(judge) != "accuracy" else "accuracy"
    return {"key": job.key, what: found, "seconds": time.perf_counter() - started, "asked": asked, "stopped": stopped,
            "samples": trials, "forward_passes": trials * passes}  # fmt: skip


def run_cells(
    cells: Sequence[Cell],
    rates: Callable[[Cell], Sequence[float]],
    build: Build,
    file: Path,
    seeds: Sequence[int] = SEEDS,
    jobs: int = 1,
    console: Console | None = None,
) -> list[dict[str, Any]]:
    """Do what is missing in `file`, cell by cell; return a row for every seed of every cell that is complete."""
    done = read(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool, Progress(console=console) as progress:
        bar = progress.add_task("cells", total=len(cells))
        for cell in cells:
            search = [Job(cell, r, s, False) for r in rates(cell) for s in seeds[:SEARCH_SEEDS]]
            _finish(search, build, done, file, pool)
            rate = best_rate(search, done)
            final = [Job(cell, rate, s, True) for s in seeds]
            _finish(final, build, done, file, pool)
            rows += [_row(job, done[job.key], len(search)) for job in final]
            progress.advance(bar)
    return rows


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
    """The rate of the best mean over the search's seeds; the smaller one of two that are equal."""

    def worth(rate: float) -> float:
        outcomes = [done[j.key] for j in search if j.rate == rate]
        return mean(o["accuracy"] if "accuracy" in o else -o["mse"] for o in outcomes)

    return max(sorted({j.rate for j in search}), key=worth)


def _row(job: Job, outcome: dict[str, Any], trials: int) -> dict[str, Any]:
    """A line of the table's .json."""
    cell = {k: v for k, v in asdict(job.cell).items() if k not in ("switches",)}
    look_back: Any = cell["look_back"] or "T"
    cell["look_back"] = int(look_back) if look_back.isdigit() else look_back
    return {
        **cell,
        "seed": job.seed,
        "rate": job.rate,
        "trials": trials,
        **{k: v for k, v in outcome.items() if k != "key"},
    }
