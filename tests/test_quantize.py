"""quantize: what it promises about units, leaks, input and loss."""

import numpy as np
import pytest
import torch

from edge_anp import network as floats
from edge_anp import reference
from edge_anp.errors import OutOfRange
from edge_anp.integer import MCU16, LeakGrid, quantize_input
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import LIF, CubaLIF, Readout
from edge_anp.quantization_loss import dequantize, spike_agreement
from edge_anp.quantize import input_scale, quantize, quantize_leak
from edge_anp.synapses import AvgPool2d, Conv2d, Dense, Diagonal, MaxPool2d
from edge_anp.topology import INPUT, InputContract


def recurrent(seed: int = 0, inputs: int = 12, hidden: int = 32, **lif) -> Network:
    g = torch.Generator().manual_seed(seed)
    w, r, o = (torch.randn(*s, generator=g) / s[1] ** 0.5 for s in ((hidden, inputs), (hidden, hidden), (5, hidden)))
    bias = 0.1 * torch.randn(hidden, generator=g)
    layer = Layer(
        (hidden,),
        (Connection(INPUT, (Dense(1.5 * w, bias),)), Connection(0, (Dense(0.3 * r),), 1)),
        LIF(torch.tensor(0.9), torch.tensor(1.0), **lif),
        "hidden",
    )
    readout = Layer((5,), (Connection(0, (Dense(o),)),), Readout(torch.tensor(0.95)), "out")
    return Network((layer, readout), InputContract((inputs,)), "membrane_mean")


def convolutional() -> Network:
    g = torch.Generator().manual_seed(1)
    weight, bias = torch.randn(4, 1, 3, 3, generator=g), 0.1 * torch.randn(4, generator=g)
    conv = (Conv2d((1, 8, 8), (3, 3), (1, 1), (1, 1), weight, bias), MaxPool2d((4, 8, 8), (2, 2), (2, 2), (0, 0)))
    dense = (AvgPool2d((4, 4, 4), (2, 2), (2, 2), (0, 0)), Dense(torch.randn(6, 16, generator=g)))
    return Network(
        (
            Layer(
                (4, 4, 4), (Connection(INPUT, conv),), LIF(torch.tensor(0.5), torch.rand(4, 1, 1, generator=g) + 0.5)
            ),
            Layer(
                (6,), (Connection(0, dense),), CubaLIF(torch.tensor(0.9), torch.tensor(1.0), alpha=torch.tensor(0.7))
            ),
        ),
        InputContract((1, 8, 8)),
    )


def raster(inputs: int, steps: int = 40, batch: int = 16, seed: int = 3) -> torch.Tensor:
    return torch.rand(steps, batch, inputs, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("network", [recurrent(), recurrent(reset="zero", reset_delay=False), convolutional()])
def test_spikes_agree_and_no_state_saturates_in_calibration(network):
    x = raster(network.input.size)
    net, loss = quantize(network, x)
    assert min(a for a in loss.agreement if a is not None) > 0.85
    assert loss.saturated < 1e-3
    trace = reference.run(net, quantize_input(x[:, 0].numpy(), net.input))
    assert trace.spikes[0].any()


@pytest.mark.parametrize("network", [recurrent(), convolutional()])
def test_a_weight_is_rounded_to_a_near_step(network):
    """w_q unit 2^F / scale: half a step from w where a synapse is rounded by itself, a few where it makes up for others."""
    net, _ = quantize(network, raster(network.input.size))
    for i, layer in enumerate(network.layers):
        back = dequantize(net, i, layer)
        for old, new, c in zip(layer.connections, back.connections, net.layers[i].connections, strict=False):
            w, w_back = (next(op for op in path if op.weighted) for path in (old.path, new.path))
            q = torch.from_numpy(next(op for op in c.path if op.weighted).weight)
            kept = q != 0
            step = w_back.weight[kept] / q[kept]
            assert kept.float().mean() > 0.9
            limit = 4 if isinstance(w, Dense) else 0.5001
            assert ((w.weight - w_back.weight)[kept].abs() <= limit * step).all()


def test_quantized_layer_reproduces_the_float_layer_when_dequantized_entirely():
    network = convolutional()
    x = raster(network.input.size)
    net, _ = quantize(network, x)
    from dataclasses import replace

    whole = replace(network, layers=tuple(dequantize(net, i, layer) for i, layer in enumerate(network.layers)))
    a, b = floats.run(whole, x), floats.run(network, x)
    assert spike_agreement(a.spikes[0].numpy() > 0, b.spikes[0].numpy() > 0) > 0.97


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0, 1], 1.0),
        ([0, 3, 127], 1.0),
        ([-2, 5], 1.0),
        ([0.0, 0.25, 1.0], 0.25),
        ([0.1, 0.37, 1.27], 0.01),
        ([0.0], 1.0),
    ],
)
def test_input_scale_is_exact_where_it_can_be(values, scale):
    x = np.array(values, np.float32).reshape(-1, 1, 1)
    got = input_scale(x, 127)
    assert got == pytest.approx(scale)
    assert np.abs(quantize_input(x, InputContract((1,), None, got)) * got - x).max() < 1e-5


@pytest.mark.parametrize(
    ("beta", "bits"), [(0.9, 8), (0.95, 8), (0.5, 8), (1.0, 8), (0.0, 8), (0.985, 8), (0.995, 12), (0.999, 12)]
)
def test_a_leak_keeps_one_minus_beta_within_five_percent(beta, bits):
    leak = quantize_leak(np.array([beta]), MCU16.leak)
    assert leak.bits == bits
    assert abs(leak.keep[0] / 2**leak.bits - beta) <= 0.05 * (1 - beta) + 1e-12


def test_a_grid_of_powers_of_two_is_kept_to():
    leak = quantize_leak(np.array([0.9, 0.5, 1.0, 0.97]), LeakGrid((8,), "floor", power_of_two=True))
    lost = 256 - leak.keep
    assert not np.any(lost & (lost - 1))


def test_numbers_that_cannot_fit_are_out_of_range():
    wide = 40_000
    layer = Layer(
        (1,), (Connection(INPUT, (Dense(torch.ones(1, wide)),)),), LIF(torch.tensor(0.5), torch.tensor(1.0)), "wide"
    )
    network = Network((layer,), InputContract((wide,)))
    x = torch.zeros(2, 1, wide)
    x[0, 0, 0] = 0.3123
    with pytest.raises(OutOfRange, match=r"layer 0 \(wide\).*limit is 16777215"):
        quantize(network, x)


def test_an_all_zero_row_takes_the_layers_unit():
    network = recurrent()
    with torch.no_grad():
        network.layers[0].connections[0].path[0].weight[0] = 0
        network.layers[0].connections[0].path[0].bias[0] = 0
        network.layers[0].connections[1].path[0].weight[0] = 0
    net, _ = quantize(network, raster(12))
    assert np.isfinite(net.layers[0].unit).all()
    assert (net.layers[0].unit > 0).all()


def test_diagonal_recurrence_and_identity_paths_are_quantized():
    one = Layer(
        (12,),
        (Connection(INPUT, ()), Connection(0, (Diagonal(torch.tensor(-0.4), (12,)),), 1)),
        LIF(torch.tensor(0.8), torch.tensor(1.5)),
    )
    _, loss = quantize(Network((one,), InputContract((12,))), raster(12))
    assert loss.agreement[0] is not None
    assert loss.agreement[0] > 0.95
