"""What the two integer flavors share: a layer as reference.py has it, whatever type carries the integers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from edge_anp.integer import MCU16, IntegerConnection, IntegerLayer, IntegerNeuron, Leak
from targets.onnx.graph import NUMPY, Graph, Tensor

# |w x| 2^F < 2^24, so beyond this F all sums are 0 and any shift is the same.
LARGEST_SHIFT = 24


class Integers(ABC):
    """A flavor (step.py) whose subclasses say how a type multiplies, shifts and leaks. MCU16 saturates all states alike."""

    wide: int
    narrow: int

    def states(self, neuron: IntegerNeuron) -> tuple[str, ...]:
        return neuron.state_names

    def threshold(self, layer: IntegerLayer) -> np.ndarray | None:
        return layer.neuron.vth

    def currents(self, g: Graph, layer: IntegerLayer, sources: list[Tensor], name: str) -> list[Tensor]:
        pairs = zip(layer.connections, sources, strict=True)
        currents = [self.view(g, self.shifted(g, c, x, f"{name}_{k}"), layer.shape) for k, (c, x) in enumerate(pairs)]
        if layer.bias.any():
            x = currents[0]
            currents[0] = g.elementwise("Add", x, g.parameter(f"{name}_bias", layer.bias, x))
        return currents

    def leak(self, g: Graph, layer: IntegerLayer, state: str, x: Tensor, name: str) -> Tensor:
        of = layer.neuron.leak if state == "v" else layer.neuron.current_leak
        assert of is not None
        return self.leaked(g, Leak(np.broadcast_to(of.keep, (x.size,)).astype(np.int64), of.bits), x, name)

    def fit(self, g: Graph, x: Tensor) -> Tensor:
        limits = {"low": MCU16.membrane.low, "high": MCU16.membrane.high}
        return g.elementwise("Clip", x, *(g.constant(n, np.array(v, NUMPY[self.wide])) for n, v in limits.items()))

    @abstractmethod
    def shifted(self, g: Graph, c: IntegerConnection, x: Tensor, name: str) -> Tensor:
        """shift(w x, F): the whole path of a connection."""

    @abstractmethod
    def leaked(self, g: Graph, of: Leak, x: Tensor, name: str) -> Tensor:
        """floor((x k + 2^(S-1)) / 2^S), k one per element of x."""

    @abstractmethod
    def view(self, g: Graph, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """x as another shape of the same size."""

    @abstractmethod
    def sent(self, g: Graph, fires: Tensor) -> Tensor:
        """Booleans as spikes, 1 or 0."""
