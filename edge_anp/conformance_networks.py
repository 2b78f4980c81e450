"""Networks and rasters drawn from a seed, so that every corner of the integer meaning is met: what a target is tested with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np
from jaxtyping import Int8

from edge_anp import simulate
from edge_anp.decode import DECODES
from edge_anp.integer import (
    MCU16,
    Arithmetic,
    IntegerConnection,
    IntegerLayer,
    IntegerNetwork,
    IntegerNeuron,
    Leak,
    grain,
    path_bounds,
)
from edge_anp.synapses import Conv1d, Conv2d, Dense, Diagonal, Map, MaxPool2d, SumPool2d, Window
from edge_anp.topology import INPUT, InputContract

Shape = tuple[int, ...]
SIZE = 200  # neurons of a layer, at most
ROOM = 8  # connections that share the accumulator; no layer gets more


def random_network(seed: int, arithmetic: Arithmetic = MCU16) -> IntegerNetwork:
    """A network of 1 to 3 layers of 1 to 200 neurons, its thresholds set so that most layers spike in 1 to 60 % of steps."""
    rng = np.random.default_rng(seed)
    contract = InputContract(_draw_input(rng), high=9 if arithmetic.seen_input else 127)
    layers: list[IntegerLayer] = []
    shapes: list[Shape] = []
    probe = None
    for i in range(int(rng.integers(1, 4))):
        source, shape = (INPUT, contract.shape) if i == 0 else (i - 1, shapes[-1])
        path, shape = _draw_path(rng, arithmetic, shape, spikes=i > 0)
        delay = int(rng.integers(1, 5)) if rng.random() < 0.25 else 0
        connections = [_connect(rng, arithmetic, source, path, delay)]
        if i > 0 and rng.random() < 0.4:
            skipped = int(rng.integers(-1, i - 1)) if i > 1 else INPUT
            size = contract.size if skipped == INPUT else prod(shapes[skipped])
            dense = _dense(rng, arithmetic, size, prod(shape))
            connections.append(_connect(rng, arithmetic, skipped, (dense,), int(rng.integers(0, 5))))
        if rng.random() < 0.5:
            own = _draw_recurrence(rng, arithmetic, shape)
            connections.append(_connect(rng, arithmetic, i, (own,), int(rng.integers(1, 5))))
        bias = rng.integers(-300, 301, prod(shape)) * (rng.random() < 0.6)
        layer = IntegerLayer(
            shape, tuple(connections), bias, _draw_neuron(rng, arithmetic, prod(shape)), np.ones(prod(shape)), f"l{i}"
        )
        layers.append(layer)
        shapes.append(shape)
        net = IntegerNetwork(arithmetic, tuple(layers), contract, "membrane_last")
        probe = random_raster(net, seed, 24) if probe is None else probe
        v = simulate.run(net, probe[:, None, :]).states[-1]["v"]
        layers[-1] = _with_threshold(rng, arithmetic, layer, v)
    if len(layers) > 1 and rng.random() < 0.35:  # the last layer feeds back: a loop over layers
        k = int(rng.integers(0, len(layers) - 1))
        dense = _dense(rng, arithmetic, layers[-1].size, layers[k].size)
        loop = _connect(rng, arithmetic, len(layers) - 1, (dense,), int(rng.integers(1, 5)))
        old = layers[k]
        layers[k] = IntegerLayer(old.shape, (*old.connections, loop), old.bias, old.neuron, old.unit, old.name)
    looped = any(c.source >= len(layers) - 1 for layer in layers for c in layer.connections)
    if not looped and rng.random() < 0.4:
        last, neuron = layers[-1], layers[-1].neuron
        readout = IntegerNeuron(neuron.leak, neuron.current_leak)
        layers[-1] = IntegerLayer(last.shape, last.connections, last.bias, readout, last.unit, last.name)
        return IntegerNetwork(arithmetic, tuple(layers), contract, str(rng.choice(["membrane_mean", "membrane_last"])))
    return IntegerNetwork(arithmetic, tuple(layers), contract, str(rng.choice(DECODES)))


def random_raster(net: IntegerNetwork, seed: int, steps: int) -> Int8[np.ndarray, "T I"]:
    """Input for a network: spikes for an even seed, graded (with both extremes) for an odd one."""
    rng = np.random.default_rng([seed, 1])
    there = rng.random((steps, net.input.size)) < rng.uniform(0.1, 0.6)
    if seed % 2 == 0:
        return there.astype(np.int8)
    limit = net.input.high
    graded = np.clip(rng.normal(0, limit / 2, there.shape), -limit, limit).astype(np.int8)
    return graded * there


def _draw_input(rng: np.random.Generator) -> Shape:
    kind = rng.integers(0, 3)
    if kind == 0:
        return (int(rng.integers(1, 65)),)
    if kind == 1:
        return (int(rng.integers(1, 5)), int(rng.integers(4, 17)))
    return (int(rng.integers(1, 4)), int(rng.integers(5, 10)), int(rng.integers(5, 10)))


def _weight(rng: np.random.Generator, a: Arithmetic, shape: Shape) -> np.ndarray:
    """Weights around zero, now and then over the whole range with both ends."""
    low, high = a.weights.low, a.weights.high
    if rng.random() < 0.4:
        w = rng.integers(low, high + 1, shape)
    else:
        w = np.clip(rng.normal(high / 12, high / 4, shape), low, high).astype(np.int64)
    w = np.array(w)
    if w.size > 1 and rng.random() < 0.5:
        w.flat[0], w.flat[-1] = low, high
    return np.asarray(w // grain(a, w) * grain(a, w)).astype(np.int8 if high < 128 else np.int16)


def _dense(rng: np.random.Generator, a: Arithmetic, size: int, out: int) -> Dense:
    return Dense(_weight(rng, a, (out, size)))


def _draw_path(rng: np.random.Generator, a: Arithmetic, shape: Shape, spikes: bool) -> tuple[tuple[Map, ...], Shape]:
    """Maps from a source of `shape` to a new layer, and the layer's shape. Graded input is not summed before its synapse."""
    path: list[Map] = []
    if len(shape) == 3 and rng.random() < 0.8:
        if min(shape[1:]) >= 4 and rng.random() < 0.35:
            path.append(_draw_pool(rng, shape, SumPool2d if spikes and rng.random() < 0.5 else MaxPool2d))
            shape = path[-1].out_shape
        path.append(_draw_convolution(rng, a, shape, Conv2d))
        shape = path[-1].out_shape
        if min(shape[1:]) >= 2 and (prod(shape) > SIZE or rng.random() < 0.4):
            path.append(_draw_pool(rng, shape, SumPool2d if rng.random() < 0.5 else MaxPool2d))
            shape = path[-1].out_shape
    elif len(shape) == 2 and rng.random() < 0.8:
        path.append(_draw_convolution(rng, a, shape, Conv1d))
        shape = path[-1].out_shape
    elif prod(shape) <= SIZE and rng.random() < 0.15:
        path.append(Diagonal(_weight(rng, a, (prod(shape),) if rng.random() < 0.7 else ()), shape))
    if path and prod(shape) <= SIZE:
        return tuple(path), shape
    size = prod(path[0].in_shape) if path else prod(shape)
    out = 1 if rng.random() < 0.05 else int(rng.integers(2, SIZE + 1))
    return (_dense(rng, a, size, out),), (out,)


def _draw_convolution(rng: np.random.Generator, a: Arithmetic, shape: Shape, kind: Callable[..., Map]) -> Map:
    axes = len(shape) - 1
    kernel = tuple(int(rng.integers(1, min(3, n) + 1)) for n in shape[1:])
    stride = tuple(int(rng.integers(1, 3)) for _ in range(axes))
    padding = tuple(int(rng.integers(0, 2)) for _ in range(axes))
    groups = shape[0] if rng.random() < 0.3 else 1
    out = groups * int(rng.integers(1, 4))
    return kind(shape, kernel, stride, padding, _weight(rng, a, (out, shape[0] // groups, *kernel)), None, groups)


def _draw_pool(rng: np.random.Generator, shape: Shape, kind: type[Window]) -> Window:
    padding = (int(rng.integers(0, 2)),) * 2
    return kind(shape, (2, 2), (int(rng.integers(1, 3)),) * 2, padding)


def _draw_recurrence(rng: np.random.Generator, a: Arithmetic, shape: Shape) -> Map:
    if rng.random() < 0.3:
        return Diagonal(_weight(rng, a, (prod(shape),)), shape)
    if len(shape) == 1 or rng.random() < 0.3:
        return _dense(rng, a, prod(shape), prod(shape))
    axes = len(shape) - 1
    weight = _weight(rng, a, (shape[0], shape[0], *(3,) * axes))
    return (Conv2d if axes == 2 else Conv1d)(shape, (3,) * axes, (1,) * axes, (1,) * axes, weight)


def _connect(
    rng: np.random.Generator, a: Arithmetic, source: int, path: tuple[Map, ...], delay: int
) -> IntegerConnection:
    """A connection whose shift leaves its sum within its share of the accumulator."""
    _, size = path_bounds(path, (9 if a.seen_input else a.input.high) if source == INPUT else 1)
    shift = int(rng.integers(-8, 1) if source == INPUT else rng.integers(-2, 7))
    least = 0 if a.shifts is None else a.shifts[0]
    if a.shifts is not None:
        shift = int(np.clip(shift + least, *a.shifts))
        while size * 2**least > a.accumulator.high // ROOM:  # too narrow for these weights at any shift
            path = tuple(replace(op, weight=op.weight // 4 * 2) if op.weighted else op for op in path)  # type: ignore[type-var]
            _, size = path_bounds(path, 9 if source == INPUT else 1)
    while shift > least and size * 2**shift > a.accumulator.high // ROOM:
        shift -= 1
    return IntegerConnection(source, path, shift, delay)


def _draw_leak(rng: np.random.Generator, a: Arithmetic, size: int) -> Leak:
    bits = int(rng.choice(a.leak.bits))
    one, each = 2**bits, (size if rng.random() < 0.5 else 1)
    if a.leak.power_of_two:
        keep = one - 2 ** rng.integers(0, bits + 1, each)
    elif rng.random() < 0.15:
        keep = rng.choice([0, one], each)
    else:
        keep = rng.integers(one // 4, one + 1, each)
    return Leak(np.broadcast_to(keep, (size,)).astype(np.int16), bits)


def _draw_neuron(rng: np.random.Generator, a: Arithmetic, size: int) -> IntegerNeuron:
    current = _draw_leak(rng, a, size) if rng.random() < 0.4 else None
    return IntegerNeuron(_draw_leak(rng, a, size), current)


def _with_threshold(rng: np.random.Generator, a: Arithmetic, layer: IntegerLayer, v: np.ndarray) -> IntegerLayer:
    """The layer with a threshold at a percentile of its membrane without resets, and a reset of any kind."""
    share = rng.uniform(50, 95)
    level = np.percentile(v, share, axis=(0, 1)) if rng.random() < 0.5 else np.percentile(v, share)
    reset = str(rng.choice(["subtract", "zero", "none"])) if a.one_threshold else ""
    level = np.median(level) if reset == "zero" else level
    vth = np.broadcast_to(np.clip(level, a.threshold_step, a.threshold_max), (layer.size,)).astype(np.int64)
    vth = vth // a.threshold_step * a.threshold_step
    if rng.random() < 0.05:
        vth = np.full(layer.size, a.threshold_max)
    n = layer.neuron
    neuron = IntegerNeuron(
        *(n.leak, n.current_leak, vth, reset or str(rng.choice(["subtract", "zero", "none"]))),  # type: ignore[arg-type]
        *(bool(rng.random() < 0.5), str(rng.choice(["leak", "update"]))),  # type: ignore[arg-type]
    )
    return IntegerLayer(layer.shape, layer.connections, layer.bias, neuron, layer.unit, layer.name)
