"""A learner whose trials are written down as they happen, call by call, so that a desk can replay them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_anp.journal import Layout
from edge_anp.ondevice_answer import ONE
from edge_anp.ondevice_guard import ROLL_BACK, SAVE
from edge_anp.trial_log import Writer


class Recorder:
    """What `device_learning.follow` drives in place of a target's session; the log begins when learning does."""

    def __init__(self, session: Any, layout: Layout, path: Path) -> None:
        self.session, self.layout, self.path = session, layout, path
        self.asked = np.zeros(0, int)

    def __enter__(self) -> Recorder:
        self.session.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.session.__exit__(*error)
        if hasattr(self, "file"):
            self.file.close()

    def start(self, seed: int) -> None:
        self.session.start(seed)
        self.seed, self.trial = seed, 0

    def resume(self, seed: int, trial: int) -> None:
        """After `start`: what was loaded says where the counter stands."""
        self.session.load()
        self.seed, self.trial = seed, trial

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def _open(self) -> Writer:
        if not hasattr(self, "file"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = self.path.open("wb")
            self.log = Writer(self.file, self.layout, self.seed, self.trial, self.session.crc())
        return self.log

    def trials(
        self, rasters: Sequence[np.ndarray], labels: Sequence[int] | np.ndarray, guesses: int, guarded: bool = False
    ) -> None:
        """As the session's own, in single calls."""
        log = self._open()
        pairs = zip(rasters, labels, strict=True)
        self.asked = np.array([self._trial(log, r, int(y), guesses, guarded) for r, y in pairs], int)
        log.write("K", self.session.crc())
        self.file.flush()

    def _trial(self, log: Writer, raster: np.ndarray, label: int, guesses: int, guarded: bool) -> int:
        s, asked, paired = self.session, 0, self.session.plan.rule == "perturbation"
        trial = s.begin()
        log.write("N", trial)
        self._steps(log, raster)
        if guesses == 0 and not paired:
            s.label(trial, label)
            log.write("Y", trial, label)
        for _ in range(1 if paired else guesses):
            asked += 1
            if self._answer(log, trial, label):
                break
        if paired:
            s.begin(True)
            log.write("M")
            self._steps(log, raster)
            asked += 1
            self._answer(log, trial, label)
        s.commit()
        log.write("C", 0)
        advice = s.advice() if guarded else None
        if advice == SAVE:
            s.save()
            log.write("S")
        elif advice == ROLL_BACK:
            s.roll_back()
            log.write("V")
        return asked

    def _steps(self, log: Writer, raster: np.ndarray) -> None:
        for x in raster:
            self.session.step(x)
            log.step(x, self.session.plan.binary)

    def _answer(self, log: Writer, trial: int, label: int) -> bool:
        """Whether an answer was right; the world says so."""
        answer = self.session.answer()
        log.write("A", answer)
        reward = ONE * (answer == label)
        self.session.reward(trial, reward)
        log.write("W", trial, reward)
        return answer == label
