"""The reference is snnTorch where integers need no rounding, and its arithmetic is that of Python's integers."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
import snntorch as snn
import torch

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
from edge_anp.synapses import Dense, Diagonal
from edge_anp.topology import INPUT, InputContract

STEPS, INPUTS, N = 200, 6, 5
CASES = [
    (kind, reset, delayed, loop)
    for kind in ("Leaky", "RLeaky", "Synaptic", "RSynaptic")
    for reset in ("subtract", "zero", "none")
    for delayed in (True, False)
    for loop in (("V", "dense") if kind[0] == "R" else ("",))
    if delayed or kind != "RSynaptic"  # a snnTorch bug: RSynaptic fails without reset delay
]


@pytest.mark.parametrize(("alpha", "beta"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize(("kind", "reset", "delayed", "loop"), CASES)
def test_integers_are_snntorch(kind, reset, delayed, loop, alpha, beta):
    rng = np.random.default_rng(len(kind) + 10 * alpha + beta)
    w, back = rng.integers(-3, 4, (N, INPUTS)), rng.integers(-2, 3, (N, N) if loop == "dense" else N)
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
        extra = {"all_to_all": True, "linear_features": N}
    elif loop:
        extra = {"all_to_all": False, "V": torch.tensor(back, dtype=torch.float32)}
    cell = getattr(snn, kind)(
        **leaks, **extra, threshold=float(vth), reset_mechanism=reset, reset_delay=delayed, init_hidden=False
    )
    if loop == "dense":
        cell.recurrent.weight.data = torch.tensor(back, dtype=torch.float32)
        cell.recurrent.bias.data.zero_()
    spikes, mems = [], []
    states = [torch.zeros(1, N) for _ in range(1 + synaptic + bool(loop))]
    with torch.no_grad():
        for x in raster:
            current = torch.tensor((w @ x)[None], dtype=torch.float32)
            out = cell(current, *states)
            spikes.append(out[0][0].numpy())
            mems.append(out[-1][0].numpy())
            states = list(out) if loop else list(out[1:])

    connections = [IntegerConnection(INPUT, (Dense(w.astype(np.int8)),))]
    if loop:
        op = Dense(back.astype(np.int8)) if loop == "dense" else Diagonal(back.astype(np.int8), (N,))
        connections.append(IntegerConnection(0, (op,), 0, 1))
    keep = lambda k: Leak(np.full(N, 256 * k), 8)  # noqa: E731
    zero = "leak" if kind == "Leaky" else "update"
    neuron = IntegerNeuron(keep(beta), keep(alpha) if synaptic else None, np.full(N, vth), reset, delayed, zero)
    layer = IntegerLayer((N,), tuple(connections), np.zeros(N, np.int64), neuron, np.ones(N))
    trace = reference.run(IntegerNetwork(MCU16, (layer,), InputContract((INPUTS,))), raster)
    assert np.abs(trace.states[0]["v"]).max() < 2**15 - 1
    assert np.array_equal(trace.states[0]["v"], np.array(mems))
    assert np.array_equal(trace.spikes[0], np.array(spikes))


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
