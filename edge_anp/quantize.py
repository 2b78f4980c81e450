"""Float network -> integer network: choose units, shifts and leaks so that the integers lose as little as possible.

A membrane becomes v = mem / unit and a weight w_q = round(w scale / (unit 2^F)), F being its connection's shift. Smaller units keep
more of the membrane and of the weights until something no longer fits: weights, thresholds, membranes seen in calibration, sums.
units.py searches, for each layer, the shifts of smallest expected error; the units follow from the shifts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from edge_anp import network as floats
from edge_anp.errors import Unsupported
from edge_anp.integer import (
    MCU16,
    Arithmetic,
    IntegerConnection,
    IntegerLayer,
    IntegerNetwork,
    IntegerNeuron,
    Leak,
    LeakGrid,
    round_bias,
)
from edge_anp.network import Connection, Layer, Network, Trace
from edge_anp.neurons import LIF, CubaLIF, Readout, per_neuron
from edge_anp.quantization_loss import QuantizationLoss, measure
from edge_anp.synapses import Dense, Window
from edge_anp.topology import INPUT, InputContract
from edge_anp.units import Rows, Sharing, integer_path, largest_sum, measure_rows, search_units

LEAK_TOLERANCE = 0.05  # of 1 - beta: a leak that misses it takes the wider form (design.md 5)
ROOM = 1.5  # a weight that learns may grow by half before it saturates
HEADROOM = 1.05  # calibration has not seen the largest membrane there will ever be


def quantize(
    network: Network,
    calibration: Float[Tensor, "T B I"],
    arithmetic: Arithmetic = MCU16,
    targets: np.ndarray | None = None,
    learning: frozenset[int] = frozenset(),
) -> tuple[IntegerNetwork, QuantizationLoss]:
    """Quantize `network` on a raster it will meet; with its `targets` [B] the loss states accuracies too.

    learning: layers that will learn, and those they feed: one unit each, and room for weights to grow.

    Raise OutOfRange, with layer, number and limit, when the numbers cannot be made to fit.
    """
    rates = [i for i, layer in enumerate(network.layers) if not isinstance(layer.neuron, LIF | Readout)]
    if rates:
        raise Unsupported(f"layers {rates} are rate neurons; integers are made of spiking layers and a readout")
    raster = calibration.detach()
    scale = input_scale(raster.cpu().numpy(), arithmetic.input.high)
    high = arithmetic.input.high
    if arithmetic.seen_input:
        high = max(1, round(min(high, float(raster.abs().max()) / scale)))
    contract = InputContract(network.input.shape, network.input.dt, scale, high)
    with torch.no_grad():
        trace = floats.run(network, raster)
        layers = tuple(
            _layer(network, i, raster, trace, contract, arithmetic, i in learning) for i in range(len(network.layers))
        )
    net = IntegerNetwork(arithmetic, layers, contract, network.decode)
    return net, measure(network, net, raster, trace, targets)


def input_scale(x: np.ndarray, high: int) -> float:
    """The input units of one integer: an exact one if the values are small multiples of a step, else max|x| / high."""
    largest = float(np.abs(x).max(initial=0))
    values = np.unique(np.abs(x).astype(np.float64))
    if largest <= high and np.array_equal(values, np.rint(values)):
        return 1.0
    gaps = np.diff(np.concatenate([[0.0], values[values > 0]]))
    step = float(gaps.min())
    multiples = values / step
    if multiples.max() <= high and np.abs(multiples - np.rint(multiples)).max() < 1e-4:
        return step
    return largest / high


def _layer(
    network: Network, i: int, raster: Tensor, trace: Trace, contract: InputContract, a: Arithmetic, learns: bool = False
) -> IntegerLayer:
    layer = network.layers[i]
    rows = [
        measure_rows(layer, c, raster if c.source == INPUT else trace.spikes[c.source], contract, a)
        for c in layer.connections
    ]
    if learns:
        rows = [replace(r, largest=r.largest * ROOM) for r in rows]
    neuron = layer.neuron
    threshold = _numpy(neuron.threshold, layer) if isinstance(neuron, LIF) else None
    compared = i == len(network.layers) - 1 and network.decode.startswith("membrane")
    sharing = _sharing(layer, threshold, learns or compared, a)
    bias = _bias(network, layer)
    floor = np.maximum(_smallest_units(layer, trace.states[i], a), np.abs(bias) / a.bias_max)
    room = _room(layer, a)
    if room < 1:
        floor = np.maximum(floor, np.abs(bias) / (0.05 * room * a.accumulator.high))
    shifts, unit = search_units(rows, floor, sharing, a, room)
    if threshold is not None:
        unit = _even_threshold(unit, threshold, sharing, a.threshold_step)
    whole = round_bias(a, np.rint(bias / unit))
    connections = _connections(rows, unit, shifts, a, compensate=True)
    if largest_sum(rows, connections) + np.abs(whole).max(initial=0) > a.accumulator.high:
        connections = _connections(rows, unit, shifts, a, compensate=False)  # which the search has seen to fit
    return IntegerLayer(layer.shape, connections, whole, _neuron(layer, unit, a), unit, layer.name)


def _bias(network: Network, layer: Layer) -> np.ndarray:
    """[N] -> the current that silence brings."""
    silence = torch.zeros(1, 1, 1)
    bias = np.zeros(layer.size)
    for c in layer.connections:
        quiet = silence.expand(1, 1, network.input.size if c.source == INPUT else network.layers[c.source].size)
        bias += floats.current(Connection(c.source, c.path), quiet)[0, 0].double().numpy()
    return bias


def _numpy(value: object, layer: Layer) -> np.ndarray:
    """A neuron's parameter as float64 [N]."""
    return np.broadcast_to(per_neuron(value, layer.shape).detach().double().numpy(), (layer.size,))


def _room(layer: Layer, a: Arithmetic) -> float:
    """The share of the accumulator that keeps a readout below the largest threshold for ever: 1 - beta, times 1 - alpha."""
    neuron = layer.neuron
    if not a.spiking_readout or not isinstance(neuron, Readout):
        return 1.0
    leaks = [neuron.beta] if neuron.alpha is None else [neuron.beta, neuron.alpha]
    lost = [1 - quantize_leak(_numpy(k, layer), a.leak).keep.max() / 2 ** max(a.leak.bits) for k in leaks]
    return prod(lost) or 1.0


def _sharing(layer: Layer, threshold: np.ndarray | None, compared: bool, a: Arithmetic) -> Sharing:
    """One unit per neuron, channel or layer; where a layer has one threshold, its neurons are scaled to it, which is exact."""
    neuron = layer.neuron
    if a.one_threshold and threshold is not None and isinstance(neuron, LIF) and neuron.reset == "zero":
        ratio = threshold / threshold.max()
        return Sharing(np.zeros(layer.size, np.int64), ratio if np.all(ratio > 0) else np.ones(layer.size))
    return Sharing(_groups(layer, compared), np.ones(layer.size))


def _groups(layer: Layer, shared: bool) -> np.ndarray:
    """[N] -> the group that shares a unit: a neuron, a channel under a convolution, the layer where membranes are compared."""
    paths = [op for c in layer.connections for op in c.path]
    if shared or any(
        isinstance(op, Window) and isinstance(c.path[0], Dense) for c in layer.connections for op in c.path
    ):
        return np.zeros(layer.size, np.int64)
    if any(isinstance(op, Window) for op in paths) and len(layer.shape) > 1:
        return np.repeat(np.arange(layer.shape[0]), prod(layer.shape[1:]))
    return np.arange(layer.size)


def _smallest_units(layer: Layer, states: dict[str, Tensor], a: Arithmetic) -> np.ndarray:
    """[N] -> the unit below which a threshold, a membrane or a current seen in calibration would not fit."""
    seen = states["mem"].abs().amax((0, 1)).double().numpy() * HEADROOM / a.membrane.high
    if "syn" in states:
        seen = np.maximum(seen, states["syn"].abs().amax((0, 1)).double().numpy() * HEADROOM / a.current.high)
    if isinstance(layer.neuron, LIF):
        threshold = np.abs(_numpy(layer.neuron.threshold, layer))
        seen = np.maximum(seen, threshold / a.threshold_max)
        if not layer.neuron.reset_delay:  # the membrane was recorded after its reset: before it, it stood higher
            seen = np.maximum(seen, 2 * threshold / a.membrane.high)
    return seen


def _connections(
    rows: Sequence[Rows], unit: np.ndarray, shifts: Sequence[int], a: Arithmetic, compensate: bool
) -> tuple[IntegerConnection, ...]:
    return tuple(
        IntegerConnection(r.connection.source, integer_path(r, unit, f, a, compensate), f, r.connection.delay)
        for r, f in zip(rows, shifts, strict=True)
    )


def _even_threshold(unit: np.ndarray, threshold: np.ndarray, sharing: Sharing, step: int) -> np.ndarray:
    """Units raised a little, so that a group's (largest) threshold is a whole number of `step` units: no rounding in a reset."""
    largest = np.full(sharing.groups.max() + 1, -np.inf)
    np.maximum.at(largest, sharing.groups, threshold / sharing.ratio)
    top = largest[sharing.groups] * sharing.ratio
    fewest = np.full(len(largest), np.inf)
    np.minimum.at(fewest, sharing.groups, np.floor(top / (unit * step)))
    whole = fewest[sharing.groups]
    return np.where(whole >= 1, top / (np.maximum(whole, 1) * step), unit)


def _neuron(layer: Layer, unit: np.ndarray, a: Arithmetic) -> IntegerNeuron:
    neuron = layer.neuron
    assert isinstance(neuron, LIF | Readout)
    leak = quantize_leak(_numpy(neuron.beta, layer), a.leak)
    alpha = neuron.alpha if isinstance(neuron, CubaLIF | Readout) else None
    current_leak = None if alpha is None else quantize_leak(_numpy(alpha, layer), a.leak)
    if isinstance(neuron, Readout):
        return IntegerNeuron(leak, current_leak)
    vth = a.threshold_step * np.rint(_numpy(neuron.threshold, layer) / (unit * a.threshold_step)).astype(np.int64)
    return IntegerNeuron(leak, current_leak, vth, neuron.reset, neuron.reset_delay, neuron.zero)


def quantize_leak(beta: np.ndarray, grid: LeakGrid) -> Leak:
    """The narrowest leak of the grid that keeps 1 - beta within LEAK_TOLERANCE for every neuron, else the widest."""
    beta = np.clip(beta, 0, 1)
    leak = None
    for bits in sorted(grid.bits):
        one = 2**bits
        keep = np.rint(beta * one)
        if grid.power_of_two:
            choices = np.array([0, *(one - 2**j for j in range(bits)), one])
            keep = choices[np.abs(choices[:, None] - beta * one).argmin(0)]
        leak = Leak(keep.astype(np.int32), bits)
        if np.all(np.abs(keep / one - beta) <= LEAK_TOLERANCE * (1 - beta)):
            return leak
    assert leak is not None
    return leak
