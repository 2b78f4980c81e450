"""IntegerNetwork: what ships. And Arithmetic: the number formats of a machine, as data, so that the next machine is data too.

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
from edge_anp.errors import OutOfRange
from edge_anp.synapses import Conv1d, Conv2d, Convolution, Dense, Diagonal, Map, MaxPool2d, SumPool2d
from edge_anp.topology import INPUT, InputContract

VERSION = 1
SYNAPSES = (Dense, Diagonal, Conv1d, Conv2d, SumPool2d, MaxPool2d)


@dataclass(frozen=True)
class Register:
    """A signed number of `bits` bits, and what happens to a value that does not fit: it saturates, wraps, or is refused at birth."""

    bits: int
    overflow: Literal["saturate", "wrap", "refuse"]

    @property
    def low(self) -> int:
        return -(2 ** (self.bits - 1))

    @property
    def high(self) -> int:
        return 2 ** (self.bits - 1) - 1


@dataclass(frozen=True)
class LeakGrid:
    """The leaks a machine has: keep / 2^S for each S in `bits`; with `power_of_two`, 1 - keep / 2^S is a power of two or 0 or 1.

    rounding: of v keep / 2^S to an integer: to nearest (ties toward +infinity), down (floor), or toward zero.
    """

    bits: tuple[int, ...]
    rounding: Literal["nearest", "floor", "zero"]
    power_of_two: bool = False


@dataclass(frozen=True)
class Arithmetic:
    """The number formats of a machine.

    accumulator: bounds the sum of weights times inputs, its shift and the bias; no partial sum, in any order, leaves it.
    """

    name: str
    weights: Register
    input: Register
    accumulator: Register
    current: Register
    membrane: Register
    leak: LeakGrid
    threshold_max: int

    @property
    def state_bits(self) -> int:
        """Bits that a state times a leak can need: above 30, int32 is too narrow for them."""
        return max(self.current.bits, self.membrane.bits) + max(self.leak.bits)


# Everything stays within 2^24, where float32 is exact; int16 states and int8 weights are what microcontrollers multiply fastest
# (design.md 5; measured in facts/mcu.md 2.3). Inputs are symmetric: -128 is never sent.
MCU16 = Arithmetic(
    name="mcu16",
    weights=Register(8, "saturate"),
    input=Register(8, "refuse"),
    accumulator=Register(25, "refuse"),
    current=Register(16, "saturate"),
    membrane=Register(16, "saturate"),
    leak=LeakGrid((8, 12), "nearest"),
    threshold_max=2**14,
)


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
    """Neurons of one kind; bias [N] adds to the drive. unit [N]: the membrane's unit in the float network's numbers, for people."""

    shape: tuple[int, ...]
    connections: tuple[IntegerConnection, ...]
    bias: np.ndarray
    neuron: IntegerNeuron
    unit: np.ndarray
    name: str = ""

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
    """clip(floor(x / scale + 1/2), -127, 127) as int8: the only place where input is rounded."""
    return np.clip(np.floor(np.asarray(x, np.float64) / contract.scale + 0.5), -127, 127).astype(np.int8)


def source_max(net: IntegerNetwork, connection: IntegerConnection) -> int:
    """The largest value that a connection's source sends: 1 from spikes, 127 from the graded input."""
    return net.arithmetic.input.high if connection.source == INPUT else 1


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
            if getattr(op, "bias", None) is not None:
                yield f"{who}: a connection has a bias of its own; in integers a bias belongs to the layer"
        into, size = path_bounds(c.path, source_max(net, c))
        if into > a.input.high:
            yield f"{who}: its synapse receives integers up to {into}, the limit is {a.input.high}; pool less before it"
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
