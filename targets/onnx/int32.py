"""step_i32: int32 states, int8 weights and spikes, for compilers that turn integers into integer C.

Signed by signed bytes: for unsigned by signed onnxruntime uses, on x86 without VNNI, an instruction that saturates at 16 bits; signed by
signed has kernels of its own, plain or VNNI-INT8, and is exact everywhere (onnxruntime/core/mlas/lib: mlasi.h, qgemm.h, platform.cpp).
"""

from __future__ import annotations

import numpy as np

from edge_anp.integer import IntegerConnection, Leak
from edge_anp.synapses import Convolution, Dense, Diagonal, Map, SumPool2d, Window
from targets.onnx import maps
from targets.onnx.graph import FLOAT, INT8, INT32, Graph, Tensor
from targets.onnx.integers import LARGEST_SHIFT, Integers


class Int32(Integers):
    """reference.py in int32 operators."""

    runner = "step_i32"
    wide, narrow = INT32, INT8

    def shifted(self, g: Graph, c: IntegerConnection, x: Tensor, name: str) -> Tensor:
        """|w x| + 2^(-F-1) < 2^24, so -F <= 24."""
        x = g.cast(self.path(g, c, x, name), INT32)
        if c.shift < 0:
            return divided(g, x, -c.shift, 24)
        factor = 2 ** min(c.shift, LARGEST_SHIFT)
        return x if factor == 1 else g.elementwise("Mul", x, integer(g, factor))

    def path(self, g: Graph, c: IntegerConnection, x: Tensor, name: str) -> Tensor:
        """w x: the maps of a connection."""
        for j, op in enumerate(c.path):
            x = apply(g, op, x, f"{name}_{j}")
        return x

    def leaked(self, g: Graph, of: Leak, x: Tensor, name: str) -> Tensor:
        """|v k| <= 2^(15+S), and S <= 12."""
        return divided(g, g.elementwise("Mul", x, g.parameter(name, of.keep, x)), of.bits, 15 + of.bits)

    def view(self, g: Graph, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        return view(g, x, shape)

    def sent(self, g: Graph, fires: Tensor) -> Tensor:
        """By Where: onnx2c casts to no byte."""
        return g.node("Where", [fires, byte(g, 1), byte(g, 0)], fires.shape, INT8)


def divided(g: Graph, x: Tensor, bits: int, size: int) -> Tensor:
    """floor((x + 2^(bits-1)) / 2^bits) for |x| <= 2^size, size >= bits.

    Div truncates, so 2^size, which is a multiple of 2^bits, makes the dividend positive first and is taken off afterwards.
    """
    x = g.elementwise("Add", x, integer(g, 2 ** (bits - 1) + 2**size))
    x = g.elementwise("Div", x, integer(g, 2**bits))
    return g.elementwise("Sub", x, integer(g, 2 ** (size - bits)))


def apply(g: Graph, op: Map, x: Tensor, name: str) -> Tensor:
    """One map. Before a synapse values are at most 127 (the network's birth proves it) and fit int8, after it they are int32.

    Pools of int32 and every maximum pass through float32, exact below 2^24. Zero-points are written out, as onnx2c wants them:
    of shape [1] for MatMulInteger; scalars for ConvInteger, since onnx.reference reads [1] as four axes, which a Conv1d has not.
    """
    if isinstance(op, Diagonal):
        x = g.cast(x, INT32)
        return g.elementwise("Mul", x, g.parameter(f"{name}_w", op.weight, x))
    x = view(g, x, op.in_shape)
    if isinstance(op, Dense):
        w = g.constant(f"{name}_w", np.ascontiguousarray(op.weight.T))
        return g.node("MatMulInteger", [g.cast(x, INT8), w, byte(g, 0), byte(g, 0)], op.out_shape, INT32)
    assert isinstance(op, Window)
    zero = g.constant("zero_point", np.array(0, np.int8))
    if isinstance(op, Convolution):
        inputs = [g.cast(x, INT8), g.constant(f"{name}_w", np.ascontiguousarray(op.weight)), zero, zero]
        return g.node("ConvInteger", inputs, op.out_shape, INT32, **maps.windows(op), group=op.groups)
    if isinstance(op, SumPool2d) and x.type == INT8:
        inputs = [x, maps.ones(g, op, INT8), zero, zero]
        return g.node("ConvInteger", inputs, op.out_shape, INT32, **maps.windows(op), group=op.in_shape[0])
    return g.cast(maps.apply(g, op, g.cast(x, FLOAT), name), x.type)


def view(g: Graph, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """x as another shape of the same size."""
    if x.shape == shape:
        return x
    sizes = g.constant("shape_" + "_".join(map(str, shape)), np.array([1, *shape], np.int64))
    return g.node("Reshape", [x, sizes], shape, x.type)


def integer(g: Graph, value: int) -> str:
    """An int32 constant of shape [1]."""
    return g.constant(f"i{value}", np.array([value], np.int32))


def byte(g: Graph, value: int) -> str:
    """An int8 constant of shape [1]."""
    return g.constant(f"byte{value}", np.array([value], np.int8))
