"""The command `learn`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from edge_anp.cli import Data, Seed, TaskName, app, err, out, reported


@app.command(
    epilog="Example: edge-anp learn build/dev --task digits --drift rewire:0.4 --guesses 2 --trials 4000 --out runs/d"
)
@reported
def learn(
    folder: Annotated[Path, typer.Argument(help="what `compile --learn` wrote")],
    task: TaskName,
    out_folder: Annotated[Path, typer.Option("--out", help="where result.json and the curve go")],
    drift: Annotated[str | None, typer.Option(help="rewire:f, gain:f or noise:f, f of 0 to 1")] = None,
    stream: Annotated[
        str | None,
        typer.Option(help="drifts joined by commas, permuted:n, split:n, speakers or class:k, one after the other"),
    ] = None,
    guesses: Annotated[int, typer.Option(help="right-or-wrong answers a trial at most; 0: the label is told")] = 1,
    trials: Annotated[int, typer.Option(help="trials of each part")] = 4000,
    guard: Annotated[bool, typer.Option(help="save and roll back as the guard advises")] = True,
    runner: Annotated[str | None, typer.Option(help="e.g. qemu:m4 or serial:PORT; default: this machine")] = None,
    log: Annotated[Path | None, typer.Option(help="write every trial there, for `replay`")] = None,
    journal: Annotated[Path | None, typer.Option(help="go on from what a device saved")] = None,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="print the accuracy on every part after every part too")
    ] = False,
    data: Data = None,
    seed: Seed = 0,
) -> None:
    """Let a compiled network go on learning, from right and wrong, in a world that changed."""
    from edge_anp import device_learning, tasks

    if (drift is None) == (stream is None):
        raise ValueError("the world is unsaid or said twice; it must be one of --drift and --stream")
    with Progress(console=err, transient=True) as progress:
        bar = progress.add_task("learning", total=None)
        course = device_learning.learn(
            folder, tasks.load(task, data), drift or stream or "", runner, trials, guesses, seed, guard, out_folder,
            lambda done, accuracy: progress.update(bar, completed=done, description=f"trial {done}: {accuracy:.3f}"),
            log, journal,
        )  # fmt: skip
    out.print(
        f"accuracy {course.accuracy_before:.3f}, after the drift {course.accuracy_after_drift:.3f}, after {course.trials} trials "
        f"({course.answers_asked} answers) {course.accuracy_after:.3f}; weights {course.weights_crc}; written to {out_folder}"
    )
    if metrics:
        for after, row in zip(["nothing", *course.parts], course.accuracies, strict=True):
            out.print(
                f"after {after}: "
                + "  ".join(f"{name} {value:.3f}" for name, value in zip(course.parts, row, strict=True))
            )
    for name, value in course.metrics.items():
        out.print(f"{name.replace('_', ' ')}: {value:.3f}")
