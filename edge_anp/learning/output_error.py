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
from jaxtyping import Float, Int
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
    return running_logits(network.decode, trace)[-1]


def running_logits(decode: str, trace: Trace, total: Tensor | None = None, before: int = 0) -> Float[Tensor, "T B K"]:
    """The logits that the answer would have if the trial ended at each step.

    total, before: the sum (of v, of s, or of steps since the first spike) over the `before` steps that came earlier.
    """
    if decode == "membrane_last":
        return trace.states[-1]["mem"]
    x = answering(decode, trace)
    count = torch.arange(before + 1, before + len(x) + 1, device=x.device, dtype=x.dtype)[:, None, None]
    sums = x.cumsum(0) if total is None else x.cumsum(0) + total
    return sums / count / (1.0 if decode == "membrane_mean" else TEMPERATURE)


def answering(decode: str, trace: Trace) -> Float[Tensor, "T B K"]:
    """What is averaged over steps: v, s, or whether there was a spike yet."""
    if decode.startswith("membrane"):
        return trace.states[-1]["mem"]
    spikes = trace.spikes[-1]
    return 1 - torch.cumprod(1 - spikes, 0) if decode == "first_spike" else spikes


def spike_error(error: Float[Tensor, "B K"], spikes: Float[Tensor, "T B K"], decode: str) -> Float[Tensor, "T B K"]:
    """dLoss/ds of the last layer's spikes where they are the answer, from the error at the logits.

    count: e / T at every step. first_spike: e / T times the steps by which a spike more, or one less, would change the time since the
    first: up to the first spike where one comes before it, up to the second at the first itself, none after it.
    """
    steps = len(spikes)
    share = error / (steps * TEMPERATURE)
    if decode == "count":
        return share.expand_as(spikes).contiguous()
    seen = spikes.cumsum(0)
    until = lambda n: (seen == n).to(spikes.dtype).flip(0).cumsum(0).flip(0)  # noqa: E731  steps from here on with n spikes so far
    return share * torch.where(seen == 0, until(0), torch.where((seen == 1) & (spikes > 0), until(1), 0.0))


def output_error(
    outputs: Float[Tensor, "B K"], ask: Ask, explore: float, queries: int, seed: int, baseline: Tensor | None = None
) -> tuple[Float[Tensor, "B K"], float]:
    """An estimate of dLoss/do for every trial, and the loss: mean cross-entropy, or the share of answers that were not rewarded.

    baseline: of the rewards, instead of the network's own confidence (textbook REINFORCE).
    """
    pi = torch.softmax(outputs, 1)
    if ask.signal is Signal.LABEL:
        target = ask.label()
        return pi - F.one_hot(target, pi.shape[1]), float(F.cross_entropy(outputs, target))
    if ask.signal is Signal.SCORE:
        return _contrast(outputs, ask, queries, seed)
    action = draw_action(pi, explore, seed, ask.trials())
    r = ask.reward(action, outputs)
    expected = pi.gather(1, action[:, None])[:, 0] if baseline is None else baseline
    return (expected - r)[:, None] * (F.one_hot(action, pi.shape[1]) - pi), float(1 - r.mean())


def draw_action(pi: Float[Tensor, "B K"], explore: float, seed: int, trials: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
    """An answer [B] for every trial, a ~ (1 - explore) pi + explore / K."""
    classes = pi.shape[1]
    below = ((1 - explore) * pi + explore / classes).cumsum(1)
    u = uniform(seed, trials, int(Draw.ACTION), 0, 0, 0)
    return (u[:, None] > below).sum(1).clamp(max=classes - 1)


def _contrast(outputs: Float[Tensor, "B K"], ask: Ask, queries: int, seed: int) -> tuple[Float[Tensor, "B K"], float]:
    """The score's error; 2Q scores are asked for every trial. With Q = K-1 it is the gradient, up to the curvature over h."""
    classes, device = outputs.shape[1], outputs.device
    count, trial = min(queries, classes - 1), ask.trials()[:, None, None]
    row, column = torch.arange(classes, device=device)[:, None], torch.arange(classes, device=device)
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
    return through_leaks(at, leaks)[:, None] * error


def through_leaks(error: Tensor, leaks: tuple[Tensor, ...]) -> Tensor:
    """ebar[t] = e[t] + kappa ebar[t+1], once for each leak; error [T, ..., K]."""
    error = error.clone()
    for kappa in leaks:
        for t in range(len(error) - 2, -1, -1):
            error[t] += kappa * error[t + 1]
    return error
