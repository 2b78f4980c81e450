"""IntegerNetwork: what ships, in the number formats of a machine (arithmetic.py).

What the numbers mean is reference.py; that they fit is proven here, when a network is born.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np

from edge_anp import decode, storage, topology
from edge_anp.arithmetic import LOIHI2 as LOIHI2
from edge_anp.arithmetic import MCU16 as MCU16
from edge_anp.arithmetic import NETX as NETX
from edge_anp.arithmetic import Arithmetic, LeakGrid, Register
from edge_anp.errors import OutOfRange
from edge_anp.synapses import Conv1d, Conv2d, Convolution, Dense, Diagonal, Map, MaxPool2d, SumPool2d
from edge_anp.topology import INPUT, InputContract

VERSION = 1
SYNAPSES = (Dense, Diagonal, Conv1d, Conv2d, SumPool2d, MaxPool2d)


@dataclass(frozen=True, eq=False)
class Leak:
    """keep / 2^bits; keep [N], 0 <= keep <= 2^bits."""

    keep: np.ndarray
    bits: int


@dataclass(frozen=True, eq=False)
class IntegerNeuron:
    """leak of the membrane; current_leak makes a neuron current-based. Without vth it is a readout: no spikes, no reset.

    vth [N]; reset, reset_delay and zero as in neurons.py.
    """

    leak: Leak
    current_leak: Leak | None = None
    vth: np.ndarray | None = None
    reset: Literal["subtract", "zero", "none"] = "none"
    reset_delay: bool = True
    zero: Literal["leak", "update"] = "leak"

    @property
    def state_names(self) -> tuple[str, ...]:
        return ("v",) if self.current_leak is None else ("u", "v")


@dataclass(frozen=True, eq=False)
class IntegerConnection:
    """A path of int8 weights and pools; its whole sum is shifted once, by `shift` to the left (negative: rounded, to the right)."""

    source: int
    path: tuple[Map, ...]
    shift: int = 0
    delay: int = 0


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """Neurons of one kind; bias [N] adds to the drive, or, with bias_into "membrane", to the membrane past the current.

    unit [N]: the membrane's unit in the float network's numbers, for people.
    """

    shape: tuple[int, ...]
    connections: tuple[IntegerConnection, ...]
    bias: np.ndarray
    neuron: IntegerNeuron
    unit: np.ndarray
    name: str = ""
    bias_into: Literal["current", "membrane"] = "current"

    @property
    def size(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """One network, one meaning on every machine (reference.py)."""

    arithmetic: Arithmetic
    layers: tuple[IntegerLayer, ...]
    input: InputContract
    decode: str = "count"

    def __post_init__(self) -> None:
        decode.check(self.decode)
        topology.check(self.layers, self.input.size)
        problems = [p for i, layer in enumerate(self.layers) for p in _problems(self, i, layer)]
        if problems:
            raise OutOfRange("; ".join(problems))


@dataclass(frozen=True, eq=False)
class Trace:
    """What an integer network did: per layer spikes (uint8) and states by name, [T, N] for a sample or [T, B, N] for a batch."""

    spikes: tuple[np.ndarray, ...]
    states: tuple[dict[str, np.ndarray], ...]


def quantize_input(x: np.ndarray, contract: InputContract) -> np.ndarray:
    """clip(floor(x / scale + 1/2), -high, high) as int8: the only place where input is rounded."""
    whole = np.floor(np.asarray(x, np.float64) / contract.scale + 0.5)
    return np.clip(whole, -contract.high, contract.high).astype(np.int8)


def grain(a: Arithmetic, weight: np.ndarray | np.generic) -> int:
    """What the weights of a synapse are multiples of: more than 1 where a machine pays a bit for having both signs."""
    return a.mixed_step if weight.min(initial=0) < 0 < weight.max(initial=0) else 1


def round_bias(a: Arithmetic, bias: np.ndarray) -> np.ndarray:
    """The nearest biases that the machine has: mantissa 2^exponent with the smallest exponent that suffices."""
    bias = np.asarray(bias).astype(np.int64)
    if a.bias is None:
        return bias
    most = 2 ** (a.bias[0] - 1) - 1
    exponent = np.full(bias.shape, a.bias[1])
    for e in reversed(range(a.bias_step.bit_length() - 1, a.bias[1])):
        exponent[(np.abs(bias) + (1 << e >> 1)) >> e <= most] = e
    step = 1 << exponent
    return np.clip((bias + step // 2) // step, -most, most) * step


def source_max(net: IntegerNetwork, connection: IntegerConnection) -> int:
    """The largest value that a connection's source sends: 1 from spikes, 127 or less from the graded input."""
    return net.input.high if connection.source == INPUT else 1


def path_bounds(path: tuple[Map, ...], largest: int) -> tuple[int, int]:
    """(largest input of the weighted synapse, largest |sum|), for inputs of size up to `largest`.

    Dense and convolution: max_n sum_i |w_ni| times the input; a sum over k windows: k times; a maximum: the same.
    """
    into, size = largest, largest
    for op in path:
        if isinstance(op, Dense | Convolution):
            into = size
            rows = np.abs(op.weight.astype(np.int64)).reshape(len(op.weight), -1).sum(1)
            size *= int(rows.max(initial=0))
        elif isinstance(op, Diagonal):
            into = size
            size *= int(np.abs(op.weight.astype(np.int64)).max(initial=0))
        elif isinstance(op, SumPool2d):
            size *= prod(op.kernel)
    return into, size


def _problems(net: IntegerNetwork, i: int, layer: IntegerLayer) -> Iterator[str]:
    """Every number of a layer that does not fit its register, each with its limit."""
    a, who = net.arithmetic, f"layer {i}" + (f" ({layer.name})" if layer.name else "")
    total = int(np.abs(layer.bias.astype(np.int64)).max(initial=0))
    for c in layer.connections:
        for op in c.path:
            if not isinstance(op, SYNAPSES):
                yield f"{who}: {op.describe()} has no meaning in integers; it must be one of {', '.join(s.__name__ for s in SYNAPSES)}"
            weight = getattr(op, "weight", None)
            if weight is not None and (weight.min(initial=0) < a.weights.low or weight.max(initial=0) > a.weights.high):
                yield f"{who}: weights reach {int(np.abs(weight.astype(np.int64)).max())}, the limit is {a.weights.high} ({a.name})"
            elif weight is not None and np.any(weight % grain(a, weight)):
                yield f"{who}: weights of both signs must be multiples of {a.mixed_step} ({a.name})"
            if getattr(op, "bias", None) is not None:
                yield f"{who}: a connection has a bias of its own; in integers a bias belongs to the layer"
        into, size = path_bounds(c.path, source_max(net, c))
        if into > a.input.high:
            yield f"{who}: its synapse receives integers up to {into}, the limit is {a.input.high}; pool less before it"
        if a.shifts is not None and not a.shifts[0] <= c.shift <= a.shifts[1]:
            yield f"{who}: a shift is {c.shift}; it must lie in {a.shifts[0]}..{a.shifts[1]} ({a.name})"
        half = 2 ** (-c.shift - 1) if c.shift < 0 else 0
        shifted = size * 2**c.shift if c.shift >= 0 else (size + half) // 2**-c.shift
        if size + half > a.accumulator.high:
            yield f"{who}: the sum of a connection can reach {size + half}, the limit is {a.accumulator.high}"
        total += int(shifted)
    if total > a.accumulator.high:
        yield f"{who}: its drive can reach {total}, the limit is {a.accumulator.high}"
    for name, leak in (("leak", layer.neuron.leak), ("current leak", layer.neuron.current_leak)):
        if leak is None:
            continue
        if leak.bits not in a.leak.bits:
            yield f"{who}: its {name} has {leak.bits} bits, {a.name} has {' or '.join(map(str, a.leak.bits))}"
        if leak.keep.min(initial=0) < 0 or leak.keep.max(initial=0) > 2**leak.bits:
            yield f"{who}: its {name} keeps {int(leak.keep.max())}/{2**leak.bits}; it must lie in 0..1"
        lost = 2**leak.bits - leak.keep.astype(np.int64)
        if a.leak.power_of_two and np.any(lost & (lost - 1)):
            yield f"{who}: 1 - {name} is not a power of two, and {a.name} has no other leaks"
    vth = layer.neuron.vth
    if vth is not None and np.abs(vth.astype(np.int64)).max(initial=0) > a.threshold_max:
        yield f"{who}: its threshold is {int(np.abs(vth.astype(np.int64)).max())}, the limit is {a.threshold_max}"
    if vth is not None and np.any(vth % a.threshold_step):
        yield f"{who}: its threshold must be a multiple of {a.threshold_step} ({a.name})"
    if vth is not None and a.one_threshold and (vth.min() < 1 or (layer.neuron.reset == "zero" and np.ptp(vth))):
        yield f"{who}: thresholds are {vth.min()}..{vth.max()}; in {a.name} they are positive, and one where a reset is to zero"
    if np.any(layer.bias != round_bias(a, layer.bias)):
        yield f"{who}: a bias has more than {a.bias and a.bias[0]} bits before its exponent, or is past {a.bias_max} ({a.name})"
    if layer.bias_into == "membrane" and not a.membrane_bias:
        yield f"{who}: its bias adds to the membrane; in {a.name} it adds to the current"


CLASSES = (
    *(IntegerNetwork, IntegerLayer, IntegerConnection, IntegerNeuron, Leak, InputContract),
    *(Arithmetic, Register, LeakGrid, Dense, Diagonal, Conv1d, Conv2d, SumPool2d, MaxPool2d),
)


def save(net: IntegerNetwork, path: str | Path) -> None:
    """Write `integer.npz`: no pickle, versioned, with a checksum."""
    storage.write(path, "integer", VERSION, net)


def load(path: str | Path) -> IntegerNetwork:
    """Read `integer.npz`; raise BadFile for anything else."""
    return storage.read(path, "integer", VERSION, CLASSES)
