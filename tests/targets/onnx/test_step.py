"""Every flavor of a step is the reference, whatever the network."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from edge_anp import conformance, reference
from edge_anp.conformance_networks import random_network
from edge_anp.integer import MCU16, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.kinds import KINDS, kinds
from edge_anp.synapses import Conv1d, Conv2d, Dense, Diagonal, MaxPool2d, SumPool2d
from edge_anp.topology import INPUT, InputContract
from targets.onnx import TARGET
from targets.onnx.run import Session

EXACT = pytest.mark.parametrize("runner", TARGET.exact)


def open_reference(folder, runner):
    """The same session on ONNX's own reference implementation."""
    path = folder / f"{runner}.onnx"
    model = onnx.load(path)
    metadata = {p.key: p.value for p in model.metadata_props}
    types = onnx.helper.tensor_dtype_to_np_dtype
    inputs = {
        i.name: np.zeros([d.dim_value for d in i.type.tensor_type.shape.dim], types(i.type.tensor_type.elem_type))
        for i in model.graph.input
    }
    return Session(path, ReferenceEvaluator(model), inputs, metadata, "onnx.reference")


def executor(folder, runner, open=TARGET.open):
    def run(net, rasters):
        TARGET.lower(net, folder)
        session = open(folder, runner)
        return [session.run(r) for r in rasters]

    return run


def assert_equal(net, raster, folder):
    """reference, simulate and both flavors agree, and the network does something."""
    want = reference.run(net, raster)
    assert all(s.any() for s, layer in zip(want.spikes, net.layers, strict=True) if layer.neuron.vth is not None)
    traces = conformance.run_simulate(net, [raster])
    for runner in TARGET.exact:
        traces += executor(folder, runner)(net, [raster])
    assert [conformance.first_difference(want, got) for got in traces] == [None] * 3


@EXACT
def test_random_networks_are_the_reference(runner, tmp_path):
    assert conformance.check(executor(tmp_path, runner), range(80), steps=25).first is None


@EXACT
def test_onnx_itself_agrees(runner, tmp_path):
    report = conformance.check(executor(tmp_path, runner, open_reference), range(100, 155), steps=10)
    assert report.first is None
    assert report.neuron_steps > 10**5


def test_the_networks_above_are_of_every_kind():
    met = frozenset[str]().union(*(kinds(random_network(seed)) for seed in range(80)))
    assert met == set(KINDS) - {"graded input"}  # their scale is 1; numbers come all the same


def layer(shape, *connections, vth: int | None = 200, reset: Any = "subtract", **more):
    size = int(np.prod(shape))
    vths = None if vth is None else np.full(size, vth)
    neuron = IntegerNeuron(Leak(np.full(size, 3900), 12), None, vths, reset, **more)
    return IntegerLayer(shape, connections, np.zeros(size, np.int64), neuron, np.ones(size))


def weights(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).integers(-60, 80, shape).astype(np.int8)


def raster(size, steps=40):
    return np.random.default_rng(size).integers(-2, 4, (steps, size)).astype(np.int8)


def test_a_skip_a_loop_over_two_layers_and_a_delay_of_three(tmp_path):
    first = layer(
        (7,), IntegerConnection(INPUT, (Dense(weights(7, 5)),)), IntegerConnection(1, (Dense(weights(7, 6)),), 0, 1)
    )
    second = layer(
        (6,),
        IntegerConnection(0, (Dense(weights(6, 7)),), 2, 3),
        IntegerConnection(INPUT, (Dense(weights(6, 5)),), -1, 2),
    )
    last = layer(
        (4,), IntegerConnection(1, (Dense(weights(4, 6)),), 1), IntegerConnection(0, (Dense(weights(4, 7)),), 1)
    )
    net = IntegerNetwork(MCU16, (first, second, last), InputContract((5,)))
    assert {"skip connection", "loop over layers", "delay"} <= kinds(net)
    assert_equal(net, raster(5), tmp_path)


CONV = Conv2d((2, 6, 6), (3, 3), (1, 1), (1, 1), weights(4, 2, 3, 3))
GROUPED = Conv2d((4, 6, 6), (3, 3), (2, 1), (1, 0), weights(8, 2, 3, 3), None, 2)
SUM, MAX = SumPool2d((4, 6, 6), (2, 2), (2, 2), (0, 0)), MaxPool2d((4, 6, 6), (3, 3), (2, 2), (1, 1))
BACK = Conv2d((4, 6, 6), (3, 3), (1, 1), (1, 1), weights(4, 4, 3, 3) // 4)


@pytest.mark.parametrize(
    ("shape", "second"),
    [
        ((4, 3, 3), (SUM, Conv2d((4, 3, 3), (1, 1), (1, 1), (0, 0), weights(4, 4, 1, 1)))),
        ((4, 3, 3), (MAX, Conv2d((4, 3, 3), (1, 1), (1, 1), (0, 0), weights(4, 4, 1, 1)))),
        ((4, 3, 3), (Conv2d((4, 6, 6), (1, 1), (1, 1), (0, 0), weights(4, 4, 1, 1)), SUM)),
        ((4, 3, 3), (Conv2d((4, 6, 6), (1, 1), (1, 1), (0, 0), weights(4, 4, 1, 1)), MAX)),
        ((8, 3, 4), (GROUPED,)),
        ((10,), (MAX, SumPool2d((4, 3, 3), (3, 3), (3, 3), (0, 0)), Dense(weights(10, 4)))),
        ((4, 6, 6), (Diagonal(weights(144), (4, 6, 6)),)),
        ((4, 6, 6), (Dense(weights(144, 144)),)),
        ((12, 12), (Conv1d((4, 36), (3,), (3,), (0,), weights(12, 4, 3)),)),
        ((4, 6, 6), ()),
    ],
    ids=[
        "sum-conv",
        "max-conv",
        "conv-sum",
        "conv-max",
        "grouped",
        "pools-dense",
        "diagonal",
        "dense",
        "conv1d",
        "bare",
    ],
)
@pytest.mark.parametrize("shift", [-3, 0, 2])
def test_images(shape, second, shift, tmp_path):
    """Convolutional recurrence, then pools of spikes and of currents, groups, views and no synapse at all."""
    one = layer((4, 6, 6), IntegerConnection(INPUT, (CONV,)), IntegerConnection(0, (BACK,), 0, 1))
    vth = 0 if not second else 20 if shift < 0 else 300
    two = layer(shape, IntegerConnection(0, second, max(shift, 0) if not second else shift), vth=vth)
    assert_equal(IntegerNetwork(MCU16, (one, two), InputContract((2, 6, 6))), raster(72), tmp_path)


def test_a_flat_input_is_seen_as_an_image(tmp_path):
    pooled = (
        MaxPool2d((2, 6, 6), (2, 2), (2, 2), (0, 0)),
        Conv2d((2, 3, 3), (2, 2), (1, 1), (0, 0), weights(3, 2, 2, 2)),
    )
    one = layer((12,), IntegerConnection(INPUT, pooled), vth=10)
    assert_equal(IntegerNetwork(MCU16, (one,), InputContract((72,))), raster(72), tmp_path)


@pytest.mark.parametrize("zero", ["leak", "update"])
@pytest.mark.parametrize("delay", [True, False])
@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_current_based_with_every_reset(reset, delay, zero, tmp_path):
    one = layer((9,), IntegerConnection(INPUT, (Dense(weights(9, 5)),)), reset=reset, reset_delay=delay, zero=zero)
    one = replace(one, neuron=replace(one.neuron, current_leak=Leak(np.arange(9) * 30, 8)), bias=np.arange(9) - 4)
    out = layer((3,), IntegerConnection(0, (Dense(weights(3, 9)),)), vth=None, reset="none")
    out = replace(out, neuron=replace(out.neuron, current_leak=Leak(np.full(3, 200), 8)))
    assert_equal(IntegerNetwork(MCU16, (one, out), InputContract((5,)), "membrane_mean"), raster(5), tmp_path)
