"""Feedback learned from flips: no weight is read backwards, and none is read at all.

On some steps of a trial the rule asks which spikes a little noise on the membrane would flip, one way and the other, and what the flips
would change at the synapses that they reach:

    ds = [u + sigma xi > theta] - [u - sigma xi > theta]              one sign of xi against the other
    r  = W ds - W^ ds                              what the feedback did not foresee
    dW = r ds' / n                                 n_j = sum ds_j^2 + eps
    W^ <- W^ + min(eta, c) dW                      c = sum r^2 / sum_ij n_j dW_ij^2

a regression without noise, whose fixed point is W^ = W; W^ has the shape of W, so that a kernel learns a kernel. A step h changes the
error sum_ij n_j (W - W^)_ij^2 by h^2 sum n dW^2 - 2 h sum r^2, which is least at h = c and never above 0 up to there, however few the
flips (one trial, for a layer of hundreds). Flips of one sign only share a common mode (silent neurons flip up and never down), which hides
the rest; the antithetic pair has mean zero. A rate neuron sends ds = tanh(u + sigma xi) - tanh(u - sigma xi).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from edge_anp.learning.draws import Draw
from edge_anp.learning.wiring import correlate, parts, respond
from edge_anp.network import Layer, Network, apply, follow
from edge_anp.neurons import LIF, Tanh, per_neuron
from edge_anp.noise import gaussian, uniform
from edge_anp.synapses import Convolution, Map, MaxPool2d

FLOOR = 0.01  # eps, flips a row: a neuron that hardly ever flips learns slowly rather than wildly


def probed_steps(steps: int, probes: int, seed: int) -> Int[Tensor, " P"]:
    """`probes` steps of a trial, or all of them if it has no more."""
    chosen = torch.arange(steps)
    if probes < steps:
        chosen = uniform(seed, 0, int(Draw.PROBED), chosen, 0, 0).argsort()[:probes].sort().values
    return chosen


def flips(
    layer: Layer, number: int, u: Float[Tensor, "P B N"], chosen: Int[Tensor, " P"], trials: Int[Tensor, " B"], sigma: float, seed: int
) -> Float[Tensor, "P B N"]:  # fmt: skip
    """ds in -1, 0, 1 at the chosen steps of every trial; sigma counts in thresholds. number: of the layer, which noise is drawn by."""
    place = torch.arange(u.shape[2], device=u.device)
    xi = gaussian(seed, trials[:, None], int(Draw.FLIP), chosen.to(u.device)[:, None, None], number, place).to(u.dtype)
    if isinstance(layer.neuron, Tanh):
        xi *= sigma
        return torch.tanh(u + xi) - torch.tanh(u - xi)
    assert isinstance(layer.neuron, LIF)
    theta = per_neuron(layer.neuron.threshold, layer.shape).detach()
    xi *= sigma * theta
    return (u + xi > theta).to(u.dtype) - (u - xi > theta).to(u.dtype)


def learned_names(network: Network) -> dict[str, tuple[int, int]]:
    """The connections whose feedback is learned, by the name of their weight: all that lead on from a layer."""
    return {
        f"{j}.{k}.weight": (j, k)
        for j, layer in enumerate(network.layers)
        for k, c in enumerate(layer.connections)
        if c.source >= 0 and parts(c)[1] is not None
    }


def follow_flips(
    network: Network,
    feedback: Mapping[str, Tensor],
    ds: Sequence[Tensor | None],
    sent: Sequence[Tensor | None],
    eta: float,
    total: Callable[[Tensor], Tensor] = lambda x: x,
) -> dict[str, Tensor]:
    """The delta rule on every feedback: moved towards its weight, of which only the response to flips is seen.

    ds, sent [M, N]: by layer, the flips and what was sent when they were asked for, which tells max pools whom they let pass.
    """
    new = dict(feedback)
    for name, (j, k) in learned_names(network).items():
        c = network.layers[j].connections[k]
        change = ds[c.source]
        if name not in feedback or change is None:
            continue
        pre, op, _ = parts(c)
        assert op is not None
        if any(isinstance(m, MaxPool2d) for m in pre):
            state = sent[c.source]
            assert state is not None
            change = follow(pre, state + change) - follow(pre, state)
        elif pre:
            change = follow(pre, change)
        surprise = respond(op, change) - _predict(op, feedback[name], change)
        n = total(_power(op, change)) + FLOOR * total(torch.tensor(float(len(change)), device=change.device))
        step = total(correlate(op, surprise, change)) / n
        best = total((surprise * surprise).sum()) / (n * step * step).sum().clamp(min=torch.finfo(step.dtype).tiny)
        new[name] = feedback[name] + best.clamp(max=eta) * step
    return new


def _predict(op: Map, weight: Tensor, change: Tensor) -> Tensor:
    """W^ ds: the synapse with the feedback in place of its weight, without bias."""
    bare = {"bias": None} if hasattr(op, "bias") else {}
    return apply(replace(op, weight=weight, **bare), change)  # type: ignore[type-var]


def _power(op: Map, change: Float[Tensor, "M I"]) -> Tensor:
    """n: the sum of ds^2 that every weight has met, to be divided by."""
    square = (change * change).sum(0)
    if isinstance(op, Convolution):
        ones = change.new_ones(len(change), op.out_size)
        return correlate(op, ones, change * change)
    if op.weight.numel() == 1:  # one number for all neurons
        return square.sum()
    return square
