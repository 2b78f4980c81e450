"""A neuron's current as a sum of terms, each from one source: the structure that every step of a recording must share.

A term is a source (the input or a layer), how many steps ago it fired, and the path of maps from there to the neuron. Zeros that a
module starts from stand for spikes before the first step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from edge_anp.snntorch_steps import Recording
from edge_anp.snntorch_values import (
    Applied,
    Argument,
    At,
    Concat,
    Constant,
    Input,
    Norm,
    Parameter,
    Spikes,
    Stack,
    State,
    Sum,
    Unknown,
    Value,
)
from edge_anp.synapses import Convolution, Map, MaxPool2d
from edge_anp.topology import INPUT


@dataclass(frozen=True, eq=False)
class Stage:
    """One map on the way; `biased`: this term carries the map's bias (one term of a sum does)."""

    op: Map | Norm
    biased: bool
    where: str

    @property
    def key(self) -> tuple:
        """Equal for the same use of the same tensors."""
        op = self.op
        parts = [getattr(op, name, None) for name in ("weight", "bias", "mean")]
        geometry = [getattr(op, name, None) for name in ("in_shape", "kernel", "stride", "padding", "groups")]
        return (
            type(op),
            *(None if p is None else id(p) for p in parts),
            *geometry,
            self.biased and parts[1] is not None,
        )


@dataclass(frozen=True)
class Piece:
    """The flat elements offset .. offset + size of a concatenation of `total`."""

    offset: int
    size: int
    total: int

    @property
    def key(self) -> tuple:
        return ("piece", self.offset, self.size, self.total)


@dataclass(frozen=True)
class Term:
    """source: INPUT, a layer's index, or None for silence before the first step. delay in steps."""

    source: int | None
    delay: int
    path: tuple[Stage | Piece, ...] = ()

    @property
    def key(self) -> tuple:
        return (self.source, self.delay, tuple(p.key for p in self.path))

    @property
    def biased(self) -> bool:
        return any(isinstance(p, Stage) and p.biased and getattr(p.op, "bias", None) is not None for p in self.path)


class Refused(Exception):
    """A current that has no exact counterpart, with the sentences that say so."""


def layer_terms(recording: Recording, name: str) -> tuple[Term, ...]:
    """The terms of a layer's current, after checking that every step has the same; raise Refused."""
    calls = recording.trace.calls[name]
    order = {layer: i for i, layer in enumerate(recording.trace.calls)}
    steps = [_terms(call.current, None, k, order) for k, call in enumerate(calls)]
    late = [t for t in steps[-1] if t.source is not None or t.biased]
    if any(t.source is None for t in late):
        raise Refused(
            "a weighted map of constant zeros brings its bias; give that bias to another synapse of the layer"
        )
    if not late:
        raise Refused("nothing but zeros arrives; feed it from the input or from spikes")
    for k, terms in enumerate(steps):
        want = [t for t in late if t.delay <= k or t.biased]
        have = [t for t in terms if t.source is not None or t.biased]
        if len(want) != len(have) or any(not _same(w, h, k) for w, h in zip(want, have, strict=True)):
            last = len(steps) - 1
            raise Refused(
                f"what feeds it in step {k} differs from step {last}; connections must be the same in every step"
            )
    return tuple(late)


def _same(want: Term, have: Term, step: int) -> bool:
    if want.delay > step:
        return have.source is None and have.key[2] == want.key[2]
    return have.key == want.key


def _terms(value: Value, at: int | None, call: int, order: dict[str, int]) -> list[Term]:
    """The terms of a value, seen from a neuron's step `call`; `at` picks a step of a timed value."""
    if isinstance(value, Input):
        return [Term(INPUT, 0 if at is None else _delay(call, at))]
    if isinstance(value, At):
        return _terms(value.value, value.step, call, order)
    if isinstance(value, Stack) and at is not None:
        return _terms(value.values[at], None, call, order)
    if isinstance(value, Spikes):
        return [Term(order[value.neuron], _delay(call, value.call))]
    if isinstance(value, Constant) and value.zero:
        return [Term(None, 0)]
    if isinstance(value, Sum):
        return [t for v in value.values for t in _terms(v, at, call, order)]
    if isinstance(value, Concat):
        return _pieces(value, at, call, order)
    if isinstance(value, Applied):
        return _applied(value, _terms(value.value, at, call, order))
    raise Refused(*dict.fromkeys(_problems(value)) or (_refusal(value),))


def _refusal(value: Value) -> str:
    if isinstance(value, State):
        kind = {"syn": "synaptic current", "mem": "membrane"}.get(value.name, value.name)
        return f"it reads the {kind} of {value.neuron}; only spikes travel between layers"
    if isinstance(value, Argument):
        return f"it reads the argument {value.name}, which is no neuron's state"
    if isinstance(value, Parameter):
        return f"the parameter {value.name} feeds it as a signal; make it the bias of a Linear or Conv"
    if isinstance(value, Constant):
        return "a constant that is not zero feeds it; make it the bias of a Linear or Conv"
    return "stacked steps feed it at once; feed one step at a time"


def _problems(value: Value) -> Iterator[str]:
    """Everything on the way to a value that has no exact counterpart, in the order in which it was computed."""
    if isinstance(value, Unknown | Sum | Concat):
        for v in value.values:
            yield from _problems(v)
    if isinstance(value, Applied | At):
        yield from _problems(value.value)
    if isinstance(value, Unknown):
        yield value.problem


def _delay(call: int, step: int) -> int:
    if step > call:
        raise Refused(f"in step {call} it reads step {step}, which lies in the future; read the present or the past")
    return call - step


def _pieces(value: Concat, at: int | None, call: int, order: dict[str, int]) -> list[Term]:
    terms, offset, total = [], 0, sum(value.sizes)
    for part, size in zip(value.values, value.sizes, strict=True):
        piece = Piece(offset, size, total)
        terms += [replace(t, path=(*t.path, piece)) for t in _terms(part, at, call, order)]
        offset += size
    return terms


def _applied(value: Applied, terms: list[Term]) -> list[Term]:
    """Push a map into a sum: linear maps distribute, their bias goes to the first term."""
    op, where = value.op, value.where
    pieces = [_open_piece(t) for t in terms]
    apart = None not in pieces and len({p.offset for p in pieces if p}) == len(terms)
    if isinstance(op, MaxPool2d) and len(terms) > 1 and not apart:
        raise Refused(f"{where} takes the maximum of a sum of several sources; pool each before adding them")
    if isinstance(op, Norm) and any(pieces):
        raise Refused(f"{where} normalizes a concatenation; normalize each part before concatenating")
    if isinstance(op, Convolution) and op.groups > 1 and any(pieces):
        raise Refused(f"{where} convolves a concatenation in groups; concatenate after it, or use groups=1")
    return [replace(t, path=(*t.path, Stage(op, k == 0, where))) for k, t in enumerate(terms)]


def _open_piece(term: Term) -> Piece | None:
    """The concatenation that no weighted map has taken in yet."""
    for part in reversed(term.path):
        if isinstance(part, Piece):
            return part
        if isinstance(part.op, Map) and part.op.weighted:
            return None
    return None
