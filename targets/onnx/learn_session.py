"""A learner made of the five learn_*.onnx: the order of a trial, the counters, and the guard, which are the host's affair."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from edge_anp.integer import IntegerNetwork
from edge_anp.ondevice import ANSWERED, IDLE, REWARDED, RUNNING
from edge_anp.ondevice_answer import ONE
from edge_anp.ondevice_guard import ROLL_BACK, SAVE, Guard, Kept
from edge_anp.ondevice_plan import LearningPlan
from targets.onnx.learn_models import Model, Values, open_models
from targets.onnx.run import RAN

PHASES = ("no trial", "a trial that runs", "an answer that waits for its reward", "a reward that waits for its commit")


class LearnSession:
    """A network that learns. weights: w0, f0, .. as learn_start gave and learn_commit changed them; asked, right: of the last `trials`."""

    def __init__(self, models: Mapping[str, Model], net: IntegerNetwork, plan: LearningPlan, ran: str = RAN) -> None:
        self.models, self.net, self.plan, self.ran = dict(models), net, plan, ran
        self.asked, self.right = np.zeros(0, int), np.zeros(0, int)
        self.seed, self.trial, self.phase = 0, 0, IDLE
        self.start(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def start(self, seed: int) -> None:
        """Begin with the weights that were shipped."""
        self.weights = self.models["learn_start"]()
        self.seed, self.trial, self.phase = seed & 0xFFFFFFFF, 0, IDLE
        self.frozen, self.guard, self.kept = False, Guard(), Kept[Values]()
        self.shipped = self.weights

    def begin(self, mirrored: bool = False) -> int:
        """Silence, and a new trial, whose number is returned; mirrored: the second of a pair of perturbation."""
        if not mirrored:
            self.trial = (self.trial + 1) & 0xFFFFFFFF
        self.mirrored, self.phase, self.given = mirrored, RUNNING, 0
        self.direction = -1 if mirrored else 1
        self.now: Values = dict(self.models["learn_step"].zeros)
        self.seen: list[Values] = []
        self.scores = np.zeros((1, self.net.layers[-1].size), np.int32)
        self.tried = np.zeros_like(self.scores)
        return self.trial

    def step(self, x: np.ndarray) -> None:
        """One step of the input [I]."""
        self._expect(RUNNING)
        if len(self.seen) >= self.plan.steps:
            raise ValueError(f"the trial has {len(self.seen)} steps already; the plan keeps {self.plan.steps}")
        step, t = self.models["learn_step"], len(self.seen)
        self.now["x"] = np.asarray(x, np.int8).reshape(self.now["x"].shape)
        made = step(self.now, self.weights, self._counters(t), {"direction": number(self.direction, np.int32)})
        self.seen.append({**self.now, **made})
        self.now = {**self.now, **{name: made[output] for name, output in step.pairs.items()}}
        self.scores = made["scores_n"]

    def answer(self) -> int:
        """The next guess at the class."""
        self._expect(RUNNING, ANSWERED, REWARDED)
        if self.given >= min(self.plan.guesses, self.scores.size):
            raise ValueError(f"{self.given} answers were given in this trial; the plan has {self.plan.guesses}")
        made = self.models["learn_answer"]({"scores": self.scores, "tried": self.tried}, self._counters(0))
        self.tried, self.last, self.phase = made["tried_n"], int(made["answer"][0]), ANSWERED
        self.given += 1
        return self.last

    def best(self) -> int:
        """The answer that the network is surest of."""
        return int(self.scores.argmax())

    def reward(self, trial: int, reward: int) -> None:
        """What the world says of the last answer, of 0 (wrong) to 128 (right). Raise ValueError for another trial's."""
        self._current(trial)
        self._expect(ANSWERED)
        if not 0 <= reward <= ONE:
            raise ValueError(f"the reward is {reward}; it must lie in 0..{ONE}")
        self._teach(self.tried, self.last, reward)
        self.rewards = (reward, self.rewards[0]) if self.mirrored else (reward, 0)
        if self.given == 1 and not self.mirrored:
            self.guard = self.guard.judge(self.plan, reward)

    def label(self, trial: int, label: int) -> None:
        """The right answer. Raise ValueError for another trial's."""
        self._current(trial)
        self._expect(RUNNING, ANSWERED, REWARDED)
        if not 0 <= label < self.scores.size:
            raise ValueError(f"the label is {label}; it must lie in 0..{self.scores.size - 1}")
        if self.phase == RUNNING:
            self.guard = self.guard.judge(self.plan, ONE * (self.best() == label))
        self._teach(np.eye(self.scores.size, dtype=np.int32)[label : label + 1], label, ONE)

    def _teach(self, tried: np.ndarray, answer: int, reward: int) -> None:
        said = {"answer": number(answer, np.int32), "reward": number(reward, np.int32)}
        self.taught = self.models["learn_error"]({"scores": self.scores, "tried": tried}, said, self.weights)
        self.phase = REWARDED

    def commit(self) -> None:
        """Change the weights: learn_commit once for each step. The trial is over."""
        self._expect(REWARDED)
        self.phase = IDLE
        if self.frozen:
            return
        model = self.models["learn_commit"]
        state = {name: model.zeros[name] for name in model.pairs} | self.weights
        if self.plan.rule == "perturbation":
            second, first = self.rewards
            self.taught = {"reward": number(first, np.int32), "mirrored_reward": number(second, np.int32)}
        for t, then in enumerate(self.seen):
            made = model(then, state, self.taught, self._counters(t))
            state = {name: made[output] for name, output in model.pairs.items()}
        self.weights = {name: state[name] for name in self.weights}

    def freeze(self, frozen: bool) -> None:
        self.frozen = frozen

    def advice(self) -> int:
        """What the guard says: KEEP, SAVE or ROLL_BACK of ondevice_guard.py."""
        return self.guard.health(self.plan)

    def save(self) -> None:
        """Keep the weights as they are, in memory."""
        self.kept, self.guard = self.kept.save(self.weights, self.guard, self.plan)

    def roll_back(self) -> None:
        """What was saved last, or the guard's anchor, or what was shipped; the trial counter goes on."""
        kept, self.guard = self.kept.roll_back(self.guard)
        self.weights, self.phase = self.shipped if kept is None else kept, IDLE

    def trials(
        self, rasters: Sequence[np.ndarray], labels: Sequence[int] | np.ndarray, guesses: int, guarded: bool = False
    ) -> None:
        """Whole trials [T, I] whose world answers by the labels; guarded: with saves and rollbacks as the guard advises."""
        found = [
            self._trial(raster, int(label), guesses, guarded) for raster, label in zip(rasters, labels, strict=True)
        ]
        self.asked, self.right = np.array(found, int).reshape(-1, 2).T

    def _trial(self, raster: np.ndarray, label: int, guesses: int, guarded: bool) -> tuple[int, bool]:
        """By perturbation: a pair of runs, one answer each."""
        trial, right, paired = self.begin(), False, self.plan.rule == "perturbation"
        self._run(raster)
        if guesses == 0 and not paired:
            right = self.best() == label
            self.label(trial, label)
        while self.given < (1 if paired else guesses) and not right:
            right = self.answer() == label
            self.reward(trial, ONE * right)
        asked = self.given + paired
        if paired:
            self.begin(mirrored=True)
            self._run(raster)
            self.reward(trial, ONE * (self.answer() == label))
        self.commit()
        if guarded and (advice := self.advice()) in (SAVE, ROLL_BACK):
            self.save() if advice == SAVE else self.roll_back()
        return asked, right

    def answers(self, rasters: Sequence[np.ndarray]) -> np.ndarray:
        """The best answer to each of rasters [T, I]; nothing is learned or perturbed, and no trial is counted."""
        found, trial = [], self.trial
        for raster in rasters:
            self.begin()
            self.direction = 0
            self._run(raster)
            found.append(self.best())
            self.trial, self.phase = trial, IDLE
        return np.array(found, int)

    def _run(self, raster: np.ndarray) -> None:
        for x in raster:
            self.step(x)

    def masters(self) -> list[np.ndarray]:
        """The weights of every matrix as int16 [I, N], 256 w + f; or int8, where they have 8 bits."""
        places = range(len(self.plan.synapses))
        if self.plan.bits == 8:
            return [self.weights[f"w{k}"] for k in places]
        return [self.weights[f"w{k}"].astype("<i2") * np.int16(256) + self.weights[f"f{k}"] for k in places]

    def crc(self) -> int:
        """CRC-32 of all masters, as ondevice.py has it."""
        return zlib.crc32(b"".join(m.tobytes() for m in self.masters()))

    def _counters(self, t: int) -> Values:
        counts = {"seed": self.seed, "trial": self.trial, "t": t, "steps": len(self.seen)}
        return {name: number(value, np.uint32) for name, value in counts.items()}

    def _current(self, trial: int) -> None:
        if trial != self.trial:
            raise ValueError(f"the reward is for trial {trial}; the trial that is kept is {self.trial}")

    def _expect(self, *phases: int) -> None:
        if self.phase not in phases:
            wanted = " or ".join(PHASES[p] for p in phases)
            raise ValueError(f"there is {PHASES[self.phase]}; there must be {wanted}")


def number(value: int, type: Any) -> np.ndarray:
    return np.array([value], type)


def open_learner(folder: Path, net: IntegerNetwork, plan: LearningPlan) -> LearnSession:
    """What `lower` wrote into `folder`, in onnxruntime. Raise BadFile for anything else."""
    return LearnSession(open_models(folder, net, plan), net, plan)
