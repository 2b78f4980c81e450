"""snnTorch's neurons as `neurons.LIF`, `CubaLIF` and `Readout`: which options are read, and why the others are refused.

    Leaky                  LIF(zero="leak")
    RLeaky                 LIF(zero="update"), and a connection from itself, one step late
    Synaptic, RSynaptic    CubaLIF(zero="update"); RSynaptic with a connection from itself

Source: snntorch 1.0.0, `_neurons/{neurons,leaky,rleaky,synaptic,rsynaptic}.py`. The reset is what `state_function` computes, which
the constructor chose: setting `reset_mechanism` later changes only the immediate reset.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from snntorch import Leaky, RLeaky, RSynaptic, Synaptic
from torch import Tensor, nn

from edge_anp.neurons import LIF, CubaLIF, Neuron, Readout, Reset

READ = (Leaky, RLeaky, Synaptic, RSynaptic)
RESETS: dict[str, Reset] = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}


def refusals(name: str, neuron: nn.Module) -> list[str]:
    """Every reason why a neuron cannot be read exactly, with its remedy."""
    if type(neuron) not in READ:
        kinds = ", ".join(kind.__name__ for kind in READ)
        return [f"{name}: {type(neuron).__name__} has no counterpart; use one of {kinds}"]
    m, reasons = cast(Any, neuron), []
    if m.inhibition:
        reasons.append(f"{name}: inhibition=True lets neurons of a layer silence each other; set it to False")
    if m.state_quant:
        reasons.append(
            f"{name}: state_quant rounds the membrane in floating point; remove it, quantize() rounds exactly"
        )
    if isinstance(m, RSynaptic) and not m.reset_delay:
        reasons.append(f"{name}: RSynaptic with reset_delay=False resets by stale states in snnTorch (a bug); use True")
    if not m.reset_delay and RESETS.get(m.state_function.__name__) != _declared(m):
        reasons.append(f"{name}: reset_mechanism was changed after construction and acts in half; construct it anew")
    if not _is_step(m.spike_grad, m.threshold):
        reasons.append(
            f"{name}: spike_grad fires something else than 0 or 1 at the threshold; use atan, fast_sigmoid, ..."
        )
    factor = m.graded_spikes_factor
    if not bool((factor != 0).all()) or not bool(torch.isfinite(factor).all()):
        reasons.append(f"{name}: graded_spikes_factor holds 0 or no number; remove the neuron or give it a factor")
    if isinstance(m, RLeaky | RSynaptic) and type(m.recurrent).__name__ not in (
        "Linear",
        "Conv2d",
        "RecurrentOneToOne",
    ):
        reasons.append(
            f"{name}: its recurrence is a {type(m.recurrent).__name__}; use linear_features, conv2d_channels or V"
        )
    return reasons


def shape_refusals(name: str, neuron: nn.Module, shape: tuple[int, ...]) -> list[str]:
    """Parameters that do not spread over the layer's shape, batch aside."""
    reasons = []
    for part in ("alpha", "beta", "threshold", "graded_spikes_factor"):
        value = getattr(neuron, part, None)
        if isinstance(value, Tensor) and value.numel() > 1 and not spreads(value, shape):
            want = f"one value or spread over {shape}, without a batch axis"
            reasons.append(f"{name}: {part} has shape {tuple(value.shape)}; it must be {want}")
    return reasons


def spreads(value: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether a parameter broadcasts to a layer's shape."""
    try:
        return tuple(torch.broadcast_shapes(tuple(value.shape), shape)) == shape
    except RuntimeError:
        return False


def translate(neuron: nn.Module, readout: bool) -> Neuron:
    """The neuron of a Network; it holds the module's own tensors. `readout`: nobody reads its spikes and it never resets."""
    m = cast(Any, neuron)
    current_based = isinstance(m, Synaptic | RSynaptic)
    if readout:
        return Readout(m.beta, m.alpha if current_based else None)
    reset = RESETS[m.state_function.__name__]
    if current_based:
        return CubaLIF(m.beta, m.threshold, reset, m.reset_delay, "update", m.alpha)
    return LIF(m.beta, m.threshold, reset, m.reset_delay, "leak" if isinstance(m, Leaky) else "update")


def never_resets(neuron: nn.Module) -> bool:
    return RESETS.get(cast(Any, neuron).state_function.__name__) == "none"


def is_recurrent(neuron: nn.Module) -> bool:
    return isinstance(neuron, RLeaky | RSynaptic)


def remarks(name: str, neuron: nn.Module) -> list[str]:
    """What the reader should know about a neuron: leaks that act clamped, a reset mechanism that does not act."""
    m, notes = cast(Any, neuron), []
    for part in ("alpha", "beta"):
        value = getattr(m, part, None)
        if isinstance(value, Tensor) and bool(((value < 0) | (value > 1)).any()):
            low, high = float(value.min()), float(value.max())
            shown = (
                f"{low:g} acts as {min(max(low, 0), 1):g}"
                if low == high
                else f"of {low:g} to {high:g} acts within 0 to 1"
            )
            notes.append(f"{name}: {part} {shown} (snnTorch clamps it)")
    acts = RESETS.get(m.state_function.__name__)
    if acts != _declared(m):
        notes.append(
            f"{name}: reset_mechanism says {_declared(m)!r}, but the neuron was made with {acts!r}, which acts"
        )
    return notes


def _declared(neuron: Any) -> Reset:
    return ("subtract", "zero", "none")[int(neuron.reset_mechanism_val)]


def _is_step(spike_grad: Any, threshold: Tensor) -> bool:
    """Whether the forward pass of a surrogate is the step function: 1 above zero, else 0."""
    x = torch.tensor([-2.0, -1.0, -1e-6, 0.0, 1e-6, 0.5, 2.0], device=threshold.device).repeat(8)
    try:
        with torch.no_grad():
            return torch.equal(spike_grad(x).float(), (x > 0).float())
    except Exception:  # a surrogate of the user's own may refuse the probe; the read-back check still sees what it does
        return True
