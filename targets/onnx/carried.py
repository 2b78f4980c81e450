"""step_q: integers carried in float32, exact because nothing leaves -2^24..2^24, where float32 holds every integer.

That holds for every partial sum of a drive (an IntegerNetwork proves it at birth) and for the products of leaks below. A drive near 2^24
may round when a leak is added to it, but then it lies far past saturation, and saturates all the same.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge_anp.integer import IntegerConnection, Leak
from edge_anp.synapses import Convolution, Dense, Diagonal, Map
from targets.onnx import maps
from targets.onnx.graph import FLOAT, Graph, Tensor
from targets.onnx.integers import LARGEST_SHIFT, Integers


class Carried(Integers):
    """reference.py in float32 operators that every ONNX tool for microcontrollers has."""

    runner = "step_q"
    wide = narrow = FLOAT

    def shifted(self, g: Graph, c: IntegerConnection, x: Tensor, name: str) -> Tensor:
        """2^F goes into the weights, where it is exact, and passes through pools unchanged."""
        factor = 2.0 ** min(c.shift, LARGEST_SHIFT)
        for j, op in enumerate(c.path):
            x = maps.apply(g, scaled(op, factor), x, f"{name}_{j}")
        if c.shift and not any(op.weighted for op in c.path):
            x = g.elementwise("Mul", x, g.constant(f"{name}_shift", np.array([factor], np.float32)))
        return x if c.shift >= 0 else rounded(g, x)

    def leaked(self, g: Graph, of: Leak, x: Tensor, name: str) -> Tensor:
        """floor(v k / 2^S + 1/2).

        S = 8: |v k| <= 2^15 2^8. S = 12: k = 16 h + l, floor((v h + floor(v l / 16)) / 256 + 1/2), and |v h| <= 2^23 again.
        """
        if of.bits == 8:
            return rounded(g, g.elementwise("Mul", x, g.parameter(name, of.keep / 256, x)))
        assert of.bits == 12
        coarse = g.elementwise("Mul", x, g.parameter(f"{name}_h", of.keep // 16, x))
        fine = g.elementwise("Floor", g.elementwise("Mul", x, g.parameter(f"{name}_l", of.keep % 16 / 16, x)))
        both = g.elementwise("Add", coarse, fine)
        return rounded(g, g.elementwise("Mul", both, g.constant("per_256", np.array([1 / 256], np.float32))))

    def view(self, g: Graph, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        return maps.view(g, x, shape)

    def sent(self, g: Graph, fires: Tensor) -> Tensor:
        return g.cast(fires, FLOAT)


def scaled(op: Map, factor: float) -> Map:
    """A weighted map with its weights as float32 times a power of two; a pool as it is."""
    if not isinstance(op, Dense | Diagonal | Convolution):
        return op
    return replace(op, weight=op.weight.astype(np.float32) * np.float32(factor))


def rounded(g: Graph, x: Tensor) -> Tensor:
    """floor(x + 1/2): to nearest, ties toward +infinity."""
    return g.elementwise("Floor", g.elementwise("Add", x, g.constant("half", np.array([0.5], np.float32))))
