"""The same function as reference.py, fast: a batch at a time, sums in float32 on BLAS, states in integers.

Exact because no partial sum of an accumulator of 25 bits leaves -2^24..2^24, where float32 holds every integer (an IntegerNetwork
proves that at birth); a wider accumulator takes float64 and its 2^53. A state times a leak takes int32 where that fits, else int64.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from edge_anp import reference, topology
from edge_anp.integer import IntegerConnection, IntegerLayer, IntegerNetwork, Leak, Trace
from edge_anp.synapses import Convolution, Dense, Diagonal, MaxPool2d, Window, convolve, windows
from edge_anp.topology import INPUT


def run(net: IntegerNetwork, raster: Int[np.ndarray, "T B I"]) -> Trace:
    """Run a batch of samples from silence; every array of the trace is [T, B, N]."""
    limit = net.input.high
    if max(int(raster.max(initial=0)), -int(raster.min(initial=0))) > limit:
        raise ValueError(f"the raster reaches past {limit}; it must lie in -{limit}..{limit}")
    steps, batch, _ = raster.shape
    sums = np.float32 if net.arithmetic.accumulator.bits <= 25 else np.float64
    whole = np.int32 if net.arithmetic.state_bits <= 30 and sums is np.float32 else np.int64
    sent: dict[int, np.ndarray] = {INPUT: raster.astype(sums)}
    states: list[dict[str, np.ndarray]] = [{} for _ in net.layers]
    for block in topology.blocks(net.layers):
        outside, inside, steppers = {}, {}, {}
        for i in block:
            layer = net.layers[i]
            sent[i] = np.zeros((steps, batch, layer.size), sums)
            states[i] = {name: np.zeros((steps, batch, layer.size), whole) for name in layer.neuron.state_names}
            now, _ = _biases(layer)
            outside[i] = np.broadcast_to(now.astype(whole), (steps, batch, layer.size))
            connections = _cast(layer, sums)
            for c in connections:
                if c.source not in block:
                    past = np.zeros_like(sent[c.source])
                    past[c.delay :] = sent[c.source][: max(steps - c.delay, 0)]
                    outside[i] = outside[i] + _drive(c, past.reshape(steps * batch, past.shape[2])).reshape(
                        steps, batch, layer.size
                    ).astype(whole)
            inside[i] = [c for c in connections if c.source in block]
            steppers[i] = _Stepper(net, layer, whole)
        for t in range(steps):
            for i in block:
                drive = outside[i][t]
                for c in inside[i]:
                    if t >= c.delay:
                        drive = drive + _drive(c, sent[c.source][t - c.delay]).astype(whole)
                previous = {name: s[t - 1] if t else np.zeros_like(s[0]) for name, s in states[i].items()}
                spikes, new = steppers[i].step(drive, previous)
                sent[i][t] = spikes
                for name, value in new.items():
                    states[i][name][t] = value
    return Trace(tuple(sent[i].astype(np.uint8) for i in range(len(net.layers))), tuple(states))


def _cast(layer: IntegerLayer, sums: type) -> list[IntegerConnection]:
    """A layer's connections with weights in the type that they are summed in."""
    return [
        replace(c, path=tuple(replace(op, weight=op.weight.astype(sums)) if op.weighted else op for op in c.path))  # type: ignore[type-var]
        for c in layer.connections
    ]


def _drive(connection: IntegerConnection, x: np.ndarray) -> np.ndarray:
    """shift(w x, F) on a batch [B, I], in the floating-point type that x and the weights have."""
    for op in connection.path:
        if isinstance(op, Dense):
            x = x @ op.weight.T
        elif isinstance(op, Diagonal):
            x = x * op.weight
        elif isinstance(op, Convolution):
            x = convolve(x, op, op.weight)
        else:
            assert isinstance(op, Window)
            axes = tuple(range(-len(op.kernel), 0))
            if isinstance(op, MaxPool2d):
                x = windows(x, op, fill=-np.inf).max(axes).reshape(len(x), op.out_size)
            else:
                x = windows(x, op).sum(axes).reshape(len(x), op.out_size)
    x = x * x.dtype.type(2.0**connection.shift)
    return x if connection.shift >= 0 else np.floor(x + x.dtype.type(0.5))


def _biases(layer: IntegerLayer) -> tuple[np.ndarray, np.ndarray | None]:
    """The bias that adds to the drive, and the one that adds to the membrane past the current, if there is one."""
    if layer.neuron.current_leak is None or layer.bias_into == "current":
        return layer.bias, None
    return np.zeros_like(layer.bias), layer.bias


class _Stepper:
    """The state of a layer, one step at a time, with its constants made once."""

    def __init__(self, net: IntegerNetwork, layer: IntegerLayer, whole: type) -> None:
        self.a, self.neuron = net.arithmetic, layer.neuron
        self.vth = None if layer.neuron.vth is None else layer.neuron.vth.astype(whole)
        self.leak = self._leak(layer.neuron.leak, whole)
        self.late_bias = _biases(layer)[1]
        self.current_leak = None if layer.neuron.current_leak is None else self._leak(layer.neuron.current_leak, whole)

    def _leak(self, of: Leak, whole: type):
        keep, rounding, one = of.keep.astype(whole), self.a.leak.rounding, 2**of.bits
        if rounding == "nearest":
            return lambda v: (v * keep + one // 2) >> of.bits
        if rounding == "floor":
            return lambda v: (v * keep) >> of.bits
        ratio = keep / one  # of 12 bits: times a state of 24 it is exact in float64, and the cast cuts toward zero
        return lambda v: (v * ratio).astype(whole)

    def step(self, drive: np.ndarray, state: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        neuron, vth, v, fit = self.neuron, self.vth, state["v"], reference.fit
        new = {}
        if self.current_leak is not None:
            new["u"] = drive = fit(self.a.current, self.current_leak(state["u"]) + drive)
        if self.late_bias is not None:
            drive = drive + self.late_bias
        if vth is None:
            return np.zeros(v.shape, bool), {**new, "v": fit(self.a.membrane, self.leak(v) + drive)}
        r = v > vth
        if neuron.reset == "subtract":
            v1 = fit(self.a.membrane, self.leak(v) + drive - r * vth)
        elif neuron.reset == "zero" and neuron.zero == "leak":
            v1 = fit(self.a.membrane, self.leak(np.where(r, 0, v)) + drive)
        else:
            v1 = fit(self.a.membrane, self.leak(v) + drive)
            if neuron.reset == "zero":
                v1 = np.where(r, 0, v1)
        s = v1 > vth
        if not neuron.reset_delay and neuron.reset != "none":
            extra = s.astype(v1.dtype) - r
            v1 = fit(self.a.membrane, v1 - extra * (vth if neuron.reset == "subtract" else v1))
        return s, {**new, "v": v1}
