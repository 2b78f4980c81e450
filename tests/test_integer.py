"""A network whose numbers do not fit is not born, and its bounds are those that its sums can reach."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_anp import reference, simulate
from edge_anp.errors import OutOfRange
from edge_anp.integer import (
    MCU16,
    IntegerConnection,
    IntegerLayer,
    IntegerNetwork,
    IntegerNeuron,
    Leak,
    Register,
    path_bounds,
    quantize_input,
)
from edge_anp.synapses import AvgPool2d, Conv2d, Dense, SumPool2d
from edge_anp.topology import INPUT, InputContract


def network(*connections, bias=0, arithmetic=MCU16, vth=1, size=1, inputs=1, keep=200, bits=8):
    neuron = IntegerNeuron(Leak(np.full(size, keep), bits), None, np.full(size, vth), "subtract")
    layer = IntegerLayer((size,), connections, np.full(size, bias), neuron, np.ones(size), "first")
    return IntegerNetwork(arithmetic, (layer,), InputContract((inputs,)))


def dense(*weights, shift=0):
    return IntegerConnection(INPUT, (Dense(np.array([weights])),), shift)


HIGH = MCU16.accumulator.high


@pytest.mark.parametrize(
    ("fits", "fails", "message"),
    [
        ({"bias": HIGH}, {"bias": HIGH + 1}, f"drive can reach {HIGH + 1}, the limit is {HIGH}"),
        ({"vth": 2**14}, {"vth": 2**14 + 1}, "threshold is 16385, the limit is 16384"),
        ({"keep": 256}, {"keep": 257}, "keeps 257/256"),
        ({"bits": 12}, {"bits": 4}, "4 bits, mcu16 has 8 or 12"),
    ],
)
def test_the_edge_fits_and_one_more_does_not(fits, fails, message):
    network(dense(0), **{"keep": 1} | fits)
    with pytest.raises(OutOfRange, match=message) as error:
        network(dense(0), **{"keep": 1} | fails)
    assert "layer 0 (first)" in str(error.value)


@pytest.mark.parametrize(("fits", "fails"), [(127, 128), (-128, -129)])
def test_weights_at_their_edge(fits, fails):
    network(dense(fits))
    with pytest.raises(OutOfRange, match=f"weights reach {abs(fails)}, the limit is 127"):
        network(dense(fails))


def test_a_pooled_input_past_127():
    def pooled(k):
        pool = SumPool2d((1, k, 1), (k, 1), (1, 1), (0, 0))
        narrow = replace(MCU16, input=Register(8, "refuse"))
        hidden = network(dense(1)).layers[0]
        wide = replace(hidden, shape=(k,), connections=(IntegerConnection(INPUT, (Dense(np.ones((k, 1), int)),)),),
                       bias=np.zeros(k, int), neuron=replace(hidden.neuron, leak=Leak(np.ones(k, int), 8), vth=np.ones(k)))  # fmt: skip
        last = replace(hidden, connections=(IntegerConnection(0, (pool, Dense(np.ones((1, 1), int)))),))
        return IntegerNetwork(narrow, (wide, last), InputContract((1,)))

    pooled(127)
    with pytest.raises(OutOfRange, match=r"layer 1 .*integers up to 128, the limit is 127"):
        pooled(128)


def test_all_problems_at_once():
    with pytest.raises(OutOfRange) as error:
        network(dense(300), bias=2**25, vth=2**15, keep=300, bits=4)
    for word in ("weights", "drive", "threshold", "4 bits", "keeps 300"):
        assert word in str(error.value)


def test_a_mean_is_refused():
    with pytest.raises(OutOfRange, match=r"AvgPool2d .* has no meaning in integers"):
        network(IntegerConnection(INPUT, (AvgPool2d((1, 1, 1), (1, 1), (1, 1), (0, 0)),)))


@given(st.integers(0, 2**32), st.integers(-6, 0), st.integers(1, 1031))
def test_no_partial_sum_passes_its_bound(seed, shift, count):
    rng = np.random.default_rng(seed)
    w = rng.choice([-128, 127], (1, count)) if seed % 2 else rng.integers(-128, 128, (1, count))
    _, bound = path_bounds((Dense(w),), 127)
    x = (127 * np.sign(w[0]) * rng.choice([-1, 1])).astype(np.int8)
    assert np.abs(np.cumsum(w[0] * x.astype(np.int64))).max() <= bound <= HIGH
    net = network(IntegerConnection(INPUT, (Dense(w),), shift), inputs=count)
    raster = np.stack([x, -x])
    got = simulate._prepare(net.layers[0].connections[0], np.float32)(raster.astype(np.float32))
    assert got[:, 0].tolist() == [
        int(reference.drive(net.layers[0].connections[0], r.astype(np.int64))[0]) for r in raster
    ]


@given(st.integers(0, 2**32))
def test_a_convolution_keeps_its_bound(seed):
    rng = np.random.default_rng(seed)
    conv = Conv2d((2, 5, 5), (3, 3), (1, 1), (1, 1), rng.integers(-128, 128, (3, 2, 3, 3)))
    path = (conv, SumPool2d((3, 5, 5), (2, 2), (2, 2), (0, 0)))
    x = rng.choice([-127, 127], 50)
    assert np.abs(reference.drive(IntegerConnection(INPUT, path), x)).max() <= path_bounds(path, 127)[1]


def test_input_is_rounded_once():
    x = np.array([-1e9, -0.5, -0.49, 0.49, 0.5, 1e9])
    assert quantize_input(x, InputContract((6,))).tolist() == [-127, 0, 0, 0, 1, 127]
