"""LOIHI2 as data: its ranges are checked at birth, its registers are Lava's, and quantize keeps within them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from edge_anp import quantize, reference, simulate
from edge_anp.errors import OutOfRange
from edge_anp.integer import (
    LOIHI2,
    MCU16,
    IntegerConnection,
    IntegerLayer,
    IntegerNetwork,
    IntegerNeuron,
    Leak,
    quantize_input,
    round_bias,
)
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import LIF, CubaLIF, Readout
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT, InputContract


def network(
    weight, shift=6, bias=0, vth: object = 64 * 100, arithmetic=LOIHI2, reset="zero", high=1, into="current", alpha=None
):
    w = np.asarray(weight, np.int16)
    n = len(w)
    current = None if alpha is None else Leak(np.full(n, alpha), 12)
    neuron = IntegerNeuron(Leak(np.full(n, 4000), 12), current, np.broadcast_to(np.asarray(vth), (n,)), reset, False)  # type: ignore[arg-type]
    ways = (IntegerConnection(INPUT, (Dense(w),), shift),)
    layer = IntegerLayer((n,), ways, np.full(n, bias), neuron, np.ones(n), "", into)  # type: ignore[arg-type]
    return IntegerNetwork(arithmetic, (layer,), InputContract((w.shape[1],), high=high))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weight": [[1, -2]]}, "both signs must be multiples of 2"),
        ({"weight": [[256, 2]]}, "weights reach 256, the limit is 255"),
        ({"weight": [[2]], "shift": 5}, r"a shift is 5; it must lie in 6\.\.13"),
        ({"weight": [[2]], "shift": 14}, "a shift is 14"),
        ({"weight": [[2]], "vth": 6401}, "multiple of 64"),
        ({"weight": [[2]], "vth": 0}, "positive"),
        ({"weight": [[2]], "vth": 2**17 * 64}, "the limit is 8388544"),
        ({"weight": [[2], [2]], "vth": [6400, 12800]}, "one where a reset is to zero"),
        ({"weight": [[2]], "bias": 4097}, "a bias has more than 13 bits"),
        ({"weight": [[2]], "bias": 4096 * 128}, "past 524160"),
        ({"weight": [[254] * 9], "high": 127, "shift": 6}, "its drive can reach"),
        ({"weight": [[2]], "arithmetic": MCU16, "shift": 0, "into": "membrane"}, "in mcu16 it adds to the current"),
    ],
)
def test_a_number_that_does_not_fit_is_named_at_birth(options, words):
    with pytest.raises(OutOfRange, match=words):
        network(**options)


def test_what_fits_is_born():
    network([[-256, 254]])
    network([[255, 1]])
    network([[-255, -1]], bias=4095 * 128)
    network([[2], [2]], vth=[6400, 12800], reset="subtract")


@pytest.mark.parametrize("b", [0, 1, -1, 4095, 4097, -8191, 9999, 123_456, -524_159, 600_000])
def test_a_bias_is_rounded_to_the_nearest_there_is(b):
    got = int(round_bias(LOIHI2, np.array([b]))[0])
    grid = {s * m << e for e in range(8) for m in range(4096) for s in (1, -1)} if abs(b) < 10_000 else None
    if grid is not None:
        assert abs(got - b) == min(abs(g - b) for g in grid)
    assert abs(got - np.clip(b, -524_160, 524_160)) <= 64
    assert int(round_bias(LOIHI2, np.array([got]))[0]) == got


def test_a_current_wraps_as_in_lava_and_a_membrane_does_not():
    """lava/proc/lif/models.py: u in -2^23 + 1 .. 2^23, past an end it comes back at the other; v stops at +-(2^23 - 1)."""
    net = network([[254] * 500], shift=6, alpha=4095, vth=(2**17 - 1) * 64, reset="none")
    x = np.ones((3, 500), np.int8)
    trace = reference.run(net, x)
    u = trace.states[0]["u"][:, 0]
    assert u[0] == 254 * 500 * 64
    want = int(u[0] * 4095 / 4096) + 254 * 500 * 64
    assert u[1] == want - 2**24
    assert trace.states[0]["v"][0, 0] == u[0]
    assert reference.fit(LOIHI2.current, np.array([2**23, 2**23 + 1, -(2**23)])).tolist() == [
        2**23,
        -(2**23) + 1,
        2**23,
    ]
    assert reference.fit(LOIHI2.membrane, np.array([2**23, -(2**23)])).tolist() == [2**23 - 1, -(2**23) + 1]


def test_a_bias_into_the_membrane_does_not_pass_the_current():
    quiet = np.zeros((3, 1), np.int8)
    late = network([[2]], bias=640, alpha=2048, vth=64_000, into="membrane")
    soon = network([[2]], bias=640, alpha=2048, vth=64_000)
    assert reference.run(late, quiet).states[0]["u"].tolist() == [[0], [0], [0]]
    assert reference.run(soon, quiet).states[0]["u"].tolist() == [[640], [960], [1120]]
    for net in (late, soon):
        want, got = reference.run(net, quiet), simulate.run(net, quiet[:, None])
        assert all(np.array_equal(want.states[0][n], got.states[0][n][:, 0]) for n in ("u", "v"))


def test_integers_that_need_no_rounding_are_mcu16_times_64():
    """Both are held against snnTorch where nothing rounds (test_reference.py); times 64 they are the same numbers."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (100, 5)).astype(np.int8)
    w = 2 * rng.integers(-3, 5, (4, 5))
    for reset in ("subtract", "zero", "none"):
        small = network(w.astype(np.int8), 0, 3, 9, MCU16, reset)
        keep = Leak(np.full(4, 256), 8)
        small = replace(small, layers=(replace(small.layers[0], neuron=replace(small.layers[0].neuron, leak=keep)),))
        large = network(w, 6, 3 * 64, 9 * 64, LOIHI2, reset)
        keep = Leak(np.full(4, 4096), 12)
        large = replace(large, layers=(replace(large.layers[0], neuron=replace(large.layers[0].neuron, leak=keep)),))
        a, b = reference.run(small, x), reference.run(large, x)
        assert np.array_equal(a.states[0]["v"] * 64, b.states[0]["v"])
        assert np.array_equal(a.spikes[0], b.spikes[0])
        assert a.spikes[0].any()


def floats(sizes=(12, 30, 4), neuron=None, readout=True, decode="membrane_mean"):
    torch.manual_seed(0)
    hidden = neuron or LIF(torch.tensor(0.9), torch.rand(sizes[1]) + 0.5, "zero", False)
    first = (Connection(INPUT, (Dense(torch.randn(sizes[1], sizes[0]) * 0.4, torch.randn(sizes[1]) * 0.1),)),)
    last = Readout(torch.tensor(0.95)) if readout else LIF(torch.tensor(0.9), torch.tensor(1.0), "zero", False)
    layers = (
        Layer((sizes[1],), first, hidden),
        Layer((sizes[2],), (Connection(0, (Dense(torch.randn(sizes[2], sizes[1]) * 0.3),)),), last),
    )
    return Network(layers, InputContract((sizes[0],)), decode)


@pytest.mark.parametrize("sizes", [(12, 30, 4), (900, 30, 4)])
@pytest.mark.parametrize(
    "neuron", [None, CubaLIF(torch.tensor(0.9), torch.tensor(1.0), "subtract", True, "update", torch.tensor(0.5))]
)
def test_quantize_keeps_within_every_range(sizes, neuron):
    """Wide layers too, whose full weights would leave the accumulator: an IntegerNetwork is born, and it agrees."""
    net = floats(sizes, neuron)
    raster = (torch.rand(30, 6, sizes[0]) < 0.2).float()
    integers, loss = quantize.quantize(net, raster, LOIHI2)
    assert integers.input.high == 1
    assert loss.agreement[0] is not None
    assert loss.agreement[0] > 0.9
    assert loss.answers_changed <= 1 / 6
    small, _ = quantize.quantize(net, raster[:, :1] * 7, LOIHI2)
    assert small.input.high == 7 or small.input.scale == 7
    vth = integers.layers[0].neuron.vth
    assert vth is not None
    if neuron is None:
        assert np.ptp(vth) == 0
        ratio = integers.layers[0].unit / net.layers[0].neuron.threshold.numpy()  # type: ignore[union-attr]
        assert np.allclose(ratio, ratio[0])


def test_fractional_bits_bring_the_integers_to_the_dequantized_floats():
    """With weights that the grid holds, all that is left is the leak's truncation; quantize leaves it bits enough to be silent."""
    from edge_anp.quantization_loss import dequantize

    net = floats((20, 40, 10), LIF(torch.tensor(0.9), torch.tensor(1.0), "zero", False), readout=False, decode="count")
    raster = (torch.rand(200, 4, 20) < 0.15).float()
    integers, _ = quantize.quantize(net, raster, LOIHI2)
    exact = replace(net, layers=tuple(dequantize(integers, i, old) for i, old in enumerate(net.layers)))
    from edge_anp.network import run

    with torch.no_grad():
        want = run(exact, raster)
    got = simulate.run(integers, quantize_input(raster.numpy(), integers.input))
    differ = sum(int((a.numpy() != b).sum()) for a, b in zip(want.spikes, got.spikes, strict=True))
    assert sum(int(s.sum()) for s in got.spikes) > 1000
    assert differ == 0
