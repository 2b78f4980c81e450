"""The moment between two steps of a network: what it must remember to go on as if it had not been interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edge_anp.topology import INPUT


@dataclass(frozen=True, eq=False)
class Moment:
    """states: of every layer, [B, N] by name. past: by source, its last spikes [d, B, N], the latest last; as many as delays ask for."""

    states: tuple[dict[str, Tensor], ...]
    past: dict[int, Tensor]


def longest_delays(layers: Sequence[Any]) -> dict[int, int]:
    """By source, the longest delay at which it is read; sources that are read at once alone are left out."""
    longest: dict[int, int] = {}
    for layer in layers:
        for c in layer.connections:
            if c.delay:
                longest[c.source] = max(c.delay, longest.get(c.source, 0))
    return longest


def silence(layers: Sequence[Any], names: Sequence[Sequence[str]], raster: Tensor) -> Moment:
    """The moment before the first step: every state and every earlier spike is zero. names: of the states of each layer."""
    batch, size = raster.shape[1:]
    states = tuple(
        {n: raster.new_zeros(batch, layer.size) for n in found} for layer, found in zip(layers, names, strict=True)
    )
    sizes = {source: size if source == INPUT else layers[source].size for source in longest_delays(layers)}
    past = {s: raster.new_zeros(d, batch, sizes[s]) for s, d in longest_delays(layers).items()}
    return Moment(states, past)


def moment_after(
    start: Moment, raster: Tensor, spikes: Sequence[Tensor], states: Sequence[dict[str, Tensor]]
) -> Moment:
    """The moment after a run from `start` over `raster` that gave these spikes and states [T, B, N]."""
    last = tuple({name: value[-1] for name, value in s.items()} for s in states)
    past = {}
    for source, before in start.past.items():
        sent = raster if source == INPUT else spikes[source]
        past[source] = torch.cat([before, sent])[-len(before) :]
    return Moment(last, past)


def moments_before(
    start: Moment, raster: Tensor, spikes: Sequence[Tensor], states: Sequence[dict[str, Tensor]]
) -> Moment:
    """The moments before each step of such a run, all at once, as a batch: that of step t of trial b is row t B + b."""
    held = tuple(
        {name: torch.cat([first[name][None], value[:-1]]).flatten(0, 1) for name, value in s.items()}
        for first, s in zip(start.states, states, strict=True)
    )
    past = {}
    for source, before in start.past.items():
        sent = torch.cat([before, raster if source == INPUT else spikes[source]])
        past[source] = torch.stack([sent[k : k + len(raster)].flatten(0, 1) for k in range(len(before))])
    return Moment(held, past)
