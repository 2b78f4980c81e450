"""Where a tensor came from, as a small expression: what `snntorch_trace` writes down and `snntorch_terms` reads."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from edge_anp.synapses import Map


@dataclass(frozen=True)
class Value:
    """Where a tensor came from."""


@dataclass(frozen=True)
class Input(Value):
    """What the module was given: a raster [T, B, *shape] (timed) or one step [B, *shape]."""

    timed: bool


@dataclass(frozen=True)
class Argument(Value):
    """A state that the module was given as an extra argument."""

    name: str


@dataclass(frozen=True)
class Constant(Value):
    zero: bool


@dataclass(frozen=True, eq=False)
class Parameter(Value):
    """A parameter or buffer of the module."""

    name: str
    tensor: Tensor


@dataclass(frozen=True)
class Spikes(Value):
    """What a neuron fired in its `call`-th step."""

    neuron: str
    call: int


@dataclass(frozen=True)
class State(Value):
    neuron: str
    call: int
    name: str


@dataclass(frozen=True)
class At(Value):
    """One step of a timed value."""

    value: Value
    step: int


@dataclass(frozen=True, eq=False)
class Stack(Value):
    """Values side by side along a new time axis."""

    values: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Norm:
    """A batch normalization in evaluation mode, per channel: y = weight (x - mean) / sqrt(variance + eps) + bias."""

    in_shape: tuple[int, ...]
    mean: Tensor
    variance: Tensor
    weight: Tensor | None
    bias: Tensor | None
    eps: float


@dataclass(frozen=True, eq=False)
class Applied(Value):
    """A map applied to a value; `where` names the module, for messages."""

    op: Map | Norm
    value: Value
    where: str


@dataclass(frozen=True, eq=False)
class Sum(Value):
    values: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Concat(Value):
    """Values behind each other along the first axis after the batch; sizes in flat elements."""

    values: tuple[Value, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Unknown(Value):
    """What no Network can hold; `problem` refuses it, `function` is its name, `values` are what it was made of."""

    problem: str
    function: str = ""
    values: tuple[Value, ...] = ()


def timed(value: Value) -> bool:
    """Whether the tensor's first axis is time."""
    if isinstance(value, Input):
        return value.timed
    if isinstance(value, Applied):
        return timed(value.value)
    if isinstance(value, Sum | Concat):
        return any(timed(v) for v in value.values)
    return isinstance(value, Stack)
