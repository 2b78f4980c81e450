"""When each layer computes a step of the network: in Lava every synapse takes one step, so a layer lags behind what it reads.

A spike of layer j at step t reaches layer i at step t + d of the network. In Lava they stand lag_j and lag_i steps later, and the synapse
takes 1: so lag_i >= lag_j + 1 - d, and what is left of d is a delay of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_anp.topology import INPUT


@dataclass(frozen=True)
class Schedule:
    """lags: per layer. reasons: why there is no schedule, one per loop that is too fast."""

    lags: tuple[int, ...]
    reasons: tuple[str, ...] = ()

    def late(self, i: int, c: Any) -> int:
        """Steps that a connection to layer i must wait beyond its synapse's one."""
        source = 0 if c.source == INPUT else self.lags[c.source]
        return c.delay + self.lags[i] - source - 1


def plan(layers: Any) -> Schedule:
    """The smallest lags; a loop whose delays are fewer than its synapses has none."""
    lags = [0] * len(layers)
    for _ in range(len(layers) + 1):
        moved = False
        for i, layer in enumerate(layers):
            least = max((0 if c.source == INPUT else lags[c.source]) + 1 - c.delay for c in layer.connections)
            if least > lags[i]:
                lags[i], moved = least, True
        if not moved:
            return Schedule(tuple(lags))
    reasons = [
        f"layer {i}{f' ({layer.name})' if layer.name else ''} reads layer {c.source} {c.delay} step{'s' * (c.delay > 1)} ago: Lava's "
        f"synapses take one step each, {c.source - i + 1} around this loop; make this connection's delay at least {c.source - i + 1}"
        for i, layer in enumerate(layers)
        for c in layer.connections
        if c.source > i and c.delay < c.source - i + 1
    ]
    return Schedule(
        (), tuple(reasons) or ("a loop over layers is faster than Lava's synapses, which take one step each",)
    )
