"""Networks that put every neuron beside every other: one layer a case, all reading the input."""

from __future__ import annotations

import numpy as np

from edge_anp.integer import LOIHI2, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.synapses import Conv2d, Dense, Map
from edge_anp.topology import INPUT, InputContract

IMAGE, MAPS = (2, 5, 4), (3, 4, 3)
CASES = [
    (current, reset, zero, late)
    for current in (False, True)
    for reset, zero in (("subtract", "leak"), ("none", "leak"), ("zero", "leak"), ("zero", "update"))
    for late in (True, False)
]


def even(rng: np.random.Generator, low: int, high: int, shape: tuple[int, ...]) -> np.ndarray:
    return (2 * rng.integers(low // 2, high // 2, shape)).astype(np.int16)


def neuron(rng: np.random.Generator, size: int, current: bool, reset: str, zero: str, late: bool, leaks: int = 1):
    keep = rng.integers(3000, 4097, leaks)[rng.integers(0, leaks, size)]
    alpha = Leak(np.full(size, int(rng.integers(1500, 3500))), 12) if current else None
    vth = 64 * (rng.integers(500, 1200, size) if reset != "zero" else np.full(size, int(rng.integers(500, 1200))))
    return IntegerNeuron(Leak(keep, 12), alpha, vth, reset, late, zero)  # type: ignore[arg-type]


def every_neuron(kind: str, high: int = 1) -> IntegerNetwork:
    """Every neuron x reset x delay, with biases and weight exponents, as kind: "feed-forward", "recurrent" or "convolution"."""
    rng = np.random.default_rng(len(kind))
    images = kind == "convolution"
    source = IMAGE if images else (20,)
    layers = []
    for i, case in enumerate(CASES):
        shape = MAPS if images else (12,)
        size = int(np.prod(shape))
        op: Map = Dense(even(rng, -60, 120, (size, 20)))
        if images:
            op = Conv2d(IMAGE, (2, 2), (1, 1), (0, 0), even(rng, -80, 160, (3, 2, 2, 2)))
        ways = [IntegerConnection(INPUT, (op,), 6 + i % 3)]
        if kind == "recurrent":
            ways.append(IntegerConnection(i, (Dense(even(rng, -60, 60, (size, size))),), 6, 1 + i % 3))
        bias = rng.integers(-4000, 4000, size)
        into = "membrane" if case[0] and i % 4 == 1 else "current"
        cell = neuron(rng, size, *case, leaks=2 if i % 5 == 4 else 1)
        layers.append(IntegerLayer(shape, tuple(ways), bias, cell, np.ones(size), f"case {i}", into))  # type: ignore[arg-type]
    for current in (None, Leak(np.full(5, 2000), 12)):
        last = layers[2].size
        way = IntegerConnection(2, (Dense(even(rng, -100, 100, (5, last))),), 6)
        readout = IntegerNeuron(Leak(np.full(5, 3900), 12), current)
        layers.append(IntegerLayer((5,), (way,), np.full(5, 100), readout, np.ones(5), "readout"))
    return IntegerNetwork(LOIHI2, tuple(layers), InputContract(source, high=high), "membrane_last")


def raster(net: IntegerNetwork, steps: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    there = rng.random((steps, net.input.size)) < 0.3
    if net.input.high == 1:
        return there.astype(np.int8)
    return (there * rng.integers(-net.input.high, net.input.high + 1, there.shape)).astype(np.int8)
