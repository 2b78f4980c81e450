"""What feeds what, and when: the part of a network that floats and integers share.

A network is a list of layers joined by connections. A connection reads its `source` (a layer's index, or INPUT) `delay` steps ago.
A source that is the layer itself or a later one is recurrence and needs a delay of at least 1, so that one pass over the layers
in their order computes a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

INPUT = -1


@dataclass(frozen=True)
class InputContract:
    """What a sample looks like: it travels with the network into every artifact.

    shape: of one time step, e.g. (64,) or (1, 28, 28); a raster is [T, B, prod(shape)], channels first.
    dt: seconds a step, if known.
    scale: input units of one integer; an integer network takes clip(floor(x / scale + 1/2), -high, high).
    """

    shape: tuple[int, ...]
    dt: float | None = None
    scale: float = 1.0
    high: int = 127

    def __post_init__(self) -> None:
        if not self.shape or any(n < 1 for n in self.shape):
            raise ValueError(f"input shape is {self.shape}; it must be one or more sizes of at least 1")
        if not self.scale > 0:
            raise ValueError(f"input scale is {self.scale}; it must be positive")
        if not 1 <= self.high <= 127:
            raise ValueError(f"the largest input is {self.high}; it must lie in 1..127")

    @property
    def size(self) -> int:
        size = 1
        for n in self.shape:
            size *= n
        return size


@runtime_checkable
class Wired(Protocol):
    """A layer as this file sees it: float and integer layers both are."""

    @property
    def connections(self) -> tuple[Any, ...]: ...
    @property
    def size(self) -> int: ...


def check(layers: Sequence[Wired], input_size: int) -> None:
    """Raise ValueError unless every connection exists in space and in time."""
    if not layers:
        raise ValueError("the network has no layers; it must have at least one")
    for i, layer in enumerate(layers):
        if not layer.connections:
            raise ValueError(f"layer {i} has no connections; it must have at least one")
        for c in layer.connections:
            if not INPUT <= c.source < len(layers):
                raise ValueError(f"layer {i} reads layer {c.source}; it must be INPUT (-1) or 0..{len(layers) - 1}")
            if c.delay < (1 if c.source >= i else 0):
                raise ValueError(f"layer {i} reads layer {c.source} with delay {c.delay}; recurrence needs at least 1")
            size = input_size if c.source == INPUT else layers[c.source].size
            for op in c.path:
                if op.in_size != size:
                    raise ValueError(f"layer {i}: {op.describe()} takes {op.in_size} values, but {size} arrive")
                size = op.out_size
            if size != layer.size:
                raise ValueError(f"layer {i} has {layer.size} neurons, but a connection brings {size} values")
            if sum(op.weighted for op in c.path) > 1:
                raise ValueError(f"layer {i}: a connection has two weighted synapses; merge them into one")


def blocks(layers: Sequence[Wired]) -> list[range]:
    """The layers in order, grouped so that loops stay inside a group.

    Outside its own group a layer reads only earlier groups, so whole sequences can be computed group by group.
    """
    groups: list[range] = []
    for i in range(len(layers)):
        first = i
        for k, layer in enumerate(layers[: i + 1]):
            if any(c.source == i and c.source >= k for c in layer.connections):
                first = min(first, k)
        while groups and groups[-1].stop > first:
            first = min(first, groups.pop().start)
        groups.append(range(first, i + 1))
    return groups
