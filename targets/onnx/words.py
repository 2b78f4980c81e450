"""Words of 32 bits in ONNX: the counter hash of noise.py, and shifts of signed numbers.

Mul, Add and BitShift on uint32 wrap exactly as in C (opset 13), and a Cast between int32 and uint32 keeps the bits; so

    floor(x / 2^b) = ((x + 2^31) >> b) - 2^(31-b)     for every int32 x: the sum is a word, and shifts without a sign
"""

from __future__ import annotations

import numpy as np

from edge_anp.noise import GOLDEN, ROUNDS
from targets.onnx.graph import INT32, UINT32, Graph, Tensor

SIGN = 2**31


def word(g: Graph, value: int) -> str:
    """A uint32 constant of shape [1]."""
    return g.constant(f"word{value % 2**32}", np.array([value % 2**32], np.uint32))


def shifted(g: Graph, x: Tensor, bits: Tensor | int, left: bool = False) -> Tensor:
    """Words x >> bits, or x << bits."""
    by = word(g, bits) if isinstance(bits, int) else bits
    return g.elementwise("BitShift", x, by, direction="LEFT" if left else "RIGHT")


def down(g: Graph, x: Tensor, bits: int) -> Tensor:
    """floor(x / 2^bits) of int32."""
    if bits == 0:
        return x
    lifted = g.elementwise("Add", g.cast(x, UINT32), word(g, SIGN))
    whole = g.cast(shifted(g, lifted, bits), INT32)
    return g.elementwise("Sub", whole, g.constant(f"i{SIGN >> bits}", np.array([SIGN >> bits], np.int32)))


class Noise:
    """noise(places...) of noise.py; places that two calls begin with are hashed once."""

    def __init__(self, g: Graph) -> None:
        self.g = g
        self.known: dict[tuple[Tensor | int, ...], Tensor] = {}

    def at(self, *places: Tensor | int) -> Tensor:
        """Words of the shape of the last place. The first is a tensor."""
        if places in self.known:
            return self.known[places]
        *before, a = places
        x = self.at(*before) if before else None
        if isinstance(a, Tensor):
            x = self._plus(self.g.elementwise("Mul", a, word(self.g, GOLDEN)), x)
        elif a and x is not None:
            x = self._plus(x, word(self.g, a * GOLDEN))
        assert x is not None
        for c in ROUNDS:
            x = self._round(x, c)
        self.known[places] = x
        return x

    def _plus(self, x: Tensor, y: Tensor | str | None) -> Tensor:
        return x if y is None else self.g.elementwise("Add", x, y)

    def _round(self, x: Tensor, c: int) -> Tensor:
        """x (2x + 1), its halves swapped, plus c."""
        factor = self._plus(self._plus(x, x), word(self.g, 1))
        x = self.g.elementwise("Mul", x, factor)
        x = self._plus(shifted(self.g, x, 16), shifted(self.g, x, 16, left=True))
        return self._plus(x, word(self.g, c))
