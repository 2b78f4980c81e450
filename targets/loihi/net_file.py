"""network.net, for lava-dl's netx: a chain of stock LIF layers without loss, or every reason why it cannot be one.

edge_anp/netx.py says what such a file is, and reads it. netx knows no weight exponents and no biases between multiples of 64; `NETX` is
LOIHI2 without them, which a network can be quantized to. A readout is a LIF at the largest threshold, which it provably never reaches.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_anp.errors import Unsupported
from edge_anp.integer import LOIHI2, NETX, IntegerLayer, IntegerNetwork
from edge_anp.netx import SHIFT, import_h5py
from edge_anp.netx_weights import is_held
from edge_anp.synapses import Conv2d, Dense
from edge_anp.topology import INPUT
from targets.loihi import stock

LARGEST = LOIHI2.threshold_max >> SHIFT
OPTION = "compile with --option netx=yes, which quantizes for it"


def refusals(net: IntegerNetwork) -> list[str]:
    """What a .net file cannot say of a network."""
    reasons = []
    for i, layer in enumerate(net.layers):
        who = f"layer {i}" + (f" ({layer.name})" if layer.name else "")
        wiring = _wiring(net, i)
        why = [*stock.obstacles(layer, stock.largest_drive(net, layer)), *wiring, *_numbers(layer)]
        if not wiring and isinstance(layer.connections[0].path[0], Dense) and not is_held(*_weights(layer, i)):
            why.append("weights that netx changes as it loads them: all zero, too large, or odd and none above zero")
        reasons += [f"{who}: {what}" for what in why]
    return reasons


def _wiring(net: IntegerNetwork, i: int) -> list[str]:
    layer, before, why = net.layers[i], INPUT if i == 0 else i - 1, []
    shape = net.input.shape if i == 0 else net.layers[i - 1].shape
    for c in layer.connections:
        (op, *more) = c.path
        if (c.source, c.delay) not in ((before, 0), (i, 1)):
            why.append("a connection that is neither from the layer before nor from itself one step ago")
        if more or not isinstance(op, Dense | Conv2d):
            why.append("a path that is no bare Dense or Conv2d")
        elif isinstance(op, Conv2d) and (op.in_shape != shape or op.out_shape != layer.shape or c.source == i):
            why.append("a convolution that is recurrent or sees its source in another shape")
    if len({type(c.path[0]) for c in layer.connections}) > 1:
        why.append("convolution and matrix in one layer")
    if all(c.source == i for c in layer.connections):
        why.append("nothing but itself to read")
    return list(dict.fromkeys(why))


def _numbers(layer: IntegerLayer) -> list[str]:
    why = [f"a weight exponent, {c.shift - SHIFT}; {OPTION}" for c in layer.connections if c.shift != SHIFT]
    if np.any(layer.bias % 2**SHIFT) or np.abs(layer.bias).max(initial=0) > NETX.bias_max:
        why.append(f"a bias that is no small multiple of {2**SHIFT}; {OPTION}")
    return list(dict.fromkeys(why))


def _weights(layer: IntegerLayer, i: int) -> tuple[np.ndarray, np.ndarray | None]:
    """(what the layer before is weighted with, and what the layer itself is, if it is)."""
    sums: dict[bool, Any] = {}
    for c in layer.connections:
        own = c.source == i
        sums[own] = sums.get(own, 0) + c.path[0].weight.astype(np.int64)  # type: ignore[union-attr]
    return sums[False], sums.get(True)


def write(net: IntegerNetwork, path: str | Path) -> None:
    """Write a .net file. Raise Unsupported, with every reason, if the network is none that it can hold without loss.

    What netx does not read, but we do: the input's largest integer, its scale and dt, and how the answer is decoded, as attributes.
    """
    reasons = refusals(net)
    if reasons:
        raise Unsupported(reasons, "a .net file")
    h5py = import_h5py()
    with h5py.File(path, "w") as file:
        layers: Any = file.create_group("layer")
        layers.attrs["decode"] = net.decode
        first = _group(layers, "input")
        first["shape"] = np.array(net.input.shape)
        first.attrs.update({"high": net.input.high, "scale": net.input.scale})
        if net.input.dt is not None:
            first.attrs["dt"] = net.input.dt
        for i, layer in enumerate(net.layers):
            shape = net.input.shape if i == 0 else net.layers[i - 1].shape
            if len(shape) > 1 and isinstance(layer.connections[0].path[0], Dense):
                _group(layers, "flatten")
            _write_layer(layers, i, layer)


def _group(layers: Any, kind: str) -> Any:
    group = layers.create_group(str(len(layers)))
    group["type"] = np.array([kind], "S10")
    return group


def _write_layer(layers: Any, i: int, layer: IntegerLayer) -> None:
    weight, back = _weights(layer, i)
    (op, *_) = (c.path[0] for c in layer.connections if c.source != i)
    kind = "conv" if isinstance(op, Conv2d) else "dense" if back is None else "dense_rec"
    group = _group(layers, kind)
    group["shape"] = np.array(layer.shape)
    group["weight"] = weight
    if back is not None:
        group["weight_rec"] = back
    if isinstance(op, Conv2d):
        for name in ("stride", "padding"):
            group[name] = np.array(getattr(op, name))
        group["dilation"], group["groups"] = np.array([1, 1]), op.groups
    if layer.bias.any():
        bias = layer.bias >> SHIFT
        group["bias"] = bias.reshape(layer.shape).transpose(2, 1, 0) if len(layer.shape) == 3 else bias
    n = layer.neuron
    cell = group.create_group("neuron")
    cell["type"] = np.array(["CUBA"], "S10")
    cell["iDecay"] = 4096 - (0 if n.current_leak is None else int(n.current_leak.keep[0]))
    cell["vDecay"] = 4096 - int(n.leak.keep[0])
    cell["vThMant"] = LARGEST if n.vth is None else int(n.vth[0]) >> SHIFT
    cell["refDelay"], cell["gradedSpike"] = 1, False
