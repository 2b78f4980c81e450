"""The networks and inputs that footprints are measured on, all from fixed seeds: their figures are budgets in git."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge_anp import reference
from edge_anp.integer import MCU16, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.synapses import Conv2d, Dense, MaxPool2d
from edge_anp.topology import INPUT, InputContract

STEPS, SEED = 40, 7


@dataclass(frozen=True, eq=False)
class Workload:
    """A network and a raster [T, I] for it."""

    net: IntegerNetwork
    raster: np.ndarray


def _layer(
    rng: np.random.Generator,
    name: str,
    size: int,
    sources: tuple[tuple[int, int, int], ...],
    keep: int,
    vth: int,
    input_shift: int = 2,
) -> IntegerLayer:
    """A plain LIF layer, its thresholds around `vth` as quantization leaves them; sources: (source, its size, scale of its weights)."""
    connections = tuple(
        IntegerConnection(
            s,
            (Dense(np.clip(rng.normal(0, scale, (size, n)), -127, 127).astype(np.int8)),),
            input_shift if s == INPUT else 2,
            int(s >= 0 and name == "hidden"),
        )
        for s, n, scale in sources
    )
    thresholds = rng.integers(vth - vth // 8, vth + vth // 8, size)
    neuron = IntegerNeuron(Leak(np.full(size, keep), 8), None, thresholds, "subtract")
    return IntegerLayer((size,), connections, np.zeros(size, np.int64), neuron, np.ones(size), name)


def sparse(inputs: int, count: int, steps: int = STEPS) -> np.ndarray:
    """Spikes [T, I], exactly `count` a step."""
    rng = np.random.default_rng([SEED, inputs, count])
    raster = np.zeros((steps, inputs), np.int8)
    for row in raster:
        row[rng.choice(inputs, count, replace=False)] = 1
    return raster


def dense() -> Workload:
    """One layer, 700 -> 128, 36 of 700 inputs active."""
    layer = _layer(np.random.default_rng(SEED), "only", 128, ((INPUT, 700, 40),), 230, 2500)
    return Workload(IntegerNetwork(MCU16, (layer,), InputContract((700,))), sparse(700, 36))


def recurrent() -> Workload:
    """40-64-10 with recurrence, 10 % of the input and 10 +- 2 % of the hidden layer active."""
    rng = np.random.default_rng(SEED)
    hidden = _layer(rng, "hidden", 64, ((INPUT, 40, 40), (0, 64, 20)), 230, 450)
    out = _layer(rng, "out", 10, ((0, 64, 40),), 243, 900)
    work = Workload(IntegerNetwork(MCU16, (hidden, out), InputContract((40,))), sparse(40, 4, 4 * STEPS))
    rate = reference.run(work.net, work.raster).spikes[0].mean()
    assert 0.08 <= rate <= 0.12, f"hidden activity is {rate:.3f}"
    return work


def graded() -> Workload:
    """8-128-10 with recurrence, the shape of the digits: half of its inputs are numbers of 1..127, 10 +- 2 % of the hidden layer spikes."""
    rng = np.random.default_rng(SEED)
    hidden = _layer(rng, "hidden", 128, ((INPUT, 8, 40), (0, 128, 20)), 230, 5000, -1)
    out = _layer(rng, "out", 10, ((0, 128, 40),), 243, 1500)
    numbers = sparse(8, 4, 4 * STEPS) * rng.integers(1, 128, (4 * STEPS, 8), np.int8)
    work = Workload(IntegerNetwork(MCU16, (hidden, out), InputContract((8,), scale=1 / 127)), numbers)
    rate = reference.run(work.net, work.raster).spikes[0].mean()
    assert 0.08 <= rate <= 0.12, f"hidden activity is {rate:.3f}"
    return work


def convolutional() -> Workload:
    """28x28 -> 8 maps of 5x5, max pool, 16 maps of 5x5, max pool -> 10; 5 % of the input active."""
    rng = np.random.default_rng(SEED)

    def conv(source: int, shape: tuple[int, ...], maps: int, vth: int, name: str) -> IntegerLayer:
        weight = np.clip(rng.normal(4, 30, (maps, shape[0], 5, 5)), -127, 127).astype(np.int8)
        op = Conv2d(shape, (5, 5), (1, 1), (0, 0), weight)
        pool = MaxPool2d(op.out_shape, (2, 2), (2, 2), (0, 0))
        size = pool.out_size
        neuron = IntegerNeuron(Leak(np.full(size, 230), 8), None, np.full(size, vth), "subtract")
        return IntegerLayer(
            pool.out_shape,
            (IntegerConnection(source, (op, pool), 2),),
            np.zeros(size, np.int64),
            neuron,
            np.ones(size),
            name,
        )

    one = conv(INPUT, (1, 28, 28), 8, 900, "conv1")
    two = conv(0, one.shape, 16, 2600, "conv2")
    out = _layer(rng, "out", 10, ((1, two.size, 20),), 243, 1500)
    return Workload(IntegerNetwork(MCU16, (one, two, out), InputContract((1, 28, 28))), sparse(784, 39, 10))


WORKLOADS: dict[str, Callable[[], Workload]] = {
    "dense": dense,
    "recurrent": recurrent,
    "graded": graded,
    "convolutional": convolutional,
}
