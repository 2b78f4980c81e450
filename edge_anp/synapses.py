"""The maps on the way from a source to a neuron: shapes and weights, with no arithmetic.

Every map takes and gives flat vectors in row-major order (channels first), so flattening and viewing cost nothing and need no map of
their own; `in_shape` says how a map sees the vector. Weights are torch tensors in a float network and int8 arrays in an integer one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

Array = Any  # torch.Tensor in a Network, numpy.ndarray in an IntegerNetwork and in a target


def window_count(size: int, kernel: int, stride: int, padding: int) -> int:
    """How many windows of `kernel` fit: floor((size + 2 padding - kernel) / stride) + 1."""
    count = (size + 2 * padding - kernel) // stride + 1
    if count < 1:
        raise ValueError(f"a window of {kernel} does not fit into {size} values with padding {padding}")
    return count


class Map:
    """What all maps have: flat sizes on both sides, and a name for messages."""

    weighted: ClassVar[bool] = False
    in_shape: tuple[int, ...]
    weight: Array  # of a weighted map alone
    bias: Array  # of a map with one

    @property
    def out_shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    @property
    def in_size(self) -> int:
        return prod(self.in_shape)

    @property
    def out_size(self) -> int:
        return prod(self.out_shape)

    def describe(self) -> str:
        size = "x".join(map(str, self.in_shape)) + " -> " + "x".join(map(str, self.out_shape))
        return f"{type(self).__name__} {size}"


@dataclass(frozen=True, eq=False)
class Dense(Map):
    """y = W x + b; weight [N, I], bias [N] or None."""

    weight: Array
    bias: Array | None = None
    weighted: ClassVar[bool] = True

    @property
    def in_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return (int(self.weight.shape[1]),)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (int(self.weight.shape[0]),)


@dataclass(frozen=True, eq=False)
class Diagonal(Map):
    """y = w * x, one synapse from each source neuron to its twin; weight [] or [N]."""

    weight: Array
    in_shape: tuple[int, ...]
    weighted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.weight.ndim > 1 or (self.weight.ndim and len(self.weight) not in (1, self.in_size)):
            raise ValueError(f"Diagonal weight has shape {tuple(self.weight.shape)}; it must be [] or [{self.in_size}]")

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.in_shape


@dataclass(frozen=True, eq=False)
class Window(Map):
    """What convolutions and pools share: windows that slide over the last axes of in_shape = (C, ...)."""

    in_shape: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]

    @property
    def channels(self) -> int:
        return self.in_shape[0]

    @property
    def out_shape(self) -> tuple[int, ...]:
        sizes = zip(self.in_shape[1:], self.kernel, self.stride, self.padding, strict=True)
        return (self.channels, *(window_count(*s) for s in sizes))


@dataclass(frozen=True, eq=False)
class Convolution(Window):
    """Cross-correlation as torch computes it; weight [C_out, C_in / groups, *kernel], bias [C_out] or None."""

    weight: Array
    bias: Array | None = None
    groups: int = 1
    weighted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        want = (self.in_shape[0] // self.groups, *self.kernel)
        if tuple(self.weight.shape[1:]) != want:
            raise ValueError(f"weight has shape {tuple(self.weight.shape)}; it must be [C_out, {want}]")

    @property
    def channels(self) -> int:
        return int(self.weight.shape[0])


class Conv2d(Convolution):
    """A convolution over (C, H, W)."""


class Conv1d(Convolution):
    """A convolution over (C, L)."""


class AvgPool2d(Window):
    """The mean of each window (float networks); padded zeros count."""


class SumPool2d(Window):
    """The sum of each window: AvgPool2d in integers, its 1/k^2 folded into the next scale."""


class MaxPool2d(Window):
    """The largest value of each window; padding never wins."""


def windows(x: np.ndarray, op: Window, fill: float | int = 0) -> np.ndarray:
    """The windows of x [B, in_size] as a view [B, C, *out, *kernel], padded with `fill`."""
    x = x.reshape(len(x), *op.in_shape)
    if any(op.padding):
        sizes = list(zip(x.shape[2:], op.padding, strict=True))
        padded = np.full((*x.shape[:2], *(n + 2 * p for n, p in sizes)), fill, x.dtype)
        padded[(..., *(slice(p, p + n) for n, p in sizes))] = x
        x = padded
    shape = (*x.shape[:2], *op.out_shape[1:], *op.kernel)
    strides = (*x.strides[:2], *(b * step for b, step in zip(x.strides[2:], op.stride, strict=True)), *x.strides[2:])
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


def convolve(x: np.ndarray, op: Convolution, weight: np.ndarray) -> np.ndarray:
    """The convolution of x [B, in_size] with `weight` as one matrix product per group -> [B, out_size].

    With integers below 2^24 it is exact in float32 too, in any order of summation.
    """
    view, groups, batch, axes = windows(x, op), op.groups, len(x), len(op.kernel)
    fan_in, fan_out = prod(weight.shape[1:]), len(weight) // groups
    out = view.shape[2 : 2 + axes]
    view = view.reshape(batch, groups, view.shape[1] // groups, *out, *op.kernel)
    view = view.transpose(1, 0, *range(3, 3 + axes), 2, *range(3 + axes, 3 + 2 * axes))  # [G, B, *out, C / G, *kernel]
    columns = view.reshape(groups, batch * prod(out), fan_in)
    sums = columns @ weight.reshape(groups, fan_out, fan_in).transpose(0, 2, 1)
    return sums.reshape(groups, batch, prod(out), fan_out).transpose(1, 0, 3, 2).reshape(batch, op.out_size)
