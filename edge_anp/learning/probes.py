"""Feedback learned from flips: no weight is read backwards, and none is read at all.

On some steps of a trial the rule asks which spikes a little noise on the membrane would flip, one way and the other, and what the flips
would change at the outputs and at the next step's currents:

    ds = [u + sigma xi > theta] - [u - sigma xi > theta]              one sign of xi against the other
    B <- B + eta (O ds - B ds) ds' / n          R^ <- R^ + eta (R ds - R^ ds) ds' / n          n_j = sum ds_j^2 + eps

a regression without noise, whose fixed points are B = O and R^ = R. Flips of one sign only share a common mode (silent neurons flip up
and never down), on which the delta rule diverges; the antithetic pair has mean zero.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from edge_anp.learning.circuit import Circuit, respond
from edge_anp.learning.draws import Draw
from edge_anp.network import Connection
from edge_anp.noise import gaussian, uniform

FLOOR = 0.01  # eps, flips a row: a neuron that hardly ever flips learns slowly rather than wildly


def flips(circuit: Circuit, u: Float[Tensor, "T B N"], sigma: float, probes: int, seed: int) -> Float[Tensor, "M N"]:
    """ds in -1, 0, 1 at `probes` steps of every trial (all of them, if the trial has no more); sigma counts in thresholds."""
    steps, batch, size = u.shape
    chosen = torch.arange(steps)
    if probes < steps:
        chosen = uniform(seed, 0, int(Draw.PROBED), chosen, 0, 0).argsort()[:probes]
    xi = gaussian(seed, torch.arange(batch)[:, None], int(Draw.FLIP), chosen[:, None, None], 0, torch.arange(size))
    theta = circuit.threshold
    xi *= sigma * theta
    u = u[chosen]
    return ((u + xi > theta).to(u.dtype) - (u - xi > theta).to(u.dtype)).reshape(-1, size)


def follow_flips(
    feedback: Float[Tensor, "J N"], connection: Connection, ds: Float[Tensor, "M N"], eta: float
) -> Float[Tensor, "J N"]:
    """The delta rule: `feedback` moved towards the weights of `connection`, of which only the response to ds is seen."""
    surprise = respond(connection, ds) - ds @ feedback.T
    n = (ds * ds).sum(0) + FLOOR * len(ds)
    return feedback + eta * (surprise.T @ ds) / n
