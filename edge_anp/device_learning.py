"""`edge-anp learn`: a compiled network learns in a changed world, wherever it runs; and what is written down of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from edge_anp import artifact, continual, integer, journal, migration
from edge_anp import target as targets
from edge_anp.continual import Part
from edge_anp.errors import Unsupported
from edge_anp.integer import quantize_input
from edge_anp.tasks.samples import Samples, Task
from edge_anp.trial_recorder import Recorder

POINTS = 20  # of a curve


@runtime_checkable
class Learning(Protocol):
    """What a target's `open_learner` gives; asked: answers asked in each of the last trials."""

    asked: np.ndarray

    def __enter__(self) -> Learning: ...
    def __exit__(self, *error: object) -> None: ...
    def start(self, seed: int) -> None: ...
    def trials(
        self, rasters: Sequence[np.ndarray], labels: Sequence[int] | np.ndarray, guesses: int, guarded: bool = False
    ) -> None: ...
    def answers(self, rasters: Sequence[np.ndarray]) -> np.ndarray: ...
    def crc(self) -> int: ...


@dataclass
class Course:
    """What a course of learning found. curve: (trial, accuracy on the part that is learned); accuracies: R of continual.py."""

    accuracy_before: float
    accuracy_after_drift: float
    accuracy_after: float = 0.0
    trials: int = 0
    answers_asked: int = 0
    weights_crc: str = ""
    curve: list[tuple[int, float]] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    accuracies: list[list[float]] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)


def follow(
    session: Learning, contract: Any, task: Task, parts: Sequence[Part], trials: int, guesses: int, seed: int,
    guarded: bool = False, points: int = POINTS, seen: Callable[[int, float], None] | None = None,
    resume: Callable[[], None] | None = None,
) -> Course:  # fmt: skip
    """Learn each part in `trials` trials. guesses: answers a trial at most; 0: the label is told. Trials come from the training split."""

    def rows(samples: Samples) -> list[np.ndarray]:
        return list(quantize_input(samples.rasters, contract))

    def judge(samples: Samples) -> float:
        return float((session.answers(rows(samples)) == samples.targets).mean())

    session.start(seed)
    if resume is not None:
        resume()  # goes on from what was learned before
    course = Course(judge(task.test), judge(parts[0].test), parts=[p.name for p in parts])
    course.accuracies.append([judge(p.test) for p in parts])
    course.curve.append((0, course.accuracy_after_drift))
    for number, part in enumerate(parts):
        samples, chosen = rows(part.train), continual.schedule(len(part.train), trials, seed + number)
        for block in np.array_split(chosen, min(points, trials)):
            session.trials([samples[i] for i in block], part.train.targets[block], guesses, guarded)
            course.trials += len(block)
            course.answers_asked += int(session.asked.sum())
            course.curve.append((course.trials, judge(part.test)))
            if seen is not None:
                seen(*course.curve[-1])
        course.accuracies.append([judge(p.test) for p in parts])
    course.accuracy_after = course.accuracies[-1][-1]
    course.weights_crc = f"{session.crc():08x}"
    course.metrics = continual.metrics(np.array(course.accuracies))
    return course


def learn(
    folder: Path, task: Task, words: str, runner: str | None, trials: int, guesses: int, seed: int, guarded: bool, out: Path,
    seen: Callable[[int, float], None] | None = None, log: Path | None = None, begin_with: Path | None = None,
) -> Course:  # fmt: skip
    """Learn what `compile --learn` wrote into `folder`, in the world `words`; write result.json, curve.svg and journal.bin into `out`.

    log: every trial is written there, for `edge-anp replay`. begin_with: a journal of this folder, to go on from.
    """
    from edge_anp import ondevice_plan

    made = artifact.read(folder)
    machine = targets.find(made.target)
    if not (folder / "learning.npz").is_file() or not hasattr(machine, "open_learner"):
        raise Unsupported(f"{folder} was compiled without --learn", made.target)
    net, plan = integer.load(folder / "integer.npz"), ondevice_plan.load(folder / "learning.npz")
    if not 0 <= guesses <= plan.guesses:
        raise ValueError(
            f"--guesses is {guesses}; it must lie in 0..{plan.guesses}, the most that it was compiled for; 0 tells it the label"
        )
    if trials < 1:
        raise ValueError(f"--trials is {trials}; it must be at least 1")
    learners: tuple[str, ...] = getattr(machine, "learners", (*targets.by_default(machine), *machine.runners))
    if runner is None:
        runner = learners[0]
    if not targets.listed(runner, learners):
        raise ValueError(f"--runner is {runner!r}; it must be one of {', '.join(dict.fromkeys(learners))}")
    parts = continual.stream(words, task, seed)
    opened, resume = _open(folder, machine, runner, log, begin_with)
    with opened as session:
        course = follow(session, net.input, task, parts, trials, guesses, seed, guarded, seen=seen, resume=resume)
        out.mkdir(parents=True, exist_ok=True)
        if hasattr(machine, "layout"):
            _keep(session, out)
    content = {
        **asdict(course),
        "runner": runner,
        "drift": words,
        "guesses": guesses,
        "seed": seed,
        "learn": plan.learn,
    }
    (out / "result.json").write_text(json.dumps(content, indent=1) + "\n")
    plot(course, out / "curve.svg", f"{task.name}, {words}")
    return course


def open_learner(folder: Path, runner: str) -> Any:
    """The learner of a folder that was compiled with --learn, as its target runs it."""
    machine: Any = targets.find(artifact.read(folder).target)
    return machine.open_learner(folder, runner)


def _open(
    folder: Path, machine: Any, runner: str, log: Path | None, begin_with: Path | None
) -> tuple[Any, Callable[[], None] | None]:
    """A target's learner, or one whose trials are written down; and how it goes on from a journal."""
    if log is None and begin_with is None:
        return machine.open_learner(folder, runner), None
    build = migration.open_build(folder)
    saved, anchor = (None, None) if begin_with is None else migration.read_saved(build, begin_with, journal.SECTOR)
    session = machine.open_learner(folder, runner)
    one = session if log is None else Recorder(session, build.layout, log)

    def resume() -> None:
        assert saved is not None
        session.put_flash(journal.image(build.layout, [saved, anchor, None]))
        if isinstance(one, Recorder):
            one.resume(saved.seed, saved.trial)
        else:
            session.load()

    return one, None if saved is None else resume


def _keep(session: Any, out: Path) -> None:
    """journal.bin: what was learned, as the device saves it. A board with no room for a flash in its RAM has none."""
    (out / migration.JOURNAL).unlink(missing_ok=True)
    if session.has_flash:
        session.save()
        (out / migration.JOURNAL).write_bytes(session.flash())


def plot(course: Course, path: Path, title: str) -> None:
    """The curve as an SVG, trials on the axis: no library is needed for one line."""
    width, height, left, top = 640, 360, 50, 30
    last = max(course.curve[-1][0], 1)
    x = lambda trial: left + trial / last * (width - left - 20)  # noqa: E731
    y = lambda accuracy: height - 40 - accuracy * (height - 40 - top)  # noqa: E731
    points = " ".join(f"{x(t):.1f},{y(a):.1f}" for t, a in course.curve)
    marks = [
        f'<text x="8" y="{y(a):.0f}">{a:.1f}</text><path d="M{left} {y(a):.0f}H{width - 20}" stroke="#ddd"/>'
        for a in (0, 0.2, 0.4, 0.6, 0.8, 1)
    ]
    ticks = [
        f'<text x="{x(last * k // 4):.0f}" y="{height - 22}" text-anchor="middle">{last * k // 4}</text>'
        for k in range(5)
    ]
    before = f'<path d="M{left} {y(course.accuracy_before):.1f}H{width - 20}" stroke="#888" stroke-dasharray="4"/>'
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/><text x="{left}" y="18">{title}: accuracy over trials (dashed: before)</text>'
        f'{"".join(marks)}{"".join(ticks)}{before}<polyline points="{points}" fill="none" stroke="#06c" stroke-width="2"/></svg>\n'
    )
