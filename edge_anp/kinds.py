"""What there is: the one list of kinds that networks are made of, and which of them a network uses.

A target answers for each of KINDS, so KINDS x targets is the only table of what exists; tests and docs are made from it.
Float and integer networks are asked alike, and nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edge_anp.decode import DECODES
from edge_anp.synapses import AvgPool2d, Conv1d, Conv2d, Convolution, Dense, Diagonal, Map, MaxPool2d, SumPool2d
from edge_anp.topology import INPUT

MAPS: dict[type[Map], str] = {
    Dense: "dense",
    Diagonal: "diagonal",
    Conv1d: "conv1d",
    Conv2d: "conv2d",
    AvgPool2d: "sum pool",
    SumPool2d: "sum pool",
    MaxPool2d: "max pool",
}

KINDS: dict[str, str] = {
    "dense": "a full matrix of weights",
    "diagonal": "one weight from each neuron to its twin",
    "conv1d": "a convolution over (C, L)",
    "conv2d": "a convolution over (C, H, W)",
    "grouped conv": "a convolution whose channels are split into groups",
    "sum pool": "the sum of each window; the mean, in floats",
    "max pool": "the largest value of each window",
    "flatten": "an image read as a flat vector",
    "view": "a flat vector, or an image of another shape, read as an image",
    "bias": "a constant current",
    "LIF": "leaky integrate and fire",
    "current-based LIF": "leaky integrate and fire whose input has a leak of its own",
    "readout": "a last layer without spikes, read by its membrane",
    "reset subtract": "a spike takes the threshold off the membrane",
    "reset zero by leak": "a spike empties the membrane before the next leak",
    "reset zero by update": "a spike replaces the next membrane by zero",
    "reset none": "a spike leaves the membrane as it is",
    "immediate reset": "the reset happens in the step of the spike",
    "recurrence": "a layer that reads itself",
    "skip connection": "a layer that reads past the one before it",
    "loop over layers": "a layer that reads a later one",
    "delay": "a connection that is slower than it must be",
    "per-neuron parameters": "leaks or thresholds that differ within a layer",
    "graded input": "input in numbers, at a scale, instead of spikes",
    **{f"decode {name}": f"the answer is read out by {name}" for name in DECODES},
}

FLOAT_ONLY = {"tanh": "a rate neuron: it is trained here, and no machine runs it"}


def kinds(network: Any) -> frozenset[str]:
    """Which of KINDS and FLOAT_ONLY a Network or an IntegerNetwork uses."""
    return frozenset(kind for kind, _ in find_kinds(network))


def find_kinds(network: Any) -> Iterator[tuple[str, str]]:
    """Each kind with the place where it occurs."""
    yield f"decode {network.decode}", "the answer"
    if network.input.scale != 1:
        yield "graded input", "the input"
    for i, layer in enumerate(network.layers):
        place = f"layer {i}" + (f" ({layer.name})" if layer.name else "")
        found = [*_of_neuron(layer.neuron)]
        if np.any(_array(getattr(layer, "bias", 0))):
            found.append("bias")
        for c in layer.connections:
            found += _of_connection(network, i, c)
        for kind in dict.fromkeys(found):
            yield kind, place


def _of_neuron(neuron: Any) -> Iterator[str]:
    if type(neuron).__name__ == "Tanh":
        yield "tanh"
        return
    threshold = getattr(neuron, "vth", getattr(neuron, "threshold", None))
    leaks = [getattr(neuron, "leak", getattr(neuron, "beta", None))]
    leaks.append(getattr(neuron, "current_leak", getattr(neuron, "alpha", None)))
    if any(np.ptp(_array(getattr(p, "keep", p))) > 0 for p in (*leaks, threshold) if p is not None):
        yield "per-neuron parameters"
    if threshold is None:
        yield "readout"
        return
    yield "LIF" if leaks[1] is None else "current-based LIF"
    yield f"reset {neuron.reset}" + (f" by {neuron.zero}" if neuron.reset == "zero" else "")
    if not neuron.reset_delay and neuron.reset != "none":
        yield "immediate reset"


def _of_connection(network: Any, i: int, c: Any) -> Iterator[str]:
    if c.source == i:
        yield "recurrence"
    elif c.source > i:
        yield "loop over layers"
    elif c.source < i - 1:
        yield "skip connection"
    if c.delay > (1 if c.source >= i else 0):
        yield "delay"
    shape = network.input.shape if c.source == INPUT else network.layers[c.source].shape
    for op in c.path:
        yield MAPS[type(op)]
        if isinstance(op, Convolution) and op.groups > 1:
            yield "grouped conv"
        if getattr(op, "bias", None) is not None:
            yield "bias"
        if not isinstance(op, Diagonal):
            yield from _of_view(shape, op.in_shape)
        shape = op.out_shape
    yield from _of_view(shape, network.layers[i].shape)


def _of_view(given: tuple[int, ...], wanted: tuple[int, ...]) -> Iterator[str]:
    if given != wanted:
        yield "flatten" if len(wanted) == 1 else "view"


def _array(value: Any) -> np.ndarray:
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
