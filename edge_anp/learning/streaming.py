"""Feedback ANP with an error at every step: what is remembered is 2D steps, however long the trial is.

At every step the running answer (the mean so far) has an error. Every D steps, the errors of those steps are swept back over them and the D
steps before (credit.py). At the oldest of these, t0, the sum over all that came earlier is closed by traces of what each connection sent:

    P[t] = leak P[t-1] + x[t]        dW += sum_{t >= t0} credit[t] x[t]' + lambda[t0] (leak P[t0-1])'

with the neuron's own leak; a current-based one has two, credit[t0] (alpha P[t0-1])' + lambda[t0] Q[t0]', Q[t] = beta (Q[t-1] + P[t-1]).
Traces do not see resets to zero. Then the oldest D steps are forgotten. The running mean is a heuristic: its error is swept back as if it
were the error of o[t], so this is not the gradient of one loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_anp.learning import readout
from edge_anp.learning.credit import Swept, readers, sweep
from edge_anp.learning.observed import Observed, observe
from edge_anp.learning.output_error import TEMPERATURE, answering, output_error, running_logits, through_leaks
from edge_anp.learning.rule import Ask, Signal, State, Update, numbers, step_losses
from edge_anp.learning.wiring import weight_gradients
from edge_anp.network import Layer, Network, Trace, begin, end, joined
from edge_anp.neurons import LIF, Readout, Tanh, per_neuron

if TYPE_CHECKING:
    from edge_anp.learning.feedback import FeedbackANP

CHUNK = 16  # steps that run at once where nothing is looked back on
APART = 0x10001  # what is drawn at step t comes from seed + t times this


def stream(rule: FeedbackANP, network: Network, state: State, raster: Tensor, ask: Ask, seed: int) -> Update:
    """One forward pass over a batch, in pieces; gradients are means over the batch."""
    from edge_anp.learning.feedback import by_name

    depth, (steps, batch) = rule.look_back or 0, raster.shape[:2]
    read_by = readers(network, rule.weights(network, state))
    traces, found, flips = Traces(network), [], []
    moment, losses, total = begin(network, raster), [], None
    kept: Observed | None = None
    for first in range(0, steps, depth or CHUNK):
        seen = observe(network, raster[first : first + (depth or CHUNK)], moment)
        moment = end(moment, seen.raster, seen.trace)
        errors, loss, total = _errors(rule, network, seen, ask, seed, first, total)
        losses.append(loss * len(seen.raster))
        flips.append(rule.probe(network, state, seen, ask, seed, first, steps))
        whole = seen if kept is None else _join(kept, seen)
        swept = _sweep(rule, network, read_by, whole, errors / (steps * batch), len(seen.raster))
        found += _gradients(network, whole, swept, traces, rule.readout_only)
        drop = len(whole.raster) - depth if depth else len(whole.raster)
        traces.advance(network, whole, max(drop, 0))
        kept = _forget(network, whole, max(drop, 0)) if depth else None
        found = _merge(found)
    if not rule.readout_only:
        state = rule.follow(network, state, flips, ask)
    return Update(by_name(network, found), state, sum(losses) / steps)


def _errors(
    rule: FeedbackANP, network: Network, seen: Observed, ask: Ask, seed: int, first: int, total: Tensor | None
) -> tuple[Tensor, float, Tensor]:
    """The error of every step's running answer [T, B, K], the mean loss, and the sums to go on with."""
    sums = answering(network.decode, seen.trace).sum(0)
    sums = sums if total is None else sums + total
    if ask.every_step:
        mem = seen.trace.states[-1]["mem"]
        if ask.signal is not Signal.LABEL:
            raise ValueError(f"the task asks for something at every step; it needs the label there, not a {ask.signal}")
        right = ask.targets if first else ask.label()
        off = mem - numbers(right, mem.shape[2])[first : first + len(mem)].to(mem)
        return 2 * off / mem.shape[2], float(off.square().mean()), sums
    o = running_logits(network.decode, seen.trace, total, first)
    if ask.signal is Signal.LABEL:
        label = ask.targets if first else ask.label()
        return torch.softmax(o, 2) - F.one_hot(label, o.shape[2]), float(step_losses(o, label).mean()), sums
    each = [output_error(x, ask, rule.explore, rule.queries, seed + (first + t) * APART) for t, x in enumerate(o)]
    return torch.stack([e for e, _ in each]), sum(loss for _, loss in each) / len(each), sums


def _sweep(rule: FeedbackANP, network: Network, read_by: dict, whole: Observed, errors: Tensor, new: int) -> Swept:
    """Credit over what is remembered, from the errors of its last `new` steps."""
    error = torch.cat([errors.new_zeros(len(whole.raster) - new, *errors.shape[1:]), errors])
    of_spikes, depth = not network.decode.startswith("membrane"), rule.look_back or 0
    error = error / TEMPERATURE if of_spikes else error
    leaks = () if of_spikes else readout.leaks(network.layers[-1])
    lam = through_leaks(error, leaks[:1])
    leaked = through_leaks(lam, leaks[1:])
    slopes = whole.slopes(network, of_spikes)
    if rule.readout_only:
        slopes[:-1], read_by = [None] * (len(slopes) - 1), {i: [] for i in range(len(slopes))}
    sent = leaked if depth else error  # at look-back 0 an error reaches its own step alone
    swept = sweep(network, read_by, slopes, whole.trace.spikes, sent, depth, rule.detach_reset, new if depth else None)
    if not of_spikes:
        swept.credit[-1], swept.oldest[-1] = leaked, (lam[:1], leaked[:1])
    return swept


def _gradients(
    network: Network, whole: Observed, swept: Swept, traces: Traces, last_only: bool
) -> list[tuple[Tensor, Tensor]]:
    """What the remembered steps say of the weights, and what the traces say of all steps before."""
    found = []
    for i, layer in enumerate(network.layers):
        if last_only and i < len(network.layers) - 1:
            continue
        lam, credit = (x[0] for x in swept.oldest[i])
        for k, c in enumerate(layer.connections):
            found += weight_gradients(c, swept.credit[i].flatten(0, 1), whole.source(c).flatten(0, 1))
            for error, sent, ones in traces.close(i, k, lam, credit):
                for n, (tensor, gradient) in enumerate(weight_gradients(c, error, sent)):
                    found.append((tensor, gradient * ones if n else gradient))
    return found


class Traces:
    """P and Q of every connection, and of the constant 1 that a bias is sent: of all steps before the oldest that is remembered."""

    def __init__(self, network: Network) -> None:
        self.leaks = [_leaks(layer) for layer in network.layers]
        self.p: dict[tuple[int, int], Tensor] = {}
        self.q: dict[tuple[int, int], Tensor] = {}
        self.ones = [[0.0, 0.0] for _ in network.layers]  # P and Q of 1

    def close(self, i: int, k: int, lam: Tensor, credit: Tensor) -> list[tuple[Tensor, Tensor, float]]:
        """(error, what was sent, the same of 1) whose products are the sum over all earlier steps."""
        leaks = self.leaks[i]
        if leaks is None or (i, k) not in self.p:
            return []
        beta, alpha = leaks
        p, (p1, q1) = self.p[i, k], self.ones[i]
        if alpha is None:
            return [(lam, beta * p, beta * p1)]
        q = self.q[i, k]
        return [(credit, alpha * p, alpha * p1), (lam, beta * (q + p), beta * (q1 + p1))]

    def advance(self, network: Network, whole: Observed, steps: int) -> None:
        """Take in the first `steps` of what is remembered."""
        for i, layer in enumerate(network.layers):
            leaks = self.leaks[i]
            if leaks is None:
                continue
            beta, alpha = leaks
            for _ in range(steps):
                p1, q1 = self.ones[i]
                self.ones[i] = [(beta if alpha is None else alpha) * p1 + 1, beta * (q1 + p1)]
            for k, c in enumerate(layer.connections):
                sent = whole.source(c)
                p = self.p.get((i, k), torch.zeros_like(sent[0]))
                q = self.q.get((i, k), torch.zeros_like(sent[0]))
                for t in range(steps):
                    if alpha is not None:
                        q = beta * (q + p)
                    p = (beta if alpha is None else alpha) * p + sent[t]
                self.p[i, k], self.q[i, k] = p, q


def _leaks(layer: Layer) -> tuple[float, float | None] | None:
    """A layer's one beta, and its one alpha if it is current-based; None for a rate neuron, which forgets."""
    if isinstance(layer.neuron, Tanh):
        return None
    alpha = getattr(layer.neuron, "alpha", None)
    one = lambda value: float(per_neuron(value, layer.shape).detach().clamp(0, 1).flatten()[0])  # noqa: E731
    assert isinstance(layer.neuron, LIF | Readout)
    return one(layer.neuron.beta), None if alpha is None else one(alpha)


def _merge(found: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """One sum a tensor."""
    sums: dict[int, tuple[Tensor, Tensor]] = {}
    for tensor, gradient in found:
        before = sums.get(id(tensor))
        sums[id(tensor)] = (tensor, gradient if before is None else before[1] + gradient)
    return list(sums.values())


def _join(a: Observed, b: Observed) -> Observed:
    """Two pieces of a run, one after the other."""
    decided = tuple(torch.cat(x) for x in zip(a.decided, b.decided, strict=True))
    return Observed(torch.cat([a.raster, b.raster]), joined((a.trace, b.trace)), decided, a.start)


def _forget(network: Network, a: Observed, steps: int) -> Observed:
    """The same without its first steps."""
    if not steps:
        return a
    states = tuple({n: x[:steps] for n, x in s.items()} for s in a.trace.states)
    start = end(a.start, a.raster[:steps], Trace(tuple(s[:steps] for s in a.trace.spikes), states))
    rest = Trace(
        tuple(s[steps:] for s in a.trace.spikes), tuple({n: x[steps:] for n, x in s.items()} for s in a.trace.states)
    )
    return Observed(a.raster[steps:], rest, tuple(d[steps:] for d in a.decided), start)
