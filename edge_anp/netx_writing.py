"""An IntegerNetwork as a lava-dl .net file (netx.py says what that is): a chain of stock LIF layers, or every reason why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_anp.errors import ToolMissing, Unsupported
from edge_anp.integer import LOIHI2, IntegerLayer, IntegerNetwork
from edge_anp.synapses import Conv2d, Dense
from edge_anp.topology import INPUT

SHIFT = 6


def refusals(net: IntegerNetwork) -> list[str]:
    """What a .net file cannot say."""
    reasons = (
        [] if net.arithmetic == LOIHI2 else [f"its arithmetic is {net.arithmetic.name}; a .net file is for loihi2"]
    )
    for i, layer in enumerate(net.layers):
        who = f"layer {i}" + (f" ({layer.name})" if layer.name else "")
        reasons += [f"{who}: {what}" for what in (*_neuron(layer), *_wiring(net, i))]
    return reasons


def _neuron(layer: IntegerLayer) -> list[str]:
    n, why = layer.neuron, []
    if n.vth is None or n.reset != "zero" or n.reset_delay:
        why.append("no reset to zero in the step of the spike")
    leaks = [n.leak] if n.current_leak is None else [n.leak, n.current_leak]
    if any(np.ptp(leak.keep) for leak in leaks):
        why.append("leaks that differ")
    if n.leak.keep.min() < 1 or (n.current_leak is not None and n.current_leak.keep.max() > 4095):
        why.append("a leak of all or of nothing")
    if np.any(layer.bias % 2**SHIFT) or np.abs(layer.bias).max(initial=0) >> SHIFT > 4095:
        why.append("a bias that is no small multiple of 64")
    if layer.bias.any() and n.current_leak is not None and layer.bias_into == "current":
        why.append("a bias that adds to the current")
    return why


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
        if c.shift != SHIFT:
            why.append(f"a weight exponent, {c.shift - SHIFT}")
    if len({type(c.path[0]) for c in layer.connections}) > 1:
        why.append("convolution and matrix in one layer")
    return list(dict.fromkeys(why))


def write(net: IntegerNetwork, path: str | Path) -> None:
    """Write a .net file. Raise Unsupported, with every reason, if the network is none that it can hold without loss."""
    reasons = refusals(net)
    if reasons:
        raise Unsupported(reasons, "a .net file")
    try:
        import h5py
    except ImportError as error:
        raise ToolMissing("h5py, which reads and writes .net files,", "pip install h5py") from error
    with h5py.File(path, "w") as file:
        layers: Any = file.create_group("layer")
        first = _group(layers, "input")
        first["shape"] = np.array(net.input.shape)
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
    ops = {own: [c.path[0] for c in layer.connections if (c.source == i) == own] for own in (False, True)}
    weight, back = (sum(op.weight.astype(np.int64) for op in ops[own]) for own in (False, True))
    (op, *_) = ops[False]
    kind = "conv" if isinstance(op, Conv2d) else "dense_rec" if ops[True] else "dense"
    group = _group(layers, kind)
    group["shape"] = np.array(layer.shape)
    group["weight"] = weight
    if ops[True]:
        group["weight_rec"] = back
    if isinstance(op, Conv2d):
        for name in ("stride", "padding"):
            group[name] = np.array(getattr(op, name))
        group["dilation"], group["groups"] = np.array([1, 1]), op.groups
    if layer.bias.any():
        bias = layer.bias >> SHIFT
        group["bias"] = bias.reshape(layer.shape).transpose(2, 1, 0) if len(layer.shape) == 3 else bias
    n = layer.neuron
    assert n.vth is not None
    cell = group.create_group("neuron")
    cell["type"] = np.array(["CUBA"], "S10")
    cell["iDecay"] = 4096 - (0 if n.current_leak is None else int(n.current_leak.keep[0]))
    cell["vDecay"] = 4096 - int(n.leak.keep[0])
    cell["vThMant"] = int(n.vth[0]) >> SHIFT
    cell["refDelay"], cell["gradedSpike"] = 1, False
