"""Costs are counts: by hand on a small network, by brute force on random ones, and energy is never one number."""

import numpy as np
import pytest

from edge_anp import cost
from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.integer import MCU16, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.reference import apply, run
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT, InputContract

WEIGHT = np.array([[5, 0, 5], [0, 0, 9]], np.int8)
NEURON = IntegerNeuron(Leak(np.zeros(2, int), 8), None, np.full(2, 4), "subtract")
NET = IntegerNetwork(
    MCU16,
    (IntegerLayer((2,), (IntegerConnection(INPUT, (Dense(WEIGHT),)),), np.zeros(2, int), NEURON, np.ones(2)),),
    InputContract((3,)),
)


def test_a_count_by_hand():
    """Inputs 0 and 2 spike in step 0: weights 5, and 5 and 9. Nothing in step 1."""
    found = cost.measure(NET, [np.array([[1, 0, 1], [0, 0, 0]], np.int8)])
    assert (found.dense, found.effective_acs, found.effective_macs) == (6.0, 1.5, 0.0)
    assert found.connection_sparsity == 0.5
    assert found.activation_sparsity == 0.5  # both neurons in step 0
    assert (found.membrane_updates, found.footprint) == (2.0, 6 + 2 * 2)


def test_numbers_are_multiplied():
    found = cost.measure(NET, [np.array([[-7, 0, 0]], np.int8)])
    assert (found.effective_macs, found.effective_acs) == (1.0, 0.0)


@pytest.mark.parametrize("seed", range(8))
def test_effective_operations_are_what_a_changed_input_changes(seed):
    """Brute force: one operation for each input that is there and each output that it reaches alone."""
    net = random_network(seed)
    raster = random_raster(net, 2 * seed, 3)
    c = net.layers[0].connections[0]
    if len(c.path) > 1 or c.delay or len(net.layers[0].connections) > 1:
        c = IntegerConnection(
            INPUT, (Dense(np.random.default_rng(seed).integers(-3, 4, (4, net.input.size)).astype(np.int8)),)
        )
    (op, *_) = c.path  # type: ignore[misc]
    want = sum(
        np.count_nonzero(apply(op, np.eye(net.input.size, dtype=int)[i])) for row in raster for i in np.flatnonzero(row)
    )
    _, effective = cost._operations(c, raster.astype(np.int64))
    assert effective == want


def test_energy_is_a_range_with_its_sources():
    found = cost.measure(NET, [np.ones((2, 3), np.int8)]).to_json()["Energy of a step"]
    assert isinstance(found, dict)
    low, high = found["joules"]
    assert 0 < low < high
    assert "Horowitz" in found["source"]
    assert "Davies" in found["source"]
    assert found["measured"] is False


def test_activation_sparsity_is_the_reference_s():
    net, raster = random_network(3), random_raster(random_network(3), 2, 20)
    trace = run(net, raster)
    there = [s for s, layer in zip(trace.spikes, net.layers, strict=True) if layer.neuron.vth is not None]
    want = 1 - sum(int(s.sum()) for s in there) / sum(s.size for s in there)
    assert cost.measure(net, [raster]).activation_sparsity == pytest.approx(want)
