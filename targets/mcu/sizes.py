"""How much flash and RAM a network will need, before any training: its shapes say it, whatever its weights will be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edge_anp.integer import MCU16, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.synapses import AvgPool2d, Convolution, Dense, Diagonal, Map, SumPool2d
from targets.mcu import tables


def estimate(network: Any) -> dict[str, int]:
    """Bytes of tables in flash and of state in RAM: those of an IntegerNetwork, or an upper bound for a float network.

    A bound, because a shift to the right may need a place for whole sums, and a leak of one number may be stored once.
    """
    net = network if isinstance(network, IntegerNetwork) else _shapes(network)
    table = tables.write(net)
    return {"flash": len(table.data), "RAM": table.state_bytes}


def _shapes(network: Any) -> IntegerNetwork:
    """A network of integers with the same shapes, every weight 0."""
    layers = []
    for layer in network.layers:
        connections = tuple(
            IntegerConnection(c.source, tuple(_path(c.path, layer.size)), -1, c.delay) for c in layer.connections
        )
        biased = any(getattr(op, "bias", None) is not None for c in layer.connections for op in c.path)
        bias = np.full(layer.size, int(biased), np.int64)
        layers.append(
            IntegerLayer(
                layer.shape, connections, bias, _neuron(layer.neuron, layer.size), np.ones(layer.size), layer.name
            )
        )
    return IntegerNetwork(MCU16, tuple(layers), network.input, network.decode)


def _path(path: tuple[Any, ...], size: int) -> Iterator[Map]:
    for op in path:
        if isinstance(op, Dense):
            yield Dense(np.zeros(tuple(op.weight.shape), np.int8))
        elif isinstance(op, Diagonal):
            yield Diagonal(np.zeros(size, np.int8), op.in_shape)
        elif isinstance(op, Convolution):
            yield type(op)(
                op.in_shape,
                op.kernel,
                op.stride,
                op.padding,
                np.zeros(tuple(op.weight.shape), np.int8),
                None,
                op.groups,
            )
        elif isinstance(op, AvgPool2d):
            yield SumPool2d(op.in_shape, op.kernel, op.stride, op.padding)
        else:
            yield op
    if not any(op.weighted for op in path):
        yield Diagonal(np.zeros(size, np.int8), (size,))


def _neuron(neuron: Any, size: int) -> IntegerNeuron:
    """Leaks that may differ from neuron to neuron, where the float network has more than one number."""

    def leak(value: Any) -> Leak:
        many = int(np.prod(getattr(value, "shape", ()))) > 1
        return Leak(np.arange(size) % 2 if many else np.zeros(size, np.int64), 8)

    current = None if getattr(neuron, "alpha", None) is None else leak(neuron.alpha)
    if not hasattr(neuron, "threshold"):
        return IntegerNeuron(leak(neuron.beta), current)
    return IntegerNeuron(
        leak(neuron.beta), current, np.ones(size, np.int64), neuron.reset, neuron.reset_delay, neuron.zero
    )
