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


@dataclass(frozen=True, eq=False)
class Tanh:
    """A rate neuron: mem[t] = c[t], and what it sends is tanh(mem[t]). It trains here and has no integers."""


Neuron = LIF | Readout | Tanh


def heaviside(mem: Tensor, threshold: Tensor) -> Tensor:
    """1 where mem - threshold > 0, else 0; no gradient."""
    return (mem.detach() > threshold).to(mem.dtype)


def state_names(neuron: Neuron) -> tuple[str, ...]:
    """The states a neuron keeps between steps, in order."""
    if isinstance(neuron, Tanh):
        return ("mem",)
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
    return stepper(neuron, shape, spike, reset_spike)(currents, state)


Stepper = Callable[[Sequence[Tensor], State], tuple[Tensor, State]]


def stepper(
    neuron: Neuron, shape: tuple[int, ...], spike: Spike = heaviside, reset_spike: Spike = heaviside, steps: int = 0
) -> Stepper:
    """`step` with its parameters made ready once; where no gradient is asked for, `steps` of them may write into one place."""
    if isinstance(neuron, Tanh):
        return lambda currents, state: _rate(_add(currents))
    fast = bool(steps) and spike is reset_spike is heaviside and not torch.is_grad_enabled()
    if fast and type(neuron) is LIF and neuron.reset == "subtract" and neuron.reset_delay:
        return _stepper_in_place(neuron, shape, steps)
    beta = per_neuron(neuron.beta, shape).clamp(0, 1)
    alpha = None
    if len(state_names(neuron)) == 2:
        assert isinstance(neuron, CubaLIF | Readout)
        alpha = per_neuron(neuron.alpha, shape).clamp(0, 1)
    if isinstance(neuron, Readout):

        def read(currents: Sequence[Tensor], state: State) -> tuple[Tensor, State]:
            new, currents = _pass_current(alpha, currents, state)
            new["mem"] = _add((beta * state["mem"], *currents))
            return torch.zeros_like(new["mem"]), new

        return read
    threshold = per_neuron(neuron.threshold, shape)
    last: tuple[Tensor, Tensor] | None = (
        None  # a membrane and its spikes: with reset delay these are the reset that is due next
    )

    def fire(currents: Sequence[Tensor], state: State) -> tuple[Tensor, State]:
        nonlocal last
        new, currents = _pass_current(alpha, currents, state)
        before = state["mem"]
        known = last is not None and last[0] is before
        due = last[1] if last and known else before if neuron.reset == "none" else reset_spike(before, threshold)
        if neuron.reset == "zero" and neuron.zero == "leak":
            mem = _add((beta * ((1 - due) * before), *currents))
        else:
            mem = _add((beta * before, *currents))
            if neuron.reset == "subtract":
                mem = mem - due * threshold
            elif neuron.reset == "zero":
                mem = mem - due * mem
        spikes = spike(mem, threshold)
        if spike is reset_spike:
            last = (mem, spikes)
        if not neuron.reset_delay and neuron.reset != "none":
            extra = spikes - due if spike is reset_spike else reset_spike(mem, threshold) - due
            mem = mem - extra * (threshold if neuron.reset == "subtract" else mem)
        return spikes, {**new, "mem": mem}

    return fire


def _stepper_in_place(neuron: LIF, shape: tuple[int, ...], steps: int) -> Stepper:
    """The same numbers from the same operations, for LIF with delayed subtraction: membranes and spikes of all steps lie in two tensors."""
    beta, threshold = per_neuron(neuron.beta, shape).clamp(0, 1), per_neuron(neuron.threshold, shape)
    place: list[Tensor] = []
    due, t = torch.empty(0), 0

    def fire(currents: Sequence[Tensor], state: State) -> tuple[Tensor, State]:
        nonlocal due, t
        before = state["mem"]
        if not place:
            place.extend(before.new_empty(steps, *before.shape) for _ in range(2))
            due = heaviside(before, threshold)
        mem, spikes = place[0][t], place[1][t]
        torch.mul(beta, before, out=mem)
        for c in currents:
            mem += c
        mem.addcmul_(due, threshold, value=-1)  # due is 0 or 1, so the product is exact
        torch.gt(mem, threshold, out=spikes)
        due, t = spikes, t + 1
        return spikes, {"mem": mem}

    return fire


def joined(each: Sequence[Tensor]) -> Tensor:
    """The tensors of all steps as one [T, B, N]: the place that they lie in one after the other, else a copy."""
    first = each[0]
    whole = first._base
    if whole is None or len(whole) != len(each) or whole.shape[1:] != first.shape or each[-1]._base is not whole:
        return torch.stack(list(each))
    return whole


def _pass_current(alpha: Tensor | None, currents: Sequence[Tensor], state: State) -> tuple[State, Sequence[Tensor]]:
    """The current through its own leak, if it has one; then what reaches the membrane."""
    if alpha is None:
        return {}, currents
    syn = _add((alpha * state["syn"], *currents))
    return {"syn": syn}, (syn,)


def _rate(c: Tensor) -> tuple[Tensor, State]:
    return torch.tanh(c), {"mem": c}


def _add(terms: Sequence[Tensor]) -> Tensor:
    """One after the other, from the left."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
