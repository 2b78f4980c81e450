"""verify: run a compiled network and compare every spike and every state with the reference. One function for all targets.

Everything comes from the artifact's folder. The exact runners must equal reference.run on integer.npz to the last bit; others (the float
flavor) are compared with the float network, and reported.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from edge_anp import artifact, integer, reference, target
from edge_anp.artifact import Artifact
from edge_anp.errors import BadFile, Divergence
from edge_anp.integer import IntegerNetwork, Trace, quantize_input
from edge_anp.target import Session

FLOAT_STATES = {"mem": "v", "syn": "u"}
Progress = Callable[[int, int], None]
Truth = Callable[[np.ndarray], Trace]


@dataclass(frozen=True)
class Difference:
    """Where a runner first differs: `state` is a state's name or "spikes"; it `is` one number and `should_be` another."""

    sample: int
    step: int
    layer: int
    layer_name: str
    neuron: int
    state: str
    is_: float
    should_be: float

    def __str__(self) -> str:
        layer = f"layer {self.layer}" + (f" ({self.layer_name})" if self.layer_name else "")
        what = f"{self.state} is {self.is_:g}, the reference has {self.should_be:g}"
        return f"sample {self.sample}, step {self.step}, {layer}, neuron {self.neuron}: {what}"


@dataclass(frozen=True)
class Comparison:
    """One runner against the truth; state_mismatches is None where only spikes are compared (floats)."""

    spike_mismatches: int
    state_mismatches: int | None
    neuron_steps: int
    samples: int
    first: Difference | None
    exact: bool


@dataclass(frozen=True)
class Verification:
    """What verify found. ran: what executed the runners, with its version; statement: what may be said of it in public."""

    target: str
    runners: Mapping[str, Comparison]
    ran: str
    statement: str = ""

    def check(self) -> None:
        """Raise Divergence, naming the first difference, unless every exact runner equals the reference."""
        for name, c in self.runners.items():
            if c.exact and c.first is not None:
                raise Divergence(
                    f"{self.target}'s {name} differs from the reference at {c.first}; in all {c.spike_mismatches} spikes and "
                    f"{c.state_mismatches} states differ, of {c.neuron_steps} neuron-steps"
                )

    def to_json(self) -> dict[str, Any]:
        """{"target", "runners": {name: {"spike_mismatches", "state_mismatches", "neuron_steps", "samples", "first"}}, "ran"}."""
        runners = {}
        for name, c in self.runners.items():
            row = {key: value for key, value in asdict(c).items() if key != "exact"}
            if c.first is not None:
                row["first"] = {key: row["first"][key] for key in ("sample", "step", "layer", "neuron", "state")}
            runners[name] = row
        found = {"target": self.target, "runners": runners, "ran": self.ran}
        exact = all(c.first is None for c in self.runners.values() if c.exact)
        return found | ({"statement": self.statement} if self.statement and exact else {})


def verify(
    folder: str | Path,
    rasters: Collection[Any],
    runner: str | None = None,
    progress: Progress | None = None,
    limit_s: float = 600,
) -> Verification:
    """Run the artifact in `folder` on rasters [T, I] (or [T, *input shape]) of integers, or of floats, which the contract rounds.

    Without `runner`: every one that the target runs by default. progress(done, samples) is called after each sample.
    Raise BadFile for files that are not as `compile` wrote them; a wrong weight is no such file, but a difference.
    """
    found = artifact.read(folder)
    machine = target.find(found.target)
    net = read_network(found)
    names = [name for name in machine.runners if name in found.runners]
    if runner is not None and not target.listed(runner, names):
        raise ValueError(f"the runner is {runner!r}; this artifact has {', '.join(names)}")
    if len(rasters) == 0:
        raise ValueError("there are no samples; verify needs at least one")
    chosen = [name for name in names if name in target.by_default(machine)] if runner is None else [runner]
    exact = {name: target.listed(name, machine.exact) for name in chosen}
    runners = {name: Comparison(0, 0 if exact[name] else None, 0, 0, None, exact[name]) for name in chosen}
    truths: dict[bool, Truth] = {True: lambda x: reference.run(net, x)}
    if not all(c.exact for c in runners.values()):
        truths[False] = _float_network(found)
    with ExitStack() as stack:
        sessions = {name: stack.enter_context(machine.open(found.folder, name, limit_s)) for name in chosen}
        for sample, raster in enumerate(rasters):
            inputs = dict(zip((True, False), read_raster(net, sample, raster), strict=True))
            truth = {exact: run(inputs[exact]) for exact, run in truths.items()}
            for name, c in runners.items():
                got = _run(sessions[name], found, name, inputs[c.exact], truth[c.exact])
                runners[name] = compare(c, net, sample, truth[c.exact], got)
            if progress is not None:
                progress(sample + 1, len(rasters))
    ran = ", ".join(dict.fromkeys(s.ran for s in sessions.values()))
    return Verification(found.target, runners, ran, next((getattr(s, "statement", "") for s in sessions.values()), ""))


def read_network(found: Artifact) -> IntegerNetwork:
    """integer.npz, after it has answered the golden vectors as it did when it was compiled."""
    path = found.folder / "integer.npz"
    net, golden = integer.load(path), artifact.read_golden(found)
    for k, (raster, want) in enumerate(zip(golden.rasters, golden.traces, strict=True)):
        try:
            difference = first_difference(net, k, want, reference.run(net, raster))
        except ValueError as error:  # another number of inputs, of layers, of neurons
            raise BadFile(path, f"it is not the network that was compiled ({error})") from error
        if difference:
            raise BadFile(
                path, f"it answers a golden vector otherwise: {difference}", should_be="the network that was compiled"
            )
    return net


def read_raster(net: IntegerNetwork, sample: int, raster: Any) -> tuple[np.ndarray, np.ndarray]:
    """A raster of integers or floats as both: integers [T, I] for the exact runners, float32 [T, I] for the float network."""
    array = np.asarray(raster)
    if array.ndim < 2 or prod(array.shape[1:]) != net.input.size or array.dtype.kind not in "biuf":
        raise ValueError(
            f"sample {sample} is {array.dtype} of shape {array.shape}; it must be numbers [T, {net.input.size}], one row a step"
        )
    flat = array.reshape(len(array), net.input.size)
    if flat.dtype.kind == "f":
        if np.isnan(flat).any():
            raise ValueError(f"sample {sample} holds {int(np.isnan(flat).sum())} NaN; every input must be a number")
        return quantize_input(flat, net.input), flat.astype(np.float32)
    return flat.astype(np.int64), (flat * net.input.scale).astype(np.float32)


def compare(c: Comparison, net: IntegerNetwork, sample: int, want: Trace, got: Trace) -> Comparison:
    """The comparison with one more sample in it."""
    spikes = sum(int((a != b).sum()) for a, b in zip(want.spikes, got.spikes, strict=True))
    states = None
    if c.state_mismatches is not None:
        pairs = [(s[n], o[n]) for s, o in zip(want.states, got.states, strict=True) for n in s]
        states = c.state_mismatches + sum(int((a != b).sum()) for a, b in pairs)
    first = c.first or first_difference(net, sample, want, got, with_states=states is not None)
    return replace(
        c,
        spike_mismatches=c.spike_mismatches + spikes,
        state_mismatches=states,
        neuron_steps=c.neuron_steps + sum(s.size for s in want.spikes),
        samples=c.samples + 1,
        first=first,
    )


def first_difference(
    net: IntegerNetwork, sample: int, want: Trace, got: Trace, with_states: bool = True
) -> Difference | None:
    """The earliest step, then layer, at which two traces [T, N] differ; within a layer its states come before its spikes."""
    found: list[tuple[int, int, int, Difference]] = []
    for i, layer in enumerate(net.layers):
        pairs = [(n, want.states[i][n], got.states[i][n]) for n in want.states[i]] if with_states else []
        for rank, (name, a, b) in enumerate([*pairs, ("spikes", want.spikes[i], got.spikes[i])]):
            if a.shape != b.shape:
                raise ValueError(f"layer {i}: {name} has shape {b.shape}; it must be {a.shape}")
            if np.any(a != b):
                t, n = (int(k) for k in np.argwhere(a != b)[0])
                place = Difference(sample, t, i, layer.name, n, name, float(b[t, n]), float(a[t, n]))
                found.append((t, i, rank, place))
    return min(found, key=lambda f: f[:3])[3] if found else None


def _run(session: Session, found: Artifact, name: str, raster: np.ndarray, want: Trace) -> Trace:
    got = session.run(raster)
    shapes = [[{n: v.shape for n, v in s.items()} for s in trace.states] for trace in (want, got)]
    if [s.shape for s in got.spikes] != [s.shape for s in want.spikes] or shapes[0] != shapes[1]:
        raise BadFile(
            found.folder, f"{name} is a network of other layers or sizes", should_be="what `compile` wrote there"
        )
    return got


def _float_network(found: Artifact) -> Truth:
    """network.npz as a function raster [T, I] -> Trace; torch is imported here and nowhere else."""
    import torch

    from edge_anp import network as floats

    network = floats.load(found.folder / "network.npz")

    def run(raster: np.ndarray) -> Trace:
        with torch.no_grad():
            trace = floats.run(network, torch.from_numpy(raster)[:, None])
        states = tuple({FLOAT_STATES[n]: v[:, 0].numpy() for n, v in s.items()} for s in trace.states)
        return Trace(tuple(s[:, 0].numpy() for s in trace.spikes), states)

    return run
