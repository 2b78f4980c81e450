"""IntegerNetwork -> the table that the runtime reads: the records of runtime/edge_anp_table.h, byte for byte, and where everything lies.

Places are bytes from the start of the table (in flash), or of the block (in RAM) that the network runs in. `model.py` prints a table
as C; `Table.data` is what a C compiler makes of that, little-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_anp.artifact import SEMANTICS
from edge_anp.decode import DECODES
from edge_anp.integer import IntegerConnection, IntegerLayer, IntegerNetwork, Leak
from edge_anp.synapses import Convolution, Dense, Diagonal, Map, MaxPool2d, SumPool2d, Window
from edge_anp.topology import INPUT

MAGIC = 0x31504E41
EVENTS, BLOCK = 64, 16  # as in edge_anp_table.h
HEAD, LAYER, CONNECTION, MAP = 13 * 4, 15 * 4, 5 * 4, 14 * 2 + 3 * 4  # bytes of the records
BLOCK_HEAD = 8  # bytes of ea_head
MAPS: dict[type[Map], int] = {Dense: 0, Diagonal: 1, Convolution: 2, SumPool2d: 3, MaxPool2d: 4}
RESETS = {"none": 0, "subtract": 1, "zero by leak": 2, "zero by update": 3}
IMMEDIATE, CURRENT, READOUT = 4, 8, 16
LEAK_BITS = 12
LARGEST_SHIFT = 24  # |w x| 2^F < 2^24, so beyond this all sums are 0 and any shift is the same
TYPES = {"uint32_t": "<u4", "int32_t": "<i4", "int16_t": "<i2", "int8_t": "i1"}


@dataclass(frozen=True, eq=False)
class Section:
    """An array of the table, [rows, columns]."""

    name: str
    type: str
    values: np.ndarray

    @property
    def data(self) -> bytes:
        return self.values.astype(TYPES[self.type]).tobytes()


@dataclass(frozen=True, eq=False)
class Table:
    """A network as the runtime takes it. kernels: the functions it needs, by their names in ea_kernels."""

    head: tuple[int, ...]
    layers: tuple[tuple[int, ...], ...]
    connections: tuple[tuple[int, ...], ...]
    maps: tuple[tuple[int, ...], ...]
    sections: tuple[Section, ...]
    kernels: frozenset[str]

    @property
    def data(self) -> bytes:
        """head: magic, semantics, bytes, crc, ..., state_bytes."""
        return struct.pack("<13I", *self.head) + self.body

    @property
    def body(self) -> bytes:
        parts = [struct.pack("<15I", *row) for row in self.layers]
        parts += [struct.pack("<2Ii2I", *row) for row in self.connections]
        parts += [struct.pack("<14H3I", *row) for row in self.maps]
        return b"".join([*parts, *(s.data for s in self.sections)])

    @property
    def crc(self) -> int:
        return self.head[3]

    @property
    def state_bytes(self) -> int:
        return self.head[-1]


@dataclass
class _Memory:
    """Memory handed out from the front; `used` bytes are taken, `most` ever were."""

    used: int
    most: int = 0

    def take(self, count: int, size: int) -> int:
        """The place of `count` values of `size` bytes, aligned to 4."""
        place = self.used
        self.used += -(-count * size // 4) * 4
        self.most = max(self.most, self.used)
        return place


@dataclass
class _Writer:
    flash: _Memory
    state: _Memory
    sections: list[Section] = field(default_factory=list)
    maps: list[tuple[int, ...]] = field(default_factory=list)
    kernels: set[str] = field(default_factory=set)

    def array(self, name: str, type_: str, values: np.ndarray) -> int:
        """Put an array into the table, filled up to 4 bytes with zeros; return its place."""
        size = np.dtype(TYPES[type_]).itemsize
        rows = np.atleast_2d(np.asarray(values, np.int64))
        if rows.size * size % 4:
            rows = np.pad(rows.reshape(1, -1), ((0, 0), (0, -rows.size % (4 // size))))
        self.sections.append(Section(name, type_, rows))
        return self.flash.take(rows.size, size)


def write(net: IntegerNetwork) -> Table:
    """The table of a network that `lower.refusals` has nothing against."""
    connections = [(i, k, c) for i, layer in enumerate(net.layers) for k, c in enumerate(layer.connections)]
    paths = [canonical(c, net) for _, _, c in connections]
    first_connection = HEAD + LAYER * len(net.layers)
    first_map = first_connection + CONNECTION * len(connections)
    w = _Writer(_Memory(first_map + MAP * sum(map(len, paths))), _Memory(BLOCK_HEAD))

    delays = {
        i: max([c.delay for _, _, c in connections if c.source == i], default=0) for i in range(-1, len(net.layers))
    }
    pooled = any(c.source == INPUT and not path[0].weighted for (_, _, c), path in zip(connections, paths, strict=True))
    slots = delays[INPUT] + 1 if delays[INPUT] or pooled else 0
    w.kernels |= {"score", "remember"} if slots else {"score"}
    history = w.state.take(slots * -(-net.input.size // 4), 4)
    scores = w.state.take(net.layers[-1].size, 4)
    layers, place = [], first_connection
    for i, layer in enumerate(net.layers):
        layers.append(_layer(w, i, layer, place, delays[i] + 1))
        place += CONNECTION * len(layer.connections)
    drive = w.state.take(max(_blocks(layer.size) for layer in net.layers), 4)
    rows, kept = [], w.state.used
    for (i, k, c), path in zip(connections, paths, strict=True):
        w.state.used = kept  # what one connection needs on the way, the next may use again
        place = first_map + MAP * len(w.maps)
        _path(w, f"{i}_{k}", path, c.shift)
        rows.append((c.source & 0xFFFFFFFF, c.delay, min(c.shift, LARGEST_SHIFT), len(path), place))
    w.array("end", "uint32_t", np.zeros(BLOCK // 4))  # rows of weights may be read that far past their end
    table = Table((), tuple(layers), tuple(rows), tuple(w.maps), tuple(w.sections), frozenset(w.kernels))
    head = (len(layers), HEAD, net.input.size, slots, history, DECODES.index(net.decode), scores, drive, w.state.most)
    crc = zlib.crc32(struct.pack("<9I", *head) + table.body)
    whole = (MAGIC, SEMANTICS, HEAD + len(table.body), crc, *head)
    return Table(whole, *(getattr(table, name) for name in ("layers", "connections", "maps", "sections", "kernels")))


def canonical(c: IntegerConnection, net: IntegerNetwork) -> tuple[Map, ...]:
    """A path with exactly one synapse: where there is none, a weight of 1 at its end."""
    if any(op.weighted for op in c.path):
        return c.path
    size = c.path[-1].out_size if c.path else net.input.size if c.source == INPUT else net.layers[c.source].size
    return (*c.path, Diagonal(np.array(1, np.int8), (size,)))


def _layer(w: _Writer, i: int, layer: IntegerLayer, first: int, slots: int) -> tuple[int, ...]:
    n = layer.neuron
    kind = RESETS[f"zero by {n.zero}" if n.reset == "zero" else n.reset]
    kind |= IMMEDIATE * (not n.reset_delay and n.reset != "none") | CURRENT * (n.current_leak is not None)
    kind = READOUT | kind & CURRENT if n.vth is None else kind
    bias = w.array(f"bias{i}", "int32_t", layer.bias) if layer.bias.any() else 0
    vth = 0 if n.vth is None else w.array(f"vth{i}", "int16_t", n.vth)
    leak = _leak(w, f"keep{i}", n.leak)
    current = (0, 0) if n.current_leak is None else _leak(w, f"current_keep{i}", n.current_leak)
    w.kernels.add("lif" if kind == RESETS["subtract"] and not leak[1] else "neuron")
    v = w.state.take(layer.size, 2)
    u = w.state.take(layer.size, 2) if n.current_leak is not None else 0
    spikes = w.state.take(-(-layer.size // 32) * slots, 4)
    rest = w.state.take(1, 4)
    return (layer.size, kind, len(layer.connections), first, bias, vth, *leak, *current, v, u, spikes, slots, rest)


def _leak(w: _Writer, name: str, leak: Leak) -> tuple[int, int]:
    """(place, 1) of one a neuron, or (place, 0) of one for all where all are equal; a keep of 8 bits in 12."""
    keep = np.asarray(leak.keep, np.int64) << (LEAK_BITS - leak.bits)
    each = int(np.ptp(keep) > 0)
    return w.array(name, "int16_t", keep if each else np.ravel(keep)[:1]), each


def _path(w: _Writer, name: str, path: Sequence[Map], shift: int) -> None:
    """The records of a path's maps. A synapse adds to the drive itself, unless its sums must be whole before they are shifted or pooled."""
    (at,) = (k for k, op in enumerate(path) if op.weighted)
    for k, op in enumerate(path):
        window = isinstance(op, Window)
        shapes = [op.in_shape, op.out_shape] if window else [(op.in_size,), (op.out_size,)]
        kernel, stride, padding = (op.kernel, op.stride, op.padding) if window else ((1,), (1,), (0,))
        weights, each = _weights(w, f"w{name}", op) if op.weighted else (0, 0)
        split = shift < 0 and (isinstance(op, Convolution) or (isinstance(op, Dense) and op.in_size > EVENTS))
        out = 0
        if k < at:
            out = w.state.take(op.out_size, 1)
        elif k > at or split or k < len(path) - 1:
            out = w.state.take(_blocks(op.out_size), 4)
        w.kernels |= {"path"} if out or len(path) > 1 else set()
        kind = next(number for kind, number in MAPS.items() if isinstance(op, kind))
        w.kernels |= {("dense", "diagonal", "conv", "pool", "pool")[kind]} | ({"check"} if window else set())
        pairs = (_last_two(x, fill) for x, fill in ((kernel, 1), (stride, 1), (padding, 0)))
        sizes = [n for shape in shapes for n in _image(shape)] + [n for pair in pairs for n in pair]
        w.maps.append((kind, getattr(op, "groups", 1), *sizes, weights, each, out))


def _weights(w: _Writer, name: str, op: Map) -> tuple[int, int]:
    """Dense: [I, N] as bytes w + 128, four to a word, rows filled with 128. Convolution: [C_in, *kernel, C_out / groups]."""
    weight = np.asarray(op.weight, np.int64)
    if isinstance(op, Dense):
        rows = np.pad(weight.T + 128, ((0, 0), (0, -len(weight) % 4)), constant_values=128).astype(np.uint8)
        return w.array(name, "uint32_t", np.ascontiguousarray(rows).view("<u4")), 0
    if isinstance(op, Convolution):
        many = op.channels // op.groups
        grouped = weight.reshape(op.groups, many, *weight.shape[1:])
        rows = np.moveaxis(grouped, 1, -1).reshape(-1, many)
        return w.array(name, "int8_t", rows), 0
    each = int(weight.ndim > 0 and weight.size > 1)
    return w.array(name, "int8_t", weight.reshape(1, -1)), each


def _image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(N,) and (C, L) as (channels, height, width)."""
    return (shape[0], *_last_two(shape[1:], 1))


def _last_two(sizes: tuple[int, ...], fill: int) -> tuple[int, int]:
    return ((fill,) * 2 + sizes)[-2:]  # type: ignore[return-value]


def _blocks(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
