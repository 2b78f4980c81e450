"""Answers and what they teach, in integers: a softmax without a table, guesses without replacement, and the error of the outputs.

d     = (max - score) / 2^TS                       in 1/256 octave
v     = ((512 - d mod 256) << 3) >> (d / 256 + X)  about 4096 2^-d; 0 beyond 12 octaves; X keeps the sum S below 2^16
p     = 128 v / S                                  in 1/128
a     drawn from v without those already tried, by 16 bits of noise
yes   e = p - 128 onehot(a)                        -grad log p_a, in 1/128
no    e_c = p_c for those tried; for the m others  -P (v_c / (S - V) + 1 / m) / 2, V = sum of v, P = sum of p, over those tried
      half is -grad log (1 - P), half is even: a class that a changed world has put out of reach is never drawn, so never learned else
r     e = (r e_yes + (128 - r) e_no + 64) >> 7     a reward r / 128
then  e_a = -(sum of the others)                   so that no e moves all outputs: a rest of it, each trial, drove weights to their ends
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ONE = 128  # a full reward; the whole of a probability
OCTAVES, LARGEST = 12, 65_535


def softmax(scores: np.ndarray, temperature: int) -> np.ndarray:
    """[K] -> v."""
    scores = scores.astype(np.int64)
    distance = scores.max() - scores
    d = distance >> temperature if temperature >= 0 else distance << -temperature
    octave = d >> 8
    return np.where(
        octave > OCTAVES, 0, ((512 - (d & 255)) << 3) >> (np.minimum(octave, OCTAVES) + narrowing(len(scores)))
    )


def narrowing(classes: int) -> int:
    """X: bits taken off so that `classes` values of 4096 add up to less than 2^16."""
    return max(0, (4096 * classes // (LARGEST + 1)).bit_length())


def draw(v: np.ndarray, tried: Sequence[int], word: int) -> int:
    """The next answer, from 32 random bits."""
    left = int(v.sum()) - sum(int(v[a]) for a in tried)
    r, answer = ((word >> 16) * left) >> 16, -1
    for c in range(len(v)):
        if c not in tried:
            answer = c
            if r < v[c]:
                break
            r -= int(v[c])
    return answer


def error(v: np.ndarray, tried: Sequence[int], reward: int) -> np.ndarray:
    """e [K] after a reward of `reward` / 128 for the last of the answers tried."""
    total = int(v.sum())
    p = v * ONE // total
    yes = p.copy()
    yes[tried[-1]] -= ONE
    gone = sum(int(v[a]) for a in tried)
    bad = gone * ONE // total
    left, others = total - gone, len(v) - len(tried)
    no = -(
        bad * (others * v + left) // max(2 * others * left, 1)
    )  # others v <= 240 2^16: bad times it stays below 2^31
    no[list(tried)] = p[list(tried)]
    return _balanced((reward * yes + (ONE - reward) * no + ONE // 2) >> 7, tried[-1])


def label_error(v: np.ndarray, label: int) -> np.ndarray:
    """e [K] when the right answer is known: p - onehot."""
    return _balanced(v * ONE // int(v.sum()), label)


def _balanced(e: np.ndarray, answer: int) -> np.ndarray:
    """e with a sum of 0: what rounding took from the others is given to one answer."""
    e[answer] -= e.sum()
    return e
