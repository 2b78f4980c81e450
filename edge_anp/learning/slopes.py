"""The derivatives of one layer's steps, as they ran: what credit (credit.py) multiplies by.

A step is  I -> c -> u -> s -> v  (current, what passed its leak alpha, membrane that decides, spike, membrane that is kept), with the
reset r due at its start; psi(u) = max(0, 1 - |u/theta - 1|) / theta stands for ds/du. Backwards:

    rho[t] = du[t+1]/dv lambda[t+1] + psi(v[t]) (du[t+1]/dr lambda[t+1] + m[t+1] rho[t+1])          credit of v[t]
    lambda[t] = dv/du rho[t] + psi(u[t]) (g[t] - m[t] rho[t])                                        credit of u[t]; g of s[t]
    credit[t] = du/dc lambda[t] + alpha credit[t+1]                                                  credit of the current I[t]

where m is what a spike takes from v in its own step: 0 with reset delay, else theta (subtract) or u (zero). With reset delay and subtract:
lambda[t] = psi[t] g[t] + (beta - theta psi[t]) lambda[t+1]. A rate neuron has ds/dc = 1 - tanh^2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edge_anp.network import Layer
from edge_anp.neurons import LIF, CubaLIF, Tanh, per_neuron


def psi(mem: Tensor, threshold: Tensor) -> Tensor:
    """max(0, 1 - |mem/theta - 1|) / theta: a triangle about the threshold, as wide as it on both sides."""
    one = threshold.ndim == 0 and bool(threshold == 1)
    x = mem - 1 if one else (mem / threshold).sub_(1)
    x.abs_().neg_().add_(1).clamp_(min=0)
    return x if one else x.div_(threshold)


@dataclass(frozen=True, eq=False)
class Slopes:
    """Each is [T, B, N], or [] or [N] where it never changes, or None where it does nothing; `next_` is of the step after."""

    spike: Tensor  # psi(u[t])
    keep: Tensor  # du[t+1]/dv[t]
    reset: Tensor | None = None  # psi(v[t]), for the reset due at t+1
    kick: Tensor | None = None  # du[t+1]/dr[t+1]
    through: Tensor | None = None  # dv[t]/du[t]; None is 1
    drop: Tensor | None = None  # m[t]
    next_drop: Tensor | None = None
    gate: Tensor | None = None  # du[t]/dc[t]; None is 1
    alpha: Tensor | None = None

    def quiet(self) -> Slopes:
        """The same without credit through resets."""
        return replace(self, reset=None, kick=None, drop=None, next_drop=None)

    def map(self, change: Callable[[Tensor], Tensor]) -> Slopes:
        """`change` applied to whatever runs along time."""
        each = {name: getattr(self, name) for name in Slopes.__dataclass_fields__}
        moved: dict[str, Any] = {n: change(x) if x is not None and x.ndim == 3 else x for n, x in each.items()}
        return Slopes(**moved)


def measure(
    layer: Layer,
    u: Float[Tensor, "T B N"],
    v: Float[Tensor, "T B N"],
    spikes: Float[Tensor, "T B N"],
    currents: Callable[[], Float[Tensor, "T B N"]],
    before: Float[Tensor, "B N"] | None = None,
) -> Slopes:
    """The derivatives of a layer that ran as u, v and spikes say; see neurons.py for the equations that are differentiated.

    currents: c[t], asked for only where they count. before: the spikes of the step before the first, with reset delay; else silence.
    """
    neuron = layer.neuron
    if isinstance(neuron, Tanh):
        return Slopes(1 - spikes * spikes, u.new_zeros(()))
    assert isinstance(neuron, LIF)
    beta = per_neuron(neuron.beta, layer.shape).detach().clamp(0, 1)
    theta = per_neuron(neuron.threshold, layer.shape).detach()
    alpha = per_neuron(neuron.alpha, layer.shape).detach().clamp(0, 1) if isinstance(neuron, CubaLIF) else None
    at_u = psi(u, theta)
    if neuron.reset == "none":
        return Slopes(at_u, beta, alpha=alpha)
    if neuron.reset == "subtract" and neuron.reset_delay:
        return Slopes(at_u, beta, at_u, -theta, alpha=alpha)
    decided = spikes if neuron.reset_delay else (v > theta).to(u.dtype)  # the reset that each step leaves due
    first = torch.zeros_like(decided[:1]) if before is None else before[None]
    due = torch.cat([first, decided[:-1]])
    keep, kick, gate = beta, -theta, None
    if neuron.reset == "zero":
        keep, kick = beta * (1 - decided), -beta * v
        if neuron.zero == "update":
            kick, gate = kick - _after(currents()), 1 - due
    found = Slopes(at_u, keep, at_u, kick, gate=gate, alpha=alpha)
    if neuron.reset_delay:
        return found
    drop = theta.expand_as(u) if neuron.reset == "subtract" else u
    through = None if neuron.reset == "subtract" else 1 - (spikes - due)
    return replace(found, reset=psi(v, theta), drop=drop, next_drop=_after(drop), through=through)


def _after(x: Tensor) -> Tensor:
    """x[t+1], 0 after the last step."""
    return torch.cat([x[1:], torch.zeros_like(x[:1])])
