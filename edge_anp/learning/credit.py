"""From an error at the hidden spikes to the credit of every hidden current, lambda = dLoss/dc, one sweep back over a trial.

For a step c -> u -> s -> v (current, membrane that decides, spike, membrane that is kept) and the reset r that is due at its start,

    psi(u)    = max(0, 1 - |u/theta - 1|) / theta                    stands for ds/du, and psi(v) for dr[t+1]/dv
    rho[t]    = dv-leak lambda[t+1] + psi(v[t]) (du[t+1]/dr lambda[t+1] + m[t+1] rho[t+1])               credit of v[t]
    lambda[t] = dv/du rho[t] + psi(u[t]) (B' ebar[t] + R^' lambda[t+1] - m[t] rho[t])                      credit of u[t]

where m is what a spike takes from v in its own step: 0 with reset delay, else theta (subtract) or u (zero). With reset delay and subtract
it is psi[t] (B' ebar[t] + R^' lambda[t+1] - theta lambda[t+1]) + beta lambda[t+1].

Look-back D bounds how far credit passes through spikes. D = 0: not at all, sum_t lambda[t] x[t]' is then sum_t psi[t] B' ebar[t] xbar[t]',
xbar the trace of x in the neuron's own leak, which runs forward with the trial (the sweep here only adds up the same terms in one matrix
product). D > 0: through spikes up to D steps ahead, beyond them by the leak alone. D >= T-1: the whole trial; with B = O and R^ = R that is
the gradient of surrogate backpropagation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from edge_anp.learning.circuit import Circuit
from edge_anp.network import current


def psi(mem: Tensor, threshold: Tensor) -> Tensor:
    """max(0, 1 - |mem/theta - 1|) / theta: a triangle about the threshold, as wide as it on both sides."""
    return (1 - (mem / threshold - 1).abs()).clamp(min=0) / threshold


@dataclass(frozen=True, eq=False)
class Slopes:
    """The derivatives of every step [T, B, N]; `next_` ones are those of the step after, 0 past the end."""

    spike: Tensor  # psi(u[t])
    reset: Tensor  # psi(v[t]), for the reset due at t+1
    keep: Tensor  # du[t+1]/dv[t]
    kick: Tensor  # du[t+1]/dr[t+1]
    through: Tensor  # dv[t]/du[t]
    drop: Tensor  # m[t]
    next_drop: Tensor  # m[t+1]
    gate: Tensor  # du[t]/dc[t]
    next_gate: Tensor

    def back(
        self, t: int | slice, injected: Tensor, lateral: Tensor | None, lam: Tensor, rho: Tensor
    ) -> tuple[Tensor, Tensor]:
        """lambda, rho of step t, or of all steps at once, from those of the step after; lateral is R^."""
        direct = injected if lateral is None else injected + (self.next_gate[t] * lam) @ lateral
        rho = self.keep[t] * lam + self.reset[t] * (self.kick[t] * lam + self.next_drop[t] * rho)
        return self.through[t] * rho + self.spike[t] * (direct - self.drop[t] * rho), rho


def slopes(
    circuit: Circuit,
    raster: Float[Tensor, "T B I"],
    u: Float[Tensor, "T B N"],
    v: Float[Tensor, "T B N"],
    spikes: Float[Tensor, "T B N"],
) -> Slopes:
    """The derivatives of a trial that ran as u, v and spikes say; see neurons.py for the equations that are differentiated."""
    lif, beta, theta = circuit.lif, circuit.beta, circuit.threshold
    zero, one = u.new_zeros(()).expand_as(u), u.new_ones(()).expand_as(u)
    keep, kick, through, drop, gate, due = beta.expand_as(u), zero, one, zero, one, zero
    if lif.reset != "none":
        due = _before(spikes if lif.reset_delay else (v > theta).to(u.dtype))
    if lif.reset == "subtract":
        kick = (-theta).expand_as(u)
    elif lif.reset == "zero":
        keep, kick = beta * (1 - _after(due)), -beta * v
        if lif.zero == "update":
            kick, gate = kick - _after(_currents(circuit, raster, spikes)), 1 - due
    if lif.reset != "none" and not lif.reset_delay:
        drop = theta.expand_as(u) if lif.reset == "subtract" else u
        through = one if lif.reset == "subtract" else 1 - (spikes - due)
    at_u = psi(u, theta)
    at_v = at_u if lif.reset_delay or lif.reset == "none" else psi(v, theta)
    return Slopes(at_u, at_v, keep, kick, through, drop, _after(drop), gate, _after(gate))


def sweep(
    found: Slopes, injected: Float[Tensor, "T B N"], lateral: Float[Tensor, "N N"] | None, look_back: int, detach: bool
) -> Float[Tensor, "T B N"]:
    """dLoss/dcurrent from `injected` = B' ebar; lateral [to, from] is R^, None without recurrence; detach: resets get no credit."""
    nothing = injected.new_zeros(()).expand_as(injected)
    quiet = replace(found, kick=nothing, drop=nothing, next_drop=nothing)
    found = quiet if detach else found
    steps = len(injected)
    if look_back == 0 or look_back >= steps - 1:
        if look_back == 0:
            found, lateral = quiet, None
        lam, _ = _sweep(found, injected, lateral)
        return found.gate * lam
    lam, rho = _sweep(quiet, injected, None)
    for _ in range(look_back):
        lam, rho = found.back(slice(None), injected, lateral, _after(lam), _after(rho))
    return found.gate * lam


def _sweep(found: Slopes, injected: Tensor, lateral: Tensor | None) -> tuple[Tensor, Tensor]:
    """lambda and rho of all steps, the last first."""
    lams, rhos = torch.empty_like(injected), torch.empty_like(injected)
    lam = rho = torch.zeros_like(injected[0])
    for t in range(len(injected) - 1, -1, -1):
        lam, rho = found.back(t, injected[t], lateral, lam, rho)
        lams[t], rhos[t] = lam, rho
    return lams, rhos


def _before(x: Tensor) -> Tensor:
    """x[t-1], 0 before the first step."""
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])


def _after(x: Tensor) -> Tensor:
    """x[t+1], 0 after the last step."""
    return torch.cat([x[1:], torch.zeros_like(x[:1])])


def _currents(circuit: Circuit, raster: Tensor, spikes: Tensor) -> Tensor:
    """c[t] as the layer had it."""
    c = current(circuit.w, raster)
    if circuit.r is not None:
        c = c + current(replace(circuit.r, delay=0), _before(spikes))
    return c
