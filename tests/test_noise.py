"""Noise is the same everywhere, and nothing in it can be told from coin flips: no bit, no neighbor along any argument."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edge_anp.noise import GOLDEN, ROUNDS, gaussian, noise, uniform

ARGUMENTS = ("seed", "sample", "draw", "t", "layer", "n")
PLACE: dict[str, Any] = dict(zip(ARGUMENTS, (1, 2, 3, 4, 5, 6), strict=True))
COUNT = 2**18
GOLDEN_VECTOR: dict[tuple[int, ...], int] = {
    (0, 0, 0, 0, 0, 0): 1515613156,
    (1, 2, 3, 4, 5, 6): 3519182910,
    (2**32 - 1, 0, 0, 0, 0, 0): 2020156232,
    (7, 359, 1, 15, 1, 127): 3967110225,
}

words = st.integers(-(2**63), 2**63 - 1)
places = st.tuples(*[words] * 6)


def equation(*arguments: int) -> int:
    """The equation of the module, letter by letter, on Python's own integers."""
    x = 0
    for a in arguments:
        x = x + a * GOLDEN
        for c in ROUNDS:
            x = x * (2 * x + 1) % 2**32
            x = (x >> 16) + (x << 16) + c
    return x % 2**32


def along(argument: str) -> dict[str, Any]:
    """COUNT places that differ in one argument, by one."""
    return {**PLACE, argument: np.arange(COUNT)}


def grid() -> np.ndarray:
    """Noise on a grid of eight values of every argument: 8^6 = 2^18 places, one axis an argument."""
    return noise(*np.ogrid[(slice(8),) * 6])


def signs(x: np.ndarray) -> np.ndarray:
    """[..., 32]: each bit as -1 or +1."""
    return (x[..., None] >> np.arange(32, dtype=np.uint32) & 1).astype(np.float32) * 2 - 1


def deviations(mean: np.ndarray, count: int) -> float:
    """The largest of the means of `count` fair signs, in their standard deviation 1 / sqrt(count)."""
    return float(np.abs(mean).max() * count**0.5)


@pytest.mark.parametrize("place", GOLDEN_VECTOR)
def test_golden_vector(place: tuple[int, ...]) -> None:
    """Numbers that C and ONNX must find too."""
    assert int(noise(*place)) == equation(*place) == GOLDEN_VECTOR[place]


@given(places)
def test_numpy_and_torch_follow_the_equation(place: tuple[int, ...]) -> None:
    expected = equation(*place)
    assert int(noise(*place)) == int(noise(*map(torch.tensor, place))) == expected


def test_numpy_and_torch_are_equal_where_arguments_broadcast() -> None:
    t, sample, n = np.arange(-3, 5)[:, None, None], np.arange(4)[:, None], np.arange(9)
    arrays = {**PLACE, "seed": np.uint32(4e9), "t": t, "sample": sample, "n": n}
    tensors = {name: torch.as_tensor(a).long() if isinstance(a, np.ndarray) else a for name, a in arrays.items()}
    assert noise(**arrays).dtype == np.uint32
    assert noise(**arrays).shape == (8, 4, 9)
    assert noise(**tensors).dtype == torch.int64
    assert np.array_equal(noise(**arrays), noise(**tensors).numpy())
    assert np.array_equal(uniform(**arrays), uniform(**tensors).numpy())
    assert int(noise(**arrays)[7, 3, 8]) == equation(4 * 10**9, 3, 3, 4, 5, 8)


def test_numpy_alone_does_not_wait_for_torch() -> None:
    program = "import sys; from edge_anp.noise import noise; print(noise(1, 2, 3, 4, 5, 6), 'torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert ran.stdout.split() == [str(GOLDEN_VECTOR[1, 2, 3, 4, 5, 6]), "False"], ran.stderr


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_along_each_argument_every_bit_is_fair(argument: str) -> None:
    assert deviations(signs(noise(**along(argument))).mean(0), COUNT) < 4


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_along_each_argument_no_bit_remembers_its_neighbor(argument: str) -> None:
    bits = signs(noise(**along(argument)))
    assert deviations((bits[1:] * bits[:-1]).mean(0), COUNT - 1) < 4


def test_on_a_grid_every_bit_is_fair_and_alone() -> None:
    bits = signs(grid()).reshape(COUNT, 32)
    assert deviations(bits.mean(0), COUNT) < 4
    assert deviations(bits.T @ bits / COUNT - np.eye(32), COUNT) < 4


@pytest.mark.parametrize("axis", range(6), ids=ARGUMENTS)
def test_on_a_grid_no_bit_remembers_its_neighbor(axis: int) -> None:
    bits = np.moveaxis(signs(grid()), axis, 0)
    assert deviations((bits[1:] * bits[:-1]).reshape(-1, 32).mean(0), COUNT * 7 // 8) < 4


def test_every_argument_has_its_own_role() -> None:
    """Swapped arguments are other places."""
    x = grid()
    for axis in range(5):
        assert (x == x.swapaxes(axis, axis + 1)).mean() < 0.126  # the diagonal: 1/8


def test_uniform_lies_inside_and_evenly_about_one_half() -> None:
    u = uniform(**along("n"))
    assert u.dtype == np.float32
    assert 0 < u.min() < 2**-12
    assert 1 - 2**-12 < u.max() < 1
    assert abs(u.mean(dtype=np.float64) - 1 / 2) < 4 * (1 / 12 / COUNT) ** 0.5
    assert np.array_equal(u, (noise(**along("n")) // 512 * 2 + 1) / 2.0**24)


def test_gaussian_has_the_moments_of_a_normal_distribution() -> None:
    z = gaussian(**along("n")).double()
    assert z.shape == (COUNT,)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float((z**power).mean()) - moment) < 4 * (variance / COUNT) ** 0.5, power


def test_gaussian_rises_with_the_word_and_is_asked_for_with_any_integers() -> None:
    n = torch.arange(1000)
    z = gaussian(1, 2, 3, 4, 5, n)
    assert z.dtype == torch.float32
    order = noise(1, 2, 3, 4, 5, n).argsort()
    assert bool((z[order].diff() >= 0).all())
    assert torch.equal(gaussian(1, 2, 3, 4, 5, n.numpy()), z)
    assert float(gaussian(1, 2, 3, 4, 5, 7)) == float(z[7])


@pytest.mark.parametrize("place", [0.5, np.ones(2), torch.ones(2), torch.ones(2, dtype=torch.bool), 2**70])
def test_a_place_that_is_not_an_integer_is_refused(place: object) -> None:
    with pytest.raises(ValueError, match="must be integers"):
        noise(1, 2, 3, 4, 5, place)
