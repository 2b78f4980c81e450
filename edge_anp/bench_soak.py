"""A soak: a million trials of the C learner on this machine, some of them with rewards that are random or the wrong way round.

What is asked: do the weights stay off the rails, and what do the bad stretches cost once the rewards are right again, with the guard?
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from rich.console import Console

from edge_anp import continual, device_learning, tasks
from edge_anp.bench_ondevice import DRIFT, GUESSES, pretrain
from edge_anp.compilation import compile_network
from edge_anp.integer import quantize_input
from edge_anp.network import Network
from edge_anp.tasks import Task

TRIALS, POINTS, BUDGET, SEED = 1_000_000, 100, 4000, 0
STRETCHES = {"random": (0.25, 0.30), "inverted": (0.45, 0.46), "long inverted": (0.70, 0.75)}  # of all trials
AROUND = 5  # points whose mean is the accuracy before a stretch, after it, and at the end
BINS = 16
COURSES = (
    ("one answer", True, True), ("one answer", False, True), ("one answer", True, False), ("label", True, False),
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """After `trial` trials: accuracy on the test split, the share of right answers since the last point, and the masters."""

    trial: int
    world: str
    accuracy: float
    right: float
    saves: int
    rollbacks: int
    at_an_end: list[int]
    spread: list[float]


@dataclass(frozen=True)
class Soak:
    """One course. histograms: of int8 weights in BINS bins, per matrix, before learning and after. per_second: trials, points included."""

    mode: str
    guarded: bool
    stretched: bool
    trials: int
    before: float
    drifted: float
    points: list[Point]
    weights: list[int]
    histograms: dict[str, list[list[int]]]
    per_second: float

    @property
    def name(self) -> str:
        stretches = "with bad stretches" if self.stretched else "honest throughout"
        return f"{self.mode}, guard {'on' if self.guarded else 'off'}, {stretches}"

    def around(self, share: float, past: bool) -> float:
        """Mean accuracy over the points before a place (a share of all trials), or after it."""
        at = round(share * len(self.points))
        return mean(p.accuracy for p in (self.points[at : at + AROUND] if past else self.points[at - AROUND : at]))

    def cost(self, world: str) -> float:
        """What a stretch took: accuracy before it, less accuracy once the rewards have been right again for a while."""
        begin, end = STRETCHES[world]
        return self.around(begin, False) - self.around(end, True)


def world_at(share: float) -> str:
    """How the world answers at a share of all trials."""
    return next((name for name, (begin, end) in STRETCHES.items() if begin <= share < end), "honest")


def soak(network: Network, task: Task, mode: str, guarded: bool, stretched: bool, trials: int = TRIALS) -> Soak:
    """Compile, rewire the input, and learn for `trials` trials without leaving the program."""
    guesses = GUESSES[mode]
    part = continual.stream(f"rewire:{DRIFT}", task, SEED)[0]
    with tempfile.TemporaryDirectory() as place:
        done = compile_network(
            network, "mcu", Path(place) / "a", task.train, learn="all", guesses=max(1, guesses), budget=BUDGET
        )

        def rows(rasters: np.ndarray) -> list[np.ndarray]:
            return list(quantize_input(rasters, done.network.input))

        with device_learning.open_learner(done.artifact.folder, "host") as session:
            session.start(SEED)
            session.keep(rows(part.train.rasters), part.train.targets)
            test = rows(part.test.rasters)
            judge = lambda: float((session.answers(test) == part.test.targets).mean())  # noqa: E731
            before = float((session.answers(rows(task.test.rasters)) == task.test.targets).mean())
            drifted, first = judge(), _histograms(session.weights())
            points, begun = [], time.monotonic()
            for k in range(POINTS):
                world = world_at(k / POINTS) if stretched else "honest"
                points.append(_point(session, judge, k * trials // POINTS, trials // POINTS, guesses, guarded, world))
            seconds = time.monotonic() - begun
            sizes = [u.size for u in session.weights()]
            histograms = {"before": first, "after": _histograms(session.weights())}
    return Soak(mode, guarded, stretched, trials, before, drifted, points, sizes, histograms, trials / seconds)


def _point(
    session: Any, judge: Callable[[], float], first: int, trials: int, guesses: int, guarded: bool, world: str
) -> Point:
    played = session.play(first, trials, guesses, SEED, guarded, world.split()[-1])
    masters = session.weights()
    ends = [int(((u < 256) | (u >= 65280)).sum()) for u in masters]
    spread = [round(float(u.std()) / 256, 2) for u in masters]
    saves, rollbacks = (played.saves, played.rollbacks) if guarded else (0, 0)
    return Point(first + trials, world, judge(), played.right / trials, saves, rollbacks, ends, spread)


def _histograms(masters: Sequence[np.ndarray]) -> list[list[int]]:
    return [np.bincount(u.reshape(-1) * BINS >> 16, minlength=BINS).tolist() for u in masters]


def bench(out: Path, trials: int = TRIALS) -> None:
    """Every course; what was done before is taken from soak.json, and the table is written as it grows."""
    torch.set_num_threads(1)
    task, done = tasks.load("digits"), read(out / "soak.json", trials)
    network = None if len(done) == len(COURSES) else pretrain(task, SEED)
    for course in COURSES:
        if network is not None and course not in [(s.mode, s.guarded, s.stretched) for s in done]:
            done.append(soak(network, task, *course, trials))
            write(done, out)
    write(done, out)
    Console(width=200).print(table(done), markup=False)


def read(path: Path, trials: int) -> list[Soak]:
    """The courses of as many trials that were written before."""
    if not path.is_file():
        return []
    rows = [Soak(**{**row, "points": [Point(**p) for p in row["points"]]}) for row in json.loads(path.read_text())]
    return [s for s in rows if s.trials == trials]


def table(soaks: Sequence[Soak]) -> str:
    """Markdown: a row per course."""
    head = ["course", "before", "drifted", *(f"before the {w} stretch / after it" for w in STRETCHES), "at the end"]
    head += ["masters at an end, of each matrix", "saves", "rollbacks", "trials/s"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for s in soaks:
        costs = [
            f"{s.around(begin, False):.3f} / {s.around(end, True):.3f} ({-100 * s.cost(w):+.1f} points)"
            for w, (begin, end) in STRETCHES.items()
        ]
        ends = ", ".join(f"{n} of {size}" for n, size in zip(s.points[-1].at_an_end, s.weights, strict=True))
        counts = [sum(p.saves for p in s.points), sum(p.rollbacks for p in s.points)]
        cells = [s.name, f"{s.before:.3f}", f"{s.drifted:.3f}", *costs, f"{s.around(1.0, False):.3f}", ends]
        lines.append(f"| {' | '.join([*cells, *map(str, counts), f'{s.per_second:.0f}'])} |")
    return "\n".join(lines) + "\n"


def write(soaks: Sequence[Soak], out: Path) -> None:
    """soak.md, soak.json and soak.svg."""
    from edge_anp.soak_plot import plot

    out.mkdir(parents=True, exist_ok=True)
    trials = soaks[0].trials
    span = ", ".join(f"{w} from {a:.0%} to {b:.0%}" for w, (a, b) in STRETCHES.items())
    every = trials // POINTS
    shown = "digits (16 steps of 8 channels) -> 128 recurrent LIF -> 10"
    (out / "soak.md").write_text(
        f"# A soak of {trials:,} trials\n\nWritten by `edge-anp bench soak`. {shown}; "
        f"everything learns, masters of 16 bits.\n{DRIFT:.0%} of the channels are rewired, then the C learner runs {trials:,} trials "
        f"on this machine; its rates anneal over the first {BUDGET:,} and stay.\nBad stretches, of all trials: {span}. Random: a coin says "
        "right or wrong; inverted: right is called wrong, and wrong right. "
        "To the guard a long inversion is a world that changed: it is learned, and after it the weights of before are tried, and kept.\n"
        f"Accuracies are of the test split, means of {AROUND} points "
        f"{every:,} trials apart; after a stretch: the points from its end on, the first of them\n{every:,} honest trials past it. "
        "soak.svg is the curve; soak.json has every point, and the weights' histograms.\n\n" + table(soaks)
    )
    (out / "soak.json").write_text(json.dumps([asdict(s) for s in soaks]) + "\n")
    plot(soaks, out / "soak.svg")
