"""scikit-learn's handwritten digits, real and embedded: 1797 images of 8 x 8 pixels, read row by row.

Each of the 8 rows is shown for 2 steps, as 8 inputs of x/16; T = 16. Every fifth sample is for the test (360), every fifth of the rest for
validation (288). Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, doi 10.24432/C50P49.
"""

from __future__ import annotations

import numpy as np

from edge_anp.tasks.samples import Samples, Task, assemble, split_evenly
from edge_anp.topology import InputContract

SIDE, REPEATS, BRIGHTEST = 8, 2, 16


def load() -> Task:
    """The task `digits`."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    rows = np.asarray(images, np.float32).reshape(-1, SIDE, SIDE) / BRIGHTEST
    samples = Samples(rows.repeat(REPEATS, 1), np.asarray(labels, np.int64))
    return assemble("digits", InputContract((SIDE,)), samples, split_evenly(len(rows)))
