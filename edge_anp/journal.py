"""The journal: what a device saved of its learning, as it lies in flash; docs/journal.md is the format, version 2.

Read here as the device reads it: of two or three slots the newest whole one holds, and it names the guard's anchor.
A Layout says whose journal it is and where its masters lie.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_anp.errors import BadFile

MAGIC, VERSION, SLOTS = 0x314A4145, 2, 3
HEAD, WEIGHTS_AT = struct.Struct("<16I"), 256
SECTOR = 4096  # bytes, where nobody says otherwise
NAMES: tuple[str, ...] = (
    "sequence",
    "network",
    "learner",
    "trial",
    "seed",
    "running",
    "good",
    "bytes",
    "weights_crc",
    "anchor",
)


@dataclass(frozen=True)
class Matrix:
    """Where one matrix that learns lies in the weights: rows of bytes w + 128 from `high` on, fractions from `low` on (None: 8 bits)."""

    layer: int
    connection: int
    inputs: int
    outputs: int
    high: int
    stride: int
    low: int | None


@dataclass(frozen=True)
class Layout:
    """Whose weights: the checksums of both tables; bytes: how many; matrices: where each lies."""

    network: int
    learner: int
    bytes: int
    matrices: tuple[Matrix, ...]

    @property
    def bits(self) -> int:
        return 8 if self.matrices[0].low is None else 16

    def unpack(self, data: bytes) -> list[np.ndarray]:
        """Weights as they are saved -> masters U [I, N] of each matrix."""
        found, all_ = [], np.frombuffer(data, np.uint8).astype(np.int64)
        for m in self.matrices:
            u = all_[m.high : m.high + m.inputs * m.stride].reshape(m.inputs, m.stride)[:, : m.outputs]
            if m.low is not None:
                u = 256 * u + all_[m.low : m.low + m.inputs * m.outputs].reshape(m.inputs, m.outputs)
            found.append(u)
        return found

    def pack(self, masters: Sequence[np.ndarray]) -> bytes:
        """Masters U [I, N] -> weights as they are saved; bytes that no weight has are 128 in rows, 0 between planes."""
        data = np.zeros(self.bytes, np.uint8)
        for m, u in zip(self.matrices, masters, strict=True):
            rows = np.full((m.inputs, m.stride), 128, np.uint8)
            rows[:, : m.outputs] = u if m.low is None else u >> 8
            data[m.high : m.high + rows.size] = rows.reshape(-1)
            if m.low is not None:
                data[m.low : m.low + u.size] = (u & 255).astype(np.uint8).reshape(-1)
        return data.tobytes()


def masters_crc(masters: Sequence[np.ndarray], bits: int) -> int:
    """What ea_learn_crc computes of masters U."""
    kind, zero = ("<i2", 1 << 15) if bits == 16 else ("i1", 128)
    return zlib.crc32(b"".join((u - zero).astype(kind).tobytes() for u in masters))


@dataclass(frozen=True)
class Saved:
    """One save: what a device goes on from. anchor: the sequence of the save that its guard may go back to beside it; 0: none."""

    sequence: int
    trial: int
    seed: int
    running: int
    good: int
    weights: bytes
    anchor: int = 0


@dataclass(frozen=True)
class Slot:
    """A slot as it was found, at byte `at`. problems: why it does not count; none: it is `saved`. head: what its words say, by name."""

    at: int
    problems: tuple[str, ...]
    erased: bool
    head: dict[str, int]
    saved: Saved | None


def slot_bytes(layout: Layout, sector: int) -> int:
    """What a slot takes of flash: whole sectors."""
    return -(-(WEIGHTS_AT + layout.bytes) // sector) * sector


def read(path: Path) -> bytes:
    """A dump; raise BadFile where there is none."""
    try:
        return path.read_bytes()
    except OSError as error:
        what = f"it cannot be read ({error.strerror})"
        raise BadFile(path, what, should_be="a dump of a device's journal") from error


def examine(data: bytes, layout: Layout, sector: int = SECTOR) -> tuple[Slot, ...]:
    """The slots of a dump: two, or three if it is so long."""
    size = slot_bytes(layout, sector)
    return tuple(_slot(data, k * size, layout) for k in range(SLOTS if len(data) >= SLOTS * size else 2))


def newest(slots: Sequence[Slot]) -> int | None:
    """Which slot the device would load; None: the shipped weights stay."""
    found: int | None = None
    for k, slot in enumerate(slots):
        best = None if found is None else slots[found].saved
        if slot.saved is not None and (best is None or (slot.saved.sequence - best.sequence) % 2**32 < 2**31):
            found = k
    return found


def anchor(slots: Sequence[Slot]) -> int | None:
    """Which slot the guard may go back to beside the newest."""
    place = newest(slots)
    saved = None if place is None else slots[place].saved
    if saved is None or not saved.anchor:
        return None
    return next((k for k, s in enumerate(slots) if s.saved is not None and s.saved.sequence == saved.anchor), None)


def foreign(slots: Sequence[Slot]) -> bool:
    """Whether a head is whole, but another model's."""
    return any("of another" in p for slot in slots for p in slot.problems)


def _slot(data: bytes, at: int, layout: Layout) -> Slot:
    if len(data) < at + WEIGHTS_AT + layout.bytes:
        end = at + WEIGHTS_AT + layout.bytes
        return Slot(at, (f"the dump has {len(data)} bytes; the slot ends at {end}",), False, {}, None)
    words = HEAD.unpack_from(data, at)
    if data[at : at + HEAD.size] == b"\xff" * HEAD.size:
        rest = data[at : at + WEIGHTS_AT + layout.bytes].count(0xFF) == WEIGHTS_AT + layout.bytes
        return Slot(at, ("it is erased",) if rest else ("its head is erased: a save was cut off",), rest, {}, None)
    if words[0] != MAGIC or not 1 <= words[1] <= VERSION:
        what = f"its magic is {words[0]:#010x} and its version {words[1]}, not {MAGIC:#010x} and 1 or {VERSION}"
        return Slot(at, (what,), False, {}, None)
    head: dict[str, int] = dict(zip(NAMES, words[2:12], strict=True))
    if zlib.crc32(data[at : at + HEAD.size - 4]) != words[15]:
        return Slot(at, ("the checksum of its head is wrong",), False, head, None)
    problems = [
        f"it is of another {name}, {head[key]:08x}, not {wanted:08x}"
        for name, key, wanted in (("network", "network", layout.network), ("learning plan", "learner", layout.learner))
        if head[key] != wanted
    ]
    if head["bytes"] != layout.bytes:
        problems.append(f"it holds {head['bytes']} bytes of weights, not {layout.bytes}")
    weights = data[at + WEIGHTS_AT : at + WEIGHTS_AT + layout.bytes]
    if not problems and zlib.crc32(weights) != head["weights_crc"]:
        problems.append("the checksum of its weights is wrong")
    kept = {name: head[name] for name in ("sequence", "trial", "seed", "running", "good", "anchor")}
    return Slot(at, tuple(problems), False, head, None if problems else Saved(weights=weights, **kept))


def image(layout: Layout, slots: Sequence[Saved | None], sector: int = SECTOR) -> bytes:
    """A flash with these slots, those that are None erased."""
    size = slot_bytes(layout, sector)
    data = bytearray(b"\xff" * len(slots) * size)
    for place, saved in enumerate(slots):
        if saved is None:
            continue
        words = [MAGIC, VERSION, saved.sequence, layout.network, layout.learner, saved.trial, saved.seed]
        words += [saved.running, saved.good, layout.bytes, zlib.crc32(saved.weights), saved.anchor, 0, 0, 0]
        head = struct.pack("<15I", *words)
        head += struct.pack("<I", zlib.crc32(head))
        at = place * size
        data[at : at + len(head)] = head
        data[at + WEIGHTS_AT : at + WEIGHTS_AT + layout.bytes] = saved.weights
    return bytes(data)
