"""The kit that a target tests itself with: random networks, the reference's answer to them, and what of the meaning they met.

report = check(run, seeds=range(100), steps=30)      # run(net, rasters) -> one Trace a raster
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from edge_anp import reference, simulate, topology
from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.errors import Divergence
from edge_anp.integer import MCU16, Arithmetic, IntegerLayer, IntegerNetwork, Trace
from edge_anp.target import Target, find
from edge_anp.topology import INPUT

Run = Callable[[IntegerNetwork, Sequence[np.ndarray]], Sequence[Trace]]

RESETS = ("subtract", "zero by leak", "zero by update", "none")
RATES = ((0.0, 0.01), (0.01, 0.05), (0.05, 0.2), (0.2, 0.6))  # of the neuron-steps of one layer and raster
BRANCHES = (
    *(f"reset {r}, {when}" for r in RESETS for when in ("delayed", "immediate")),
    *("no reset due", "immediate reset, s - r = +1", "immediate reset, s - r = -1", "readout"),
    *(f"{state} at its {end} limit" for state in ("current", "membrane") for end in ("low", "high")),
    *("negative value leaked", "leak of 8 bits", "leak of 12 bits", "negative shift", "positive shift"),
    *("binary input", "graded input", "bias", "delay >= 2", "recurrence", "loop over layers", "skip connection"),
    *("Dense", "Conv1d", "Conv2d", "Diagonal", "SumPool2d", "MaxPool2d", "pool before the synapse", "pool after it"),
    *(f"a layer spikes in {low:.0%} to {high:.0%}" for low, high in RATES),
    *("a layer of 1 neuron", "a layer of more than 100"),
    *("decode count", "decode first_spike", "decode membrane_mean", "decode membrane_last"),
)


@dataclass(frozen=True)
class Report:
    """What a check found. first: the first difference, or None when every spike and every state was equal."""

    neuron_steps: int
    coverage: Counter[str]
    first: str | None


def check(run: Run, seeds: Iterable[int], steps: int, arithmetic: Arithmetic = MCU16) -> Report:
    """Compare an executor with the reference: two rasters (spikes, graded) a seed; stop at the first difference."""
    return check_all({"": run}, seeds, steps, arithmetic)


def check_all(runs: Mapping[str, Run], seeds: Iterable[int], steps: int, arithmetic: Arithmetic = MCU16) -> Report:
    """The same for several executors by name; neuron_steps are those that each of them did."""
    coverage: Counter[str] = Counter()
    done = 0
    for seed in seeds:
        net = random_network(seed, arithmetic)
        rasters = [random_raster(net, 2 * seed + k, steps) for k in range(2)]
        wants = [reference.run(net, raster) for raster in rasters]
        for name, run in runs.items():
            traces = run(net, rasters)
            where = f"{name}: seed {seed}" if name else f"seed {seed}"
            if len(traces) != len(rasters):
                return Report(done, coverage, f"{where}: {len(traces)} traces came back; there must be {len(rasters)}")
            for k, (want, got) in enumerate(zip(wants, traces, strict=True)):
                difference = first_difference(want, got)
                if difference:
                    return Report(done, coverage, f"{where}, raster {k}: {difference}")
        for raster, want in zip(rasters, wants, strict=True):
            coverage += count_branches(net, raster, want)
            done += steps * sum(layer.size for layer in net.layers)
    return Report(done, coverage, None)


def first_difference(want: Trace, got: Trace) -> str | None:
    """The earliest step at which two traces differ, with layer, neuron and both values; None if they are equal."""
    if len(got.spikes) != len(want.spikes) or len(got.states) != len(want.states):
        return f"the trace has {len(got.spikes)} layers; it must have {len(want.spikes)}"
    found: list[tuple[int, int, str]] = []
    for i, (ours, theirs) in enumerate(zip(want.states, got.states, strict=True)):
        if set(ours) != set(theirs):
            return f"layer {i} has states {sorted(theirs)}; it must have {sorted(ours)}"
        for name in (*ours, "spikes"):
            a, b = (want.spikes[i], got.spikes[i]) if name == "spikes" else (ours[name], theirs[name])
            if a.shape != b.shape:
                return f"layer {i}: {name} has shape {b.shape}; it must be {a.shape}"
            if (a != b).any():
                t, n = (int(k) for k in np.argwhere(a != b)[0])
                found.append(
                    (t, i, f"step {t}, layer {i}, neuron {n}: {name} is {b[t, n]}, the reference has {a[t, n]}")
                )
    return min(found)[2] if found else None


def count_branches(net: IntegerNetwork, raster: Int[np.ndarray, "T I"], trace: Trace) -> Counter[str]:
    """How often each of BRANCHES occurred: in neuron-steps, or, for what a network has or has not, in steps.

    A state counts as saturated where it stands at a limit of its register.
    """
    steps, a = len(raster), net.arithmetic
    graded = int((np.abs(raster.astype(int)) > 1).sum())
    found = Counter({"binary input": 0 if graded else steps, "graded input": graded, f"decode {net.decode}": steps})
    multi = [block for block in topology.blocks(net.layers) if len(block) > 1]
    found["loop over layers"] += steps * len(multi)
    for i, layer in enumerate(net.layers):
        found["bias"] += steps * bool(layer.bias.any())
        found["a layer of 1 neuron"] += steps * (layer.size == 1)
        found["a layer of more than 100"] += steps * (layer.size > 100)
        rate = trace.spikes[i].mean() if trace.spikes[i].any() else -1.0
        for low, high in RATES:
            found[f"a layer spikes in {low:.0%} to {high:.0%}"] += steps * bool(low < rate <= high)
        for c in layer.connections:
            found["negative shift"] += steps * (c.shift < 0)
            found["positive shift"] += steps * (c.shift > 0)
            found["delay >= 2"] += steps * (c.delay >= 2)
            found["recurrence"] += steps * (c.source == i)
            found["skip connection"] += steps * (c.source < i - 1 and (i > 0 or c.source != INPUT))
            weighted = [k for k, op in enumerate(c.path) if op.weighted]
            for k, op in enumerate(c.path):
                found[type(op).__name__] += steps
                if weighted and not op.weighted:
                    found["pool before the synapse" if k < weighted[0] else "pool after it"] += steps
        found += _count_neurons(layer, trace.spikes[i].astype(np.int64), trace.states[i], a)
    return +found


def _count_neurons(
    layer: IntegerLayer, spikes: np.ndarray, states: Mapping[str, np.ndarray], a: Arithmetic
) -> Counter[str]:
    neuron, found = layer.neuron, Counter[str]()
    leaks = {"v": neuron.leak} | ({"u": neuron.current_leak} if neuron.current_leak else {})
    for name, of in leaks.items():
        word, register = ("membrane", a.membrane) if name == "v" else ("current", a.current)
        found[f"{word} at its low limit"] += int((states[name] == register.low).sum())
        found[f"{word} at its high limit"] += int((states[name] == register.high).sum())
        found["negative value leaked"] += int((states[name][:-1] < 0).sum())
        found[f"leak of {of.bits} bits"] += states[name].size
    if neuron.vth is None:
        found["readout"] += states["v"].size
        return found
    before = np.concatenate([np.zeros_like(states["v"][:1]), states["v"][:-1]])
    due = (before > neuron.vth).astype(np.int64)
    kind = f"zero by {neuron.zero}" if neuron.reset == "zero" else neuron.reset
    found["no reset due"] += int((due == 0).sum())
    found[f"reset {kind}, {'delayed' if neuron.reset_delay else 'immediate'}"] += int(
        (due if neuron.reset_delay else due | spikes).sum()
    )
    if not neuron.reset_delay and neuron.reset != "none":
        found["immediate reset, s - r = +1"] += int((spikes - due == 1).sum())
        found["immediate reset, s - r = -1"] += int((spikes - due == -1).sum())
    return found


def run_simulate(net: IntegerNetwork, rasters: Sequence[np.ndarray]) -> list[Trace]:
    """The simulator as an executor: all rasters, which are equally long, as one batch."""
    trace = simulate.run(net, np.stack(rasters, axis=1))
    return [
        Trace(tuple(s[:, b] for s in trace.spikes), tuple({n: v[:, b] for n, v in s.items()} for s in trace.states))
        for b in range(len(rasters))
    ]


def target_executor(machine: Target, runner: str) -> Run:
    """A target's runner as an executor: each network is compiled into a folder of its own and opened there."""

    def run(net: IntegerNetwork, rasters: Sequence[np.ndarray]) -> list[Trace]:
        with tempfile.TemporaryDirectory() as folder:
            machine.lower(net, Path(folder))
            with machine.open(Path(folder), runner) as session:
                return [session.run(raster) for raster in rasters]

    return run


def run_bench(neuron_steps: int, out: Path, targets: Sequence[str] = ("onnx",), steps: int = 60) -> None:
    """Check simulate and every exact runner of `targets` on `neuron_steps` each, and write the coverage table as Markdown.

    Raise Divergence at the first difference, and AssertionError if a branch never occurred.
    """
    runs = {"simulate": run_simulate}
    for name in targets:
        machine = find(name)
        runs |= {f"{name} {runner}": target_executor(machine, runner) for runner in machine.exact}
    done, seed, coverage = 0, 0, Counter[str]()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("comparing with the reference", total=neuron_steps)
        while done < neuron_steps:
            report = check_all(runs, range(seed, seed + 10), steps)
            if report.first:
                raise Divergence(report.first)
            done, seed, coverage = done + report.neuron_steps, seed + 10, coverage + report.coverage
            progress.update(bar, completed=done)
    write_coverage(out, coverage, [f"| {name} | {seed} | {done} |" for name in runs])


def write_coverage(out: Path, coverage: Mapping[str, int], rows: Sequence[str]) -> None:
    """Write the table; assert that none of BRANCHES is zero."""
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Conformance: every executor against the reference",
        "",
        "Every spike and every state was equal. Written by `edge-anp bench conformance`.",
        "",
        *("| executor | networks | neuron-steps |", "|---|---|---|", *rows, ""),
        "How often each part of the meaning occurred (neuron-steps; steps for what a network has or has not).",
        "",
        *("| branch | count |", "|---|---|", *(f"| {b} | {coverage.get(b, 0)} |" for b in BRANCHES)),
    ]
    out.write_text("\n".join(lines) + "\n")
    missing = [b for b in BRANCHES if not coverage.get(b)]
    assert not missing, f"never occurred: {', '.join(missing)}"
