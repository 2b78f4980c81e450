"""A rate network, which snnTorch has not: 100 tanh neurons that read themselves, and a linear output at every step.

edge-anp train examples/rate_net.py:series --task mackey_glass --out runs/g
edge-anp train examples/rate_net.py:weather --task weather --data WTH.csv --rule anp --credit trace --decorrelate --out runs/b
"""

import torch

from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import Readout, Tanh
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT, InputContract


def weights(rows: int, columns: int) -> Dense:
    return Dense((torch.randn(rows, columns) * (2 / (rows + columns)) ** 0.5).requires_grad_())


def network(inputs: int, outputs: int, neurons: int = 100) -> Network:
    """h_t = tanh(W x_t + R h_{t-1}), y_t = V h_t."""
    reads = Connection(INPUT, (weights(neurons, inputs),)), Connection(0, (weights(neurons, neurons),), delay=1)
    hidden = Layer((neurons,), reads, Tanh())
    output = Layer((outputs,), (Connection(0, (weights(outputs, neurons),)),), Readout(torch.tensor(0.0)))
    return Network((hidden, output), InputContract((inputs,)), decode="membrane_mean")


def series() -> Network:
    """One number in, one out: mackey_glass, mackey_glass_forecast."""
    return network(1, 1)


def weather() -> Network:
    """Nine measurements of an hour in, the temperature of the next one out."""
    return network(9, 1)
