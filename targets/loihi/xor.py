"""XOR from right or wrong alone: a task whose hidden layer must learn, for no readout of its untrained features can tell.

Each of two bits comes as one of two groups of noisy lines. Both layers send their clean spikes; the noisy twin is a probe, pushed by a
constant, and marks the synapses of neurons that such a push makes spike. Readout neuron k hears its error e_k as its third factor, hidden
neuron h hears B_h (e_0 - e_1), B_h = +-1 drawn once: no weight is ever read.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from targets.loihi.learning import Layer, Rule, run, write
from targets.loihi.run import Session
from targets.loihi.trials import Ask, draw_answer, error

INPUTS, HIDDEN, STEPS = 20, 24, 20
PUSH = (80, 1000)  # in weights: a hidden neuron must be near its threshold to be marked, a readout neuron merely silent
TEMPERATURE, GAIN = 1.5, 63  # how strongly answers follow counts; what an error of 1 is as a third factor


def layers(seed: int) -> list[Layer]:
    """24 hidden neurons and two answers, with weights of both signs."""
    rng = np.random.default_rng([seed, 0])
    hidden, out = 2 * rng.integers(-10, 15, (HIDDEN, INPUTS)), 2 * rng.integers(-10, 20, (2, HIDDEN))
    return [Layer(w, 410, 128, Rule(dt=-4, dw=-5, seed=1 + 4 * k), "clean") for k, w in enumerate((hidden, out))]


def learn(ask: Ask, seed: int, trials: int = 1000, with_hidden: bool = True) -> np.ndarray:
    """[trials] right or wrong; with_hidden: the hidden layer learns too."""
    rng = np.random.default_rng([seed, 1])
    feedback, right = rng.choice([-1, 1], HIDDEN), np.zeros(trials)
    for k in range(trials):
        bits = rng.integers(0, 2, 2)
        likely = np.full((2, 2, 5), 0.02)
        likely[[0, 1], bits] = 0.5
        x = (rng.random((STEPS, INPUTS)) < likely.reshape(-1)).astype(int)
        x[-2:] = 0  # what is on its way arrives
        pi, answer = draw_answer(rng, ask(_asked(x, 0, np.zeros(2), True))["spikes1"].sum(0), TEMPERATURE)
        right[k] = reward = float(answer == bits[0] ^ bits[1])
        e = error(pi, answer, reward)
        ask(_asked(np.zeros((1, INPUTS), int), with_hidden * feedback * (e[0] - e[1]), e, False))
    return right


def _asked(x: np.ndarray, hidden: np.ndarray | int, out: np.ndarray, clear: bool) -> dict[str, np.ndarray]:
    asked = {"x": x, "clear": np.array([int(clear)]), "watch": np.zeros(1, int)}
    for k, (n, third) in enumerate(((HIDDEN, hidden), (2, out))):
        asked[f"noise{k}"] = np.full((len(x), n), PUSH[k])
        asked[f"third{k}"] = np.broadcast_to(
            np.clip(np.rint(GAIN * np.asarray(third)), -63, 63).astype(int), (len(x), n)
        )
    return asked


def report(python: Path | None = None, seeds: int = 10, in_lava: int = 100) -> list[str]:
    """What it reaches with and without a hidden layer that learns, and that Lava does the same."""
    learned, frozen = (
        [learn(partial(run, layers(seed)), seed, with_hidden=with_hidden) for seed in range(seeds)]
        for with_hidden in (True, False)
    )
    last = [", ".join(f"{right[-200:].mean():.2f}" for right in rights) for rights in (learned, frozen)]
    with tempfile.TemporaryDirectory() as place:
        write(layers(0), Path(place) / "lava.npz")
        with Session(Path(place), "lava-fixed", 600, python) as lava:
            same = np.array_equal(learn(lava.exchange, 0, in_lava), learned[0][:in_lava])
    assert same, "Lava's rewards differ from the predicted ones"
    return [
        f"XOR of two noisy bits, 20-{HIDDEN}-2, hidden layer and readout learning, 1000 trials (the first {in_lava} of a seed in Lava",
        f"too, the same): right in the last 200, ten seeds: {last[0]}.",
        "One answer in ten is drawn blindly: .95 is all there is.",
        f"With a hidden layer that does not learn: {last[1]}.",
    ]
