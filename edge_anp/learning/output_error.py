"""From a label, from scores or from one reward to an error at the outputs; and how the outputs come from the last layer.

With o [B, K] the logits and pi = softmax(o):

    label    e = pi - onehot(y)
    score    e = (K-1)/Q sum_q n_q (loss(o + h n_q) - loss(o - h n_q)) / 2h      n_q orthonormal, sum n_q = 0
    reward   a ~ (1 - x) pi + x / K;  r of this one answer;  e = (pi_a - r) (onehot(a) - pi)

The reward's baseline is the network's own confidence pi_a. With a running mean of the rewards instead (textbook REINFORCE) the network
falls silent; without exploration x, a class that is never tried is never learned.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from edge_anp.learning.draws import Draw
from edge_anp.learning.rule import Ask, Signal
from edge_anp.network import Network, Trace
from edge_anp.noise import gaussian, uniform

TEMPERATURE = 0.1  # of answers read from spikes: a rate of 1 against 0 is then a logit of 10 against 0, e^10 : 1
STEP = 0.5  # h: how far outputs are moved to ask for a score (logits)


def logits(network: Network, trace: Trace) -> Float[Tensor, "B K"]:
    """What the softmax is taken of; its argmax is the network's answer, and gradients pass through it.

    membrane_mean  mean_t v[t]        count        mean_t s[t] / TEMPERATURE
    membrane_last  v[T-1]             first_spike  mean_t (1 - prod_{k<=t} (1 - s[k])) / TEMPERATURE, the share of steps since it
    """
    if network.decode == "membrane_last":
        return trace.states[-1]["mem"][-1]
    if network.decode == "membrane_mean":
        return trace.states[-1]["mem"].mean(0)
    spikes = trace.spikes[-1]
    if network.decode == "first_spike":
        spikes = 1 - torch.cumprod(1 - spikes, 0)
    return spikes.mean(0) / TEMPERATURE


def output_error(
    outputs: Float[Tensor, "B K"], ask: Ask, explore: float, queries: int, seed: int
) -> tuple[Float[Tensor, "B K"], float]:
    """An estimate of dLoss/do for every trial, and the loss: mean cross-entropy, or the share of answers that were not rewarded."""
    pi = torch.softmax(outputs, 1)
    if ask.signal is Signal.LABEL:
        target = ask.label()
        return pi - F.one_hot(target, pi.shape[1]), float(F.cross_entropy(outputs, target))
    if ask.signal is Signal.SCORE:
        return _contrast(outputs, ask, queries, seed)
    action = draw_action(pi, explore, seed)
    r = ask.reward(action)
    pi_a = pi.gather(1, action[:, None])
    return (pi_a - r[:, None]) * (F.one_hot(action, pi.shape[1]) - pi), float(1 - r.mean())


def draw_action(pi: Float[Tensor, "B K"], explore: float, seed: int) -> Tensor:
    """An answer [B] for every trial, a ~ (1 - explore) pi + explore / K."""
    batch, classes = pi.shape
    below = ((1 - explore) * pi + explore / classes).cumsum(1)
    u = uniform(seed, torch.arange(batch), int(Draw.ACTION), 0, 0, 0)
    return (u[:, None] > below).sum(1).clamp(max=classes - 1)


def _contrast(outputs: Float[Tensor, "B K"], ask: Ask, queries: int, seed: int) -> tuple[Float[Tensor, "B K"], float]:
    """The score's error; 2Q scores are asked for every trial. With Q = K-1 it is the gradient, up to the curvature over h."""
    batch, classes = outputs.shape
    count = min(queries, classes - 1)
    trial, row, column = torch.arange(batch)[:, None, None], torch.arange(classes)[:, None], torch.arange(classes)
    directions = gaussian(seed, trial, int(Draw.CONTRAST), row, 0, column)
    directions[:, :, 0] = 1  # the first column is what the softmax does not see; the others become orthogonal to it
    basis = torch.linalg.qr(directions)[0]
    error, total = torch.zeros_like(outputs), 0.0
    for q in range(1, count + 1):
        n = basis[:, :, q]
        up, down = ask.score(outputs + STEP * n), ask.score(outputs - STEP * n)
        error += ((up - down) / (2 * STEP))[:, None] * n
        total += float((up + down).mean()) / 2
    return error * (classes - 1) / count, total / count


def spread(error: Float[Tensor, "B K"], steps: int, decode: str, leaks: tuple[Tensor, ...]) -> Float[Tensor, "T B K"]:
    """The error at every output current: e through the readout's leaks kappa, backwards in time.

    ebar[t] = e[t] + kappa ebar[t+1]        once for each leak;  e[t] = e / T, or for membrane_last e at the last step alone
    """
    at = error.new_zeros(steps, error.shape[1])
    if decode == "membrane_last":
        at[-1] = 1
    else:
        at[:] = 1 / steps
    for kappa in leaks:
        for t in range(steps - 2, -1, -1):
            at[t] += kappa * at[t + 1]
    return at[:, None] * error
