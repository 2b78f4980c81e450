"""Sums of  w[t] d[t] x[t]'  over a trial that comes in pieces, where w[t] = sum_{k >= t} trace^(k-t) L[k] looks ahead of the piece.

Inside a piece w is known. What the pieces before it left is one matrix a synapse and trial, the eligibility

    e[t] = trace e[t-1] + d[t] x[t]'            so that  sum_t w[t] d[t] x[t]' = sum_t L[t] e[t]

so what is remembered does not grow with the trial. With one loss for the batch, one matrix a synapse is enough.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edge_anp.learning.observed import Observed
from edge_anp.learning.wiring import weight_gradients
from edge_anp.network import Moment, Network, Trace
from edge_anp.synapses import Dense, Map

Piece = tuple[Tensor, Trace, Moment]  # a run: its raster, its trace, the moment it began


class Eligibility:
    """The sums so far, by parameter."""

    def __init__(self, network: Network, trace: float, per_sample: bool) -> None:
        self.trace, self.per_sample = trace, per_sample
        self.carried: dict[
            tuple[int, int], tuple[Tensor, Tensor]
        ] = {}  # e of the weights [B or 1, N, I] and of the bias [B or 1, N]
        self.sums: dict[int, Tensor] = {}

    @staticmethod
    def carries(network: Network) -> bool:
        """Whether what a piece leaves can be carried on: of dense synapses."""
        return all(len(c.path) == 1 and isinstance(c.path[0], Dense) for x in network.layers for c in x.connections)

    def take(self, network: Network, piece: Piece, direction: Sequence[Tensor], change: Tensor) -> None:
        """One more piece: direction d of every layer [n, B, N], loss differences L [n, B]."""
        raster, trace, start = piece
        seen = Observed(raster, trace, (), start)
        steps = len(change)
        w = change.clone()
        for t in range(steps - 2, -1, -1):
            w[t] += self.trace * w[t + 1]
        later = change * self.trace ** torch.arange(1, steps + 1, device=w.device, dtype=w.dtype)[:, None]
        for i, layer in enumerate(network.layers):
            weighted = w[:, :, None] * direction[i]
            for k, c in enumerate(layer.connections):
                sent = seen.source(c)
                for tensor, gradient in weight_gradients(c, weighted.flatten(0, 1), sent.flatten(0, 1)):
                    self._add(tensor, gradient)
                if self.trace and self.carries(network):
                    self._carry(i, k, c.path[0], direction[i], sent, later.sum(0), steps)

    def _carry(self, i: int, k: int, op: Map, d: Tensor, sent: Tensor, later: Tensor, steps: int) -> None:
        """Close the eligibility of earlier pieces with this one's losses, and let it go on."""
        decay = self.trace ** torch.arange(steps - 1, -1, -1, device=d.device, dtype=d.dtype)[:, None, None]
        d = decay * d
        if self.per_sample:
            weights, left, right = later, d.permute(1, 2, 0), sent.transpose(0, 1)  # [B, N, n] [B, n, I]
        else:
            weights, left, right = later[:1], d.flatten(0, 1).T[None], sent.flatten(0, 1)[None]
        one = left.sum(2)
        old = self.carried.get((i, k))
        if old is None:
            self.carried[i, k] = (left @ right, one)
            return
        self._add(op.weight, (weights @ old[0].flatten(1)).reshape(op.weight.shape))
        if op.bias is not None:
            self._add(op.bias, weights @ old[1])
        old[0].baddbmm_(left, right, beta=self.trace**steps)
        old[1].mul_(self.trace**steps).add_(one)

    def _add(self, tensor: Tensor, gradient: Tensor) -> None:
        before = self.sums.get(id(tensor))
        self.sums[id(tensor)] = gradient if before is None else before + gradient

    def gradients(self, network: Network) -> dict[str, Tensor]:
        """By parameter name."""
        return {name: self.sums[id(p)] for name, p in network.parameters().items() if id(p) in self.sums}
