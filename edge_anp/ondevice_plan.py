"""What learns on a device, at which shifts: a LearningPlan, made at compile time beside the integer network; and what is refused.

    all             every matrix of every layer
    input,readout   what reads the input, and what the last layer reads
    readout         what the last layer reads

How a plan's numbers are used is ondevice.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edge_anp import storage
from edge_anp.errors import Unsupported
from edge_anp.integer import MCU16, IntegerConnection, IntegerLayer, IntegerNetwork, source_max
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT

VERSION = 1
LEARN = ("all", "input,readout", "readout")
GUESSES, CLASSES, STEPS = (
    8,
    240,
    2048,
)  # the most of each: tried answers are kept in 8 bytes, a softmax in 16 bits, g[t] h in 28
Feedback = Literal["readout", "shipped", "error"]


@dataclass(frozen=True, eq=False)
class Synapse:
    """One matrix that learns: `connection` of `layer`.

    rate: S, a step is hh x / 2^S. gain: G, an input x adds x 2^G to its trace. limit: of |hh|, or of a readout's |n|, so that no weight
    moves more than `bound` steps of int8 in one commit.
    """

    layer: int
    connection: int
    rate: int
    gain: int
    limit: int


@dataclass(frozen=True, eq=False)
class Credit:
    """How a layer that learns gets its error: e itself (the last layer), e through the readout's weights, or e through B, shipped.

    source: the readout's connection that is read backwards. matrix: B int8 [N, K], or empty.
    """

    layer: int
    kind: Feedback
    source: int
    matrix: np.ndarray


@dataclass(frozen=True, eq=False)
class LearningPlan:
    """Which matrices of a network learn, and how fast.

    bits: of a master, 16 or 8. rule: "feedback", or "perturbation" (antithetic, of membranes, by `sigma`). every: LW, one step in 2^LW.
    temperature: TS, 256 2^TS of a score are an octave of the softmax. horizon: GS, of g[t]. budget: trials after which the rates have
    annealed; 0: never. guesses: answers a trial at most. drop, gain: of the guard, in 1/32768 of the mean reward; window: 2^window trials.
    """

    learn: str
    synapses: tuple[Synapse, ...]
    credits: tuple[Credit, ...]
    bits: int
    rule: str
    sigma: int
    every: int
    steps: int
    binary: bool
    temperature: int
    horizon: int
    budget: int
    guesses: int
    drop: int
    gain: int
    window: int


def readout_connections(net: IntegerNetwork) -> Iterator[tuple[int, IntegerConnection]]:
    """The connections of the last layer, with their places."""
    yield from enumerate(net.layers[-1].connections)


def chosen(net: IntegerNetwork, learn: str) -> list[tuple[int, int]]:
    """(layer, connection) of everything that `learn` names, whether it can learn or not. Raise ValueError for another word."""
    if learn not in LEARN:
        raise ValueError(f"--learn is {learn!r}; it must be one of {', '.join(LEARN)}")
    last = len(net.layers) - 1
    places = [(i, k, c) for i, layer in enumerate(net.layers) for k, c in enumerate(layer.connections)]
    return [
        (i, k)
        for i, k, c in places
        if any(op.weighted for op in c.path)
        and (learn == "all" or i == last or (learn == "input,readout" and c.source == INPUT))
    ]


def plain(c: IntegerConnection) -> bool:
    """Whether a connection is one dense matrix and nothing else."""
    return len(c.path) == 1 and isinstance(c.path[0], Dense)


def weight_of(net: IntegerNetwork, layer: int, connection: int) -> np.ndarray:
    """The int8 matrix [N, I] of a plain connection."""
    op = net.layers[layer].connections[connection].path[0]
    assert isinstance(op, Dense)
    return np.asarray(op.weight)


def size_of(net: IntegerNetwork, source: int) -> int:
    return net.input.size if source == INPUT else net.layers[source].size


def refusals(net: IntegerNetwork, learn: str, steps: int) -> list[str]:
    """Every reason why `learn` cannot be had from this network; none, if it can."""
    reasons = []
    places = chosen(net, learn)
    if net.arithmetic != MCU16:
        reasons.append(f"its arithmetic is {net.arithmetic.name}; learning is defined in {MCU16.name}")
    if net.decode == "first_spike":
        reasons.append("its answer is the first spike, which has no sum to learn from; use count or a membrane")
    if not 2 <= net.layers[-1].size <= CLASSES:
        reasons.append(f"it has {net.layers[-1].size} answers; learning takes 2 to {CLASSES}")
    if not 1 <= steps <= STEPS:
        reasons.append(f"a trial has up to {steps} steps; learning takes 1 to {STEPS}")
    if not places:
        reasons.append(f"nothing of it is `{learn}`")
    for i in sorted({i for i, _ in places} | {len(net.layers) - 1}):
        reasons += _layer_reasons(net, i, [k for j, k in places if j == i])
    return reasons


def _layer_reasons(net: IntegerNetwork, i: int, connections: list[int]) -> Iterator[str]:
    layer: IntegerLayer = net.layers[i]
    who, neuron = f"layer {i}" + (f" ({layer.name})" if layer.name else ""), layer.neuron
    if neuron.current_leak is not None:
        yield f"{who} is current-based: its trace would need two leaks; let it not learn, or use a LIF"
    if neuron.vth is not None and not neuron.reset_delay:
        yield f"{who} resets within the step, so the membrane that spiked is gone; use reset_delay=True, or let it not learn"
    if neuron.vth is not None and neuron.vth.min() <= 0:
        yield f"{who} has a threshold of {int(neuron.vth.min())}; one that learns takes positive ones"
    if np.ptp(neuron.leak.keep) > 0:
        yield f"{who} has {len(np.unique(neuron.leak.keep))} different leaks; a trace is shared by a layer, so one that learns takes one"
    if np.ptp(layer.unit) > 0:
        yield f"{who} has one unit per neuron; one that learns takes one per layer: compile with --learn"
    for k in connections:
        if not plain(layer.connections[k]):
            path = " - ".join(op.describe() for op in layer.connections[k].path)
            yield f"{who}: {path} cannot learn, only a dense matrix can; use --learn readout"
    total = int(np.abs(layer.bias.astype(np.int64)).max(initial=0))
    for c in layer.connections:
        if plain(c):
            total += int(size_of(net, c.source) * 128 * source_max(net, c) * 2.0**c.shift) + 1
    if total > net.arithmetic.accumulator.high:
        yield f"{who}: once its weights have learned, its drive could reach {total}; the limit is {net.arithmetic.accumulator.high}"


def check(net: IntegerNetwork, learn: str, steps: int) -> None:
    """Raise Unsupported, every reason at once."""
    reasons = refusals(net, learn, steps)
    if reasons:
        raise Unsupported(reasons, f"--learn {learn}")


def credit(net: IntegerNetwork, layer: int) -> Credit:
    """Where the error of a layer that learns comes from: the readout's own weights where the layer feeds it, else B.

    B is the product of the int8 matrices on the way to the readout, in int8: what the way does on the first step.
    """
    last, none = len(net.layers) - 1, np.zeros((0, 0), np.int8)
    if layer == last:
        return Credit(layer, "error", 0, none)
    for k, c in readout_connections(net):
        if c.source == layer and plain(c):
            return Credit(layer, "readout", k, none)
    return Credit(layer, "shipped", 0, _shipped(net, layer))


def _shipped(net: IntegerNetwork, layer: int) -> np.ndarray:
    """B int8 [N, K]: the sum over all ways of dense matrices forward from `layer`; other maps on a way end it."""
    through: dict[int, np.ndarray] = {layer: np.eye(net.layers[layer].size)}
    for i in range(layer + 1, len(net.layers)):
        for c in net.layers[i].connections:
            if c.source in through and c.source != i and c.source < i and plain(c):
                op = c.path[0]
                assert isinstance(op, Dense)
                found = op.weight.astype(np.float64) @ through[c.source] * 2.0**c.shift / np.ptp(op.weight)
                through[i] = through.get(i, 0) + found
    product = through.get(len(net.layers) - 1)
    if product is None or not np.abs(product).max():
        raise Unsupported(f"layer {layer}: no way of dense matrices leads from it to the last layer", "learning")
    return np.rint(product.T * (127 / np.abs(product).max())).astype(np.int8)


def save(plan: LearningPlan, path: Path) -> None:
    """Write `learning.npz`: no pickle, versioned, with a checksum."""
    storage.write(path, "learning", VERSION, plan)


def load(path: Path) -> LearningPlan:
    """Read `learning.npz`; raise BadFile for anything else."""
    return storage.read(path, "learning", VERSION, (LearningPlan, Synapse, Credit))
