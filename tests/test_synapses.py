"""Windows and convolutions are torch's, in integers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from edge_anp.synapses import Conv1d, Conv2d, Diagonal, MaxPool2d, convolve, window_count, windows


@given(st.integers(0, 2**32), st.sampled_from([1, 2]), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3))
def test_convolve_is_torch(seed, groups, stride, padding, kernel):
    rng = np.random.default_rng(seed)
    for axes, kind, conv in ((1, Conv1d, F.conv1d), (2, Conv2d, F.conv2d)):
        shape = (2, *rng.integers(3, 8, axes).tolist())
        w = rng.integers(-128, 128, (4, 2 // groups, *(kernel,) * axes))
        x = rng.integers(-127, 128, (3, *shape))
        op = kind(shape, (kernel,) * axes, (stride,) * axes, (padding,) * axes, w, None, groups)
        want = conv(torch.tensor(x).double(), torch.tensor(w).double(), None, stride, padding, 1, groups)
        assert op.out_shape == tuple(want.shape[1:])
        assert np.array_equal(convolve(x.reshape(3, -1), op, w), want.reshape(3, -1).numpy())


@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2))
def test_windows_are_counted(size, kernel, stride, padding):
    starts = [s for s in range(0, size + 2 * padding, stride) if s + kernel <= size + 2 * padding]
    if not starts:
        with pytest.raises(ValueError, match="does not fit"):
            window_count(size, kernel, stride, padding)
    else:
        assert window_count(size, kernel, stride, padding) == len(starts)


def test_padding_never_wins_a_maximum():
    x = -np.arange(1, 17).reshape(1, 16)
    op = MaxPool2d((1, 4, 4), (2, 2), (2, 2), (1, 1))
    want = F.max_pool2d(torch.tensor(x).double().reshape(1, 1, 4, 4), 2, 2, 1)
    assert np.array_equal(windows(x, op, fill=np.iinfo(np.int64).min).max((-2, -1)), want.numpy())


def test_a_twin_has_one_weight():
    with pytest.raises(ValueError, match="it must be"):
        Diagonal(np.ones(3), (4,))
