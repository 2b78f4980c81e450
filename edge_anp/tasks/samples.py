"""A task: its input, and three parts of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int, Num
from torch import Tensor

from edge_anp.topology import InputContract

TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Samples:
    """rasters [S, T, I]; targets: one class a sample [S], one a step [S, T], or numbers [S, T, K]; groups [S]: e.g. who spoke."""

    rasters: Float32[np.ndarray, "S T I"]
    targets: Num[np.ndarray, "S ..."]
    groups: Int[np.ndarray, " S"] | None = None

    def __post_init__(self) -> None:
        if len(self.rasters) != len(self.targets):
            raise ValueError(
                f"there are {len(self.rasters)} rasters and {len(self.targets)} targets; they must be as many"
            )

    def __len__(self) -> int:
        return len(self.rasters)

    def batch(self, indices: Sequence[int] | range | Int[np.ndarray, " B"]) -> tuple[Tensor, Tensor]:
        """Raster [T, B, I] and targets [B, ...] of some samples, as tensors of their own."""
        at = np.asarray(indices, np.int64)
        raster = torch.from_numpy(np.ascontiguousarray(self.rasters[at].transpose(1, 0, 2)))
        return raster, torch.from_numpy(self.targets[at])

    def choose(self, which: np.ndarray) -> Samples:
        """The samples where `which` [S] is true, in their order."""
        return Samples(self.rasters[which], self.targets[which], None if self.groups is None else self.groups[which])


@dataclass(frozen=True, eq=False)
class Task:
    """Samples to learn from, to choose by, and to judge by. classes: of the targets, 0 where they are no classes."""

    name: str
    input: InputContract
    train: Samples
    validation: Samples
    test: Samples
    classes: int


def split_evenly(count: int) -> Int[np.ndarray, " S"]:
    """Where nobody says otherwise: every fifth sample is for the test, every fifth of the rest for validation."""
    split = np.full(count, TRAIN)
    split[::5] = TEST
    rest = np.flatnonzero(split == TRAIN)
    split[rest[::5]] = VALIDATION
    return split


def assemble(name: str, contract: InputContract, samples: Samples, split: Int[np.ndarray, " S"]) -> Task:
    """The task of all `samples`, parted as `split` [S] says: 0 train, 1 validation, 2 test."""
    labels = np.issubdtype(samples.targets.dtype, np.integer)
    classes = int(samples.targets.max()) + 1 if labels and samples.targets.size else 0
    train, validation, test = (samples.choose(split == part) for part in (TRAIN, VALIDATION, TEST))
    return Task(name, contract, train, validation, test, classes)
