"""The command line: edge-anp check | train | compile | verify | learn | bench | demo | doctor.

Exit codes: 0 ok; 1 a difference, or something that `check` found; 2 bad input; 3 a missing tool; 130 Ctrl-C. An error is one paragraph;
`--debug`, anywhere on the line, shows where it came from.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from edge_anp import __version__
from edge_anp.errors import EdgeAnpError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Train a snnTorch network without backpropagation and run it, bit for bit, somewhere else.",
    epilog="`edge-anp demo` shows the whole road in three minutes. `--debug` anywhere shows a traceback.",
)
out, err = Console(), Console(stderr=True)

ModelSpec = Annotated[str, typer.Argument(metavar="MODEL", help="file.py:factory, network.npz or integer.npz")]
TaskName = Annotated[str, typer.Option(help="a task (digits), data.npz, or file.py:function")]
Data = Annotated[Path | None, typer.Option(help="raw folder or file of a named task")]
Json = Annotated[Path | None, typer.Option("--json", help="write what was found out here")]
Shape = Annotated[str | None, typer.Option(help="shape of one time step, e.g. 1,28,28")]
Weights = Annotated[Path | None, typer.Option(help="a state_dict for the factory's module: .safetensors or .pt")]
Decode = Annotated[str | None, typer.Option(help="count, first_spike, membrane_mean or membrane_last")]
Seed = Annotated[int, typer.Option(help="of everything that is random")]


def reported(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose errors end in one paragraph and an exit code."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> Any:
        try:
            return command(*args, **options)
        except KeyboardInterrupt:
            err.print("[yellow]interrupted; files that were complete are kept[/]")
            raise typer.Exit(130) from None
        except (EdgeAnpError, ValueError) as error:
            if os.environ.get("EDGE_ANP_DEBUG"):
                raise
            err.print(f"[red]{type(error).__name__}[/]: ", end="")
            err.print(str(error), markup=False, highlight=False)
            raise typer.Exit(getattr(error, "exit_code", 2)) from None

    return run


def write_json(path: Path | None, content: Any) -> None:
    """Write a result where --json asks for it."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n")


def parse_shape(text: str | None) -> tuple[int, ...] | None:
    """'1,28,28' -> (1, 28, 28)."""
    if text is None:
        return None
    try:
        return tuple(int(n) for n in text.split(","))
    except ValueError:
        raise ValueError(f"--shape is {text!r}; it must be whole numbers joined by commas, e.g. 1,28,28") from None


def parse_options(texts: list[str] | None) -> dict[str, str]:
    """['prefix=digits'] -> {'prefix': 'digits'}."""
    pairs = [text.partition("=") for text in texts or ()]
    for (name, equals, _), text in zip(pairs, texts or (), strict=True):
        if not name or not equals:
            raise ValueError(f"--option is {text!r}; it must be NAME=VALUE, e.g. prefix=digits")
    return {name: value for name, _, value in pairs}


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
    from edge_anp import report, sources
    from edge_anp import target as targets
    from edge_anp.errors import Unsupported

    try:
        opened = sources.open_model(model, weights, parse_shape(shape), decode=decode)
    except Unsupported as refusal:
        write_json(json_file, {"read": False, "reasons": list(refusal.reasons), "targets": {}})
        err.print(str(refusal), markup=False, highlight=False)
        raise typer.Exit(1) from None
    reasons = {name: targets.missing(targets.find(name), opened.network) for name in target or targets.available()}
    out.print(report.layer_table(opened.network))
    for note in opened.reading.notes if opened.reading else ():
        out.print(f"note: {note}", markup=False)
    out.print(report.target_table(reasons))
    write_json(json_file, {"read": True, "reasons": [], "targets": {name: list(r) for name, r in reasons.items()}})
    if any(reasons.values()):
        raise typer.Exit(1)


@app.command(
    epilog="Example: edge-anp train examples/my_net.py:build --task digits --rule feedback-anp --signal reward --out runs/a"
)
@reported
def train(
    model: ModelSpec,
    task: TaskName,
    out_folder: Annotated[Path, typer.Option("--out", help="folder of the run")],
    rule: Annotated[str, typer.Option(help="feedback-anp, bptt, readout, or file.py:rule")] = "feedback-anp",
    signal: Annotated[str, typer.Option(help="feedback-anp: label, score or reward")] = "label",
    look_back: Annotated[str, typer.Option(help="feedback-anp: steps of the trial looked back on, or `trial`")] = "0",
    updates: Annotated[int, typer.Option(help="weight updates")] = 600,
    batch: Annotated[int, typer.Option(help="samples per update")] = 128,
    rate: Annotated[float, typer.Option(help="learning rate of Adam, annealed along a cosine")] = 4e-3,
    weights: Weights = None,
    decode: Decode = None,
    data: Data = None,
    seed: Seed = 0,
) -> None:
    """Train a network with one of the learning rules."""
    from edge_anp import training

    training.train_run(
        model, task, out_folder, rule, signal, look_back, updates, batch, rate, weights, decode, data, seed, out
    )


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


@app.command(epilog="Example: edge-anp bench digits --seeds 3 --out docs/results")
@reported
def bench(
    name: Annotated[
        str, typer.Argument(help="digits: the learning rules; conformance: simulate and onnx; speed: simulate")
    ],
    seeds: Annotated[int, typer.Option(help="digits: how many")] = 3,
    jobs: Annotated[int, typer.Option(help="processes at once")] = 2,
    neuron_steps: Annotated[int, typer.Option(help="conformance: how many")] = 10_000_000,
    out_folder: Annotated[Path, typer.Option("--out", help="where the tables go")] = Path("docs/results"),
) -> None:
    """Measure, print the table, and write it to docs/results."""
    from edge_anp import benchmarks

    if name not in benchmarks.BENCHMARKS:
        raise ValueError(f"the benchmark is {name!r}; it must be one of {', '.join(benchmarks.BENCHMARKS)}")
    benchmarks.BENCHMARKS[name](benchmarks.Options(out_folder, seeds, jobs, neuron_steps))


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
    app()


from edge_anp import cli_learn  # noqa: E402, F401  its command joins the others here
