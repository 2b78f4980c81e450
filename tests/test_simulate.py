"""simulate is reference, on every machine that is data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_anp import conformance, reference, simulate
from edge_anp.conformance_networks import random_network
from edge_anp.integer import LOIHI2, Arithmetic, LeakGrid, Register


def machine(name, current, membrane, leak):
    """MCU16's weights and input with other states."""
    wide = max(current.bits, membrane.bits) > 16
    return Arithmetic(name, Register(8, "saturate"), Register(8, "refuse"), Register(25, "refuse"), current, membrane, leak,
                      2**17 if wide else 2**14)  # fmt: skip


POWERS = LeakGrid((4,), "floor", power_of_two=True)
MACHINES = [
    machine("powers", Register(16, "saturate"), Register(16, "saturate"), POWERS),
    machine("wraps", Register(16, "wrap"), Register(16, "wrap"), POWERS),
    LOIHI2,
]


@given(st.integers(0, 2**32), st.integers(1, 25))
def test_simulate_is_reference(seed, steps):
    assert conformance.check(conformance.run_simulate, [seed], steps).first is None


@pytest.mark.parametrize("arithmetic", MACHINES, ids=lambda a: a.name)
def test_a_machine_is_data(arithmetic):
    report = conformance.check(conformance.run_simulate, range(12), 25, arithmetic)
    assert report.first is None
    assert report.neuron_steps > 0


@pytest.mark.parametrize(("steps", "batch"), [(0, 2), (3, 0), (1, 1)])
@pytest.mark.parametrize("seed", range(12))
def test_nothing_in_nothing_out(seed, steps, batch):
    net = random_network(seed)
    trace = simulate.run(net, np.zeros((steps, batch, net.input.size), np.int8))
    assert [s.shape for s in trace.spikes] == [(steps, batch, x.size) for x in net.layers]
    if batch == 1:
        want = reference.run(net, np.zeros((steps, net.input.size), np.int8))
        assert all(np.array_equal(a[:, 0], b) for a, b in zip(trace.spikes, want.spikes, strict=True))


@pytest.mark.parametrize("run", [reference.run, simulate.run])
def test_minus_128_is_refused(run):
    net = random_network(0)
    shape = (1, net.input.size) if run is reference.run else (1, 1, net.input.size)
    with pytest.raises(ValueError, match=r"-127\.\.127"):
        run(net, np.full(shape, -128, np.int8))
