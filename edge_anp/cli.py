"""The command line: edge-anp check | train | compile | verify | learn | dump | migrate | replay | report | bench | demo | doctor.

Exit codes: 0 ok; 1 a difference, or something that `check` found; 2 bad input; 3 a missing tool; 130 Ctrl-C. An error is one paragraph;
`--debug`, anywhere on the line, shows where it came from.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from edge_anp import __version__
from edge_anp.cli_options import (
    INTERRUPTED,
    RULE_HELP,
    Data,
    Decode,
    Json,
    ModelSpec,
    Seed,
    Shape,
    TaskName,
    Weights,
    err,
    out,
    parse_options,
    parse_shape,
    reported,
    write_json,
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Train a snnTorch network without backpropagation and run it, bit for bit, somewhere else.",
    epilog="`edge-anp demo` shows the whole road in three minutes. `--debug` anywhere shows a traceback.",
)


@app.command(epilog="Example: edge-anp check examples/my_net.py:build")
@reported
def check(
    model: ModelSpec,
    target: Annotated[list[str] | None, typer.Option(help="only these targets")] = None,
    weights: Weights = None,
    shape: Shape = None,
    decode: Decode = None,
    json_file: Json = None,
) -> None:
    """Say in seconds, without data, what is read or refused, per layer and per target."""
    from edge_anp import checking

    fine, found = checking.check_model(model, target, weights, parse_shape(shape), decode, out, err)
    write_json(json_file, found)
    if not fine:
        raise typer.Exit(1)


@app.command(
    epilog="Example: edge-anp train examples/my_net.py:build --task digits --rule feedback-anp --signal reward --out runs/a"
)
@reported
def train(
    model: ModelSpec,
    task: Annotated[str | None, typer.Option(help="a task (digits, fsdd, ...), data.npz, or file.py:function")] = None,
    out_folder: Annotated[Path | None, typer.Option("--out", help="folder of the run")] = None,
    resume: Annotated[Path | None, typer.Option(help="folder of a run that stopped: go on exactly there")] = None,
    rule: Annotated[str, typer.Option(help=RULE_HELP)] = "feedback-anp",
    signal: Annotated[str | None, typer.Option(help="feedback-anp: label (default), score or reward")] = None,
    look_back: Annotated[
        str | None, typer.Option(help="feedback-anp: steps looked back on (default 0), or `trial`")
    ] = None,
    error: Annotated[str | None, typer.Option(help="when the error comes: end of the trial, or streaming")] = None,
    feedback: Annotated[str | None, typer.Option(help="feedback-anp: learned (default), symmetric or random")] = None,
    queries: Annotated[int | None, typer.Option(help="feedback-anp by score: pairs of scores a trial")] = None,
    credit: Annotated[str | None, typer.Option(help="wp, np, anp: instant, trace, to-go, or a decay in 0..1")] = None,
    sigma: Annotated[float | None, typer.Option(help="the noise of a perturbation or of a probe")] = None,
    draws: Annotated[int | None, typer.Option(help="wp, np, anp: perturbations an update")] = None,
    decorrelate: Annotated[bool, typer.Option("--decorrelate", help="decorrelate what dense synapses receive")] = False,
    decorrelation_rate: Annotated[float, typer.Option(help="how fast")] = 1e-3,
    reward: Annotated[str | None, typer.Option(help="file.py:function(outputs, action, sample) -> [B] in 0..1")] = None,
    on: Annotated[str, typer.Option(help="float, or integer: the forward pass is the integer network")] = "float",
    updates: Annotated[int, typer.Option(help="weight updates")] = 600,
    batch: Annotated[int, typer.Option(help="samples per update")] = 128,
    rate: Annotated[float, typer.Option(help="learning rate, annealed along a cosine")] = 4e-3,
    optimizer: Annotated[str, typer.Option(help="a name in torch.optim, perhaps SGD:momentum=0.9")] = "Adam",
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto")] = "cpu",
    every: Annotated[int, typer.Option("--checkpoint", help="updates between two checkpoints")] = 100,
    weights: Weights = None,
    decode: Decode = None,
    data: Data = None,
    seed: Seed = 0,
) -> None:
    """Train a network with one of the learning rules. Ctrl-C leaves a run that --resume goes on with."""
    from edge_anp import training

    if resume is not None:
        training.resume_run(model, resume, out)
        return
    if task is None or out_folder is None:
        raise ValueError("a new run needs --task and --out; an old one goes on with --resume FOLDER")
    choices = training.Choices(
        model, task, rule, signal, look_back, updates, batch, rate, str(weights) if weights else None, decode,
        str(data) if data else None, seed, optimizer, device, on, reward, error, credit, sigma, draws, queries, feedback,
        decorrelate, decorrelation_rate,
    )  # fmt: skip
    training.train_run(choices, out_folder, every, out)


@app.command(
    "compile", epilog="Example: edge-anp compile runs/a/network.npz --target onnx --calibrate digits --out build/onnx"
)
@reported
def compile_(
    model: ModelSpec,
    target: Annotated[str, typer.Option(help="onnx, mcu, or another installed target")],
    calibrate: TaskName,
    out_folder: Annotated[Path, typer.Option("--out", help="folder of the artifact")],
    weights: Weights = None,
    decode: Decode = None,
    data: Data = None,
    samples: Annotated[int, typer.Option(min=1, help="training samples to calibrate with")] = 256,
    option: Annotated[
        list[str] | None, typer.Option(help="of the target, NAME=VALUE; mcu: prefix=NAME of what C defines")
    ] = None,
    learn: Annotated[
        str | None, typer.Option(help="what goes on learning there: all, input,readout, or readout")
    ] = None,
    guesses: Annotated[int, typer.Option(help="with --learn: answers a trial at most")] = 2,
    master_bits: Annotated[int, typer.Option(help="with --learn: 16, or 8 for half of the memory")] = 16,
    every: Annotated[int, typer.Option(help="with --learn: one step in 2^EVERY changes weights")] = 0,
    budget: Annotated[int, typer.Option(help="with --learn: trials in which the rates anneal; 0: never")] = 4000,
    steps: Annotated[
        int | None, typer.Option(help="with --learn: steps of a trial at most; default: the task's")
    ] = None,
    json_file: Json = None,
) -> None:
    """Quantize a network and compile it for a target; say what quantization cost."""
    import numpy as np

    from edge_anp import compilation, report, sources, tasks

    found = tasks.load(calibrate, data)
    raster, _ = found.train.batch(np.arange(min(4, len(found.train))))
    opened = sources.open_model(model, weights, found.input.shape, raster, decode)
    learning = (
        {"learn": learn, "guesses": guesses, "bits": master_bits, "every": every, "budget": budget, "steps": steps}
        if learn
        else {}
    )
    with out.status("quantizing and compiling"):
        done = compilation.compile_network(
            opened.network, target, out_folder, found.train, samples, parse_options(option), **learning
        )
    if done.loss is not None:
        out.print(report.loss_table(done.network, done.loss))
    for note in done.notes:
        out.print(note, markup=False, highlight=False)
    out.print(report.file_table(out_folder))
    write_json(json_file, report.loss_json(done.loss) if done.loss else {})


@app.command(epilog="Example: edge-anp verify build/onnx --task digits --json build/onnx/verify.json")
@reported
def verify(
    folder: Annotated[Path, typer.Argument(help="what `compile` wrote")],
    task: TaskName,
    runner: Annotated[
        str | None, typer.Option(help="only this runner, e.g. qemu:m4; default: those that need nothing more")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="the first so many of the test split; default: all")
    ] = None,
    data: Data = None,
    json_file: Json = None,
) -> None:
    """Run an artifact and compare every spike and state with the reference. Exit 0 only when every bit is equal."""
    from edge_anp import report, tasks
    from edge_anp.verify import verify as verify_folder

    rasters = tasks.load(task, data).test.rasters[:samples]
    with Progress(console=err, transient=True) as progress:
        bar = progress.add_task("verifying", total=len(rasters))
        result = verify_folder(folder, rasters, runner, lambda done, _: progress.update(bar, completed=done))
    out.print(report.verification_table(result))
    write_json(json_file, result.to_json())
    result.check()


@app.command("report", epilog="Example: edge-anp report build/loihi")
@reported
def report_(folder: Annotated[Path, typer.Argument(help="what `compile` wrote")]) -> None:
    """Show what a compiled network takes of its machine, and what of the machine's limits it passes."""
    from edge_anp import artifact, report

    artifact.read(folder)
    for table in report.artifact_tables(folder):
        out.print(table)


@app.command(epilog="Example: edge-anp bench digits --seeds 3 --out docs/results")
@reported
def bench(
    name: Annotated[
        str,
        typer.Argument(
            help="digits, accuracy, integers, paper, switches, learning: rules; ondevice, soak: the device's learner; "
            "conformance, speed; loihi: Lava"
        ),
    ],
    seeds: Annotated[
        int | None, typer.Option(help="how many; default: accuracy 10, paper, integers, switches 5, others 3")
    ] = None,
    jobs: Annotated[int, typer.Option(help="processes at once")] = 2,
    neuron_steps: Annotated[int, typer.Option(help="conformance: how many")] = 10_000_000,
    rule: Annotated[
        str | None, typer.Option(help="accuracy, paper: file.py:rule of your own, in place of ours")
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="accuracy, paper: cells whose name holds this, e.g. digits/recurrent")
    ] = None,
    out_folder: Annotated[Path, typer.Option("--out", help="where the tables go")] = Path("docs/results"),
) -> None:
    """Measure, print the table, and write it to docs/results. What is cut off goes on where it stopped."""
    from edge_anp import benchmarks

    if name not in benchmarks.BENCHMARKS:
        raise ValueError(f"the benchmark is {name!r}; it must be one of {', '.join(benchmarks.BENCHMARKS)}")
    benchmarks.BENCHMARKS[name](benchmarks.Options(out_folder, seeds, jobs, neuron_steps, rule, only))


@app.command(epilog="Example: edge-anp demo --out runs/demo")
@reported
def demo(
    out_folder: Annotated[Path, typer.Option("--out", help="where everything goes")] = Path("runs/demo"),
    seed: Seed = 0,
    updates: Annotated[int, typer.Option(help="weight updates per rule")] = 600,
) -> None:
    """The whole road on handwritten digits: four learning rules, integers, ONNX, verified. Three minutes on two cores."""
    from edge_anp.demo import run_demo

    run_demo(out_folder, seed, updates, out)


@app.command(epilog="Example: edge-anp doctor")
@reported
def doctor(json_file: Json = None) -> None:
    """Say what is installed, what is missing, and how to get it."""
    from dataclasses import asdict

    from edge_anp import report
    from edge_anp.doctor import examine

    findings = list(examine())
    out.print(report.doctor_table(findings))
    write_json(json_file, [asdict(f) for f in findings])
    if any(f.required and not f.found for f in findings):
        raise typer.Exit(3)


@app.callback(invoke_without_command=True)
def options(version: Annotated[bool, typer.Option("--version", help="print the version and leave")] = False) -> None:
    if version:
        out.print(__version__)
        raise typer.Exit


def main() -> None:
    """The console script."""
    if "--debug" in sys.argv:
        sys.argv.remove("--debug")
        os.environ["EDGE_ANP_DEBUG"] = "1"
    try:
        app()
    except KeyboardInterrupt:  # before a command has begun
        err.print(INTERRUPTED)
        sys.exit(130)


from edge_anp import cli_device, cli_learn  # noqa: E402, F401  their commands join the others here
