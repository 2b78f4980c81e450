"""The list of kinds is whole, and floats and integers are seen alike."""

from dataclasses import replace

import pytest
import torch

from edge_anp import quantize
from edge_anp.conformance_networks import random_network
from edge_anp.kinds import KINDS, find_kinds, kinds
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import LIF, CubaLIF, Readout
from edge_anp.synapses import AvgPool2d, Conv1d, Conv2d, Dense, Diagonal
from edge_anp.topology import INPUT, InputContract


def test_nothing_is_met_that_is_not_listed():
    assert all(kinds(random_network(seed)) <= set(KINDS) for seed in range(60))


def lif(**more):
    return LIF(torch.tensor(0.9), torch.tensor(1.0), **more)


def dense(out, size):
    return Dense(torch.randn(out, size))


ONE = Layer((4,), (Connection(INPUT, (dense(4, 6),)),), lif())


def network(*layers, shape=(6,), decode="count", scale=1.0):
    return Network(layers, InputContract(shape, scale=scale), decode)


IMAGE = (1, 2, 3)
POOL = AvgPool2d(IMAGE, (2, 1), (1, 1), (0, 0))
CONV = Conv2d(IMAGE, (1, 1), (1, 1), (0, 0), torch.ones(2, 1, 1, 1))
BASE = {"decode count", "dense", "LIF", "reset subtract"}


@pytest.mark.parametrize(
    ("net", "more"),
    [
        (network(ONE), set()),
        (network(ONE, scale=0.5), {"graded input"}),
        (network(replace(ONE, neuron=lif(reset="zero", zero="update"))), {"reset zero by update"}),
        (network(replace(ONE, neuron=lif(reset="zero"))), {"reset zero by leak"}),
        (network(replace(ONE, neuron=lif(reset_delay=False))), {"immediate reset"}),
        (network(replace(ONE, neuron=lif(reset="none", reset_delay=False))), {"reset none"}),
        (network(replace(ONE, neuron=LIF(torch.rand(4), torch.tensor(1.0)))), {"per-neuron parameters"}),
        (network(replace(ONE, neuron=CubaLIF(torch.tensor(0.9), torch.tensor(1.0), alpha=0.3))), {"current-based LIF"}),
        (network(replace(ONE, connections=(*ONE.connections, Connection(0, (dense(4, 4),), 1)))), {"recurrence"}),
        (network(replace(ONE, connections=(*ONE.connections, Connection(0, (dense(4, 4),), 2)))), {"recurrence", "delay"}),
        (network(replace(ONE, connections=(Connection(INPUT, (dense(4, 6),), 1),))), {"delay"}),
        (network(ONE, replace(ONE, connections=(Connection(INPUT, (dense(4, 6),)),))), {"skip connection"}),
        (
            network(replace(ONE, connections=(*ONE.connections, Connection(1, (dense(4, 4),), 1))),
                    replace(ONE, connections=(Connection(0, (dense(4, 4),)),))),
            {"loop over layers"},
        ),
        (network(replace(ONE, connections=(Connection(INPUT, (Dense(torch.ones(4, 6), torch.ones(4)),)),))), {"bias"}),
        (network(ONE, Layer((4,), (Connection(0, (Diagonal(torch.ones(4), (4,)),)),), lif())), {"diagonal"}),
        (network(ONE, shape=IMAGE), {"flatten"}),
        (network(Layer((4,), (Connection(INPUT, (POOL, dense(4, 3))),), lif()), shape=IMAGE), {"sum pool", "flatten"}),
        (network(Layer((2, 2, 3), (Connection(INPUT, (CONV,)), Connection(INPUT, (dense(12, 6),))), lif())), {"conv2d", "view"}),
        (
            network(ONE, Layer((2, 2), (Connection(0, (Conv1d((2, 2), (1,), (1,), (0,), torch.ones(2, 1, 1), None, 2),)),), lif())),
            {"conv1d", "grouped conv", "view"},
        ),
    ],
)  # fmt: skip
def test_each_kind_is_seen(net, more):
    found = kinds(net)
    assert more <= found
    assert found - more <= BASE | ({"view"} if "skip connection" in more else set())


def test_a_kind_says_where_it_is():
    net = network(
        ONE, Layer((3,), (Connection(0, (dense(3, 4),)),), Readout(torch.tensor(0.9)), "out"), decode="membrane_last"
    )
    assert ("readout", "layer 1 (out)") in find_kinds(net)
    assert ("dense", "layer 0") in find_kinds(net)
    assert ("decode membrane_last", "the answer") in find_kinds(net)


def test_quantizing_changes_no_kind_but_the_input():
    torch.manual_seed(0)
    net = network(replace(ONE, neuron=lif(reset="zero", reset_delay=False)))
    integers, _ = quantize.quantize(net, torch.rand(20, 3, 6) * 4)
    assert kinds(integers) - {"graded input", "per-neuron parameters"} == kinds(net)
