"""From an error at the answer to the credit of every current of every layer, dLoss/dI, by one sweep over what a trial left behind.

    g[t] = sum over the connections that read the layer  W^' credit[t + delay]         W^ the feedback of each (wiring.py)

and from g to the credit by the layer's own derivatives (slopes.py). **Look-back D** bounds how far an error goes back through spikes. Time
is cut into blocks of D steps: the errors of a block are swept back over it and over the D steps before it; from the oldest step on, credit
goes back by the neuron's own leak alone, which is what a trace of its input stands for. So D = 0 crosses no step through a spike (in a
step it passes from layer to layer): sum_t credit[t] x[t]' is then sum_t psi[t] W^' ebar[t] xbar[t]', which runs forward with the trial.
From D >= T-1 on it is the whole trial; with W^ = W that is the gradient of surrogate backpropagation. All blocks are swept at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from edge_anp.learning.slopes import Slopes
from edge_anp.learning.wiring import pull
from edge_anp.network import Connection, Network

Reader = tuple[int, Connection, Tensor | None]  # the layer that reads, how, and the feedback of that connection


@dataclass(frozen=True, eq=False)
class Swept:
    """credit [T, B, N] of every layer; and of the oldest step, lambda and credit [1, B, N], for traces to go on with."""

    credit: list[Tensor]
    oldest: list[tuple[Tensor, Tensor]]


def readers(network: Network, feedback: Mapping[str, Tensor]) -> dict[int, list[Reader]]:
    """By source layer, who reads it, and the feedback by the name of the weight."""
    found: dict[int, list[Reader]] = {i: [] for i in range(len(network.layers))}
    for j, layer in enumerate(network.layers):
        for k, c in enumerate(layer.connections):
            if c.source >= 0:
                found[c.source].append((j, c, feedback.get(f"{j}.{k}.weight")))
    return found


@dataclass(frozen=True)
class Windows:
    """Time cut into blocks, each seen with `back` steps before it. Position w of all windows at once: [K, B, N]."""

    steps: int
    block: int
    back: int

    @property
    def count(self) -> int:
        return -(-self.steps // self.block)

    @property
    def length(self) -> int:
        return self.block + self.back

    def pad(self, x: Tensor) -> Tensor:
        """[T, B, N] with zeros before and after, so that every window is whole."""
        if not self.back and self.count * self.block == self.steps:
            return x
        padded = x.new_zeros(self.back + self.count * self.block, *x.shape[1:])
        padded[self.back : self.back + self.steps] = x
        return padded

    def at(self, padded: Tensor, w: int) -> Tensor:
        """Position w of every window."""
        return padded[w : w + (self.count - 1) * self.block + 1 : self.block]


def sweep(
    network: Network,
    read_by: Mapping[int, Sequence[Reader]],
    slopes: Sequence[Slopes | None],
    spikes: Sequence[Tensor],
    error: Float[Tensor, "T B K"],
    look_back: int,
    detach: bool = False,
    new: int | None = None,
) -> Swept:
    """The credit of every layer from `error`: of the answer's currents where slopes[-1] is None (a readout), else of its spikes.

    detach: resets get no credit. new: sweep one window, whose errors are those of the last `new` steps, and what a readout's leak makes of
    them at the older ones; what reaches its oldest step is returned for traces to continue.
    """
    steps, last = len(error), len(network.layers) - 1
    whole = look_back >= steps - 1 and look_back > 0
    if new is not None:
        windows = Windows(new, new, steps - new)
    else:
        windows = Windows(steps, steps, 0) if whole else Windows(steps, max(look_back, 1), look_back)
    pad = windows.pad if new is None else lambda x: x
    found = [None if s is None else (s.quiet() if detach or look_back == 0 else s).map(pad) for s in slopes]
    sent = [pad(s) if _routes(read_by[i]) else s for i, s in enumerate(spikes)]
    error = pad(error)
    once = windows.length == 1
    out = [error if s is None else s.spike if once else torch.zeros_like(s.spike) for s in found]
    credits: list[list[Tensor | None]] = [[None] * windows.length for _ in network.layers]
    state: list[tuple[Tensor, Tensor, Tensor] | None] = [None] * len(network.layers)
    for w in range(windows.length - 1, -1, -1):
        for i in range(last, -1, -1):
            reached = new is not None or w >= windows.back
            injected = windows.at(error, w) if i == last and reached else None
            s = found[i]
            if s is None:
                credits[i][w] = injected
                continue
            g = _gather(i, read_by[i], credits, w, windows, sent, injected, look_back)
            state[i] = now = _back(s, windows, w, g, state[i])
            if now is None and once:
                out[i] = torch.zeros_like(s.spike)
            if now is not None:
                credits[i][w] = now[2]
                if once:
                    out[i] = now[2].reshape(out[i].shape)
                else:
                    windows.at(out[i], w).add_(now[2])
    oldest = [(s[0], s[2]) if s is not None else (error[:0], error[:0]) for s in state]
    if new is not None:
        return Swept(out, oldest)
    first, stop = windows.back, windows.back + steps
    out = [o[first:stop] for o in out]
    if not whole:
        for i, s in enumerate(slopes):
            if s is not None:
                oldest[i] = _leak_on(s, windows, out[i], *oldest[i])
    return Swept(out, oldest)


def _routes(reads: Sequence[Reader]) -> bool:
    """Whether an error's way back along a connection depends on what was sent (max pools)."""
    return any(len(c.path) != 1 for _, c, _ in reads)


def _gather(
    i: int, reads: Sequence[Reader], credits: list[list[Tensor | None]], w: int, windows: Windows,
    sent: Sequence[Tensor], g: Tensor | None, look_back: int,
) -> Tensor | None:  # fmt: skip
    """g of position w: what was injected, and what comes back from all readers; None is zero."""
    for j, c, weight in reads:
        later = w + c.delay
        error = credits[j][later] if later < windows.length and (c.delay == 0 or look_back) else None
        if error is None:
            continue
        flat = error.reshape(-1, error.shape[-1])
        source = windows.at(sent[i], w).reshape(len(flat), -1) if len(c.path) != 1 else None
        term = pull(c, weight, flat, source).reshape(*error.shape[:2], -1)
        g = term if g is None else g + term
    return g


def _back(
    s: Slopes, windows: Windows, w: int, g: Tensor | None, after: tuple[Tensor, Tensor, Tensor] | None
) -> tuple[Tensor, Tensor, Tensor] | None:
    """lambda, rho and credit of position w from those of the step after it (slopes.py)."""

    def at(x: Tensor) -> Tensor:
        return windows.at(x, w) if x.ndim == 3 else x

    if after is None:
        if g is None:
            return None
        lam = at(s.spike) * g
        rho = torch.zeros_like(lam) if s.drop is not None else lam
        return lam, rho, lam if s.gate is None else at(s.gate) * lam
    lam, rho, credit = after
    keep = at(s.keep)
    if s.kick is not None:
        assert s.reset is not None
        if s.drop is None:
            rho = (keep + at(s.reset) * at(s.kick)) * lam
        else:
            assert s.next_drop is not None
            rho = keep * lam + at(s.reset) * (at(s.kick) * lam + at(s.next_drop) * rho)
    else:
        rho = keep * lam
    new = rho if s.through is None else at(s.through) * rho
    if s.drop is not None:
        g = -at(s.drop) * rho if g is None else g - at(s.drop) * rho
    if g is not None:
        new = torch.addcmul(new, at(s.spike), g)
    out = new if s.gate is None else at(s.gate) * new
    return new, rho, out if s.alpha is None else out + s.alpha * credit


def _leak_on(s: Slopes, windows: Windows, out: Tensor, lam: Tensor, credit: Tensor) -> tuple[Tensor, Tensor]:
    """Add what reaches the oldest step of each window to all earlier steps, by the leaks alone; lam, credit [K, B, N] of those steps.

    Return the sums that reach the very first step, [1, B, N] each.
    """
    steps = len(out)
    plain = s.through is None and s.gate is None and s.alpha is None and s.keep.ndim < 3
    if plain and windows.length == 1:  # every step is the oldest of its own window
        for t in range(steps - 2, -1, -1):
            out[t].addcmul_(s.keep.expand_as(out[t]), out[t + 1])
        return out[:1], out[:1]
    if windows.length == 1:  # what follows adds to the very numbers that it starts from
        lam, credit = lam.clone(), credit.clone()
    oldest = {k * windows.block - windows.back: k for k in range(windows.count)}
    tail = tail_credit = torch.zeros_like(out[0])
    for t in range(steps - 2, -1, -1):
        k = oldest.get(t + 1)
        if k is not None:
            tail, tail_credit = tail + lam[k], tail_credit + credit[k]
        tail = (s.keep[t] if s.keep.ndim == 3 else s.keep) * tail
        tail = tail if s.through is None else s.through[t] * tail
        now = tail if s.gate is None else s.gate[t] * tail
        tail_credit = now if s.alpha is None else now + s.alpha * tail_credit
        out[t] += tail_credit
    k = oldest.get(0)
    if k is not None:
        tail, tail_credit = tail + lam[k], tail_credit + credit[k]
    return tail[None], tail_credit[None]
