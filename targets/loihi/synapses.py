"""Each connection as synapse processes of Lava: Conv for a convolution between images, Dense for everything else that is linear.

Lava's images are (W, H, C) and its convolution is a true one: our weights [C_out, C_in, H, W] become [C_out, W, H, C_in], flipped.
Pools, one-to-one and one-dimensional convolutions are written out as a matrix: on a chip too, a synapse is a matrix entry. Where sums of
weights leave the 8 bits of a synapse, positive and negative entries go to matrices of their own, 8 bits each at its own exponent.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from edge_anp import reference
from edge_anp.integer import LOIHI2, IntegerConnection, IntegerNetwork, grain
from edge_anp.synapses import Conv2d, Dense, MaxPool2d
from edge_anp.topology import INPUT

ENTRIES = 2**24  # of a matrix that is written out: 64 MB in the artifact before compression
ALIGNMENT = 6  # bits, lava/proc/lif/models.py: act_shift


@dataclass(frozen=True)
class Synapse:
    """A connection in Lava: process "Conv" or "Dense", its weight in Lava's layout, and its constructor's other arguments."""

    process: str
    weight: np.ndarray
    options: dict[str, Any]


def image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Lava's shape of a layer: (W, H, C) for (C, H, W), flat otherwise."""
    return tuple(reversed(shape)) if len(shape) == 3 else (prod(shape),)


def order(shape: tuple[int, ...]) -> np.ndarray:
    """Where Lava's k-th neuron stands in our flat vector."""
    flat = np.arange(prod(shape))
    return flat.reshape(shape).transpose(2, 1, 0).reshape(-1) if len(shape) == 3 else flat


def source_shape(net: Any, c: Any) -> tuple[int, ...]:
    return net.input.shape if c.source == INPUT else net.layers[c.source].shape


def is_convolution(net: Any, i: int, c: Any) -> bool:
    """Whether a connection is one Conv2d from an image to a layer of that very shape."""
    if len(c.path) != 1 or not isinstance(c.path[0], Conv2d):
        return False
    (op,) = c.path
    return op.in_shape == source_shape(net, c) and op.out_shape == net.layers[i].shape


def touches_image(net: Any, i: int) -> bool:
    """Whether a convolution reads layer i, or is read by it: it is one process then, an image."""
    ways = [(k, c) for k, x in enumerate(net.layers) for c in x.connections if i in (k, c.source)]
    return any(is_convolution(net, k, c) for k, c in ways)


def refusals(net: Any, i: int, c: Any) -> list[str]:
    """Why a connection, of floats or of integers, cannot be a synapse."""
    who = f"layer {i}" + (f" ({net.layers[i].name})" if net.layers[i].name else "")
    if any(isinstance(op, MaxPool2d) for op in c.path):
        return []  # the target's table of kinds has said so
    size = prod(source_shape(net, c)) * net.layers[i].size
    if not is_convolution(net, i, c) and size > ENTRIES:
        return [
            f"{who}: a connection written out as a matrix has {size} entries, the limit is {ENTRIES}; keep a Conv2d bare"
        ]
    return []


def matrix(path: tuple[Any, ...], size: int) -> np.ndarray:
    """[N, I] of a linear path: what it makes of every unit vector."""
    if len(path) == 1 and isinstance(path[0], Dense):
        return path[0].weight
    columns = []
    for k in range(size):
        x = np.zeros(size, np.int64)
        x[k] = 1
        for op in path:
            x = reference.apply(op, x)
        columns.append(x)
    return np.stack(columns, axis=1)


def write(net: IntegerNetwork, i: int, c: IntegerConnection, rows: np.ndarray, columns: np.ndarray) -> list[Synapse]:
    """The synapses that a connection to layer i is the sum of, mostly one: from the source's `columns` to the layer's `rows`."""
    bits = 8 if c.source == INPUT and net.input.high > 1 else 0
    exponent = c.shift - ALIGNMENT
    if is_convolution(net, i, c):
        (op,) = c.path
        assert isinstance(op, Conv2d)
        weight = op.weight.transpose(0, 3, 2, 1)[:, ::-1, ::-1].astype(np.int16)
        options: dict[str, Any] = {"exponent": exponent, "message_bits": bits, "groups": op.groups}
        options |= {name: list(reversed(getattr(op, name))) for name in ("padding", "stride")}
        return [Synapse("Conv", weight, options | {"input_shape": image(op.in_shape)})]
    weight = matrix(c.path, prod(source_shape(net, c)))[np.ix_(rows, columns)].astype(np.int64)
    parts = [(weight, exponent)]
    if past_range(weight):
        digits = range((int(np.abs(weight).max()).bit_length() + 7) // 8)
        parts = [(s * (np.maximum(s * weight, 0) >> 8 * k & 255), exponent + 8 * k) for s in (1, -1) for k in digits]
    return [
        Synapse("Dense", w.astype(np.int16), {"exponent": e, "message_bits": bits, "sign": sign(w)})
        for w, e in parts
        if w.any() or len(parts) == 1
    ]


def sign(weight: np.ndarray) -> str:
    """Lava's sign mode: without one it guesses from the data, and another grid follows."""
    if weight.min(initial=0) < 0 < weight.max(initial=0) or weight.min(initial=0) < -LOIHI2.weights.high:
        return "MIXED"
    return "INHIBITORY" if weight.min(initial=0) < 0 else "EXCITATORY"


def past_range(weight: np.ndarray) -> bool:
    """Whether a matrix that was written out (sums of weights, say) leaves a chip's weights."""
    step = grain(LOIHI2, weight)
    out = weight.min(initial=0) < LOIHI2.weights.low or weight.max(initial=0) > LOIHI2.weights.high
    return bool(out or np.any(weight % step))
