"""The maps between a source and a neuron, sorted: pools before the synapse, the synapse, a normalization, pools after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import cast

import torch
from torch import Tensor

from edge_anp.snntorch_terms import Piece, Refused, Stage, Term
from edge_anp.snntorch_values import Norm
from edge_anp.synapses import AvgPool2d, Convolution, Dense, Diagonal, MaxPool2d, Window


@dataclass(frozen=True, eq=False)
class Route:
    """stages: the weighted maps, one, or several Linear in a row that become one. piece: the part of a concatenation they take in."""

    before: tuple[Window, ...]
    stages: tuple[Stage, ...]
    piece: Piece | None
    norm: Stage | None
    after: tuple[Window, ...]


def route(term: Term) -> Route:
    """Sort a term's path; raise Refused where it is more than one synapse."""
    before: list[Window] = []
    stages: list[Stage] = []
    after: list[Window] = []
    norm: Stage | None = None
    open_piece: Piece | None = None
    taken: Piece | None = None
    for part in term.path:
        if isinstance(part, Piece):
            if stages:
                raise Refused(f"a concatenation follows {stages[-1].where}; concatenate before a Linear or Conv")
            inner = open_piece or Piece(0, part.size, part.size)
            open_piece = Piece(part.offset + inner.offset, inner.size, part.total)
        elif isinstance(part.op, Norm):
            _check_norm(part, stages, norm, after)
            norm = part
        elif isinstance(part.op, Dense | Convolution | Diagonal):
            if stages and (after or norm or not (isinstance(part.op, Dense) and isinstance(stages[-1].op, Dense))):
                raise Refused(
                    f"{stages[-1].where} and {part.where} follow each other with no neuron between; put a spiking neuron"
                    " between them or make them one (only two Linear are merged)"
                )
            if not stages:
                taken, open_piece = open_piece, None
            stages.append(part)
        else:
            pool, open_piece = _narrow(cast(Window, part.op), open_piece, part.where)
            (after if stages else before).append(pool)
    if open_piece is not None:
        raise Refused("a concatenation reaches it with no weights between; concatenate before a Linear or Conv")
    return Route(tuple(before), tuple(stages), taken, norm, tuple(after))


def _check_norm(part: Stage, stages: list[Stage], earlier: Stage | None, after: list[Window]) -> None:
    """A normalization folds into the synapse before it if it acts per output of that synapse."""
    op = cast(Norm, part.op)
    if not stages:
        raise Refused(f"{part.where} normalizes what no weighted map made; put it after a Linear or Conv")
    if earlier is not None:
        raise Refused(f"{earlier.where} and {part.where} both normalize one synapse; keep one")
    synapse = cast(Dense | Convolution, stages[-1].op)
    if op.in_shape[0] != synapse.out_shape[0]:
        raise Refused(
            f"{part.where} normalizes {op.in_shape[0]} features of {synapse.out_shape[0]} channels; put it before flattening"
        )
    for pool in after:
        if isinstance(pool, AvgPool2d) and any(pool.padding):
            raise Refused(f"{part.where} follows an average over padded zeros; put it right after {stages[-1].where}")
        if isinstance(pool, MaxPool2d) and not bool((scale_shift(op)[0] > 0).all()):
            raise Refused(
                f"{part.where} turns a maximum around (a weight below 0); put it right after {stages[-1].where}"
            )


def scale_shift(norm: Norm) -> tuple[Tensor, Tensor]:
    """y = scale x + shift, both [C], without the trainable bias: scale = weight / sqrt(variance + eps), shift = -mean scale."""
    scale = (norm.variance.detach() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach()
    return scale, -norm.mean.detach() * scale


def _narrow(pool: Window, piece: Piece | None, where: str) -> tuple[Window, Piece | None]:
    """A pool over a concatenation of channels is a pool over each part."""
    if piece is None:
        return pool, None
    area, after = prod(pool.in_shape[1:]), prod(pool.out_shape[1:])
    channels = channels_of(piece, area, where)
    part = replace(pool, in_shape=(channels[1], *pool.in_shape[1:]))
    return part, Piece(channels[0] * after, channels[1] * after, piece.total // area * after)


def channels_of(piece: Piece, area: int, where: str) -> tuple[int, int]:
    """The first channel of a piece and how many it has."""
    if piece.offset % area or piece.size % area:
        raise Refused(f"{where} cuts across the parts of a concatenation; concatenate whole channels")
    return piece.offset // area, piece.size // area


def carried(factor: Tensor | None, shape: tuple[int, ...], pools: tuple[Window, ...]) -> Tensor | None:
    """A source's graded factor behind pools: [] or one per element of what the synapse takes in [I]; None is 1."""
    if factor is None or factor.numel() == 1:
        if factor is not None and bool(factor <= 0) and any(isinstance(p, MaxPool2d) for p in pools):
            raise Refused("a graded_spikes_factor below 0 turns a maximum around; make it positive or pool averages")
        return None if factor is None else factor.detach().reshape(())
    full = factor.detach().expand(shape)
    if not pools:
        return full.reshape(-1)
    if pools[0].in_shape != shape:
        raise Refused("its graded_spikes_factor is lost in a view before a pool; give it one value")
    per_channel = full.reshape(shape[0], -1)
    if not torch.equal(per_channel, per_channel[:, :1].expand_as(per_channel)):
        raise Refused("its graded_spikes_factor differs inside a pooled channel; give it one value per channel")
    if not bool((full > 0).all()) and any(isinstance(p, MaxPool2d) for p in pools):
        raise Refused("a graded_spikes_factor below 0 turns a maximum around; make it positive or pool averages")
    return per_channel[:, :1].expand(-1, prod(pools[-1].out_shape[1:])).reshape(-1)
