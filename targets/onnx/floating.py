"""step_float: the float network itself, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from targets.onnx import maps
from targets.onnx.graph import FLOAT, Graph, Tensor


class Floating:
    """neurons.py in ONNX. Its states are in the float network's own numbers, and round as any float32 does."""

    runner = "step_float"
    wide = narrow = FLOAT

    def states(self, neuron: Any) -> tuple[str, ...]:
        return ("v",) if getattr(neuron, "alpha", None) is None else ("u", "v")

    def threshold(self, layer: Any) -> np.ndarray | None:
        threshold = getattr(layer.neuron, "threshold", None)
        return None if threshold is None else spread(threshold, layer.shape)

    def currents(self, g: Graph, layer: Any, sources: list[Tensor], name: str) -> list[Tensor]:
        currents = []
        for k, (c, x) in enumerate(zip(layer.connections, sources, strict=True)):
            for j, op in enumerate(c.path):
                x = maps.apply(g, op, x, f"{name}_{k}_{j}")
            currents.append(maps.view(g, x, layer.shape))
        return currents

    def leak(self, g: Graph, layer: Any, state: str, x: Tensor, name: str) -> Tensor:
        leak = layer.neuron.beta if state == "v" else layer.neuron.alpha
        return g.elementwise("Mul", x, g.parameter(name, np.clip(spread(leak, layer.shape), 0, 1), x))

    def fit(self, g: Graph, x: Tensor) -> Tensor:
        return x

    def sent(self, g: Graph, fires: Tensor) -> Tensor:
        return g.cast(fires, FLOAT)


def spread(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A parameter that is one number, [N] already, or of a shape such as [C, 1, 1], as [N] (or one number)."""
    array = np.asarray(value, np.float32)
    if array.size == 1 or (array.ndim == 1 and array.size == np.prod(shape)):
        return array.reshape(-1)
    return np.broadcast_to(array, shape).reshape(-1)
