"""Where the output's error enters the network: at the currents of a last layer that is read by its membrane, or at its spikes."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from edge_anp.errors import Unsupported
from edge_anp.learning.output_error import spike_error, spread, through_leaks
from edge_anp.learning.rule import Ask, Signal, numbers
from edge_anp.network import Layer, Network, Trace
from edge_anp.neurons import LIF, Readout, Tanh, per_neuron
from edge_anp.synapses import MaxPool2d

REMEDY = "train it with bptt, which takes any network"
WHO = "feedback ANP"


@dataclass(frozen=True, eq=False)
class Injected:
    """error [T, B, K]: dLoss/dI of the last layer, or dLoss/ds of its spikes where they are the answer."""

    error: Tensor
    of_spikes: bool


def leaks(layer: Layer) -> tuple[Tensor, ...]:
    """The leaks between the output currents and what is read, [] or [K] each: the membrane's, then the current's if it has one."""
    neuron = layer.neuron
    assert isinstance(neuron, LIF | Readout)
    alpha = getattr(neuron, "alpha", None)
    found = (neuron.beta,) if alpha is None else (neuron.beta, alpha)
    return tuple(per_neuron(leak, layer.shape).detach().clamp(0, 1) for leak in found)


def check(network: Network, streaming: bool) -> None:
    """Raise Unsupported, with every reason, for a network whose answer's error cannot be sent back."""
    last, reasons = network.layers[-1], []
    number = len(network.layers) - 1
    if network.decode.startswith("membrane"):
        if isinstance(last.neuron, Tanh):
            reasons.append(f"layer {number} is a rate neuron; what is read by its membrane must be a readout")
        elif isinstance(last.neuron, LIF) and last.neuron.reset != "none":
            reasons.append(
                f"layer {number} resets ({last.neuron.reset}) and is read by its membrane ({network.decode}); "
                "it must never reset (reset_mechanism='none'), or be read by its spikes (decode count or first_spike)"
            )
        if any(c.source == number for layer in network.layers for c in layer.connections):
            reasons.append(f"layer {number} is read by its membrane, and feeds its spikes back; it must not do both")
    if streaming:
        reasons += _streaming_reasons(network)
    if reasons:
        raise Unsupported([*reasons, f"or {REMEDY}"], who=WHO)


def _streaming_reasons(network: Network) -> list[str]:
    """A trace of the input stands for a neuron's past only where one leak is the layer's, and no routing changes with time."""
    reasons = []
    for i, layer in enumerate(network.layers):
        for name in ("beta", "alpha"):
            value = getattr(layer.neuron, name, None)
            if isinstance(value, Tensor) and value.numel() > 1 and bool((value != value.flatten()[0]).any()):
                reasons.append(
                    f"layer {i} has a {name} of each neuron's own; a streaming error needs one a layer, or error='end'"
                )
        for c in layer.connections:
            if any(isinstance(op, MaxPool2d) for op in c.path):
                reasons.append(f"layer {i} reads through a max pool; a streaming error needs error='end' there")
    return reasons


def inject(network: Network, error: Tensor, trace: Trace, every_step: bool) -> Injected:
    """Where and when the error enters; error [B, K] at the logits, or [T, B, K] at the membranes of every step."""
    last, steps = network.layers[-1], len(trace.spikes[-1])
    if not network.decode.startswith("membrane"):
        if every_step and error.ndim == 3:
            raise Unsupported(f"the task asks for numbers at every step, but decode is {network.decode}", who=WHO)
        return Injected(spike_error(error, trace.spikes[-1], network.decode), True)
    if error.ndim == 3:
        return Injected(through_leaks(error, leaks(last)), False)
    return Injected(spread(error, steps, network.decode, leaks(last)), False)


def step_error(outputs: Float[Tensor, "T B K"], ask: Ask) -> tuple[Float[Tensor, "T B K"], float]:
    """Of a task that asks for something at every step, o[t] against y[t]: e = 2 (o - y) / (T K); the loss is the mean square."""
    if ask.signal is not Signal.LABEL:
        raise ValueError(
            f"the task asks for something at every step; feedback ANP needs the label there, not a {ask.signal}"
        )
    right = numbers(ask.label(), outputs.shape[2]).to(outputs)
    off = outputs - right
    return 2 * off / (off.shape[0] * off.shape[2]), float(off.square().mean())
