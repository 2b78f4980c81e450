"""Small random networks that every rule is asked about."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from edge_anp.learning.rule import Ask, Signal
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import LIF, CubaLIF, Readout
from edge_anp.synapses import Dense, Diagonal
from edge_anp.topology import INPUT, InputContract

INPUTS, HIDDEN, OUTPUTS = 5, 12, 4


def build(
    seed=0, reset: Any = "subtract", reset_delay=True, zero: Any = "leak", recurrence="dense", decode="membrane_mean",
    alpha=None, hidden=HIDDEN, inputs=INPUTS, outputs=OUTPUTS, current_based=False, per_neuron=True, dtype=torch.float64,
):  # fmt: skip
    """input -> hidden LIF with leaks and thresholds of its neurons' own -> readout; weights that make about a third of the steps spike."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape, gain=1.0):
        return (torch.randn(shape, generator=g, dtype=dtype) * gain).requires_grad_()

    def between(low, high, n):
        return low + (high - low) * torch.rand(n, generator=g, dtype=dtype)

    connections = [Connection(INPUT, (Dense(normal(hidden, inputs, gain=0.9), normal(hidden, gain=0.2)),))]
    if recurrence == "dense":
        op = Dense(normal(hidden, hidden, gain=0.8 / math.sqrt(hidden)), normal(hidden, gain=0.1))
        connections.append(Connection(0, (op,), delay=1))
    elif recurrence == "diagonal":
        connections.append(Connection(0, (Diagonal(normal(hidden, gain=0.5), (hidden,)),), delay=1))
    elif recurrence == "scalar":
        connections.append(Connection(0, (Diagonal(normal(gain=0.5), (hidden,)),), delay=1))
    leaks = between(0.7, 0.95, hidden), between(0.8, 1.2, hidden)
    if not per_neuron:
        leaks = leaks[0][0], leaks[1][0]
    if current_based:
        neuron = CubaLIF(*leaks, reset, reset_delay, zero, alpha=between(0.3, 0.8, hidden))
    else:
        neuron = LIF(*leaks, reset, reset_delay, zero)
    kappa = between(0.8, 0.95, outputs)
    answer = Readout(kappa if per_neuron else kappa[0], None if alpha is None else torch.tensor(alpha, dtype=dtype))
    out = Connection(0, (Dense(normal(outputs, hidden, gain=1 / math.sqrt(hidden)), normal(outputs, gain=0.1)),))
    layers = Layer((hidden,), tuple(connections), neuron, "hidden"), Layer((outputs,), (out,), answer, "readout")
    return Network(layers, InputContract((inputs,)), decode)


def draw(seed=0, steps=11, batch=6, inputs=INPUTS, outputs=OUTPUTS, dtype=torch.float64):
    """A raster [T, B, I] and labels [B]."""
    g = torch.Generator().manual_seed(1000 + seed)
    return torch.randn(steps, batch, inputs, generator=g, dtype=dtype), torch.randint(outputs, (batch,), generator=g)


def ask(targets, signal=Signal.LABEL, classes=OUTPUTS):
    return Ask(Signal(signal), targets, classes)


def cosine(a, b):
    """Of two sets of gradients by name, all numbers of a set as one vector; the names must agree."""
    assert a.keys() == b.keys()
    x, y = (torch.cat([g[name].flatten().double() for name in sorted(a)]) for g in (a, b))
    return float(x @ y / (x.norm() * y.norm()))


@pytest.fixture
def make():
    return build


@pytest.fixture
def data():
    return draw


@pytest.fixture
def asking():
    return ask


@pytest.fixture
def alike():
    return cosine
