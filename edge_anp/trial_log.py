"""The log of a device's trials, and its replay on a desk: the same masters, or the first difference named. docs/trial_log.md is the format.

head     "EAT1", version, network, learner, seed, trial counter, CRC of the masters, CRC of these seven words
record   a word, letter + 2^8 bytes, and so many bytes, filled up to whole words; letters are those of the harness
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

import numpy as np

from edge_anp.errors import BadFile, Divergence
from edge_anp.integer import IntegerNetwork
from edge_anp.journal import SLOTS, Layout, Saved
from edge_anp.ondevice import Learner
from edge_anp.ondevice_guard import FINER, Guard, Kept
from edge_anp.ondevice_plan import LearningPlan

MAGIC, VERSION = 0x31544145, 1
HEAD = struct.Struct("<8I")
WORDS = {
    "N": 1,
    "M": 0,
    "A": 1,
    "W": 2,
    "Y": 2,
    "C": 1,
    "S": 0,
    "V": 0,
    "L": 0,
    "Z": 1,
    "K": 1,
}  # of payload; steps have the input's
SAYS = {
    "N": "a trial began", "M": "the mirrored run of a pair began", "1": "a step of spikes", "3": "a step of numbers", "A": "an answer",
    "W": "a reward", "Y": "a label", "C": "a commit", "S": "a save", "V": "a rollback", "L": "a load", "Z": "a freeze", "K": "a checksum",
}  # fmt: skip


@dataclass(frozen=True)
class Record:
    """One event: its letter, its numbers, and where it stands in the file. A step's numbers are its input [I]."""

    letter: str
    numbers: tuple[int, ...]
    at: int


@dataclass(frozen=True, eq=False)
class TrialLog:
    """A log that was read. cut: whether its last record is not whole, as a power cut leaves it."""

    path: Path
    network: int
    learner: int
    seed: int
    trial: int
    crc: int
    records: tuple[Record, ...]
    cut: bool


@runtime_checkable
class Desk(Protocol):
    """Who replays: the reference below, or a target's session."""

    def start(self, seed: int) -> None: ...
    def begin(self, mirrored: bool = False) -> int: ...
    def step(self, x: np.ndarray) -> None: ...
    def answer(self) -> int: ...
    def reward(self, trial: int, reward: int) -> None: ...
    def label(self, trial: int, label: int) -> None: ...
    def commit(self) -> object: ...
    def save(self) -> None: ...
    def load(self) -> None: ...
    def roll_back(self) -> None: ...
    def freeze(self, frozen: bool) -> None: ...
    def crc(self) -> int: ...


class Reference(Learner):
    """ondevice.py with a journal of so many slots. Begins with what was saved, if anything was."""

    def __init__(
        self,
        net: IntegerNetwork,
        plan: LearningPlan,
        layout: Layout,
        saved: Saved | None = None,
        anchor: Saved | None = None,
        slots: int = SLOTS,
    ) -> None:
        super().__init__(net, plan)
        self.layout, self.shipped = layout, [u.copy() for u in self.weights]
        self.kept = Kept(saved, anchor if slots > 2 else None, slots)

    def start(self, seed: int) -> None:
        self._put(self.shipped)
        self.trial, self.seed, self.guard = 0, seed, Guard()

    def save(self) -> None:
        running, good = self.guard.running, self.guard.slow >> FINER
        saved = Saved(0, self.trial, self.seed, running, good, self.layout.pack(self.weights))
        self.kept, self.guard = self.kept.save(saved, self.guard, self.plan)

    def load(self) -> None:
        saved = self.kept.newest
        if saved is None:
            raise ValueError("nothing was saved that could be loaded")
        self._put(self.layout.unpack(saved.weights))
        self.trial, self.seed = saved.trial, saved.seed
        self.guard = Guard.resumed(saved.running, saved.good, self.kept.anchor is not None)

    def roll_back(self) -> None:
        saved, self.guard = self.kept.roll_back(self.guard)
        self._put(self.shipped if saved is None else self.layout.unpack(saved.weights))

    def freeze(self, frozen: bool) -> None:
        self.frozen = frozen

    def _put(self, weights: Sequence[np.ndarray]) -> None:
        self.weights, self.phase = [u.copy() for u in weights], 0
        self._refresh()


class Writer:
    """A log that is written as things happen."""

    def __init__(self, file: BinaryIO, layout: Layout, seed: int, trial: int, crc: int) -> None:
        head = struct.pack("<7I", MAGIC, VERSION, layout.network, layout.learner, seed & 0xFFFFFFFF, trial, crc)
        self.file = file
        file.write(head + struct.pack("<I", zlib.crc32(head)))

    def write(self, letter: str, *numbers: int) -> None:
        self.file.write(struct.pack(f"<I{len(numbers)}I", ord(letter) | 4 * len(numbers) << 8, *numbers))

    def step(self, x: np.ndarray, binary: bool) -> None:
        bits = np.packbits(np.asarray(x, np.uint8), bitorder="little") if binary else np.asarray(x, np.int8)
        data = bits.tobytes() + bytes(-bits.size % 4)
        self.file.write(struct.pack("<I", ord("1" if binary else "3") | len(data) << 8) + data)


def read(path: Path, inputs: int) -> TrialLog:
    """Read a log; raise BadFile, with the byte, for anything else."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadFile(path, f"it cannot be read ({error.strerror})", should_be="a log of trials") from error

    def bad(what: str, at: int) -> BadFile:
        return BadFile(path, what, f"byte {at}", f"a log of trials of version {VERSION}, as docs/trial_log.md says")

    if len(data) < HEAD.size:
        raise bad(f"it has {len(data)} bytes; its head has {HEAD.size}", 0)
    magic, version, network, learner, seed, trial, crc, check = HEAD.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise bad(f"its magic is {magic:#010x} and its version {version}, not {MAGIC:#010x} and {VERSION}", 0)
    if zlib.crc32(data[: HEAD.size - 4]) != check:
        raise bad("the checksum of its head is wrong", 28)
    records, at = [], HEAD.size
    while at + 4 <= len(data):
        (word,) = struct.unpack_from("<I", data, at)
        letter, size = chr(word & 255), word >> 8
        wanted = {"1": -(-inputs // 32) * 4, "3": -(-inputs // 4) * 4}.get(letter, 4 * WORDS.get(letter, -1))
        if size != wanted:
            what = f"a record has letter {letter!r} and {size} bytes"
            raise bad(f"{what}; {letter} has {wanted}" if wanted >= 0 else f"{what}; letters are {', '.join(SAYS)}", at)
        if at + 4 + size > len(data):
            break
        records.append(Record(letter, _numbers(letter, data[at + 4 : at + 4 + size], inputs), at))
        at += 4 + size
    return TrialLog(path, network, learner, seed, trial, crc, tuple(records), at != len(data))


def _numbers(letter: str, data: bytes, inputs: int) -> tuple[int, ...]:
    if letter == "1":
        return tuple(np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[:inputs].tolist())
    if letter == "3":
        return tuple(np.frombuffer(data, np.int8)[:inputs].tolist())
    return struct.unpack(f"<{len(data) // 4}I", data)


def replay(log: TrialLog, desk: Desk, saved: Saved | None = None) -> Iterator[int]:
    """Yield the number of records done, after each commit and at the end; raise Divergence at the first difference.

    saved: the journal that the log began from, which the desk has; without it, it began from the shipped weights.
    """
    desk.start(log.seed)
    if saved is not None:
        desk.load()
    if desk.crc() != log.crc:
        begun = "the journal" if saved is not None else "the shipped weights"
        raise Divergence(
            f"{log.path}: it began with weights of checksum {log.crc:08x}; {begun} have {desk.crc():08x}: give the journal of then"
        )
    trial = log.trial
    for number, record in enumerate(log.records):
        try:
            here = _repeat(record, desk)
        except ValueError as error:
            raise _differs(log, number, trial, f"it cannot be repeated ({error})") from error
        if record.letter == "N":
            trial = record.numbers[0]
        if here is not None and here != record.numbers[0]:
            form = "{:08x}" if record.letter in "CK" else "{}"
            raise _differs(
                log, number, trial, f"the log has {form.format(record.numbers[0])}, here it is {form.format(here)}"
            )
        if record.letter == "C":
            yield number + 1
    yield len(log.records)


def _repeat(record: Record, desk: Desk) -> int | None:
    """Do again what a record says; what must be equal to its first number, if anything must."""
    numbers: Any = record.numbers
    match record.letter:
        case "1" | "3":
            desk.step(np.array(numbers, np.int8))
        case "N":
            return desk.begin()
        case "M":
            desk.begin(True)
        case "A":
            return desk.answer()
        case "W":
            desk.reward(*numbers)
        case "Y":
            desk.label(*numbers)
        case "C":
            desk.commit()
            return desk.crc() if numbers[0] else None
        case "S":
            desk.save()
        case "V":
            desk.roll_back()
        case "L":
            desk.load()
        case "Z":
            desk.freeze(bool(numbers[0]))
        case _:
            return desk.crc()
    return None


def _differs(log: TrialLog, number: int, trial: int, what: str) -> Divergence:
    record = log.records[number]
    return Divergence(f"{log.path}: record {number} (byte {record.at}, trial {trial}), {SAYS[record.letter]}: {what}")
