"""A network that learns in a program that obeys harness/learn.c, whatever the program runs on."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from edge_anp.errors import BadFile
from edge_anp.integer import IntegerNetwork
from edge_anp.ondevice_plan import LearningPlan
from targets.mcu import learning
from targets.mcu.learning import LearnTable
from targets.mcu.link import Link
from targets.mcu.model import pack_bits
from targets.mcu.session import ERRORS as OF_THE_NETWORK

ERRORS = {
    **OF_THE_NETWORK,
    -20: "EA_STALE: the reward is for another trial",
    -21: "EA_ORDER: not now; a trial is begun, run, answered, rewarded and committed, and has no more steps than planned",
    -22: "EA_NO_GUESS: the trial has no guesses left",
    -23: "EA_BUSY: the weights are being saved",
    -24: "EA_NOTHING: nothing that was saved can be used",
    -25: "EA_OTHER_MODEL: what is saved belongs to another network or plan",
    -26: "EA_FLASH: the flash is too small, or does not work",
}
GUARDED = 256  # flags in a trial's form: the guard's advice is followed; how the world answers
WORLDS = {"honest": 0, "random": 512, "inverted": 1024}
LABEL, ASK_NOTHING = 0, 255  # in place of guesses: the label is told; only the best answer is wanted
TOGETHER = 64  # trials that are sent before the first answer is awaited


class Played(NamedTuple):
    """What `play` counted; health: after the last trial."""

    asked: int
    right: int
    saves: int
    rollbacks: int
    health: int


class LearnSession:
    """One learner behind a Link. asked, right: of the last `trials`; ticks: [trials, 2] of its steps and commits."""

    def __init__(self, made: Link, net: IntegerNetwork, plan: LearningPlan, table: LearnTable, ran: str, where: Path):
        self.link, self.net, self.plan, self.table, self.ran, self.where = made, net, plan, table, ran, where
        self.close_with: Callable[[], None] = lambda: None
        self.asked, self.right, self.health = np.zeros(0, int), np.zeros(0, int), 0
        self.ticks = np.zeros((0, 2), int)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the program and remove what was built for it."""
        self.link.close()
        self.close_with()

    def command(self, letter: str, payload: bytes = b"", answer: int = 4) -> bytes:
        return self.link.exchange(_frame(letter, payload), answer)

    def start(self, seed: int) -> None:
        """Begin with the weights that were shipped."""
        self._check(self.command("B", struct.pack("<I", seed & 0xFFFFFFFF)))

    def begin(self, mirrored: bool = False) -> int:
        """A new trial; its number."""
        if mirrored:
            self._check(self.command("M"))
            return 0
        found = self.command("N", answer=8)
        self._check(found[:4])
        return struct.unpack("<I", found[4:])[0]

    def step(self, x: np.ndarray) -> None:
        """One step of the input [I]."""
        letter, payload = self._input(np.asarray(x)[None])
        self._check(self.command(letter, payload, 8)[:4])

    def answer(self) -> int:
        """An answer that explores."""
        return self._positive(self.command("A"))

    def best(self) -> int:
        """The answer that the network is surest of."""
        return self._positive(self.command("E"))

    def reward(self, trial: int, reward: int) -> None:
        self._check(self.command("W", struct.pack("<2I", trial, reward)))

    def label(self, trial: int, label: int) -> None:
        self._check(self.command("Y", struct.pack("<2I", trial, label)))

    def commit(self, rows: int = 0) -> bool:
        """At most `rows` rows of weights (0: all); whether it is done."""
        (status,) = struct.unpack("<i", self.command("C", struct.pack("<I", rows), 8)[:4])
        if status == 1:
            return False
        self._check(struct.pack("<i", status))
        return True

    def save(self) -> None:
        """Save to the flash that the program keeps."""
        self._check(self.command("S"))

    def load(self) -> None:
        """After `start`: what was saved last."""
        self._check(self.command("L"))

    def roll_back(self) -> None:
        """What was saved last, or the guard's anchor, or what was shipped; the trial counter goes on."""
        self._check(self.command("V"))

    def flash(self) -> bytes:
        """The journal as it lies in the flash that the program keeps; empty where it keeps none."""
        (size,) = struct.unpack("<I", self.command("J"))
        return self.link.exchange(b"", size)

    @property
    def has_flash(self) -> bool:
        """Whether the program keeps one: small boards have no room for it."""
        return len(self.flash()) > 0

    def put_flash(self, journal: bytes) -> None:
        """Put what `flash` gave, or `journal.image` made, cut or filled up with erased bytes to its size; then `start` and `load`."""
        size = len(self.flash())
        self._check(self.command("F", journal[:size].ljust(size, b"\xff")))

    def freeze(self, frozen: bool) -> None:
        self._check(self.command("Z", struct.pack("<I", frozen)))

    def advice(self) -> int:
        """What the guard says: KEEP, SAVE or ROLL_BACK of ondevice_guard.py."""
        return self._positive(self.command("G"))

    def crc(self) -> int:
        """CRC-32 of all masters."""
        return struct.unpack("<I", self.command("K"))[0]

    def read(self) -> bytes:
        """The weights as they lie in the block."""
        return self.command("R", answer=self.table.weights[1])

    def write(self, trial: int, seed: int, weights: bytes) -> None:
        """Put weights that `read` gave, with a trial counter and a seed."""
        self._check(self.command("I", struct.pack("<2I", trial & 0xFFFFFFFF, seed & 0xFFFFFFFF) + weights))

    def weights(self) -> list[np.ndarray]:
        """Masters [I, N] of every synapse."""
        return learning.unpack(self.table, self.plan, self.net, self.read())

    def trials(
        self, rasters: Sequence[np.ndarray], labels: Sequence[int] | np.ndarray, guesses: int, guarded: bool = False
    ) -> None:
        """Whole trials [T, I] whose world answers by the labels; guarded: with saves and rollbacks as the guard advises."""
        frames = [self._trial(r, int(y), guesses, guarded) for r, y in zip(rasters, labels, strict=True)]
        found = b"".join(
            self.link.exchange(b"".join(frames[k : k + TOGETHER]), 24 * len(frames[k : k + TOGETHER]))
            for k in range(0, len(frames), TOGETHER)
        )
        rows = np.frombuffer(found, "<i4").reshape(-1, 6)
        for status in rows[rows[:, 0] != 0, 0]:
            self._check(struct.pack("<i", status))
        self.asked, self.right, self.ticks = rows[:, 1].copy(), rows[:, 2].copy(), rows[:, 3:5].astype(np.int64)
        self.health = int(rows[-1, 5]) if len(rows) else 0

    def answers(self, rasters: Sequence[np.ndarray]) -> np.ndarray:
        """The best answer to each of rasters [T, I]; nothing is learned."""
        self.trials(rasters, np.zeros(len(rasters), int), ASK_NOTHING)
        return self.right.copy()

    def keep(self, rasters: Sequence[np.ndarray], labels: Sequence[int] | np.ndarray) -> None:
        """Samples [T, I], all of one length, that `play` will learn from; on this machine only."""
        self.kept = len(rasters)
        for k, (raster, label) in enumerate(zip(rasters, labels, strict=True)):
            self._check(self.command("D", struct.pack("<I", k) + self._words(raster, int(label), 0, False)))

    def play(self, first: int, trials: int, guesses: int, seed: int, guarded: bool, world: str = "honest") -> Played:
        """Trials first, first + 1, ... of continual.schedule(kept, ..., seed), without a word in between."""
        form = GUARDED * guarded + WORLDS[world]
        found = struct.unpack(
            "<6i", self.command("P", struct.pack("<6I", first, trials, guesses, form, seed, self.kept), 24)
        )
        self._check(struct.pack("<i", found[0]))
        return Played(*found[1:])

    def _trial(self, raster: np.ndarray, label: int, guesses: int, guarded: bool) -> bytes:
        return _frame("X", self._words(raster, label, guesses, guarded))

    def _words(self, raster: np.ndarray, label: int, guesses: int, guarded: bool) -> bytes:
        letter, payload = self._input(np.asarray(raster))
        return struct.pack("<3I", label, guesses, ord(letter) + GUARDED * guarded) + payload

    def _input(self, raster: np.ndarray) -> tuple[str, bytes]:
        if raster.shape[1:] != (self.net.input.size,):
            raise ValueError(f"the input has shape {raster.shape}; it must be [T, {self.net.input.size}]")
        if self.plan.binary:
            return "1", b"".join(map(pack_bits, raster))
        return "3", raster.astype(np.int8).tobytes()

    def _positive(self, answer: bytes) -> int:
        (found,) = struct.unpack("<i", answer)
        if found < 0:
            self._check(answer)
        return found

    def _check(self, answer: bytes) -> None:
        (status,) = struct.unpack("<i", answer)
        if status in (-20, -21, -22):
            raise ValueError(f"the learner refuses it with {status} ({ERRORS[status]})")
        if status:
            raise BadFile(self.where, f"the learner refuses it with {status} ({ERRORS.get(status, 'unknown')})")


def _frame(letter: str, payload: bytes = b"") -> bytes:
    return struct.pack("<I", ord(letter) | len(payload) << 8) + payload
