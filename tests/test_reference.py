"""The reference is snnTorch where integers need no rounding, and its arithmetic is that of Python's integers."""

# torch types a part of a module as Tensor | Module, and snnTorch a parameter as float: neither says what is there.
# pyright: reportArgumentType=false, reportCallIssue=false

from dataclasses import replace
from fractions import Fraction
from math import floor, prod

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn

from edge_anp import reference
from edge_anp.integer import (
    MCU16,
    IntegerConnection,
    IntegerLayer,
    IntegerNetwork,
    IntegerNeuron,
    Leak,
    LeakGrid,
    Register,
)
from edge_anp.network import Network
from edge_anp.neurons import LIF, CubaLIF, per_neuron
from edge_anp.snntorch_model import read
from edge_anp.synapses import AvgPool2d, Conv2d, Dense, Diagonal, SumPool2d
from edge_anp.topology import INPUT, InputContract

STEPS, INPUTS = 200, 6
SHAPE = (2, 3, 2)  # of the layer; flat but for convolutional recurrence
N = prod(SHAPE)
CASES = [
    (kind, reset, delayed, loop)
    for kind in ("Leaky", "RLeaky", "Synaptic", "RSynaptic")
    for reset in ("subtract", "zero", "none")
    for delayed in (True, False)
    for loop in (("V", "dense", "conv") if kind[0] == "R" else ("",))
    if delayed or kind != "RSynaptic"  # a snnTorch bug: RSynaptic fails without reset delay
]


@pytest.mark.parametrize(("alpha", "beta"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize(("kind", "reset", "delayed", "loop"), CASES)
def test_integers_are_snntorch(kind, reset, delayed, loop, alpha, beta):
    rng = np.random.default_rng(len(kind) + 10 * alpha + beta)
    shape = {"dense": (N, N), "conv": (2, 2, 3, 3)}.get(loop, (N,))
    w, back = rng.integers(-3, 4, (N, INPUTS)), rng.integers(-2, 3, shape)
    layer_shape = SHAPE if loop == "conv" else (N,)
    raster, vth = rng.integers(-2, 3, (STEPS, INPUTS)).astype(np.int8), int(rng.integers(2, 9))
    synaptic = "Synaptic" in kind
    if (
        synaptic and alpha and beta
    ):  # two integrators: input in pairs that cancel, recurrence that inhibits, or they saturate
        raster[1::2] = -raster[::2]
        back = -np.abs(back) // 2

    leaks = ({"alpha": float(alpha)} if synaptic else {}) | {"beta": float(beta)}
    extra = {}
    if loop == "dense":
        extra = {"linear_features": N}
    elif loop == "conv":
        extra = {"conv2d_channels": 2, "kernel_size": 3}
    elif loop:
        extra = {"all_to_all": False, "V": torch.tensor(back, dtype=torch.float32)}
    cell = getattr(snn, kind)(
        **leaks, **extra, threshold=float(vth), reset_mechanism=reset, reset_delay=delayed, init_hidden=False
    )
    if loop in ("dense", "conv"):
        cell.recurrent.weight.data = torch.tensor(back, dtype=torch.float32)
        cell.recurrent.bias.data.zero_()
    spikes, mems = [], []
    states = [torch.zeros(1, *layer_shape) for _ in range(1 + synaptic + bool(loop))]
    with torch.no_grad():
        for x in raster:
            current = torch.tensor(w @ x, dtype=torch.float32).reshape(1, *layer_shape)
            out = cell(current, *states)
            spikes.append(out[0].flatten().numpy())
            mems.append(out[-1].flatten().numpy())
            states = list(out) if loop else list(out[1:])

    connections = [IntegerConnection(INPUT, (Dense(w.astype(np.int8)),))]
    if loop:
        b = back.astype(np.int8)
        same = (SHAPE, (3, 3), (1, 1), (1, 1))
        op = Dense(b) if loop == "dense" else Conv2d(*same, b) if loop == "conv" else Diagonal(b, (N,))
        connections.append(IntegerConnection(0, (op,), 0, 1))
    keep = lambda k: Leak(np.full(N, 256 * k), 8)  # noqa: E731
    zero = "leak" if kind == "Leaky" else "update"
    neuron = IntegerNeuron(keep(beta), keep(alpha) if synaptic else None, np.full(N, vth), reset, delayed, zero)
    layer = IntegerLayer(layer_shape, tuple(connections), np.zeros(N, np.int64), neuron, np.ones(N))
    trace = reference.run(IntegerNetwork(MCU16, (layer,), InputContract((INPUTS,))), raster)
    assert np.abs(trace.states[0]["v"]).max() < 2**15 - 1
    assert np.array_equal(trace.states[0]["v"], np.array(mems))
    assert np.array_equal(trace.spikes[0], np.array(spikes))
    assert 0 < trace.spikes[0].mean() < 1 or reset == "none"


def whole(network: Network) -> IntegerNetwork:
    """A network of whole numbers as it stands: unit 1, no shift; the mean of a window is its sum, its size taken from the weights."""
    layers = []
    for layer in network.layers:
        bias, connections = np.zeros(layer.size, np.int64), []
        for c in layer.connections:
            path, size = [], 1
            for op in c.path:
                if isinstance(op, AvgPool2d):
                    op, size = SumPool2d(op.in_shape, op.kernel, op.stride, op.padding), prod(op.kernel)
                elif op.weighted:
                    if getattr(op, "bias", None) is not None:
                        spread = layer.size // len(op.bias)
                        bias += op.bias.detach().numpy().astype(np.int64).repeat(spread)
                    w = op.weight.detach().numpy() / size
                    assert np.array_equal(w, w.astype(np.int8))
                    op = replace(op, weight=w.astype(np.int8), **({} if isinstance(op, Diagonal) else {"bias": None}))
                path.append(op)
            connections.append(IntegerConnection(c.source, tuple(path), 0, c.delay))
        n = layer.neuron
        assert isinstance(n, LIF)
        leaks = [
            Leak((256 * per_neuron(x, layer.shape).expand(layer.size)).numpy().astype(np.int16), 8)
            for x in (n.beta, *([n.alpha] if isinstance(n, CubaLIF) else []))
        ]
        vth = per_neuron(n.threshold, layer.shape).expand(layer.size).numpy().astype(np.int64)
        neuron = IntegerNeuron(leaks[0], leaks[1] if len(leaks) > 1 else None, vth, n.reset, n.reset_delay, n.zero)
        layers.append(IntegerLayer(layer.shape, tuple(connections), bias, neuron, np.ones(layer.size), layer.name))
    return IntegerNetwork(MCU16, tuple(layers), network.input)


def leak(*shape: int) -> torch.Tensor:
    """Zeros and ones."""
    return torch.randint(0, 2, shape).float()


CELL = {"init_hidden": True, "reset_delay": False}
NETWORKS = {
    "conv2d": lambda: nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), groups=2),
        snn.Leaky(beta=leak(4, 1, 1), threshold=4.0, init_hidden=True),
        nn.MaxPool2d(2, stride=1),
        nn.Conv2d(4, 3, 2, bias=False),
        snn.Synaptic(alpha=0.0, beta=1.0, threshold=2.0, reset_mechanism="zero", init_hidden=True),
        nn.Flatten(),
        nn.LazyLinear(5),
        snn.RLeaky(beta=leak(5), linear_features=5, threshold=3.0, init_hidden=True),
    ),
    "mean of spikes": lambda: nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.MaxPool2d(2, padding=1),
        snn.Leaky(beta=1.0, threshold=5.0, **CELL),
        nn.AvgPool2d((2, 2), stride=1),
        nn.Conv2d(3, 4, (1, 2)),
        snn.Leaky(
            beta=0.0, threshold=torch.tensor([2.0, 3.0, 4.0, 5.0])[:, None, None], **CELL, reset_mechanism="zero"
        ),
    ),
    "conv1d": lambda: nn.Sequential(
        nn.Flatten(2),
        nn.Conv1d(2, 4, 5, stride=2, padding=2, groups=2),
        snn.RLeaky(beta=1.0, all_to_all=False, V=-2.0, threshold=6.0, reset_mechanism="zero", init_hidden=True),
        nn.Conv1d(4, 2, 3, stride=3),
        snn.RSynaptic(alpha=0.0, beta=0.0, all_to_all=False, V=1.0, threshold=1.0, init_hidden=True),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_of_integers_are_snntorch(name):
    """Strides, padding, groups and pools: spikes and membranes of every layer over 200 steps."""
    torch.manual_seed(1)
    module = NETWORKS[name]().eval()
    shape = (2, 6, 5)
    module(torch.zeros(1, *shape))
    for before, m in zip((None, *module), (*module, None), strict=True):
        for part, p in m.named_parameters() if m is not None else ():
            size = 4 if part == "weight" and isinstance(before, nn.AvgPool2d) else 1
            p.data = size * torch.randint(-2, 3, p.shape).float()
    raster = torch.randint(-1, 3, (STEPS, 1, *shape)).float()
    trace = reference.run(whole(read(module, raster[:5]).network), raster.flatten(1).numpy().astype(np.int8))
    cells = [m for m in module if isinstance(m, snn.SpikingNeuron)]
    for cell in cells:
        cell.reset_mem()
    with torch.no_grad():
        for t, x in enumerate(raster):
            layer = 0
            for m in module:
                x = m(x)
                if m in cells:
                    assert np.array_equal(trace.states[layer]["v"][t], m.mem.flatten().numpy())
                    assert np.array_equal(trace.spikes[layer][t], x.flatten().numpy())
                    layer += 1
    assert all(0.005 < s.mean() < 0.95 for s in trace.spikes), [s.mean() for s in trace.spikes]


V = np.arange(-(2**15), 2**15)


@pytest.mark.parametrize(("bits", "keep"), [(s, k) for s in (8, 12) for k in (0, 1, 2 ** (s - 1), 2**s - 1, 2**s)])
@pytest.mark.parametrize("rounding", ["nearest", "floor", "zero"])
def test_leak_rounds_as_it_says(bits, keep, rounding):
    got = reference.leak(LeakGrid((bits,), rounding), Leak(np.full(1, keep), bits), V)
    exact = {
        "nearest": lambda v: (v * keep + 2 ** (bits - 1)) // 2**bits,
        "floor": lambda v: v * keep // 2**bits,
        "zero": lambda v: -(-v * keep // 2**bits) if v < 0 else v * keep // 2**bits,
    }[rounding]
    assert got.tolist() == [exact(v) for v in V.tolist()]


def test_fit_saturates_or_wraps():
    x = np.array([-32769, -32768, -1, 0, 32767, 32768, 98304])
    assert reference.fit(Register(16, "saturate"), x).tolist() == [-32768, -32768, -1, 0, 32767, 32767, 32767]
    assert reference.fit(Register(16, "wrap"), x).tolist() == [32767, -32768, -1, 0, 32767, -32768, -32768]


@pytest.mark.parametrize("shift", [-9, -1, 0, 1, 5])
def test_shift_rounds_ties_up(shift):
    c = IntegerConnection(INPUT, (Diagonal(np.ones(1, np.int8), (len(V),)),), shift)
    want = [floor(Fraction(v) * Fraction(2) ** shift + Fraction(shift < 0, 2)) for v in V[::7].tolist()]
    assert reference.drive(c, V)[::7].tolist() == want
