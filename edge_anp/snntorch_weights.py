"""From a term to a connection: which tensors its maps hold, and how trained values find their way back.

used as it is      the module's own parameter
a part of it       a view of its columns or input channels, which shares their memory
folded             a new leaf w' = factor w + shift (batch normalization, graded spikes); `store` writes w back
merged             several Linear in a row as one new leaf, W = W2 W1; it has no way back
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import cast

import torch
from torch import Tensor

from edge_anp.errors import Unsupported
from edge_anp.network import Connection
from edge_anp.snntorch_paths import Route, carried, channels_of, route, scale_shift
from edge_anp.snntorch_terms import Refused, Stage, Term
from edge_anp.snntorch_values import Norm
from edge_anp.synapses import Convolution, Dense, Diagonal

Part = tuple[int, int]  # first column (or input channel) and how many


@dataclass(frozen=True, eq=False)
class Fold:
    """leaf = factor * parameter[:, part] + shift; `value` is what it was at reading. A merged leaf has no parameter."""

    leaf: Tensor
    value: Tensor
    names: str
    parameter: Tensor | None = None
    part: Part | None = None
    factor: Tensor | None = None
    shift: Tensor | None = None

    @property
    def changed(self) -> bool:
        return not torch.equal(self.leaf.detach(), self.value)

    def store(self) -> None:
        """Write the leaf back into its parameter; where the factor is 0 the parameter stays as it is."""
        assert self.parameter is not None
        target = columns(self.parameter, self.part)
        factor = torch.ones_like(target) if self.factor is None else self.factor.expand_as(target)
        unfolded = self.leaf.detach() if self.shift is None else self.leaf.detach() - self.shift
        target.copy_(torch.where(factor == 0, target, unfolded / torch.where(factor == 0, 1.0, factor)))


@dataclass(frozen=True)
class Source:
    """What a term starts from: its name, its shape per step, and its graded_spikes_factor unless that is 1."""

    name: str
    shape: tuple[int, ...]
    factor: Tensor | None = None


class Weights:
    """Builds connections; a tensor that is folded twice alike is one leaf. used: ids of all module tensors that act."""

    def __init__(self) -> None:
        self.folds: list[Fold] = []
        self.used: set[int] = set()
        self._leaves: dict[tuple, Tensor] = {}

    def connection(self, term: Term, source: Source) -> Connection:
        """The connection that a term is; raise Refused where its maps cannot be one path with at most one synapse."""
        assert term.source is not None
        way = route(term)
        factor = carried(source.factor, source.shape, way.before)
        if not way.stages:
            weight = torch.ones(()) if factor is None else factor.clone()
            shape = way.before[-1].out_shape if way.before else source.shape
            return Connection(term.source, (*way.before, Diagonal(weight, shape)), term.delay)
        if isinstance(way.stages[0].op, Diagonal):
            return Connection(term.source, (self._twin(way.stages[0], source, factor),), term.delay)
        synapse = self._synapse(way, source.name, factor)
        return Connection(term.source, (*way.before, synapse, *way.after), term.delay)

    def _twin(self, stage: Stage, source: Source, factor: Tensor | None) -> Diagonal:
        """One weight from each neuron to its twin, as one-to-one recurrence has it; nothing else stands on such a way."""
        op = cast(Diagonal, stage.op)
        self.used.add(id(op.weight))
        if factor is None:
            return op
        value = op.weight.detach() * factor
        grow = factor.expand_as(value)
        if value.shape != op.weight.shape:
            raise Refused(
                f"{stage.where} has one V for spikes of different graded_spikes_factor; give V one value a neuron"
            )
        weight = self._folded(("twin", id(op.weight), source.name), op.weight, value, stage.where, None, grow, None)
        return Diagonal(weight, op.in_shape)

    def _synapse(self, way: Route, source: str, factor: Tensor | None) -> Dense | Convolution:
        ops = [cast(Dense | Convolution, s.op) for s in way.stages]
        norm = cast(Norm, way.norm.op) if way.norm else None
        first, where = ops[0], way.stages[0].where
        part: Part | None = None
        shape = first.in_shape
        if way.piece is not None:
            part = channels_of(way.piece, prod(shape[1:]), where)
            shape = (part[1], *shape[1:])
        key = (
            *(id(op.weight) for op in ops),
            part,
            source if factor is not None else None,
            id(norm.mean) if norm else None,
        )
        biases = [op.bias if s.biased else None for s, op in zip(way.stages, ops, strict=True)]
        normed = norm is not None and way.norm is not None and way.norm.biased
        self.used |= {id(t) for op in (*ops, *([norm] if norm else [])) for t in (op.weight, op.bias) if t is not None}

        gain = None if factor is None else _per_input(factor, first, shape, where)
        scale, shift = scale_shift(norm) if norm else (None, None)
        full_shift = shift if norm is None or norm.bias is None or shift is None else shift + norm.bias.detach()
        if len(ops) > 1:
            weight, bias = columns(first.weight.detach(), part), biases[0]
            weight = weight if gain is None else weight * gain
            for op, extra in zip(ops[1:], biases[1:], strict=True):
                bias = None if bias is None else op.weight.detach() @ bias.detach()
                bias = extra if bias is None else bias if extra is None else bias + extra.detach()
                weight = op.weight.detach() @ weight
            names = " and ".join(s.where for s in way.stages)
            if scale is not None and full_shift is not None:
                weight = weight * scale[:, None]
                bias = None if bias is None else bias * scale
                bias = bias if not normed else full_shift if bias is None else bias + full_shift
            trains = any(op.weight.requires_grad for op in ops)
            merged = self._leaf(("merged", key), trains, lambda leaf: Fold(leaf, leaf.detach().clone(), names), weight)
            if bias is not None:
                bias = self._leaf(
                    ("bias", key), trains, lambda leaf: Fold(leaf, leaf.detach().clone(), names), bias.detach()
                )
            return Dense(merged, bias)

        weight, bias = first.weight, biases[0]
        grow = _product(gain, None if scale is None else scale.reshape(-1, *[1] * (weight.ndim - 1)))
        if grow is not None:
            value = columns(weight.detach(), part) * grow
            weight = self._folded(("weight", key), first.weight, value, where, part, grow, None)
        elif part is not None:
            view = ("view", id(first.weight), part)
            weight = self._leaves.setdefault(
                view, columns(first.weight, part).requires_grad_(first.weight.requires_grad)
            )
        if scale is not None and shift is not None and full_shift is not None:
            if bias is not None:
                total = full_shift if normed else torch.zeros_like(full_shift)
                bias = self._folded(("bias", key), bias, bias.detach() * scale + total, where, None, scale, total)
            elif normed and norm is not None and norm.bias is not None:
                bias = self._folded(("bias", key), norm.bias, full_shift, where, None, None, shift)
            elif normed:
                bias = full_shift
        if isinstance(first, Dense):
            return Dense(weight, bias)
        return replace(first, in_shape=shape, weight=weight, bias=bias)

    def _folded(
        self,
        key: tuple,
        parameter: Tensor,
        value: Tensor,
        names: str,
        part: Part | None,
        factor: Tensor | None,
        shift: Tensor | None,
    ) -> Tensor:
        def fold(leaf: Tensor) -> Fold:
            return Fold(leaf, leaf.detach().clone(), names, parameter, part, factor, shift)

        return self._leaf(key, parameter.requires_grad, fold, value)

    def _leaf(self, key: tuple, trains: bool, fold: Callable[[Tensor], Fold], value: Tensor) -> Tensor:
        if key not in self._leaves:
            leaf = value.detach().clone().requires_grad_(trains)
            self._leaves[key] = leaf
            self.folds.append(fold(leaf))
        return self._leaves[key]


def store(folds: list[Fold] | tuple[Fold, ...]) -> None:
    """Write every changed leaf back; Unsupported, before anything is written, where one parameter cannot hold the result."""
    changed = [f for f in folds if f.changed]
    reasons = [
        f"{f.names} were merged into one at reading and have been trained; save the network instead"
        for f in changed
        if f.parameter is None
    ]
    for f in changed:
        same = [g for g in folds if g.parameter is f.parameter and g.part == f.part]
        if f.parameter is not None and len(same) > 1:
            reasons.append(f"{f.names} acts with different factors and has been trained; save the network instead")
    if reasons:
        raise Unsupported(dict.fromkeys(reasons))
    with torch.no_grad():
        for f in changed:
            f.store()


def columns(weight: Tensor, part: Part | None) -> Tensor:
    """A view of the input columns (or channels) of a weight, cut off from its gradient; it shares the memory."""
    return weight.detach() if part is None else weight.detach().narrow(1, *part)


def _per_input(factor: Tensor, op: Dense | Convolution, shape: tuple[int, ...], where: str) -> Tensor:
    """A source's factor as it multiplies the weight: [] or [1, I, 1...]."""
    if factor.ndim == 0:
        return factor
    if isinstance(op, Dense):
        return factor[None]
    per_channel = factor.reshape(shape[0], -1)
    if op.groups > 1 or not torch.equal(per_channel, per_channel[:, :1].expand_as(per_channel)):
        raise Refused(
            f"{where} shares weights between spikes of different graded_spikes_factor; give that one value (a channel)"
        )
    return per_channel[:, 0].reshape(1, -1, *[1] * len(op.kernel))


def _product(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a * b
