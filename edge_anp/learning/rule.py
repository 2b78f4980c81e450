"""What a learning rule is, and what it may know of the right answer.

Rules differ in how they guess a gradient and in nothing else, so one loop (fit.py) runs all of them. A rule is a frozen record of
switches; what it remembers between updates is an argument and a result, so a checkpoint needs no special case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from edge_anp.network import Network

State = Mapping[str, Tensor]


class Signal(StrEnum):
    """What a rule learns from; figures of different signals never share a column of a table.

    LABEL: the right answer of every trial. SCORE: the loss of any outputs, asked for as often as wanted. REWARD: one number for the
    one answer that was given.
    """

    LABEL = "label"
    SCORE = "score"
    REWARD = "reward"


@dataclass(frozen=True, eq=False)
class Sample:
    """The trials of a batch, as a reward of the user's own sees them: raster [T, B, I], target [B, ...]."""

    raster: Tensor
    target: Tensor


Reward = Callable[[Tensor, Tensor, Sample], Tensor]
"""reward(outputs [B, K], action [B], sample) -> [B], in 0..1: of the answer that was given, by whatever the user knows."""


@dataclass(frozen=True, eq=False)
class Ask:
    """What a rule may ask about the trials of a batch: no more than its signal permits, and counted.

    targets: the right class of every trial [B], the right class of every step [B, T], or the right numbers of every step [B, T, K]; a rule
    has no business with them but through the questions. classes: how many outputs the network has. counts: how many labels, scores and
    rewards were given out. answers: how many may be given in a trial, None for one at every step. own: a reward of the user's own, which
    then judges the answers, and raster what it sees them with. first: the number of the batch's first trial among those that all machines
    learn from together, which noise is drawn by; total: the sum of a tensor over those machines.
    """

    signal: Signal
    targets: Tensor = field(repr=False)
    classes: int
    counts: Counter[str] = field(default_factory=Counter)
    answers: int | None = 1
    own: Reward | None = None
    raster: Tensor | None = field(default=None, repr=False)
    first: int = 0
    total: Callable[[Tensor], Tensor] = lambda x: x

    def __post_init__(self) -> None:
        check_targets(self.targets, self.classes)

    def trials(self) -> Int[Tensor, " B"]:
        """The number of every trial of the batch, which its noise is drawn by."""
        return torch.arange(self.first, self.first + len(self.targets), device=self.targets.device)

    @property
    def every_step(self) -> bool:
        """Whether there is something to get right at every step, rather than once a trial."""
        return self.targets.ndim > 1

    def label(self) -> Int[Tensor, " B"] | Tensor:
        """The right class of every trial; or what is right at every step, [B, T] or [B, T, K]."""
        self._permit(Signal.LABEL)
        self.counts["labels"] += self.targets.shape[:2].numel() if self.every_step else len(self.targets)
        return self.targets

    def score(self, outputs: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
        """The loss of every trial, had the outputs been these: the cross-entropy of their softmax."""
        self._permit(Signal.SCORE)
        if self.every_step:
            raise ValueError("the task asks for something at every step; it must be scored by `scores`, step by step")
        self.counts["scores"] += len(self.targets)
        return F.cross_entropy(outputs, self.targets, reduction="none")

    def scores(self, outputs: Float[Tensor, "T B K"], first: int = 0) -> Float[Tensor, "T B"]:
        """The loss of every step from `first` on: cross-entropy of the trial's class, or the mean square of what the step asks for."""
        self._permit(Signal.SCORE)
        self.counts["scores"] += outputs.shape[:2].numel()
        return step_losses(outputs, self.targets, first)

    def reward(self, actions: Int[Tensor, " B"], outputs: Float[Tensor, "B K"] | None = None) -> Float[Tensor, " B"]:
        """One number in [0, 1] for the one answer given in every trial: right or wrong, or the user's own. It can be asked once."""
        self._permit(Signal.REWARD)
        if self.answers is not None and self.counts["rewards"] >= self.answers * len(self.targets):
            raise ValueError("a second answer was given in the same trial; a reward comes once a trial")
        if actions.shape != self.targets.shape[:1]:
            raise ValueError(
                f"{len(actions)} answers were given; it must be one for each of {len(self.targets)} trials"
            )
        self.counts["rewards"] += len(self.targets)
        if self.own is not None:
            return self._judge(actions, outputs)
        if self.every_step:
            raise ValueError(
                "the task asks for something at every step, where no answer is right or wrong; give a reward of your own"
            )
        return (actions == self.targets).float()

    def _judge(self, actions: Tensor, outputs: Tensor | None) -> Tensor:
        assert self.own is not None
        if outputs is None or self.raster is None:
            raise ValueError("a reward of the user's own needs the outputs and the raster; the rule gave none")
        r = torch.as_tensor(self.own(outputs.detach(), actions, Sample(self.raster, self.targets)))
        if r.shape != actions.shape or not bool(((r >= 0) & (r <= 1)).all()):
            raise ValueError(f"the reward gave {list(r.shape)} in {_range(r)}; it must give [{len(actions)}] in 0..1")
        return r.to(outputs)

    def _permit(self, question: Signal) -> None:
        if self.signal is not question:
            raise ValueError(
                f"the rule asked for a {question}, but its signal is {self.signal}; it must ask for that alone"
            )


def _range(r: Tensor) -> str:
    return f"{float(r.min()):.3g}..{float(r.max()):.3g}" if r.numel() else "nothing"


@dataclass(frozen=True, eq=False)
class Update:
    """gradients: by name, shaped as network.parameters() (descend along them); state: for the next update; loss: of this batch."""

    gradients: Mapping[str, Tensor]
    state: State
    loss: float


@runtime_checkable
class Rule(Protocol):
    """A learning rule, ours or the user's own."""

    @property
    def signal(self) -> str:
        """What the rule learns from: a Signal, or its name. A rule that gives many answers a trial says so by `answers`, else it is 1."""
        ...

    def init(self, network: Network, seed: int) -> State:
        """What the rule remembers at the start. Raise Unsupported, all reasons at once, for a network that it cannot train."""
        ...

    def update(self, network: Network, state: State, raster: Float[Tensor, "T B I"], ask: Ask, seed: int) -> Update:
        """One batch of trials. Everything random comes from `seed`, so that an update can be replayed."""
        ...


def check_targets(targets: Tensor, classes: int) -> None:
    """Raise ValueError unless targets are integers [B] or [B, T] in 0..classes-1, or numbers [B, T, classes]."""
    whole = not targets.dtype.is_floating_point and targets.dtype != torch.bool
    if not ((whole and targets.ndim in (1, 2)) or (targets.dtype.is_floating_point and targets.ndim == 3)):
        shape, kind = list(targets.shape), str(targets.dtype).removeprefix("torch.")
        raise ValueError(
            f"targets are {kind} {shape}; they must be integers [B] or [B, T] (classes), or floats [B, T, K]"
        )
    if not whole and targets.shape[2] != classes:
        raise ValueError(f"targets have {targets.shape[2]} numbers a step, but the network has {classes} outputs")
    wrong = targets[(targets < 0) | (targets >= classes)] if whole else targets[:0]
    if len(wrong):
        raise ValueError(
            f"a label is {int(wrong[0])}, but the network has {classes} outputs; it must be 0..{classes - 1}"
        )


def numbers(targets: Tensor, classes: int) -> Float[Tensor, "T B K"]:
    """What every step should say, of targets [B, T] (as 1 for the right class, 0 elsewhere) or [B, T, K]."""
    right = targets if targets.ndim == 3 else F.one_hot(targets, classes).float()
    return right.transpose(0, 1)


def step_losses(outputs: Float[Tensor, "T B K"], targets: Tensor, first: int = 0) -> Float[Tensor, "T B"]:
    """The loss of steps first, first+1, ...: cross-entropy of a trial's class, or the mean over outputs of (o - y)^2."""
    if targets.ndim == 1:
        steps = len(outputs)
        flat = F.cross_entropy(outputs.flatten(0, 1), targets.repeat(steps), reduction="none")
        return flat.reshape(steps, -1)
    right = numbers(targets, outputs.shape[2])[first : first + len(outputs)]
    return (outputs - right.to(outputs)).square().mean(2)
