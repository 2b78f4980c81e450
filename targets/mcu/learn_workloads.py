"""Networks that learn, from a seed, for tests and benchmarks: compiled, and driven one call at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_anp.integer import MCU16, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.ondevice import Learner
from edge_anp.ondevice_plan import LearningPlan
from edge_anp.ondevice_rates import make_plan
from edge_anp.synapses import Dense
from edge_anp.target import compile_to, find
from edge_anp.topology import INPUT, InputContract
from targets.mcu.learn_session import LearnSession

T = 10


def network(
    inputs: int = 16, hidden: int = 32, classes: int = 4, decode: str = "membrane_mean", deep: bool = False
) -> IntegerNetwork:
    """Inputs -> recurrent LIF (-> LIF) -> readout, or LIF where spikes are counted."""
    rng = np.random.default_rng(3)

    def weights(n: int, i: int, scale: int) -> tuple[Dense, ...]:
        return (Dense(np.clip(rng.normal(0, scale, (n, i)), -127, 127).astype(np.int8)),)

    def layer(n: int, connections: tuple[IntegerConnection, ...], keep: int, vth: int | None) -> IntegerLayer:
        limits = None if vth is None else np.full(n, vth)
        neuron = IntegerNeuron(Leak(np.full(n, keep), 8), None, limits, "none" if vth is None else "subtract")
        return IntegerLayer((n,), connections, np.full(n, 5), neuron, np.full(n, 1 / 500))

    one = IntegerConnection(INPUT, weights(hidden, inputs, 40), 3)
    back = IntegerConnection(0, weights(hidden, hidden, 30), 1, 1)
    layers = [layer(hidden, (one, back), 230, 500)]
    if deep:
        layers.append(layer(24, (IntegerConnection(0, weights(24, hidden, 40), 3),), 220, 400))
    source = len(layers) - 1
    out = IntegerConnection(source, weights(classes, layers[-1].size, 40), 2, int(deep))
    layers.append(layer(classes, (out,), 243, 300 if decode == "count" else None))
    return IntegerNetwork(
        MCU16, tuple(layers), InputContract((inputs,), None, 0.5 if decode == "membrane_last" else 1.0), decode
    )


def rasters(net: IntegerNetwork, count: int = 16) -> np.ndarray:
    """[T, S, I]: spikes, or numbers where the input is graded."""
    rng = np.random.default_rng(4)
    spikes = rng.random((T, count, net.input.size)) < 0.25
    return (spikes * (rng.integers(-60, 60, spikes.shape) if net.input.scale != 1 else 1)).astype(np.int8)


def compiled(folder: Path, net: IntegerNetwork, **options: Any) -> LearningPlan:
    """A folder of C, and its plan."""
    plan = make_plan(net, options.pop("learn", "all"), rasters(net), **options)
    compile_to(find("mcu"), net, folder, None, [rasters(net)[:, 0]], None, plan)
    return plan


def by_hand(one: Learner | LearnSession, raster: np.ndarray, label: int, guesses: int, rows: int = 0) -> None:
    """A trial through single calls, the same for the reference and for C."""
    number = one.begin()
    for x in raster:
        one.step(x)
    if guesses == 0:
        one.label(number, label)
    for _ in range(guesses):
        answer = one.answer()
        one.reward(number, 128 if answer == label else 32)
        if answer == label:
            break
    if isinstance(one, Learner):
        one.commit()
    else:
        while not one.commit(rows):
            pass
