"""Rounding a weight matrix so that its products, not its entries, stay close: each column's error is made up for by later columns.

Minimizes E |(W - Q) x|^2 greedily over inputs x seen in calibration, G = E[x x'] their second moments: columns are rounded one by one,
largest G_ii first; the error of a column moves the columns not yet rounded along the Cholesky factor of G^-1.
Source: E. Frantar et al., "GPTQ", 2022, arXiv:2210.17323 (after Hassibi and Stork's optimal brain surgeon, 1993).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

DAMPING = 0.01  # of the mean G_ii: keeps inputs that were never active from being promised anything


def round_compensated(
    weight: Float[np.ndarray, "N I"], step: Float[np.ndarray, " N"], moments: Float[np.ndarray, "I I"], high: int
) -> Float[np.ndarray, "N I"]:
    """Whole numbers Q in -high..high with Q step close to `weight` in its products. A weight on the grid stays there."""
    size = weight.shape[1]
    scale = np.trace(moments) / size
    if not scale > 0:
        return np.clip(np.rint(weight / step[:, None]), -high, high)
    order = np.argsort(-np.diag(moments), kind="stable")
    damped = moments[np.ix_(order, order)] + DAMPING * scale * np.eye(size)
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T
    rest, rounded = weight[:, order] / step[:, None], np.zeros_like(weight)
    for i in range(size):
        column = np.clip(np.rint(rest[:, i]), -high, high)
        rounded[:, order[i]] = column
        rest[:, i + 1 :] -= np.outer((rest[:, i] - column) / factor[i, i], factor[i, i + 1 :])
    return rounded
