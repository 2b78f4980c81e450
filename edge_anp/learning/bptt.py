"""Surrogate backpropagation through time: the yardstick. True through the whole trial, for any network.

Forward, spikes are 0 or 1; backward, ds/du is psi(u) = max(0, 1 - |u/theta - 1|) / theta (slopes.py). The loss is the cross-entropy of the
softmax of `logits` (output_error.py), or the mean square where a task asks for numbers at every step. Every tensor that requires a
gradient learns, leaks and thresholds too. With one_step no gradient crosses a step: what the source paper's code calls its baseline
(Fernandez et al. 2024, whose states are detached).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from edge_anp.learning.output_error import logits
from edge_anp.learning.rule import Ask, Signal, State, Update, step_losses
from edge_anp.learning.slopes import psi
from edge_anp.moment import moments_before
from edge_anp.network import Network, Trace, begin, run
from edge_anp.neurons import Spike, heaviside


class SurrogateSpike(torch.autograd.Function):
    """s = [mem > threshold]; ds/dmem = psi(mem), ds/dthreshold = -psi(mem)."""

    @staticmethod
    def forward(ctx: Any, mem: Tensor, threshold: Tensor) -> Tensor:
        ctx.save_for_backward(mem, threshold)
        return heaviside(mem, threshold)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor | None]:
        mem, threshold = ctx.saved_tensors
        slope = grad_outputs[0] * psi(mem, threshold)
        return slope, -slope.sum_to_size(threshold.shape) if ctx.needs_input_grad[1] else None


def surrogate_spike(mem: Tensor, threshold: Tensor) -> Tensor:
    """A spike that autograd can pass."""
    return SurrogateSpike.apply(mem, threshold)  # type: ignore[return-value]


@dataclass(frozen=True)
class BPTT:
    """detach_reset: resets get no credit (snnTorch's own habit). one_step: every step's gradient stays in that step."""

    detach_reset: bool = False
    one_step: bool = False
    signal: Signal = Signal.LABEL

    def __post_init__(self) -> None:
        if self.signal is not Signal.LABEL:
            raise ValueError(f"signal is {self.signal}; backpropagation needs the label")

    def init(self, network: Network, seed: int) -> State:
        """Nothing is remembered."""
        return {}

    def update(self, network: Network, state: State, raster: Float[Tensor, "T B I"], ask: Ask, seed: int) -> Update:
        """The gradient of the mean cross-entropy over the batch."""
        parameters = network.parameters()
        with torch.enable_grad():
            reset = heaviside if self.detach_reset else surrogate_spike
            if self.one_step:
                trace = _step_by_step(network, raster, reset)
            else:
                trace = run(network, raster, spike=surrogate_spike, reset_spike=reset)
            right = ask.label()
            every = ask.every_step
            loss = (
                step_losses(_membrane(trace), right).mean() if every else F.cross_entropy(logits(network, trace), right)
            )
            gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        found = {name: g for name, g in zip(parameters, gradients, strict=True) if g is not None}
        return Update(found, state, float(loss.detach()))


def _membrane(trace: Trace) -> Tensor:
    return trace.states[-1]["mem"]


def _step_by_step(network: Network, raster: Tensor, reset: Spike) -> Trace:
    """A run in which every step takes the moment before it as given: they are seen first, and then gone on from all at once."""
    shape = raster.shape[:2]
    with torch.no_grad():
        seen = run(network, raster)
    given = moments_before(begin(network, raster), raster, seen.spikes, seen.states)
    trace = run(network, raster.flatten(0, 1)[None], surrogate_spike, reset, given)
    states = tuple({n: x[0].unflatten(0, shape) for n, x in s.items()} for s in trace.states)
    return Trace(tuple(x[0].unflatten(0, shape) for x in trace.spikes), states)
