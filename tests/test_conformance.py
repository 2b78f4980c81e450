"""The kit finds what it is for: every branch occurs, and one changed number is named."""

import numpy as np
import pytest

from edge_anp import conformance
from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.integer import Trace


def test_every_branch_occurs_and_simulate_agrees():
    report = conformance.check(conformance.run_simulate, range(60), steps=30)
    assert report.first is None
    assert [b for b in conformance.BRANCHES if not report.coverage[b]] == []


def test_one_changed_membrane_is_named():
    def run(net, rasters):
        traces = conformance.run_simulate(net, rasters)
        states = tuple({n: v.copy() for n, v in s.items()} for s in traces[1].states)
        states[0]["v"][7, 0] += 1
        return [traces[0], Trace(traces[1].spikes, states)]

    report = conformance.check(run, [3], steps=10)
    assert report.first is not None
    assert "raster 1: step 7, layer 0, neuron 0: v is" in report.first


def test_the_same_seed_draws_the_same_network():
    a, b = random_network(5), random_network(5)
    for x, y in zip(a.layers, b.layers, strict=True):
        assert np.array_equal(x.bias, y.bias)
        assert [c.shift for c in x.connections] == [c.shift for c in y.connections]
    assert np.array_equal(random_raster(a, 5, 9), random_raster(b, 5, 9))


@pytest.mark.slow
def test_ten_million_neuron_steps(tmp_path):
    conformance.run_bench(10**7, tmp_path / "conformance.md")
    assert "| simulate |" in (tmp_path / "conformance.md").read_text()
