"""Worlds that change, and how learning through them is judged.

A drift is a word, seeded: rewire:f (a cyclic permutation of round(f I) channels), gain:f (channels scaled by 1 - f to 1 + f), noise:f
(normal noise of f times the largest input). A stream is several of them, one after the other; or permuted:n (n permutations of all
channels), split:n (the classes in n parts), speakers (one by one, of a task that knows who spoke), speakers:k (all but speaker k, then
speaker k) or class:k (all classes but k, then all). With R[i, j] the accuracy on part j after learning part i, R[0, j] before any:

    average            mean_j R[n, j]                                  Lopez-Paz, Ranzato, NeurIPS 2017
    backward transfer  mean_{j<n} R[n, j] - R[j, j]                    ibid.
    forward transfer   mean_{j>1} R[j-1, j] - R[0, j]                  ibid., their b_j being the network as it came
    forgetting         mean_{j<n} max_{1<=i<n} R[i, j] - R[n, j]       Chaudhry et al., ECCV 2018
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge_anp.noise import noise, uniform
from edge_anp.tasks.samples import Samples, Task

DRIFT, WORLD = 32, 33  # draws of the hash
Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Part:
    """One world of a stream: what to learn from and what to be judged on."""

    name: str
    train: Samples
    test: Samples


def rewiring(fraction: float, inputs: int, seed: int) -> np.ndarray:
    """[I]: channel i reads what channel rewiring[i] read; round(f I) of them move in one cycle, the others stay."""
    count = round(fraction * inputs)
    if not 0 <= fraction <= 1 or count == 1:
        raise ValueError(
            f"rewire:{fraction} moves {count} of {inputs} channels; it must be none, or two to all of them"
        )
    moved = noise(seed, 0, DRIFT, 0, 0, np.arange(inputs)).argsort(kind="stable")[:count]
    found = np.arange(inputs)
    found[moved] = np.roll(moved, 1)
    return found


def change(word: str, inputs: int, seed: int, largest: float = 1.0) -> Change:
    """What a drift does to rasters [S, T, I]. Raise ValueError for a word that is none."""
    kind, _, text = word.partition(":")
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if kind not in ("rewire", "gain", "noise") or not 0 <= amount <= 1:
        raise ValueError(f"the drift is {word!r}; it must be rewire:f, gain:f or noise:f, f between 0 and 1")
    if kind == "rewire":
        order = rewiring(amount, inputs, seed)
        return lambda x: x[..., order]
    if kind == "gain":
        gain = (1 + amount * (2 * uniform(seed, 0, DRIFT, 1, 0, np.arange(inputs)) - 1)).astype(np.float32)
        return lambda x: x * gain
    return lambda x: x + _normal(x.shape, seed) * np.float32(amount * largest)


def _normal(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Nearly normal noise of variance 1: twelve uniforms less six."""
    places = np.arange(np.prod(shape)).reshape(shape)
    total = sum(uniform(seed, 0, DRIFT, 2, draw, places) for draw in range(12))
    return np.asarray(total - 6, np.float32)


def stream(words: str, task: Task, seed: int) -> tuple[Part, ...]:
    """The parts of a stream: drifts joined by commas, or one of permuted:n, split:n, speakers, speakers:k, class:k."""
    kind, _, text = words.partition(":")
    if kind in STREAMS and "," not in words:
        return STREAMS[kind](words, text, task, seed)
    largest = float(np.abs(task.train.rasters).max())
    return tuple(
        _changed(task, w, change(w, task.input.size, seed + k, largest)) for k, w in enumerate(words.split(","))
    )


def _number(words: str, text: str, least: int, most: int) -> int:
    if not text.isdigit() or not least <= int(text) <= most:
        raise ValueError(f"the stream is {words!r}; its number must lie in {least}..{most}")
    return int(text)


def _chosen(name: str, task: Task, which: Callable[[Samples], np.ndarray]) -> Part:
    return Part(name, task.train.choose(which(task.train)), task.test.choose(which(task.test)))


def _permuted(words: str, text: str, task: Task, seed: int) -> tuple[Part, ...]:
    count = _number(words, text, 1, max(1, task.classes))
    return tuple(_changed(task, f"permuted {k}", change("rewire:1", task.input.size, seed + k)) for k in range(count))


def _split(words: str, text: str, task: Task, seed: int) -> tuple[Part, ...]:
    count = _number(words, text, 1, max(1, task.classes))
    parts = [np.arange(task.classes)[k::count] for k in range(count)]
    return tuple(_chosen(f"classes {'+'.join(map(str, p))}", task, lambda s, p=p: np.isin(s.targets, p)) for p in parts)


def speaking(task: Task, speaker: int, others: bool = False) -> Callable[[Samples], np.ndarray]:
    """Which samples are a speaker's, or the others'. Raise ValueError for a task that does not know who spoke."""
    if task.train.groups is None:
        raise ValueError(f"the task {task.name} does not know who spoke; fsdd does")
    return lambda s: (np.asarray(s.groups) == speaker) != others


def _speakers(words: str, text: str, task: Task, seed: int) -> tuple[Part, ...]:
    last = -1 if task.train.groups is None else int(task.train.groups.max())
    if text:
        k = _number(words, text, 0, max(last, 0))
        return (
            _chosen(f"all but speaker {k}", task, speaking(task, k, True)),
            _chosen(f"speaker {k}", task, speaking(task, k)),
        )
    return tuple(_chosen(f"speaker {k}", task, speaking(task, k)) for k in range(max(last, 0) + 1))


def _class(words: str, text: str, task: Task, seed: int) -> tuple[Part, ...]:
    k = _number(words, text, 0, max(task.classes - 1, 0))
    return (_chosen(f"all but class {k}", task, lambda s: s.targets != k), Part("all", task.train, task.test))


STREAMS = {"permuted": _permuted, "split": _split, "speakers": _speakers, "class": _class}


def _changed(task: Task, name: str, by: Change) -> Part:
    return Part(name, *(Samples(by(s.rasters), s.targets) for s in (task.train, task.test)))


def schedule(count: int, trials: int, seed: int) -> np.ndarray:
    """[trials]: the sample of each trial, of `count`."""
    words = noise(seed, 0, WORLD, 0, 0, np.arange(trials)).astype(np.uint64)
    return (words * np.uint64(count) >> np.uint64(32)).astype(np.int64)


def metrics(accuracy: np.ndarray) -> dict[str, float]:
    """R [n + 1, n] -> the four numbers above; a stream of one part has only an average."""
    n = accuracy.shape[1]
    if accuracy.shape != (n + 1, n) or n < 1:
        raise ValueError(
            f"the accuracies have shape {accuracy.shape}; they must be [n + 1, n], the first row before learning"
        )
    found = {"average": float(accuracy[n].mean())}
    if n > 1:
        learned = np.array([accuracy[j + 1, j] for j in range(n - 1)])
        best = accuracy[1:n, : n - 1].max(0)
        found["backward_transfer"] = float((accuracy[n, : n - 1] - learned).mean())
        found["forward_transfer"] = float(np.mean([accuracy[j, j] - accuracy[0, j] for j in range(1, n)]))
        found["forgetting"] = float((best - accuracy[n, : n - 1]).mean())
    return found
