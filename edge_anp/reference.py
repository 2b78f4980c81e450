"""What an IntegerNetwork means. Every machine that runs it gives these spikes and these states, to the last bit.

Written to be read: one sample, one step, one layer at a time, in int64. `simulate.py` computes the same function fast.

    shift(a, F)   = a 2^F for F >= 0, else floor((a + 2^(-F-1)) / 2^-F)
    leak(v)       = v keep / 2^S, rounded as the machine's Arithmetic says
    drive         = sum_c shift(w_c x_c, F_c) + bias
    r             = v > vth
    c             = drive, or, current-based, u = fit(leak_alpha(u) + drive), c = u    (a bias into the membrane: c = u + bias)
    subtract        v1 = fit(leak(v) + c - r vth)
    none, readout   v1 = fit(leak(v) + c)
    zero, "leak"    v1 = fit(leak(v if not r else 0) + c)
    zero, "update"  v1 = 0 if r else fit(leak(v) + c)
    s             = v1 > vth;   delayed reset: v = v1
    immediate       subtract: v = fit(v1 - (s - r) vth);   zero: v = fit(v1 - (s - r) v1)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from edge_anp.integer import IntegerConnection, IntegerLayer, IntegerNetwork, Leak, LeakGrid, Register, Trace
from edge_anp.synapses import Convolution, Dense, Diagonal, Map, MaxPool2d, Window, convolve, windows
from edge_anp.topology import INPUT


def run(net: IntegerNetwork, raster: Int[np.ndarray, "T I"]) -> Trace:
    """Run a network from silence over one sample of integers."""
    limit = net.input.high
    if np.abs(raster.astype(np.int64)).max(initial=0) > limit:
        raise ValueError(
            f"the raster reaches {np.abs(raster.astype(np.int64)).max()}; it must lie in -{limit}..{limit}"
        )
    layers, steps = net.layers, len(raster)
    sent = {INPUT: raster.astype(np.int64)} | {i: np.zeros((steps, x.size), np.int64) for i, x in enumerate(layers)}
    states = [{name: np.zeros((steps, x.size), np.int64) for name in x.neuron.state_names} for x in layers]
    state = [{name: np.zeros(x.size, np.int64) for name in x.neuron.state_names} for x in layers]
    for t in range(steps):
        for i, layer in enumerate(layers):
            inputs = [_past(sent[c.source], t - c.delay) for c in layer.connections]
            sent[i][t], state[i] = step(net, layer, inputs, state[i])
            for name, value in state[i].items():
                states[i][name][t] = value
    return Trace(tuple(sent[i].astype(np.uint8) for i in range(len(layers))), tuple(states))


def step(
    net: IntegerNetwork, layer: IntegerLayer, inputs: Sequence[np.ndarray], state: dict[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Advance one layer by one step: its connections' inputs and its state -> its spikes and its new state."""
    a, neuron, v = net.arithmetic, layer.neuron, state["v"]
    new = {}
    past_current = neuron.current_leak is not None and layer.bias_into == "membrane"
    c = np.zeros(layer.size, np.int64) if past_current else layer.bias.astype(np.int64)
    for connection, x in zip(layer.connections, inputs, strict=True):
        c = c + drive(connection, x)
    if neuron.current_leak is not None:
        new["u"] = c = fit(a.current, leak(a.leak, neuron.current_leak, state["u"]) + c)
    if past_current:
        c = c + layer.bias
    if neuron.vth is None:
        return np.zeros(layer.size, np.int64), {**new, "v": fit(a.membrane, leak(a.leak, neuron.leak, v) + c)}

    vth = neuron.vth.astype(np.int64)
    r = (v > vth).astype(np.int64)
    if neuron.reset == "subtract":
        v1 = fit(a.membrane, leak(a.leak, neuron.leak, v) + c - r * vth)
    elif neuron.reset == "zero" and neuron.zero == "leak":
        v1 = fit(a.membrane, leak(a.leak, neuron.leak, (1 - r) * v) + c)
    elif neuron.reset == "zero":
        v1 = (1 - r) * fit(a.membrane, leak(a.leak, neuron.leak, v) + c)
    else:
        v1 = fit(a.membrane, leak(a.leak, neuron.leak, v) + c)
    s = (v1 > vth).astype(np.int64)
    if not neuron.reset_delay and neuron.reset == "subtract":
        v1 = fit(a.membrane, v1 - (s - r) * vth)
    elif not neuron.reset_delay and neuron.reset == "zero":
        v1 = fit(a.membrane, v1 - (s - r) * v1)
    return s, {**new, "v": v1}


def drive(connection: IntegerConnection, x: np.ndarray) -> np.ndarray:
    """shift(w x, F): what one connection adds to the drive."""
    for op in connection.path:
        x = apply(op, x)
    if connection.shift >= 0:
        return x * 2**connection.shift
    return (x + 2 ** (-connection.shift - 1)) // 2**-connection.shift


def apply(op: Map, x: np.ndarray) -> np.ndarray:
    """One map of a path on one flat vector of integers."""
    if isinstance(op, Dense):
        return op.weight.astype(np.int64) @ x
    if isinstance(op, Diagonal):
        return op.weight.astype(np.int64) * x
    if isinstance(op, Convolution):
        return convolve(x[None], op, op.weight.astype(np.int64))[0]
    assert isinstance(op, Window)
    axes = tuple(range(-len(op.kernel), 0))
    if isinstance(op, MaxPool2d):
        return windows(x[None], op, fill=np.iinfo(np.int64).min).max(axes).reshape(-1)
    return windows(x[None], op).sum(axes).reshape(-1)


def leak(grid: LeakGrid, of: Leak, v: np.ndarray) -> np.ndarray:
    """v keep / 2^S, to nearest with ties toward +infinity, down, or toward zero."""
    product, one = v * of.keep.astype(np.int64), 2**of.bits
    if grid.rounding == "nearest":
        return (product + one // 2) // one
    if grid.rounding == "floor":
        return product // one
    return np.sign(product) * (np.abs(product) // one)


def fit(register: Register, x: np.ndarray) -> np.ndarray:
    """x as the register holds it."""
    if register.overflow == "wrap":
        return (x - register.low) % 2**register.bits + register.low
    return np.clip(x, register.low, register.high)


def _past(sent: np.ndarray, t: int) -> np.ndarray:
    return sent[t] if t >= 0 else np.zeros_like(sent[0])
