"""Spoken digits that a network has not heard: a new speaker, a new word. What the C learner makes of them, and what is forgotten.

speaker   trained without one speaker, then `trials` trials of that speaker alone: accuracy on the speaker, and on the others
class     trained without one digit, then trials of all digits: accuracy on the new one, and on the others
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

from edge_anp import bench_ondevice_report, continual, device_learning, tasks
from edge_anp.bench_ondevice import GUESSES, POINTS, TRIALS, pretrain
from edge_anp.compilation import compile_network
from edge_anp.integer import quantize_input
from edge_anp.tasks import Samples, Task

SPEAKER, CLASS = 5, 9
NOVEL: dict[str, Callable[[Task, Samples], np.ndarray]] = {
    "speaker": lambda task, s: continual.speaking(task, SPEAKER)(s),
    "class": lambda task, s: s.targets == CLASS,
}
HEAD = """
Spoken digits (fsdd), what was not in the training: speaker 5 (then only that speaker is heard), or the word nine (then all words are).
New: accuracy on it; old: on everything else. {trials} trials, int16, all matrices, an update in one step of four.

| new | the world gives | networks | new before | new after | old before | old after | forgotten | answers a trial |
|---|---|---|---|---|---|---|---|---|
"""


def without(task: Task, novelty: str) -> Task:
    """The task that the network ships from."""
    old = [s.choose(~NOVEL[novelty](task, s)) for s in (task.train, task.validation, task.test)]
    return replace(task, name=f"{task.name}-{novelty}", train=old[0], validation=old[1], test=old[2])


def measure(task: Task, novelty: str, seed: int, folder: Path, trials: int = TRIALS) -> Iterator[dict[str, Any]]:
    """Every world, on one network."""
    known, new = without(task, novelty), NOVEL[novelty]
    network = pretrain(known, seed, folder)
    heard = task.train.choose(new(task, task.train)) if novelty == "speaker" else task.train
    judged = {"new": task.test.choose(new(task, task.test)), "old": known.test}
    with tempfile.TemporaryDirectory() as place:
        done = compile_network(
            network, "mcu", Path(place) / "a", known.train, learn="all", guesses=2, budget=trials, every=2
        )
        with device_learning.open_learner(done.artifact.folder, "host") as session:

            def judge(samples: Samples) -> float:
                return float(
                    (
                        session.answers(list(quantize_input(samples.rasters, done.network.input))) == samples.targets
                    ).mean()
                )

            for world, guesses in GUESSES.items():
                session.start(seed)
                before = {name: judge(s) for name, s in judged.items()}
                part = continual.Part(novelty, heard, judged["new"])
                course = device_learning.follow(
                    session, done.network.input, task, (part,), trials, guesses, seed, True, POINTS
                )
                yield {
                    "key": f"{novelty}/{world}/seed {seed}", "novelty": novelty, "world": world, "seed": seed, "trials": trials,
                    "before": before, "after": {name: judge(s) for name, s in judged.items()},
                    "asked": course.answers_asked / course.trials, "curve": course.curve,
                }  # fmt: skip


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown; nothing where nothing was measured."""
    lines = []
    for novelty, world in dict.fromkeys((r["novelty"], r["world"]) for r in rows):
        some = [r for r in rows if (r["novelty"], r["world"]) == (novelty, world)]
        values = [mean(r[when][who] for r in some) for who in ("new", "old") for when in ("before", "after")]
        lines.append(
            f"| {novelty} | {world} | {len(some)} | " + " | ".join(f"{v:.3f}" for v in values)
            + f" | {values[2] - values[3]:+.3f} | {mean(r['asked'] for r in some):.2f} |"
        )  # fmt: skip
    return HEAD.format(trials=rows[0]["trials"]) + "\n".join(lines) + "\n" if rows else ""


def run(seeds: Sequence[int], out: Path) -> list[dict[str, Any]]:
    """Do what the file lacks; return every row that it has then."""
    torch.set_num_threads(1)
    file = out / "cells" / "ondevice_spoken.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    done = bench_ondevice_report.done(out, "spoken")
    left = [(n, s) for s in seeds for n in NOVEL if any(f"{n}/{w}/seed {s}" not in done for w in GUESSES)]
    task = tasks.load("fsdd") if left else None
    for novelty, seed in left:
        assert task is not None
        for row in measure(task, novelty, seed, file.parent / "networks"):
            done[row["key"]] = row
            with file.open("a") as lines:
                lines.write(json.dumps(row) + "\n")
        bench_ondevice_report.write(out, spoken=done)
    return list(done.values())
