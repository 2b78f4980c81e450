"""What quantization cost: the integer network beside the float network on the same samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch
from torch import Tensor

from edge_anp import decode, simulate
from edge_anp import network as floats
from edge_anp.integer import IntegerLayer, IntegerNetwork, Leak, quantize_input
from edge_anp.integer import Trace as IntegerTrace
from edge_anp.network import Connection, Layer, Network, Trace
from edge_anp.neurons import LIF, CubaLIF, Readout, per_neuron
from edge_anp.synapses import AvgPool2d, Convolution, Dense, Diagonal, Map, SumPool2d
from edge_anp.topology import INPUT


@dataclass(frozen=True)
class LayerCost:
    """One layer quantized, all others in float: the share of answers that change."""

    name: str
    answers_changed: float


@dataclass(frozen=True)
class QuantizationLoss:
    """What was lost between the float network and its integers.

    agreement: per layer 2 both / (a + b) over spikes, None where a layer has none. saturated: the share of membrane and current
    values at the ends of their registers. answers_changed: the share of samples whose answer differs. Accuracies where labels were given.
    """

    agreement: tuple[float | None, ...]
    saturated: float
    answers_changed: float
    layers: tuple[LayerCost, ...]
    float_accuracy: float | None = None
    integer_accuracy: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def costliest(self) -> LayerCost:
        """The layer whose quantization alone changes most answers."""
        return max(self.layers, key=lambda c: c.answers_changed)


def measure(
    network: Network, net: IntegerNetwork, raster: Tensor, trace: Trace, targets: np.ndarray | None = None
) -> QuantizationLoss:
    """Run both on `raster` [T, B, I] (`trace` is the float network's) and compare."""
    result = simulate.run(net, quantize_input(raster.cpu().numpy(), net.input))
    right = floats.scores(network, trace).argmax(1).numpy()
    answers = decode.scores(net.decode, result.spikes[-1], result.states[-1]["v"]).argmax(1)
    costs = []
    for i, layer in enumerate(network.layers):
        name = layer.name or f"layer {i}"
        one = replace(
            network, layers=tuple(dequantize(net, k, old) if k == i else old for k, old in enumerate(network.layers))
        )
        with torch.no_grad():
            changed = floats.scores(one, floats.run(one, raster)).argmax(1).numpy() != right
        costs.append(LayerCost(name, float(changed.mean())))
    return QuantizationLoss(
        agreement=tuple(
            spike_agreement(a.numpy() > 0, b > 0) if layer.neuron.vth is not None else None
            for a, b, layer in zip(trace.spikes, result.spikes, net.layers, strict=True)
        ),
        saturated=saturated(net, result),
        answers_changed=float((answers != right).mean()),
        layers=tuple(costs),
        float_accuracy=None if targets is None else float((right == targets).mean()),
        integer_accuracy=None if targets is None else float((answers == targets).mean()),
        notes=tuple(_lost_leaks(network, net)),
    )


def price(network: Network, other: Network, raster: Tensor, targets: np.ndarray | None = None) -> str:
    """What `other` in place of `network` would cost on `raster` [T, B, I], in words."""
    with torch.no_grad():
        right, answers = (floats.scores(n, floats.run(n, raster)).argmax(1).numpy() for n in (network, other))
    accuracy = ""
    if targets is not None:
        accuracy = f", accuracy {(right == targets).mean():.3f} -> {(answers == targets).mean():.3f}"
    return f"{(answers != right).mean():.2%} of answers changed{accuracy} (calibration samples, in float)"


def spike_agreement(a: np.ndarray, b: np.ndarray) -> float:
    """2 both / (a + b): 1 when the same neurons spike at the same steps, 0 when none do; 1 when both are silent."""
    total = int(a.sum()) + int(b.sum())
    return 1.0 if total == 0 else 2.0 * int((a & b).sum()) / total


def saturated(net: IntegerNetwork, trace: IntegerTrace) -> float:
    """The share of state values that stand at an end of their register."""
    ends, total = 0, 0
    for states in trace.states:
        for name, value in states.items():
            register = net.arithmetic.membrane if name == "v" else net.arithmetic.current
            ends += int(((value == register.low) | (value == register.high)).sum())
            total += value.size
    return ends / max(total, 1)


def dequantize(net: IntegerNetwork, i: int, like: Layer) -> Layer:
    """Layer i with its integers written as floats: what rounding its parameters did, without rounding its states."""
    layer = net.layers[i]
    unit = torch.from_numpy(layer.unit).float()
    connections = []
    for c in layer.connections:
        scale = net.input.scale if c.source == INPUT else 1.0
        windows = prod(
            prod(op.kernel) for op in c.path if isinstance(op, SumPool2d)
        )  # means in float, sums in integers
        path = tuple(_dequantize_map(op, layer, 2.0**c.shift * windows / scale) for op in c.path)
        connections.append(Connection(c.source, path, c.delay))
    bias = Dense(torch.zeros(layer.size, net.input.size), torch.from_numpy(layer.bias).float() * unit)
    connections.append(Connection(INPUT, (bias,)))
    leak = _leak(layer.neuron.leak)
    alpha = None if layer.neuron.current_leak is None else _leak(layer.neuron.current_leak)
    n = layer.neuron
    if n.vth is None:
        neuron: LIF | Readout = Readout(leak, alpha)
    else:
        threshold = torch.from_numpy(n.vth).float() * unit
        kind = (leak, threshold, n.reset, n.reset_delay, n.zero)
        neuron = LIF(*kind) if alpha is None else CubaLIF(*kind, alpha)
    return Layer(like.shape, tuple(connections), neuron, like.name)


def _leak(leak: Leak) -> Tensor:
    return torch.from_numpy(leak.keep).float() / 2**leak.bits


def _dequantize_map(op: Map, layer: IntegerLayer, factor: float) -> Map:
    unit = torch.from_numpy(layer.unit).float() * factor
    if isinstance(op, Dense):
        step = unit[:: layer.size // op.out_size]
        return Dense(torch.from_numpy(op.weight).float() * step[:, None])
    if isinstance(op, Diagonal):
        return Diagonal(torch.from_numpy(op.weight).float() * unit, op.in_shape)
    if isinstance(op, Convolution):
        step = unit[:: layer.size // op.channels][: op.channels]
        weight = torch.from_numpy(op.weight).float() * step.reshape(-1, *[1] * (op.weight.ndim - 1))
        return type(op)(op.in_shape, op.kernel, op.stride, op.padding, weight, None, op.groups)
    if isinstance(op, SumPool2d):
        return AvgPool2d(op.in_shape, op.kernel, op.stride, op.padding)
    return op


def _lost_leaks(network: Network, net: IntegerNetwork) -> list[str]:
    """Leaks so slow that the grid rounds them to none at all."""
    notes = []
    for layer, old in zip(net.layers, network.layers, strict=True):
        beta = np.broadcast_to(per_neuron(old.neuron.beta, old.shape).detach().numpy(), (layer.size,))  # type: ignore[union-attr]
        lost = (layer.neuron.leak.keep == 2**layer.neuron.leak.bits) & (beta < 1)
        if lost.any():
            notes.append(f"{layer.name}: {int(lost.sum())} leaks of {beta[lost].max():.6f} act as 1: no leak at all")
    return notes
