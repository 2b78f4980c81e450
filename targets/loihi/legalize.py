"""Before quantization: what a network becomes on Loihi, rewritten where another name means the same spikes, and what to change for more.

    reset "zero", a step late (snnTorch's Leaky)  ->  zero, at once: the stock LIF; the same spikes, membranes are seen after the reset
    current-based with alpha = 0                  ->  LIF: its current is its input
Thresholds that differ within a layer that resets to zero need nothing: `quantize` scales each neuron's weights to one threshold, which is
exact.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edge_anp.integer import IntegerLayer, IntegerNeuron, Leak
from edge_anp.kinds import find_kinds
from targets.loihi import stock, synapses


def _array(value: Any) -> np.ndarray:
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, np.float64).reshape(-1)


def _who(i: int, layer: Any) -> str:
    return f"layer {i}" + (f" ({layer.name})" if layer.name else "")


def refusals(network: Any) -> list[str]:
    """Parameters that no layer on Loihi can have."""
    reasons = []
    for i, layer in enumerate(network.layers):
        threshold = getattr(layer.neuron, "threshold", None)
        if threshold is None:
            continue
        values = _array(threshold)
        if values.min() <= 0:
            reasons.append(
                f"{_who(i, layer)}: a threshold is {values.min():g}; it must be positive, or silence would spike"
            )
        elif np.ptp(values) and i == len(network.layers) - 1 and network.decode.startswith("membrane"):
            reasons.append(
                f"{_who(i, layer)}: its membranes are compared, and its thresholds differ; give it one threshold, or decode by count"
            )
    return reasons


def legalize(network: Any) -> tuple[Any, tuple[str, ...]]:
    """(the network as it will be quantized, a note a layer)."""
    with_bias = {place for kind, place in find_kinds(network) if kind == "bias"}
    layers, notes = [], []
    for i, layer in enumerate(network.layers):
        who = _who(i, layer)
        read = i == len(network.layers) - 1 and network.decode.startswith("membrane")
        neuron, said = _rewrite(layer.neuron, read)
        layers.append(replace(layer, neuron=neuron))
        sketch = _sketch(layers[-1], who in with_bias)
        images = any(
            synapses.is_convolution(network, k, c)
            for k, x in enumerate(network.layers)
            for c in x.connections
            if i in (k, c.source)
        )
        groups = [np.arange(layer.size)] if images else stock.groups(sketch, 0)
        why = [] if len(groups) > 1 else stock.obstacles(sketch, 0)
        notes += [f"{who}: {what}" for what in said]
        if len(groups) > 1:
            notes.append(f"{who}: {len(groups)} stock LIFs, one a leak, which a chip can run")
        elif why:
            notes.append(
                f"{who}: a process of ours, in simulation only (a chip would need microcode): {'; '.join(why)}"
            )
        else:
            notes.append(f"{who}: the stock LIF, which a chip can run")
    return replace(network, layers=tuple(layers)), tuple(notes)


def _rewrite(neuron: Any, read: bool) -> tuple[Any, list[str]]:
    """A neuron under the name that Lava knows it by, and what that changes."""
    said = []
    alpha = getattr(neuron, "alpha", None)
    if alpha is not None and not _array(alpha).any():
        spiking = hasattr(neuron, "threshold")
        names = ("beta", "threshold", "reset", "reset_delay", "zero") if spiking else ("beta",)
        kind = type(neuron).__mro__[1] if spiking else type(neuron)  # CubaLIF is a LIF
        neuron = kind(**{name: getattr(neuron, name) for name in names})
        said.append("alpha is 0, so its current is its input")
    due = getattr(neuron, "reset", "none") == "zero" and neuron.reset_delay and neuron.zero == "leak"
    if due and not read and not hasattr(neuron, "alpha"):
        neuron = replace(neuron, reset_delay=False)
        said.append("its reset to zero happens in the step of the spike: the same spikes, membranes are seen after it")
    return neuron, said


def _sketch(layer: Any, with_bias: bool) -> IntegerLayer:
    """The integer layer that this will be, as far as stock.py looks at it."""
    n, size = layer.neuron, layer.size

    def leak(value: Any) -> Leak:
        return Leak(np.broadcast_to(np.rint(np.clip(_array(value), 0, 1) * 4096).astype(np.int64), (size,)), 12)

    alpha = getattr(n, "alpha", None)
    spiking = {} if not hasattr(n, "threshold") else {"vth": np.ones(size, np.int64), "reset": n.reset}
    if spiking:
        spiking |= {"reset_delay": n.reset_delay, "zero": n.zero}
    neuron = IntegerNeuron(leak(n.beta), None if alpha is None else leak(alpha), **spiking)
    return IntegerLayer(layer.shape, (), np.full(size, int(with_bias)), neuron, np.ones(size), layer.name)
