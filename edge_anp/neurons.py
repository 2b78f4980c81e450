"""One time step of each neuron, as snnTorch computes it, in snnTorch's own order of operations.

    r[t]   = mem[t-1] > threshold                                      the reset that is due
    LIF        c[t] = I[t]
    CubaLIF  syn[t] = alpha syn[t-1] + I[t];  c[t] = syn[t]
    none       mem[t] = beta mem[t-1] + c[t]
    subtract   mem[t] = beta mem[t-1] + c[t] - r[t] threshold
    zero       mem[t] = beta (1 - r[t]) mem[t-1] + c[t]                "leak": snnTorch's Leaky
               mem[t] = (1 - r[t]) (beta mem[t-1] + c[t])              "update": RLeaky, Synaptic, RSynaptic
    s[t]   = mem[t] > threshold
    without reset delay, afterwards:  mem[t] -= (s[t] - r[t]) threshold   (or mem[t], for zero)

Source: snntorch 1.0.0, `_neurons/{leaky,rleaky,synaptic,rsynaptic}.py`. Leaks outside 0..1 act as clamped, there and here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import Tensor

from edge_anp.synapses import Array

Reset = Literal["subtract", "zero", "none"]
Zero = Literal["leak", "update"]
State = dict[str, Tensor]
Spike = Callable[[Tensor, Tensor], Tensor]  # (membrane [B, N], threshold [] or [N]) -> 0 or 1 [B, N]


@dataclass(frozen=True, eq=False)
class LIF:
    """Leaky integrate and fire. beta, threshold: [] or one per neuron; membrane in units of the input current."""

    beta: Array
    threshold: Array
    reset: Reset = "subtract"
    reset_delay: bool = True
    zero: Zero = "leak"

    def __post_init__(self) -> None:
        if self.reset not in ("subtract", "zero", "none"):
            raise ValueError(f"reset is {self.reset!r}; it must be 'subtract', 'zero' or 'none'")
        if self.zero not in ("leak", "update"):
            raise ValueError(f"zero is {self.zero!r}; it must be 'leak' or 'update'")


@dataclass(frozen=True, eq=False)
class CubaLIF(LIF):
    """Current-based leaky integrate and fire: the input passes a leak of its own, alpha, before the membrane's."""

    alpha: Array = 0.0


@dataclass(frozen=True, eq=False)
class Readout:
    """A last layer that never resets and is read by its membrane: mem[t] = beta mem[t-1] + c[t], c as above."""

    beta: Array
    alpha: Array | None = None


Neuron = LIF | Readout


def heaviside(mem: Tensor, threshold: Tensor) -> Tensor:
    """1 where mem - threshold > 0, else 0; no gradient."""
    return ((mem - threshold).detach() > 0).to(mem.dtype)


def state_names(neuron: Neuron) -> tuple[str, ...]:
    """The states a neuron keeps between steps, in order."""
    current_based = isinstance(neuron, CubaLIF) or (isinstance(neuron, Readout) and neuron.alpha is not None)
    return ("syn", "mem") if current_based else ("mem",)


def per_neuron(value: Array, shape: tuple[int, ...]) -> Tensor:
    """A parameter as [] or [N]: it is [], [N] already, or of a shape such as [C, 1, 1] that is spread over the layer's."""
    if not isinstance(value, Tensor):
        return torch.as_tensor(value)
    if value.numel() == 1:
        return value.reshape(())
    if value.ndim == 1 and len(value) == prod(shape):
        return value
    return value.expand(shape).reshape(-1)


def step(
    neuron: Neuron,
    shape: tuple[int, ...],
    currents: Sequence[Tensor],
    state: State,
    spike: Spike = heaviside,
    reset_spike: Spike = heaviside,
) -> tuple[Tensor, State]:
    """Advance a layer of `shape` by one step; currents [B, N] are added one after the other, the layer's own recurrence last.

    Return spikes [B, N] and the new state. `spike` may carry a surrogate gradient; `reset_spike` decides whether the reset does.
    """
    new: State = {}
    if len(state_names(neuron)) == 2:
        assert isinstance(neuron, CubaLIF | Readout)
        assert neuron.alpha is not None
        new["syn"] = _plus(_keep(neuron.alpha, shape) * state["syn"], currents)
        currents = (new["syn"],)
    if isinstance(neuron, Readout):
        new["mem"] = _plus(_keep(neuron.beta, shape) * state["mem"], currents)
        return torch.zeros_like(new["mem"]), new

    threshold = per_neuron(neuron.threshold, shape)
    due = reset_spike(state["mem"], threshold)
    if neuron.reset == "zero" and neuron.zero == "leak":
        mem = _plus(_keep(neuron.beta, shape) * ((1 - due) * state["mem"]), currents)
    else:
        mem = _plus(_keep(neuron.beta, shape) * state["mem"], currents)
        if neuron.reset == "subtract":
            mem = mem - due * threshold
        elif neuron.reset == "zero":
            mem = mem - due * mem
    spikes = spike(mem, threshold)
    if not neuron.reset_delay:
        extra = spikes - due if spike is reset_spike else reset_spike(mem, threshold) - due
        if neuron.reset == "subtract":
            mem = mem - extra * threshold
        elif neuron.reset == "zero":
            mem = mem - extra * mem
    return spikes, {**new, "mem": mem}


def _keep(leak: Array, shape: tuple[int, ...]) -> Tensor:
    return per_neuron(leak, shape).clamp(0, 1)


def _plus(x: Tensor, terms: Sequence[Tensor]) -> Tensor:
    for term in terms:
        x = x + term
    return x
