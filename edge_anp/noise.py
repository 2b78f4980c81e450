"""Noise as a function of where it is used: the same numbers in numpy, in torch and on a microcontroller.

A failing episode is then a seed in a bug report, and a perturbation need not be stored: it is asked for again. The
hash adds, multiplies and shifts 32-bit words and does nothing else (no xor), so that C99 and ONNX compute it exactly:

    x = 0
    for a in seed, sample, draw, t, layer, n:
        x = x + a * 0x9E3779B1
        for c in 0x7F4A7C15, 0x85EBCA6B, 0xC2B2AE35:
            x = x * (2x + 1)                      a permutation of the words: that of the cipher RC6
            x = (x >> 16) + (x << 16) + c         its good upper half takes part in the next product
    noise = x                                     all of it modulo 2^32

Torch has few operations on uint32, so tensors hold the words as int32, whose sums and products wrap to the same bits.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

Integers = Any
"""An int, or integers in a numpy array or a torch tensor of any shape; each counts modulo 2^32."""

WORD = 2**32 - 1
GOLDEN = 0x9E3779B1  # a prime next to 2^32 over the golden ratio (Knuth, The Art of Computer Programming 3, 6.4)
ROUNDS = (0x7F4A7C15, 0x85EBCA6B, 0xC2B2AE35)  # words of SplitMix64 and of MurmurHash3: they need only differ


def noise(seed: Integers, sample: Integers, draw: Integers, t: Integers, layer: Integers, n: Integers) -> Any:
    """Return 32 random bits for each place, as integers in 0..2^32-1.

    The arguments broadcast against each other. The answer is a uint32 array, or an int64 tensor where an argument is a
    tensor. The hash takes one argument after the other, each at the shape of those so far: what is large comes last.
    Raise ValueError for arguments that are not integers.
    """
    words = _words(seed, sample, draw, t, layer, n)
    return words if isinstance(words, np.ndarray) else words.long() & 0xFFFFFFFF


def uniform(seed: Integers, sample: Integers, draw: Integers, t: Integers, layer: Integers, n: Integers) -> Any:
    """Return u in (0, 1) as float32: u = (2k + 1) / 2^24, k the top 23 bits of `noise`.

    Nothing is rounded; u is never 0 or 1, and lies evenly about 1/2.
    """
    return _odd(_words(seed, sample, draw, t, layer, n)) * 2.0**-24


def gaussian(seed: Integers, sample: Integers, draw: Integers, t: Integers, layer: Integers, n: Integers) -> Any:
    """Return normal noise of mean 0 and variance 1 as a float32 tensor: z = sqrt(2) erfinv(2u - 1), |z| < 5.3.

    For the host only: the last digit of erfinv is torch's own affair.
    """
    import torch

    arguments = (seed, sample, draw, t, layer, n)
    if not any(isinstance(a, torch.Tensor) for a in arguments):
        arguments = (seed, sample, draw, t, layer, torch.as_tensor(n))
    return (_odd(_words(*arguments)) * 2.0**-23).sub_(1.0).erfinv_().mul_(2.0**0.5)


def _words(*arguments: Integers) -> Any:
    """The hash as a uint32 array, or as an int32 tensor where an argument is a tensor."""
    torch = sys.modules.get("torch")  # an argument can be a tensor only where torch is imported already
    device = next((a.device for a in arguments if torch is not None and isinstance(a, torch.Tensor)), None)
    first, rest = _of_ints(arguments)
    if torch is None or device is None:
        arrays = [_array(a) for a in rest]
        words = _hash(
            np.uint32(first), [np.atleast_1d(a) for a in arrays], np.uint32(GOLDEN), [np.uint32(c) for c in ROUNDS]
        )
        return words.reshape(np.broadcast_shapes(*(a.shape for a in arrays)))
    tensors = [a if isinstance(a, torch.Tensor) else torch.as_tensor(_array(a).view(np.int32)) for a in rest]
    for a in tensors:
        if a.dtype.is_floating_point or a.dtype.is_complex or a.dtype == torch.bool:
            raise ValueError(f"noise is asked for at {a.dtype} places; they must be integers")
    words = [a.to(device, torch.int32) for a in tensors]
    return _hash(_signed(first), words, _signed(GOLDEN), [_signed(c) for c in ROUNDS])


def _of_ints(arguments: Sequence[Integers]) -> tuple[int, Sequence[Integers]]:
    """x after the ints that come first, and the arguments that are left, one at least: an int costs no tensor."""
    x, taken = 0, 0
    for a in arguments[:-1]:
        if type(a) is not int:
            break
        x = x + a * GOLDEN & WORD
        for c in ROUNDS:
            x = x * (2 * x + 1) & WORD
            x = (x >> 16) + (x << 16) + c & WORD
        taken += 1
    return x, arguments[taken:]


def _hash(x: Any, arguments: list[Any], golden: Any, constants: list[Any]) -> Any:
    """The equation above from `x` on, in place. `& 0xFFFF` undoes the sign that an int32 drags along when it is shifted."""
    for a in arguments:
        x = a * golden + x
        for c in constants:
            factor = x + x
            factor += 1
            x *= factor
            upper = x >> 16
            upper &= 0xFFFF
            x <<= 16
            x += upper
            x += c
    return x


def _odd(words: Any) -> Any:
    """2k + 1 as float32, k the top 23 bits of each word."""
    odd = (words >> 9 & 0x7FFFFF) * 2 + 1
    return odd.astype(np.float32) if isinstance(words, np.ndarray) else odd.float()


def _array(places: Integers) -> np.ndarray:
    """`places` modulo 2^32."""
    array = np.asarray(places)
    if array.dtype.kind not in "iu":
        raise ValueError(f"noise is asked for at {array.dtype} places; they must be integers")
    return array.astype(np.uint32)


def _signed(word: int) -> int:
    """The int32 that has the bits of `word`."""
    return word - 2**32 if word >= 2**31 else word
