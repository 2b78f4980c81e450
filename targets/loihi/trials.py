"""Learning from right or wrong alone, trial by trial: the host's side, the same for Lava and for its prediction in integers.

`ask` is either: learning.run over its own layers, or a session's exchange with Lava. A trial is asked for its spikes, the host chooses
an answer and hears right (1) or wrong (0), and one more step brings the third factor.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from targets.loihi.learning import Layer, Rule, run, write
from targets.loihi.run import Session

Ask = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
INPUTS, STEPS = 20, 20  # of the two patterns


def _asked(x: np.ndarray, noise: np.ndarray, third: np.ndarray, clear: bool) -> dict[str, np.ndarray]:
    return {"x": x, "noise0": noise, "third0": third, "clear": np.array([int(clear)]), "watch": np.zeros(1, int)}


def two_pattern_layer(seed: int) -> Layer:
    """20 inputs, two neurons, small weights."""
    w = 2 * np.random.default_rng([seed, 0]).integers(0, 10, (2, INPUTS))
    return Layer(w, dv=410, vth=128, rule=Rule(dt=-2, dw=-5))


def two_patterns(ask: Ask, seed: int, trials: int = 600) -> np.ndarray:
    """Node perturbation: which of two noisy patterns was it? The neuron with more spikes answers; [trials] right or wrong."""
    rng = np.random.default_rng([seed, 1])
    patterns = rng.random((2, INPUTS)) < 0.5
    nothing, right, mean = np.zeros((STEPS, 2), int), np.zeros(trials), 0.5
    for k in range(trials):
        which = int(rng.integers(2))
        x = (rng.random((STEPS, INPUTS)) < np.where(patterns[which], 0.5, 0.02)).astype(int)
        counts = ask(_asked(x, rng.integers(-100, 101, (STEPS, 2)), nothing, True))["spikes0"].sum(0)
        answer = int(counts.argmax()) if counts[0] != counts[1] else int(rng.integers(2))
        right[k] = reward = float(answer == which)
        third = int(np.rint(60 * (reward - mean)))
        mean += 0.05 * (reward - mean)
        ask(_asked(np.zeros((1, INPUTS), int), nothing[:1], np.full((1, 2), third), False))
    return right


@dataclass(frozen=True)
class Readout:
    """A readout of counted spikes: how strongly answers follow counts, what a full error is as a third factor, and the probe."""

    temperature: float = 1.5
    gain: float = 63.0
    push: int = (
        1000  # in weights, far past the threshold: the probe marks every input of a neuron that did not spike anyway
    )


def readout_layer(w: np.ndarray) -> Layer:
    """Neurons that answer with clean spikes, the noisy twin being pushed."""
    return Layer(w, dv=410, vth=300, rule=Rule(dt=-4, dw=-6), sends="clean")


def draw_answer(rng: np.random.Generator, counts: np.ndarray, temperature: float) -> tuple[np.ndarray, int]:
    """(pi, an answer drawn from .9 pi + .1 uniform): pi [K] is a softmax of spike counts."""
    pi = np.exp((counts - counts.max()) / temperature)
    pi /= pi.sum()
    return pi, int(rng.choice(len(pi), p=0.9 * pi + 0.1 / len(pi)))


def error(pi: np.ndarray, answer: int, reward: float) -> np.ndarray:
    """(r - pi_a)(1[k = a] - pi_k): what a reward for answer a says of each answer k."""
    return (reward - pi[answer]) * (np.eye(len(pi))[answer] - pi)


def learn_readout(
    ask: Ask, spikes: np.ndarray, labels: np.ndarray, classes: int, trials: int, seed: int, how: Readout | None = None
) -> np.ndarray:
    """Go on learning a readout of spikes [T, S, I] from right or wrong; [trials] right or wrong. Neuron k's third factor is its error."""
    how = how or Readout()
    rng, right = np.random.default_rng(seed), np.zeros(trials)
    steps, _, inputs = spikes.shape
    nothing, push = np.zeros((steps + 1, classes), int), np.full((steps + 1, classes), how.push)
    for k in range(trials):
        i = int(rng.integers(len(labels)))
        x = np.concatenate([spikes[:, i], np.zeros((1, inputs), int)])
        counts = ask(_asked(x, push, nothing, True))["spikes0"].sum(0)
        pi, answer = draw_answer(rng, counts, how.temperature)
        right[k] = reward = float(answer == labels[i])
        third = np.rint(how.gain * error(pi, answer, reward)).astype(int)
        ask(_asked(np.zeros((1, inputs), int), push[:1], third[None], False))
    return right


def score_readout(w: np.ndarray, spikes: np.ndarray, labels: np.ndarray) -> float:
    """The share of right answers of a readout that no longer learns: most spikes, the lowest of equals."""
    layer = readout_layer(w)
    v, a = np.zeros((spikes.shape[1], len(w)), np.int64), np.zeros((spikes.shape[1], len(w)), np.int64)
    counts = np.zeros_like(v)
    for x in (*spikes, np.zeros_like(spikes[0])):
        product = v * (4096 - layer.dv)
        v = np.sign(product) * (np.abs(product) >> 12) + (a << 6)
        fired = v > layer.vth << 6
        v[fired] = 0
        counts, a = counts + fired, x.astype(np.int64) @ w.T
    return float((counts.argmax(1) == labels).mean())


def fit_readout(spikes: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """A readout before the drift: ridge regression on counts, as even weights of 7 bits."""
    counts = spikes.sum(0).astype(np.float64)
    gram = counts.T @ counts + 50 * np.eye(counts.shape[1])
    w = np.linalg.solve(gram, counts.T @ (np.eye(classes)[labels] * 2 - 0.4)).T
    return 2 * np.rint(w / np.abs(w).max() * 60).astype(np.int64)


def report(
    digits: dict[str, np.ndarray], python: Path | None = None, trials: int = 6000, in_lava: int = 200
) -> list[str]:
    """What learning reaches, as a table. digits: hidden spikes [T, S, N] of before, after, test_before, test_after, and labels."""
    layers = [two_pattern_layer(seed) for seed in range(10)]
    last = [two_patterns(partial(run, [layer]), seed)[-100:].mean() for seed, layer in enumerate(layers)]
    labels, test_labels = digits["labels"], digits["test_labels"]
    w = fit_readout(digits["before"], labels, 10)
    score = [score_readout(w, digits[f"test_{when}"], test_labels) for when in ("before", "after")]
    layer = readout_layer(w.copy())
    right = learn_readout(partial(run, [layer]), digits["after"], labels, 10, trials, 0)
    score.append(score_readout(layer.w, digits["test_after"], test_labels))
    with tempfile.TemporaryDirectory() as place:
        again = readout_layer(w.copy())
        write([again], Path(place) / "lava.npz")
        with Session(Path(place), "lava-fixed", 600, python) as lava:
            same = np.array_equal(
                learn_readout(lava.exchange, digits["after"], labels, 10, in_lava, 0), right[:in_lava]
            )
    assert same, "Lava's rewards differ from the predicted ones"
    said = (
        f"A readout of digits after the rows were mirrored, {trials} trials, one answer and one reward each (the first {in_lava} in Lava "
        f"too, the same): {score[0]:.3f} before the drift, {score[1]:.3f} after it, {score[2]:.3f} when it has learned (test set)."
    )
    return [
        "## Learning on chip, from right or wrong alone",
        "",
        "In integers that Lava's learning engine was held to, weight by weight and step by step (tests/targets/loihi/test_learning.py).",
        "",
        f"Two patterns, node perturbation, 600 trials: right in the last hundred, ten seeds: {', '.join(f'{a:.2f}' for a in last)}.",
        "",
        said,
    ]
