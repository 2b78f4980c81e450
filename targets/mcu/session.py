"""A network running in a program that obeys harness.h, whatever the program runs on."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from edge_anp.errors import BadFile
from edge_anp.integer import IntegerNetwork, Trace
from targets.mcu import tables
from targets.mcu.link import Link
from targets.mcu.model import pack_bits
from targets.mcu.tables import Table

# the codes of edge_anp.h, for people
ERRORS = {
    -1: "EA_NULL: a pointer is null",
    -2: "EA_UNALIGNED: a block or a table is not aligned to 4 bytes",
    -3: "EA_TOO_SMALL: the block of memory is too small",
    -4: "EA_BAD_TABLE: the tables in model.c are not the ones that were compiled",
    -5: "EA_NO_KERNEL: model.c names no kernel for one of its layers",
    -6: "EA_NOT_READY: the block was not prepared for this network",
    -7: "EA_BAD_INPUT: an input is out of range",
    -8: "EA_NO_LAYER: there is no such layer",
    -9: "EA_DIFFERS: the golden vectors give other answers",
}
FORMS = ("bits", "events", "bytes")


class Session:
    """Steps a network through a Link. sizes: per layer (neurons, names of its states). ticks: of the last run, per step.

    `form` chooses how binary input is sent: None takes the three forms in turn, so that all are met; numbers always go as bytes.
    """

    def __init__(self, made: Link, sizes: Sequence[tuple[int, tuple[str, ...]]], inputs: int, ran: str, where: Path):
        self.link, self.sizes, self.inputs, self.ran, self.where = made, sizes, inputs, ran, where
        self.form: str | None = None
        self.ticks = np.zeros(0, np.int64)
        self.close_with: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the program and remove what was built for it."""
        self.link.close()
        self.close_with()

    def command(self, letter: str, payload: bytes = b"", answer: int = 4) -> bytes:
        """Send one command of harness.h and take its answer."""
        return self.link.exchange(_frame(letter, payload), answer)

    def begin(self) -> None:
        """Begin with the network that is linked in."""
        self._check(self.command("B"))

    def load(self, net: IntegerNetwork, table: Table | None = None) -> None:
        """Begin with a network that is sent, to a program with memory for it."""
        self.sizes, self.inputs = layer_sizes(net), net.input.size
        self._check(self.command("L", (table or tables.write(net)).data))

    def reset(self) -> None:
        """Silence."""
        self._check(self.command("R"))

    def step(self, x: np.ndarray) -> Trace:
        """Advance by one step: x [I] -> spikes and states [N]."""
        trace = self._advance(np.asarray(x)[None])
        return Trace(tuple(s[0] for s in trace.spikes), tuple({n: v[0] for n, v in s.items()} for s in trace.states))

    def run(self, raster: np.ndarray) -> Trace:
        """Run from silence: raster [T, I] -> spikes and states [T, N]."""
        self.reset()
        return self._advance(np.asarray(raster))

    def answer(self) -> int:
        """The class that the runtime itself gives, since the last reset."""
        (found,) = struct.unpack("<i", self.command("A"))
        if found < 0:
            self._check(struct.pack("<i", found))
        return found

    def selftest(self) -> int:
        """Run ea_selftest; return the checksum. Raise BadFile where it is not the golden one."""
        status, crc = struct.unpack("<iI", self.command("T", answer=8))
        self._check(struct.pack("<i", status))
        return crc

    def _check(self, answer: bytes) -> None:
        (status,) = struct.unpack("<i", answer)
        if status:
            raise BadFile(self.where, f"the runtime refuses it with {status} ({ERRORS.get(status, 'unknown')})")

    def _advance(self, raster: np.ndarray) -> Trace:
        if raster.shape[1:] != (self.inputs,):
            raise ValueError(f"the input has shape {raster.shape}; it must be [T, {self.inputs}]")
        steps, size = len(raster), 8 + sum(4 * -(-n // 32) + 2 * n * len(names) for n, names in self.sizes)
        sent = b"".join(self._input(row, t) for t, row in enumerate(raster))
        rows = np.frombuffer(self.link.exchange(sent, steps * size), np.uint8).reshape(steps, size)
        head = np.ascontiguousarray(rows[:, :8]).view("<i4")
        for status in head[:, 0]:
            self._check(struct.pack("<i", status))
        self.ticks = head[:, 1].astype(np.int64)
        return self._trace(rows[:, 8:])

    def _input(self, row: np.ndarray, t: int) -> bytes:
        binary = row.min(initial=0) >= 0 and row.max(initial=0) <= 1
        form = (self.form or FORMS[t % 3]) if binary else "bytes"
        if form == "bits":
            return _frame("1", pack_bits(row))
        if form == "events":
            return _frame("2", np.flatnonzero(row).astype("<u2").tobytes())
        return _frame("3", row.astype(np.int8).tobytes())

    def _trace(self, rows: np.ndarray) -> Trace:
        """Bytes [T, trace] as a trace."""
        spikes, states, at = [], [], 0
        for n, names in self.sizes:
            words = 4 * -(-n // 32)
            spikes.append(np.unpackbits(rows[:, at : at + words], axis=1, bitorder="little")[:, :n])
            at += words
            found = {}
            for name in sorted(names, reverse=True):  # v, then u
                found[name] = np.ascontiguousarray(rows[:, at : at + 2 * n]).view("<i2")
                at += 2 * n
            states.append({name: found[name] for name in names})
        return Trace(tuple(spikes), tuple(states))


def _frame(letter: str, payload: bytes = b"") -> bytes:
    return struct.pack("<I", ord(letter) | len(payload) << 8) + payload


def layer_sizes(net: IntegerNetwork) -> list[tuple[int, tuple[str, ...]]]:
    """Per layer: neurons, names of the states."""
    return [(layer.size, layer.neuron.state_names) for layer in net.layers]
