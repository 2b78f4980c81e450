"""What lava-dl's netx, and then Lava's Dense, make of a matrix of integers: mostly the same matrix, but not always.

netx shifts a matrix left as far as it guesses that it may, by s, and lets Lava shift the sum back (lava-dl 0.6.0,
lava/lib/dl/netx/utils.py: optimize_weight_bits). Lava clips to the range of the signs it sees, which are not always those that netx saw,
and drops the lowest bits that netx took for zeros (lava-nc 0.10.0, lava/utils/weightutils.py).
"""

from __future__ import annotations

import numpy as np


def hold(weight: np.ndarray) -> tuple[int, int] | None:
    """(s, bits that Lava is told to keep) of a matrix, or of [weight, weight_rec] side by side; None: netx cannot load it."""
    high, low = int(weight.max()), int(weight.min())
    if not high and not low:
        return None  # it divides by the largest weight
    mixed = low < 0 <= high
    if mixed:
        high, low = min(high, 254), max(low, -256)
        room = min(127 / high if high else np.inf, 128 / -low)
    else:
        room = 255 / high if low >= 0 else 256 / -low
    shift = int(np.floor(np.log2(room))) + mixed
    zeros = next((n for n in range(8, 0, -1) if not np.any(weight % 2**n)), 0)
    return shift, 8 - shift - zeros + mixed


def is_held(weight: np.ndarray, back: np.ndarray | None = None) -> bool:
    """Whether netx computes with exactly this matrix, and with this recurrent one where there is one."""
    parts = [weight] if back is None else [weight, back]
    found = hold(np.hstack(parts))
    if found is None or found[0] < 0:
        return False
    shift, bits = found
    for part in filter(np.any, parts):
        signs = part.min() < 0 < part.max()
        dropped = 8 - bits + signs
        shifted = part << shift
        low, high = (-256, 255) if signs else (-255, 255)
        if dropped < 0 or shifted.min() < low or shifted.max() > high or np.any(shifted % 2**dropped):
            return False
        if part.min() < 0 <= part.max() and part.max() > 254:
            return False  # netx clips it
    return True
