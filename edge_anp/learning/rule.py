"""What a learning rule is, and what it may know of the right answer.

Rules differ in how they guess a gradient and in nothing else, so one loop (fit.py) runs all of them. A rule is a frozen record of
switches; what it remembers between updates is an argument and a result, so a checkpoint needs no special case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
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
class Ask:
    """What a rule may ask about the trials of a batch: no more than its signal permits, and counted.

    targets: the right class of every trial [B]; a rule has no business with it but through the three questions.
    classes: how many outputs the network has. counts: how many labels, scores and rewards were given out.
    """

    signal: Signal
    targets: Tensor = field(repr=False)
    classes: int
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        check_labels(self.targets, self.classes)

    def label(self) -> Int[Tensor, " B"]:
        """The right class of every trial."""
        self._permit(Signal.LABEL)
        self.counts["labels"] += len(self.targets)
        return self.targets

    def score(self, outputs: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
        """The loss of every trial, had the outputs been these: the cross-entropy of their softmax."""
        self._permit(Signal.SCORE)
        self.counts["scores"] += len(self.targets)
        return F.cross_entropy(outputs, self.targets, reduction="none")

    def reward(self, actions: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
        """One number in [0, 1] for the one answer given in every trial, here right or wrong. It can be asked once."""
        self._permit(Signal.REWARD)
        if self.counts["rewards"]:
            raise ValueError("a second answer was given in the same trial; a reward comes once a trial")
        if actions.shape != self.targets.shape:
            raise ValueError(
                f"{len(actions)} answers were given; it must be one for each of {len(self.targets)} trials"
            )
        self.counts["rewards"] += len(self.targets)
        return (actions == self.targets).float()

    def _permit(self, question: Signal) -> None:
        if self.signal is not question:
            raise ValueError(
                f"the rule asked for a {question}, but its signal is {self.signal}; it must ask for that alone"
            )


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
    def signal(self) -> Signal:
        """What the rule learns from."""
        ...

    def init(self, network: Network, seed: int) -> State:
        """What the rule remembers at the start. Raise Unsupported, all reasons at once, for a network that it cannot train."""
        ...

    def update(self, network: Network, state: State, raster: Float[Tensor, "T B I"], ask: Ask, seed: int) -> Update:
        """One batch of trials. Everything random comes from `seed`, so that an update can be replayed."""
        ...


def check_labels(targets: Tensor, classes: int) -> None:
    """Raise ValueError unless targets are integers [B] in 0..classes-1."""
    if targets.ndim != 1 or targets.dtype.is_floating_point or targets.dtype == torch.bool:
        shape, kind = list(targets.shape), str(targets.dtype).removeprefix("torch.")
        raise ValueError(
            f"targets are {kind} {shape}; the rules here learn one class a trial: they must be integers [B]"
        )
    wrong = targets[(targets < 0) | (targets >= classes)]
    if len(wrong):
        raise ValueError(
            f"a label is {int(wrong[0])}, but the network has {classes} outputs; it must be 0..{classes - 1}"
        )
