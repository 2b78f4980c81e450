"""Networks that can learn, drawn from a seed: those of conformance_networks.py with what learning refuses put right, and plans for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edge_anp import ondevice_plan
from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.integer import IntegerLayer, IntegerNetwork, Leak
from edge_anp.ondevice_plan import LEARN, LearningPlan
from edge_anp.ondevice_rates import make_plan
from edge_anp.synapses import Dense

STEPS = 12


def learning_network(seed: int) -> tuple[IntegerNetwork, str]:
    """A network, and the most of it that can learn (one of LEARN): convolutions, loops, delays and current-based layers among them."""
    rng = np.random.default_rng([seed, 2])
    net = random_network(seed)
    layers, last = net.layers, net.layers[-1]
    if not 2 <= last.size <= 60 or not all(map(ondevice_plan.plain, last.connections)):
        last = _read_out(rng, net)
        layers = tuple(_reading(x, len(layers) - 1, last.size) for x in layers)
    decode = "count" if net.decode == "first_spike" else net.decode
    net = replace(net, layers=(*layers[:-1], last), decode=decode)
    for learn in LEARN:
        fit = _fitted(net, learn)
        if not ondevice_plan.refusals(fit, learn, STEPS):
            return fit, learn
    raise AssertionError(f"seed {seed}: {ondevice_plan.refusals(fit, learn, STEPS)}")


def random_plan(seed: int, net: IntegerNetwork, learn: str) -> LearningPlan:
    """A plan with every option drawn; the rates are fast and traces loud, so that weights and traces reach their ends."""
    rng = np.random.default_rng([seed, 3])
    some = np.stack([random_raster(net, seed + 2 * k, STEPS) for k in range(3)], 1)
    options: dict[str, Any] = {
        "bits": int(rng.choice([16, 8])),
        "every": int(rng.choice([0, 0, 1, 2])),
        "guesses": int(rng.integers(1, 5)),
        "budget": int(rng.choice([0, 3, 5])),
        "rule": str(rng.choice(["feedback", "feedback", "feedback", "perturbation"])),
    }
    try:
        plan = make_plan(net, learn, some, **options)
    except (
        ondevice_plan.Unsupported
    ):  # no way of dense matrices leads from a hidden layer to the last: nothing to credit it by
        plan = make_plan(net, "readout", some, **options)
    faster, louder = int(rng.integers(0, 7)), int(rng.integers(0, 4))
    return replace(
        plan,
        synapses=tuple(replace(s, rate=max(1, s.rate - faster), gain=min(4, s.gain + louder)) for s in plan.synapses),
    )


def _read_out(rng: np.random.Generator, net: IntegerNetwork) -> IntegerLayer:
    """The last layer with as many neurons as answers, each of them reading the same sources through a dense matrix."""
    last, size = net.layers[-1], int(rng.integers(2, 13))
    connections = tuple(
        replace(c, path=(Dense(rng.integers(-128, 128, (size, ondevice_plan.size_of(net, c.source))).astype(np.int8)),))
        for c in last.connections
        if c.source != len(net.layers) - 1
    )
    n = last.neuron
    few = replace(
        n, leak=Leak(n.leak.keep[:1].repeat(size), n.leak.bits), vth=None if n.vth is None else n.vth[:1].repeat(size)
    )
    return replace(
        last, shape=(size,), connections=connections, neuron=few, bias=last.bias[:1].repeat(size), unit=np.ones(size)
    )


def _reading(layer: IntegerLayer, source: int, size: int) -> IntegerLayer:
    """A layer whose dense connections from `source` read `size` neurons."""
    return replace(
        layer,
        connections=tuple(
            replace(c, path=(Dense(np.resize(op.weight.T, (size, layer.size)).T.copy()),))
            if c.source == source and isinstance(op, Dense)
            else c
            for c in layer.connections
            for op in c.path[:1]
        ),
    )


def _fitted(net: IntegerNetwork, learn: str) -> IntegerNetwork:
    """The layers that `learn` names with one leak, no current, a delayed reset, positive thresholds and room for their drives."""
    layers = list(net.layers)
    for i in {i for i, _ in ondevice_plan.chosen(net, learn)} | {len(layers) - 1}:
        n, size = layers[i].neuron, layers[i].size
        leak = Leak(n.leak.keep[:1].repeat(size), n.leak.bits)
        vth = None if n.vth is None else np.clip(n.vth, 1, None)
        connections = tuple(
            replace(c, shift=min(c.shift, _room(net, c)), path=c.path) if ondevice_plan.plain(c) else c
            for c in layers[i].connections
        )
        layers[i] = replace(
            layers[i],
            neuron=replace(n, leak=leak, current_leak=None, vth=vth, reset_delay=True),
            connections=connections,
        )
    return replace(net, layers=tuple(layers))


def _room(net: IntegerNetwork, c: Any) -> int:
    """The largest shift at which 8 connections of weights of -128 fit into the accumulator."""
    most = ondevice_plan.size_of(net, c.source) * 128 * (127 if c.source < 0 else 1)
    return int(np.floor(np.log2(net.arithmetic.accumulator.high / 8 / most)))
