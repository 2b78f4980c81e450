"""Surrogate backpropagation through time: the yardstick. True through the whole trial, for any network.

Forward, spikes are 0 or 1; backward, ds/du is psi(u) = max(0, 1 - |u/theta - 1|) / theta (credit.py). The loss is the cross-entropy of the
softmax of `logits` (output_error.py). Every tensor that requires a gradient learns, leaks and thresholds too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from edge_anp.learning.credit import psi
from edge_anp.learning.output_error import logits
from edge_anp.learning.rule import Ask, Signal, State, Update
from edge_anp.network import Network, run
from edge_anp.neurons import heaviside


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
    """detach_reset: resets get no credit (snnTorch's own habit)."""

    detach_reset: bool = False
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
            trace = run(network, raster, spike=surrogate_spike, reset_spike=reset)
            loss = F.cross_entropy(logits(network, trace), ask.label())
            gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        found = {name: g for name, g in zip(parameters, gradients, strict=True) if g is not None}
        return Update(found, state, float(loss.detach()))
