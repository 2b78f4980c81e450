"""Units and shifts of a layer: the search for the smallest expected error among those that fit.

For connection c with shift F_c, a weight of neuron n is w_q = round(w scale_c / (unit_n 2^F_c)). The unit follows from the shifts: the
smallest in which weights, threshold and membrane fit (`fit_units`); the shifts are searched (`search_units`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_anp import network as floats
from edge_anp.integer import Arithmetic, grain, path_bounds
from edge_anp.network import Connection, Layer
from edge_anp.rounding import round_compensated
from edge_anp.synapses import AvgPool2d, Convolution, Dense, Diagonal, Map, SumPool2d
from edge_anp.topology import INPUT, InputContract

SHIFTS = range(-8, 12)
MOMENT_INPUTS = 4096  # beyond, the moments would fill gigabytes, and entries are rounded one by one
MOMENT_SAMPLES = 16_384  # steps that the second moments of a synapse's inputs are measured on


@dataclass(frozen=True)
class Rows:
    """One connection of a layer, as the search sees it: per neuron n, how its weights fill a unit.

    largest [N]: max_i |w_ni| scale; power: the mean over steps of sum_i x_i^2, in integers; scale: what one integer of a weight times
    one of the input is worth, before unit and shift; moments [I, I] of a dense synapse's inputs, else None. grain: what its integers
    are multiples of.
    """

    connection: Connection
    largest: np.ndarray
    power: float
    scale: float
    source_high: int
    moments: np.ndarray | None = None
    grain: int = 1

    def high(self, a: Arithmetic) -> int:
        """The largest integer that a weight may be."""
        return a.weights.high // self.grain * self.grain


def measure_rows(layer: Layer, c: Connection, source: Tensor, contract: InputContract, a: Arithmetic) -> Rows:
    """Measure a connection: what its weights are, and how much its source sends."""
    scale = contract.scale if c.source == INPUT else 1.0
    high = contract.high if c.source == INPUT else 1
    folded = scale / prod(prod(op.kernel) for op in c.path if isinstance(op, AvgPool2d))
    flat = source.reshape(-1, source.shape[-1])
    weight, moments, step = None, None, 1
    for op in c.path:
        if op.weighted:
            if isinstance(op, Dense) and op.in_size <= MOMENT_INPUTS:
                some = flat[:: 1 + len(flat) // MOMENT_SAMPLES].double().numpy()
                moments = some.T @ some / len(some)
            weight, step = op.weight.detach().double().abs(), grain(a, op.weight.detach().double().numpy())
            break
        flat = floats.apply(op, flat) * (prod(op.kernel) if isinstance(op, AvgPool2d) else 1)
    power = float((flat.double() / scale).square().sum(1).mean())
    if weight is None:
        largest = np.ones(layer.size)
    elif weight.ndim <= 1:
        largest = np.broadcast_to(weight.numpy(), (layer.size,))
    else:
        largest = weight.reshape(len(weight), -1).amax(1).numpy()
        if len(largest) != layer.size:
            largest = np.repeat(largest, layer.size // len(largest))
            power = power * prod(weight.shape[1:]) / flat.shape[1]
    return Rows(c, largest * folded, power, folded, high, moments, step)


@dataclass(frozen=True)
class Sharing:
    """Which neurons of a layer share a unit: groups [N] number them; within a group the units are as `ratio` [N]."""

    groups: np.ndarray
    ratio: np.ndarray

    def largest(self, unit: np.ndarray) -> np.ndarray:
        """[N] -> the smallest units that are as large, shared; a group of zeros takes the layer's."""
        best = np.zeros(self.groups.max() + 1)
        np.maximum.at(best, self.groups, unit / self.ratio)
        best[best <= 0] = best.max() if best.max() > 0 else 1.0
        return best[self.groups] * self.ratio


def fit_units(
    rows: Sequence[Rows], floor: np.ndarray, sharing: Sharing, shifts: Sequence[int], a: Arithmetic
) -> np.ndarray:
    """[N] -> the smallest unit in which everything fits."""
    unit = floor.copy()
    for r, f in zip(rows, shifts, strict=True):
        unit = np.maximum(unit, r.largest / (r.high(a) * 2.0**f))
    return sharing.largest(unit)


def _error(rows: Sequence[Rows], unit: np.ndarray, shifts: Sequence[int], reach: np.ndarray) -> float:
    """The expected square of a step's rounding errors, relative to what the membrane holds.

    A weight is off by up to half a step, unit 2^F grain: variance (unit 2^F grain)^2 / 12 for each x_i^2; a shift to the right and
    the leak are each off by up to half a unit.
    """
    variance = 1.0 + sum(r.power * r.grain**2 * 4.0**f + (f < 0) for r, f in zip(rows, shifts, strict=True))
    return float(np.mean((unit / reach) ** 2)) * variance


def search_units(
    rows: Sequence[Rows], floor: np.ndarray, sharing: Sharing, a: Arithmetic, room: float = 1.0
) -> tuple[list[int], np.ndarray]:
    """(shifts, units [N]) of least error whose sums stay in `room` of the accumulator: else, all of it; else, whatever is nearest.

    Where the shifts have a least one, sums that do not fit need units larger than the weights do.
    """
    shifts, cost = search_shifts(rows, floor, sharing, a, room)
    if a.shifts is not None and cost == np.inf:
        smallest = fit_units(rows, floor, sharing, [a.shifts[0]] * len(rows), a)
        for octave in np.arange(0.25, 3.25 if room < 1 else 8.25, 0.25):
            raised = np.maximum(floor, smallest * 2**octave)
            shifts, cost = search_shifts(rows, raised, sharing, a, room)
            if cost < np.inf:
                return shifts, fit_units(rows, raised, sharing, shifts, a)
        if room < 1:
            return search_units(rows, floor, sharing, a)
    return shifts, fit_units(rows, floor, sharing, shifts, a)


def search_shifts(
    rows: Sequence[Rows], floor: np.ndarray, sharing: Sharing, a: Arithmetic, room: float = 1.0
) -> tuple[list[int], float]:
    """The shifts of least error whose sums fit, by coordinate descent from shifts at which every row just fits; and that error."""
    allowed = SHIFTS if a.shifts is None else range(a.shifts[0], a.shifts[1] + 1)
    reach = fit_units(rows, floor, sharing, [max(allowed)] * len(rows), a) * a.membrane.high

    def cost(shifts: Sequence[int]) -> float:
        if a.shifts is not None and not all(f in allowed for f in shifts):
            return np.inf
        unit = fit_units(rows, floor, sharing, shifts, a)
        total = 0.0
        for r, f in zip(rows, shifts, strict=True):
            bound = _sum_bound(r, unit, f, a)
            if bound + (2 ** (-f - 1) if f < 0 else 0) > a.accumulator.high:
                return np.inf
            total += bound * 2.0**f
        return np.inf if total > 0.9 * room * a.accumulator.high else _error(rows, unit, shifts, reach)

    largest = max(float(r.largest.max(initial=0)) for r in rows) or 1.0
    start = [int(np.clip(np.ceil(np.log2(max(r.largest.max(initial=0), 1e-12) / largest)), -8, 0)) for r in rows]
    candidates = [[f + s if a.shifts is None else max(f + s, min(allowed)) for s in start] for f in allowed]
    best = min(candidates, key=cost)
    while True:
        moves = [[f + d * (k == j) for k, f in enumerate(best)] for j in range(len(best)) for d in (-1, 1)]
        better = min(moves, key=cost)
        if not cost(better) < cost(best):
            return best, cost(best)
        best = better


def _sum_bound(r: Rows, unit: np.ndarray, shift: int, a: Arithmetic) -> int:
    """The largest |sum| of a connection in these units."""
    return path_bounds(integer_path(r, unit, shift, a), r.source_high)[1]


def largest_sum(rows: Sequence[Rows], connections: Sequence[Any]) -> float:
    """The largest |sum| of a layer's connections, each shifted."""
    pairs = zip(rows, connections, strict=True)
    return sum(path_bounds(c.path, r.source_high)[1] * 2.0**c.shift for r, c in pairs)


def integer_path(r: Rows, unit: np.ndarray, shift: int, a: Arithmetic, compensate: bool = False) -> tuple[Map, ...]:
    """The path in integers; with `compensate`, a dense synapse is rounded for its products instead of entry by entry."""
    path: list[Map] = []
    weighted = False
    step = unit * 2.0**shift / r.scale
    for op in r.connection.path:
        if isinstance(op, Dense):
            rows = step[:: len(unit) // op.out_size]
            if compensate and r.moments is not None:
                high, exact = a.weights.high // r.grain, op.weight.detach().double().numpy()
                weight = r.grain * round_compensated(exact, rows * r.grain, r.moments, high)
                path.append(Dense(weight.astype(_weight_type(a))))
            else:
                path.append(Dense(_rounded(op.weight, rows, r, a)))
        elif isinstance(op, Convolution):
            channels = step[:: len(unit) // op.channels][: op.channels]
            weight = _rounded(op.weight, channels, r, a)
            path.append(type(op)(op.in_shape, op.kernel, op.stride, op.padding, weight, None, op.groups))
        elif isinstance(op, Diagonal):
            path.append(Diagonal(_rounded(op.weight.expand(len(unit)), step, r, a), op.in_shape))
        elif isinstance(op, AvgPool2d):
            path.append(SumPool2d(op.in_shape, op.kernel, op.stride, op.padding))
        else:
            path.append(op)
        weighted = weighted or op.weighted
    if not weighted:
        path.append(Diagonal(_rounded(torch.ones(len(unit)), step, r, a), (len(unit),)))
    return tuple(path)


def _rounded(weight: Tensor, step: np.ndarray, r: Rows, a: Arithmetic) -> np.ndarray:
    """round(w / step) to multiples of the grain, one step per output; the grid is used symmetrically."""
    w = weight.detach().double().numpy()
    q = r.grain * np.rint(w / (step * r.grain).reshape(-1, *[1] * (w.ndim - 1)))
    return np.clip(q, -r.high(a), r.high(a)).astype(_weight_type(a))


def _weight_type(a: Arithmetic) -> type:
    return np.int8 if a.weights.bits <= 8 else np.int16
