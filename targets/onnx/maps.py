"""The maps of a path on float32 tensors, in the safe operators: Gemm, MatMul, Conv, AveragePool, MaxPool, Flatten, Mul.

With integers below 2^24 in them every sum is exact, in any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_anp.synapses import AvgPool2d, Convolution, Dense, Diagonal, Map, MaxPool2d, SumPool2d, Window
from targets.onnx.graph import FLOAT, NUMPY, Graph, Tensor

VIEW_LIMIT = 2**22  # entries of a view's mask: 16 MB


def apply(g: Graph, op: Map, x: Tensor, name: str) -> Tensor:
    """One map; its weights become constants that begin with `name`."""
    if isinstance(op, Diagonal):
        return g.elementwise("Mul", x, g.parameter(f"{name}_w", op.weight, x))
    x = view(g, x, op.in_shape)
    if isinstance(op, Dense):
        w = g.constant(f"{name}_w", np.ascontiguousarray(op.weight.T, np.float32))
        if op.bias is None:
            return g.node("MatMul", [x, w], op.out_shape, FLOAT)
        b = g.constant(f"{name}_b", np.asarray(op.bias, np.float32).reshape(1, -1))
        return g.node("Gemm", [x, w, b], op.out_shape, FLOAT)
    assert isinstance(op, Window)
    if isinstance(op, Convolution):
        inputs = [x, g.constant(f"{name}_w", np.asarray(op.weight, np.float32))]
        if op.bias is not None:
            inputs.append(g.constant(f"{name}_b", np.asarray(op.bias, np.float32)))
        return g.node("Conv", inputs, op.out_shape, FLOAT, **windows(op), group=op.groups)
    if isinstance(op, MaxPool2d):
        return g.node("MaxPool", [x], op.out_shape, FLOAT, **windows(op))
    if isinstance(op, SumPool2d):  # AveragePool times k^2 would round
        return g.node("Conv", [x, ones(g, op, FLOAT)], op.out_shape, FLOAT, **windows(op), group=op.in_shape[0])
    assert isinstance(op, AvgPool2d)
    return g.node("AveragePool", [x], op.out_shape, FLOAT, **windows(op), count_include_pad=1)


def windows(op: Window) -> dict[str, Any]:
    """How a window slides, in ONNX's words."""
    return {"kernel_shape": op.kernel, "strides": op.stride, "pads": (*op.padding, *op.padding)}


def ones(g: Graph, op: SumPool2d, type: int) -> str:
    """The weights of a depthwise convolution that sums each window."""
    shape = (op.in_shape[0], 1, *op.kernel)
    return g.constant("ones_" + "_".join(map(str, shape)) + f"_{type}", np.ones(shape, NUMPY[type]))


def view(g: Graph, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """x as another shape of the same size, row by row.

    An image becomes flat by Flatten. Flat to image, without Reshape: with L the last axis, y[.., l] = sum_i (x[i] mask[.., i]) place[i, l],
    where mask is 1 for the row that i lies in and place is 1 for its column. One term of each sum is x, the others are 0: exact.
    """
    if x.shape == shape:
        return x
    if not x.flat:
        x = g.node("Flatten", [x], (x.size,), x.type, axis=1)
    if len(shape) == 1:
        return x
    *rows, last = shape
    i = np.arange(x.size)
    label = "_".join(map(str, shape))
    mask = (i // last == np.arange(x.size // last)[:, None]).reshape(1, *rows, x.size)
    place = i[:, None] % last == np.arange(last)
    spread = g.node("Mul", [x, g.constant(f"mask_{label}", mask.astype(np.float32))], (*rows, x.size), FLOAT)
    return g.node("MatMul", [spread, g.constant(f"place_{label}", place.astype(np.float32))], shape, FLOAT)


def view_entries(given: tuple[int, ...], wanted: tuple[int, ...]) -> int:
    """How many entries the mask of a view has; 0 where none is needed."""
    size = int(np.prod(wanted))
    return 0 if given == wanted or len(wanted) == 1 else size * size // wanted[-1]
