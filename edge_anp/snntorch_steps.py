"""How a module is stepped, found out by trying.

raster   forward(x [T, B, *shape]) loops over x[step] itself
step     forward(x [B, *shape]) computes one step and keeps its states inside
static   forward(x [B, *shape]) loops over its own number of steps and sees the same x in each (snnTorch's tutorial 5)
states   forward(x [B, *shape], mem1, mem2, ...) computes one step; states come and go as arguments and results
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from edge_anp.errors import Unsupported
from edge_anp.snntorch_trace import Recorder, left, untouched
from edge_anp.snntorch_values import Applied, Argument, At, Concat, Input, Stack, Sum, Value

Style = Literal["raster", "step", "static", "states"]
COUNTS = ("num_steps", "n_steps", "steps")  # how a forward asks for the number of steps


@dataclass(frozen=True, eq=False)
class Recording:
    """What a module did with a raster: its neurons' calls, and what each tensor of its last result was."""

    style: Style
    steps: int
    num_steps: int | None
    trace: Recorder
    results: tuple[Value, ...]


def follow(module: nn.Module, raster: Tensor, num_steps: int | None = None) -> Recording:
    """Find out how `module` is stepped and record it on raster [T, B, *shape]; Unsupported says why none of the ways fits."""
    if _extra_arguments(module):
        return record(module, raster, "states", num_steps)
    failures: list[str] = []
    for style in ("raster", "step", "static"):
        try:
            recording = record(module, raster, style, num_steps)
        except Unsupported:
            raise
        except Exception as error:  # whatever the module's own code raises on a shape that it does not take
            failures.append(
                f"{_takes(style)}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            )
            continue
        misfit = _misfit(recording, len(raster))
        if misfit is not None and style == "raster" and 1 < recording.steps < len(raster):
            recording = record(
                module, raster[: recording.steps], style, num_steps
            )  # it runs a number of steps of its own
            misfit = _misfit(recording, recording.steps)
        if misfit is None:
            return recording
        if style != "static" and _several_a_step(recording, len(raster)):
            raise Unsupported(
                f"its neurons were called {recording.steps} times in {len(raster)} steps; call each once a step (a layer that is"
                " used twice needs a neuron of its own for each use)"
            )
        failures.append(f"{_takes(style)}: {misfit}")
    shape = tuple(raster.shape)
    raise Unsupported([f"the module could not be stepped with a sample of shape {shape} [T, B, ...]", *failures])


def record(module: nn.Module, raster: Tensor, style: Style, num_steps: int | None = None) -> Recording:
    """Run `module` in a known style from silence and leave it as it was."""
    with untouched(module):
        trace = Recorder(module)
        raster = raster.clone()
        extra = {name: num_steps or len(raster) for name in COUNTS if name in _parameters(module)}
        if style == "raster":
            trace.note(raster, Input(timed=True))
            with trace.watching():
                result = module(raster, **extra)
        elif style == "static":
            x = raster[0].clone()
            trace.note(x, Input(timed=False))
            with trace.watching():
                result = module(x, **extra)
        else:
            states = {name: torch.zeros(0) for name in _extra_arguments(module)}
            for name, state in states.items():
                trace.note(state, Argument(name))
            result, steps = None, raster.unbind(0)
            with trace.watching():
                for k, x in enumerate(steps):
                    trace.note(x, At(Input(timed=True), k))
                    result = module(x, **extra, **states)
                    states = _passed_on(trace, states, result, k)
    steps = max((len(calls) for calls in trace.calls.values()), default=0)
    return Recording(style, steps, num_steps, trace, tuple(trace.value(t) for t in tensors(result)))


def _passed_on(trace: Recorder, states: dict[str, Tensor], result: Any, step: int) -> dict[str, Tensor]:
    """The states for the next step: for each argument, the result that is the neuron's new state."""
    new: dict[str, Tensor] = {}
    for name in states:
        if name not in trace.arguments:
            raise Unsupported(
                f"forward takes {name}, but it became no neuron's state; take x alone and keep other states inside the module"
            )
        neuron, state = trace.arguments[name]
        found = next((t for t in tensors(result) if trace.value(t) == left(neuron, step, state)), None)
        if found is None:
            raise Unsupported(f"forward takes {name} as {neuron}.{state} but does not return the new one; return it")
        new[name] = found
    return new


def _misfit(recording: Recording, steps: int) -> str | None:
    """Why a run does not fit its style, or None."""
    counts = {name: len(calls) for name, calls in recording.trace.calls.items()}
    if not counts:
        return "it called no spiking neuron"
    if len(set(counts.values())) > 1:
        return "its neurons were called unequal numbers of times: " + ", ".join(f"{n} {c}" for n, c in counts.items())
    whole = _any_reads_whole(recording)
    if recording.style == "static":
        return None if recording.steps > 1 else "its neurons were called once"
    if recording.steps != steps or whole:
        return f"its neurons were called {recording.steps} times; {steps} steps were shown, each must be seen once"
    return None


def _several_a_step(recording: Recording, steps: int) -> bool:
    """Whether every neuron was called two or more times in each step, its states handed on as they were."""
    counts = {len(calls) for calls in recording.trace.calls.values()}
    often = counts == {recording.steps} and recording.steps > steps and recording.steps % steps == 0
    return often and not recording.trace.problems and not _any_reads_whole(recording)


def _any_reads_whole(recording: Recording) -> bool:
    return any(_reads_whole(c.current) for calls in recording.trace.calls.values() for c in calls)


def _reads_whole(value: Value) -> bool:
    """Whether a current was computed from the module's whole argument instead of from one step of it."""
    if isinstance(value, Applied):
        return _reads_whole(value.value)
    if isinstance(value, Sum | Concat | Stack):
        return any(_reads_whole(v) for v in value.values)
    return isinstance(value, Input)


def _takes(style: str) -> str:
    return {
        "raster": "as a loop over the raster",
        "step": "as one step per call",
        "static": "as its own loop over one static input",
    }[style]


def _parameters(module: nn.Module) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(module.forward).parameters)


def _extra_arguments(module: nn.Module) -> tuple[str, ...]:
    """The arguments besides the first that `forward` insists on: its states."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    required = [n for n, p in _parameters(module).items() if p.default is p.empty and p.kind in kinds]
    return tuple(n for n in required[1:] if n not in COUNTS)


def tensors(nested: Any) -> Iterator[Tensor]:
    """Every tensor in nested tuples, lists and dictionaries."""
    if isinstance(nested, Tensor):
        yield nested
    elif isinstance(nested, dict):
        yield from tensors(tuple(nested.values()))
    elif isinstance(nested, tuple | list):
        for part in nested:
            yield from tensors(part)
