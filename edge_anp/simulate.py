"""The same function as reference.py, fast: a batch at a time, sums in float32 on BLAS, states in integers.

Exact because no partial sum of an accumulator of 25 bits leaves -2^24..2^24, where float32 holds every integer (an IntegerNetwork
proves that at birth); a wider accumulator takes float64 and its 2^53. A state times a leak takes int32 where that fits, else int64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from edge_anp import reference, topology
from edge_anp.integer import IntegerConnection, IntegerLayer, IntegerNetwork, Leak, Register, Trace
from edge_anp.synapses import Convolution, Dense, Map, MaxPool2d, Window, convolve, windows
from edge_anp.topology import INPUT

CHUNK = 2**15  # values of a layer that are brought in at once: more only costs memory


def run(net: IntegerNetwork, raster: Int[np.ndarray, "T B I"]) -> Trace:
    """Run a batch of samples from silence; every array of the trace is [T, B, N]."""
    limit = net.input.high
    if max(int(raster.max(initial=0)), -int(raster.min(initial=0))) > limit:
        raise ValueError(f"the raster reaches past {limit}; it must lie in -{limit}..{limit}")
    steps, batch, _ = raster.shape
    sums = np.float32 if net.arithmetic.accumulator.bits <= 25 else np.float64
    whole = np.int32 if net.arithmetic.state_bits <= 30 and sums is np.float32 else np.int64
    sent: dict[int, np.ndarray] = {INPUT: raster}
    states: list[dict[str, np.ndarray]] = [{} for _ in net.layers]
    for block in topology.blocks(net.layers):
        for i in block:
            sent[i] = np.zeros((steps, batch, net.layers[i].size), np.uint8)
            states[i] = {n: np.zeros(sent[i].shape, whole) for n in net.layers[i].neuron.state_names}
        steppers = {i: _Stepper(net, net.layers[i], whole) for i in block}
        ways = {i: [(c, _prepare(c, sums)) for c in net.layers[i].connections] for i in block}
        inside = {i: [(c, bring) for c, bring in ways[i] if c.source in block] for i in block}
        outside = {i: [(c, bring) for c, bring in ways[i] if c.source not in block] for i in block}
        widest = max(net.input.size, *(layer.size for layer in net.layers))
        some = max(1, CHUNK // max(1, batch * widest))
        for start in range(0, steps, some):
            chunk = range(start, min(start + some, steps))
            drives = {i: _biases(net.layers[i])[0].astype(sums) + np.zeros((len(chunk), batch, 1), sums) for i in block}
            for i in block:
                for c, bring in outside[i]:
                    past = _past(sent[c.source], chunk, c.delay, sums)
                    drives[i] += bring(past.reshape(-1, past.shape[2])).reshape(drives[i].shape)
            for t in chunk:
                for i in block:
                    drive = drives[i][t - start]
                    for c, bring in inside[i]:
                        if t >= c.delay:
                            drive = drive + bring(sent[c.source][t - c.delay].astype(sums))
                    previous = {n: s[t - 1] if t else np.zeros_like(s[0]) for n, s in states[i].items()}
                    sent[i][t], new = steppers[i].step(drive.astype(whole), previous)
                    for name, value in new.items():
                        states[i][name][t] = value
    return Trace(tuple(sent[i] for i in range(len(net.layers))), tuple(states))


def _past(sent: np.ndarray, chunk: range, delay: int, sums: type) -> np.ndarray:
    """What was sent `delay` steps before each step of a chunk, as floats; silence before the first step."""
    past = np.zeros((len(chunk), *sent.shape[1:]), sums)
    first = max(delay - chunk.start, 0)
    past[first:] = sent[chunk.start + first - delay : max(chunk.stop - delay, 0)]
    return past


def _biases(layer: IntegerLayer) -> tuple[np.ndarray, np.ndarray | None]:
    """The bias that adds to the drive, and the one that adds to the membrane past the current, if there is one."""
    if layer.neuron.current_leak is None or layer.bias_into == "current":
        return layer.bias, None
    return np.zeros_like(layer.bias), layer.bias


def _prepare(connection: IntegerConnection, sums: type) -> Callable[[np.ndarray], np.ndarray]:
    """shift(w x, F) as a function of a batch [B, I], in `sums`; 2^F goes into the weights, where it changes exponents alone."""
    scale, maps = sums(2.0**connection.shift), []
    for op in connection.path:
        weight = None
        if op.weighted:
            weight, scale = np.asarray(op.weight.astype(sums) * scale), sums(1)
        maps.append((op, weight.T if isinstance(op, Dense) and weight is not None else weight))

    def drive(x: np.ndarray) -> np.ndarray:
        for op, weight in maps:
            x = _apply(op, weight, x)
        x = x if scale == 1 else x * scale
        return x if connection.shift >= 0 else np.floor(x + sums(0.5))

    return drive


def _apply(op: Map, weight: np.ndarray | None, x: np.ndarray) -> np.ndarray:
    """One map of a path on a batch [B, I]; weight is transposed for a Dense."""
    if weight is not None:
        if isinstance(op, Convolution):
            return convolve(x, op, weight)
        return x @ weight if isinstance(op, Dense) else x * weight
    assert isinstance(op, Window)
    axes = tuple(range(-len(op.kernel), 0))
    if isinstance(op, MaxPool2d):
        return windows(x, op, fill=-np.inf).max(axes).reshape(len(x), op.out_size)
    return windows(x, op).sum(axes).reshape(len(x), op.out_size)


class _Stepper:
    """One layer, one step at a time, with its constants made once."""

    def __init__(self, net: IntegerNetwork, layer: IntegerLayer, whole: type) -> None:
        self.a, self.neuron, self.whole = net.arithmetic, layer.neuron, whole
        self.vth = None if layer.neuron.vth is None else layer.neuron.vth.astype(whole)
        self.leak = self._leak(layer.neuron.leak)
        self.late_bias = _biases(layer)[1]
        self.current_leak = None if layer.neuron.current_leak is None else self._leak(layer.neuron.current_leak)

    def _leak(self, of: Leak) -> Callable[[np.ndarray], np.ndarray]:
        """A new array leak(v)."""
        keep, rounding, half = of.keep.astype(self.whole), self.a.leak.rounding, self.whole(2**of.bits // 2)
        ratio = keep / 2**of.bits  # of 12 bits: times a state of 24 it is exact in float64

        def leak(v: np.ndarray) -> np.ndarray:
            if rounding == "zero":
                return (v * ratio).astype(self.whole)  # the cast cuts toward zero
            product = v * keep
            if rounding == "nearest":
                product += half
            product >>= of.bits
            return product

        return leak

    def step(self, drive: np.ndarray, state: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Spikes and the new state; see reference.py for the equations."""
        neuron, vth, v = self.neuron, self.vth, state["v"]
        new = {}
        if self.current_leak is not None:
            u = self.current_leak(state["u"])
            u += drive
            new["u"] = drive = _fit(self.a.current, u)
        if self.late_bias is not None:
            drive = drive + self.late_bias
        if vth is None:
            return np.zeros(v.shape, bool), {**new, "v": _fit(self.a.membrane, self.leak(v) + drive)}
        r = v > vth
        v1 = self.leak(np.where(r, 0, v) if neuron.reset == "zero" and neuron.zero == "leak" else v)
        v1 += drive
        if neuron.reset == "subtract":
            v1 -= r * vth
        v1 = _fit(self.a.membrane, v1)
        if neuron.reset == "zero" and neuron.zero == "update":
            v1[r] = 0
        s = v1 > vth
        if not neuron.reset_delay and neuron.reset != "none":
            extra = s.astype(v1.dtype) - r
            v1 = _fit(self.a.membrane, v1 - extra * (vth if neuron.reset == "subtract" else v1))
        return s, {**new, "v": v1}


def _fit(register: Register, x: np.ndarray) -> np.ndarray:
    """reference.fit, in place where the register saturates."""
    if register.overflow == "wrap":
        return reference.fit(register, x)
    np.maximum(x, x.dtype.type(register.low), out=x)
    return np.minimum(x, x.dtype.type(register.high), out=x)
