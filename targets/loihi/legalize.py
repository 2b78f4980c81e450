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
    layers, notes = [], []
    for i, layer in enumerate(network.layers):
        read = i == len(network.layers) - 1 and network.decode.startswith("membrane")
        neuron, said = _rewrite(layer.neuron, read)
        layers.append(replace(layer, neuron=neuron))
        count, why = _outlook(network, i, layers[-1])
        notes += [f"{_who(i, layer)}: {what}" for what in (*said, stock.describe(count, why))]
    same = all(a.neuron is b.neuron for a, b in zip(layers, network.layers, strict=True))
    return network if same else replace(network, layers=tuple(layers)), tuple(notes)


def merge_leaks(network: Any) -> tuple[Any, list[str]]:
    """(the network with one leak, their mean, in each layer that this makes the stock LIF; what was merged)."""
    layers, said = list(network.layers), []
    for i, layer in enumerate(network.layers):
        leaks = {n: getattr(layer.neuron, n, None) for n in ("beta", "alpha")}
        means = {n: leak.mean() for n, leak in leaks.items() if leak is not None and np.ptp(_array(leak))}
        merged = replace(layer, neuron=replace(layer.neuron, **means))
        if means and _outlook(network, i, layer)[1] and not _outlook(network, i, merged)[1]:
            layers[i] = merged
            them = ", ".join(f"{n} {float(mean):.3f}" for n, mean in means.items())
            said.append(f"{_who(i, layer)}: with its leaks merged into their mean, {them}, the stock LIF")
    return replace(network, layers=tuple(layers)), said


def _outlook(network: Any, i: int, layer: Any) -> tuple[int, list[str]]:
    """(how many processes `layer` as layer i would be, why they are not the stock LIF)."""
    with_bias = _who(i, layer) in {place for kind, place in find_kinds(network) if kind == "bias"}
    sketch = _sketch(layer, with_bias)
    if synapses.touches_image(network, i):
        return 1, stock.obstacles(sketch, 0)
    groups = stock.groups(sketch, 0)
    return len(groups), [] if len(groups) > 1 else stock.obstacles(sketch, 0)


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
