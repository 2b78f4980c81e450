"""Leaks, shifts and saturation in onnxruntime are the reference's, at every edge."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from edge_anp import reference
from edge_anp.conformance_networks import random_network
from edge_anp.integer import MCU16, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.synapses import Dense, Diagonal
from edge_anp.topology import INPUT, InputContract
from targets.onnx import TARGET
from targets.onnx.carried import Carried
from targets.onnx.graph import NUMPY, Graph
from targets.onnx.int32 import Int32

V = np.arange(-(2**15), 2**15)
EDGES = np.unique(np.clip(np.add.outer(2 ** np.arange(16), np.arange(-2, 3)), 0, 2**15 - 1))
FLAVORS = {"step_q": Carried(), "step_i32": Int32()}


def compute(values, type, make):
    """What onnxruntime makes of `values` with make(graph, tensor) -> tensor."""
    g = Graph()
    g.output(make(g, g.input("x", values.shape, type)), "y")
    session = onnxruntime.InferenceSession(g.model("test", {}).SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": values[None].astype(NUMPY[type])})[0])[0]


def leak(flavor, v, leak):
    layer = random_network(0).layers[0]
    layer = replace(layer, shape=v.shape, neuron=replace(layer.neuron, leak=leak))
    return compute(v, flavor.wide, lambda g, x: flavor.leak(g, layer, "v", x, "keep"))


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
@pytest.mark.parametrize(("bits", "keep"), [(s, k) for s in (8, 12) for k in (0, 1, 2 ** (s - 1) + 1, 2**s - 1, 2**s)])
def test_a_leak_is_exact_for_every_membrane(flavor, bits, keep):
    of = Leak(np.full(len(V), keep), bits)
    assert np.array_equal(leak(flavor, V, of), reference.leak(MCU16.leak, of, V))


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
@pytest.mark.parametrize("bits", [8, 12])
def test_a_leak_is_exact_for_every_keep(flavor, bits):
    v = np.concatenate([-EDGES - 1, EDGES])
    v, keep = (a.reshape(-1) for a in np.meshgrid(v, np.arange(2**bits + 1)))
    of = Leak(keep, bits)
    assert np.array_equal(leak(flavor, v, of), reference.leak(MCU16.leak, of, v))


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
@pytest.mark.parametrize("shift", [-24, -23, -12, -8, -3, -2, -1, 0, 1, 5, 9])
def test_a_shift_is_exact_over_the_accumulator(flavor, shift):
    half = 2 ** (-shift - 1) if shift < 0 else 0
    top = (2**24 - 1 - half) >> max(shift, 0)
    x = np.unique(np.clip(np.concatenate([V, *(s * (top - np.arange(70)) for s in (1, -1))]), -top, top))
    c = IntegerConnection(INPUT, (Diagonal(np.ones(1, np.int8), (len(x),)),), shift)
    got = compute(x, flavor.wide, lambda g, t: flavor.shifted(g, c, t, "c"))
    assert np.array_equal(got, reference.drive(c, x))


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_a_shift_of_nothing_may_be_large(flavor):
    c = IntegerConnection(INPUT, (Dense(np.zeros((2, 3), np.int8)),), 200)
    got = compute(np.ones(3), flavor.narrow, lambda g, t: flavor.shifted(g, c, t, "c"))
    assert got.tolist() == [0, 0]


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_a_drive_at_its_bound_saturates(flavor, tmp_path):
    """Leak and drive together pass 2^24, where float32 has no odd numbers; the register cannot tell."""
    bias = np.array([1, -1, 1, -1]) * (2**24 - 1 - 127 * 127)
    for current_leak in (None, Leak(np.full(4, 4096), 12)):
        neuron = IntegerNeuron(Leak(np.full(4, 256), 8), current_leak, np.full(4, 2**14), "subtract", False)
        connection = IntegerConnection(INPUT, (Dense(np.full((4, 1), 127, np.int8)),))
        net = IntegerNetwork(MCU16, (IntegerLayer((4,), (connection,), bias, neuron, np.ones(4)),), InputContract((1,)))
        raster = np.array([[127], [127], [-127], [-127], [0]])
        TARGET.lower(net, tmp_path)
        got = TARGET.open(tmp_path, flavor.runner).run(raster)
        want = reference.run(net, raster)
        assert np.abs(want.states[0]["v"]).max() >= 2**15 - 1
        assert all(np.array_equal(want.states[0][n], got.states[0][n]) for n in want.states[0])
