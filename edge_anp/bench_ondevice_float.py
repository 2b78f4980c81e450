"""The device's rule in floats on the host, and the rules it is compared with: many courses of learning at once, C of them.

    v[t] = beta v[t-1] + W x[t] + R s[t-1] + b - s[t-1]      s[t] = v[t] > 1       o[t] = kappa o[t-1] + O s[t]      y = sum_t o[t]
    p    = softmax(y ln 2 / octave)                          psi[t] = -1/4 <= v[t] - 1 < 1/4      g[t] = 1 + kappa g[t+1], g[T-1] = 1
    W   -= eta sum_t (psi[t] h g[t]) x_[t]                   h = O^T e; x_ the traces of x, for R those of s[t-1]
    O   -= eta e n,  n = sum_t s[t] g[t]

    float      e of the answers given, or p - onehot(label)                                     as on the device (ondevice_answer.py)
    REINFORCE  e = (r - mean r) (p - onehot(a))                                                 the mean runs over some 50 trials
    queries    e = mean of 4: d (L(y + h d) - L(y - h d)) / 2h, d normal, L the cross-entropy   8 losses a trial; h half an octave

Rates are the device's: what a shift does to an integer master, in units of the float weight. They anneal as there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_anp import continual
from edge_anp.integer import IntegerNetwork
from edge_anp.network import Network, copy_to_numpy
from edge_anp.ondevice import annealing
from edge_anp.ondevice_plan import LearningPlan
from edge_anp.ondevice_rates import error_unit
from edge_anp.tasks import Task

BETA, KAPPA, BOX, QUERIES, STEP = 0.9, 0.95, 0.25, 4, 0.5
Error = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(eq=False)
class Courses:
    """w [C, I, H], r [C, H, H], o [C, H, K], b [C, H]; eta [C, 3]; octave [C]: of the summed outputs."""

    w: np.ndarray
    r: np.ndarray
    o: np.ndarray
    b: np.ndarray
    eta: np.ndarray
    octave: np.ndarray

    def only(self, k: int) -> Courses:
        """One of them."""
        at = slice(k, k + 1)
        return Courses(self.w[at], self.r[at], self.o[at], self.b[at], self.eta[at], self.octave[at])

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x [C, B, T, I] -> y [C, B, K], spikes and psi [C, B, T, H]."""
        v, s = (np.zeros((*x.shape[:2], self.b.shape[1]), np.float32) for _ in range(2))
        o, y = (np.zeros((*x.shape[:2], self.o.shape[2]), np.float32) for _ in range(2))
        spikes, psi = (np.zeros((*x.shape[:3], self.b.shape[1]), np.float32) for _ in range(2))
        for t in range(x.shape[2]):
            v = BETA * v + x[:, :, t] @ self.w + s @ self.r + self.b[:, None] - s
            s = (v > 1).astype(np.float32)
            o = KAPPA * o + s @ self.o
            y += o
            spikes[:, :, t], psi[:, :, t] = s, (v - 1 >= -BOX) & (v - 1 < BOX)
        return y, spikes, psi

    def probabilities(self, y: np.ndarray) -> np.ndarray:
        """y [C, K] -> p [C, K]."""
        z = y / self.octave[:, None]
        p = np.exp2(z - z.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True)

    def commit(self, x: np.ndarray, spikes: np.ndarray, psi: np.ndarray, e: np.ndarray, slower: float) -> None:
        """x [C, T, I], spikes and psi [C, T, H], e [C, K]."""
        steps, eta = x.shape[1], (self.eta * slower).astype(np.float32)
        g = np.ones(steps, np.float32)
        for t in range(steps - 2, -1, -1):
            g[t] = 1 + KAPPA * g[t + 1]
        delta = psi * np.einsum("chk,ck->ch", self.o, e)[:, None] * g[:, None]
        late = np.concatenate([np.zeros_like(spikes[:, :1]), spikes[:, :-1]], 1)
        self.w -= eta[:, 0, None, None] * (traces(x).transpose(0, 2, 1) @ delta)
        self.r -= eta[:, 1, None, None] * (traces(late).transpose(0, 2, 1) @ delta)
        self.o -= eta[:, 2, None, None] * np.einsum("cth,t,ck->chk", spikes, g, e, optimize=True)


def traces(x: np.ndarray) -> np.ndarray:
    """[C, T, N] -> the same, leaking."""
    found = np.array(x, np.float32)
    for t in range(1, x.shape[1]):
        found[:, t] += BETA * found[:, t - 1]
    return found


def rates(net: IntegerNetwork, plan: LearningPlan) -> list[float]:
    """eta of W, R and O: a master's change in units of the float weight that it stands for."""
    found = []
    for s in plan.synapses:
        layer = net.layers[s.layer]
        master = float(layer.unit[0]) * 2.0 ** layer.connections[s.connection].shift / 256
        if layer.neuron.vth is None:
            found.append(master * 128 * 256 / 2.0**plan.horizon / 2.0**s.rate)
        else:
            scale = net.input.scale if layer.connections[s.connection].source < 0 else 1.0
            unit = error_unit(net, s.layer, plan.horizon, plan.rule)
            found.append(master * unit * 2.0 ** (s.gain - s.rate - plan.every) / scale**2)
    return found


def courses(networks: Sequence[Network], nets: Sequence[IntegerNetwork], plans: Sequence[LearningPlan]) -> Courses:
    """From the float networks, one a course, and what the device makes of them."""
    found = []
    for network in networks:
        hidden, readout = copy_to_numpy(network).layers
        into, back, out = (c.path[0] for c in (*hidden.connections, *readout.connections))
        found.append((into.weight.T, back.weight.T, out.weight.T, into.bias + back.bias))  # type: ignore[union-attr]
    w, r, o, b = (np.stack(part).astype(np.float32) for part in zip(*found, strict=True))
    eta = np.array([rates(net, plan) for net, plan in zip(nets, plans, strict=True)])
    octave = [
        256 * 2.0**plan.temperature * float(net.layers[-1].unit[0]) for net, plan in zip(nets, plans, strict=True)
    ]
    return Courses(w, r, o, b, eta, np.array(octave))


def answered(p: np.ndarray, label: int, guesses: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """e [K] of one trial, and the answers asked; guesses 0: the label is told."""
    if guesses == 0:
        return p - np.eye(len(p))[label], 0
    tried: list[int] = []
    for _ in range(guesses):
        left = np.where(np.isin(np.arange(len(p)), tried), 0, p)
        tried.append(int(rng.choice(len(p), p=left / left.sum())))
        if tried[-1] == label:
            return p - np.eye(len(p))[label], len(tried)
    bad = p[tried].sum()
    e = -bad * (p / max(1 - bad, 1e-6) + 1 / max(len(p) - len(tried), 1)) / 2
    e[tried] = p[tried]
    return e, len(tried)


class Reinforce:
    """(r - mean r) (p - onehot(a)), of every course its own mean."""

    def __init__(self, count: int) -> None:
        self.mean = np.zeros(count)

    def __call__(self, c: int, p: np.ndarray, label: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        a = int(rng.choice(len(p), p=p))
        better = float(a == label) - self.mean[c]
        self.mean[c] += 0.02 * better
        return better * (p - np.eye(len(p))[a]), 1


def queried(p: np.ndarray, label: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """From 8 losses; outputs count in octaves, so that d adds to log2 p."""
    d = rng.normal(size=(QUERIES, len(p)))
    loss = lambda z: np.log2(np.exp2(z).sum(1)) - z[:, label]  # noqa: E731
    z = np.log2(np.maximum(p, 1e-12))
    return (d * ((loss(z + STEP * d) - loss(z - STEP * d)) / (2 * STEP))[:, None]).mean(0), 2 * QUERIES


def learn(
    made: Courses, plan: LearningPlan, by: str, worlds: Sequence[continual.Part], task: Task, seeds: Sequence[int], trials: int,
    guesses: int, points: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Every course in its world; seeds: of the order of samples and of the noise."""

    def judge(parts: Sequence[Any]) -> np.ndarray:
        found = []
        for k, samples in enumerate(parts):
            found.append(float((made.only(k).forward(samples.rasters[None])[0][0].argmax(1) == samples.targets).mean()))
        return np.array(found)

    tests = [w.test for w in worlds]
    before, first = judge([task.test] * len(worlds)), judge(tests)
    order = np.stack([continual.schedule(len(task.train), trials, seed) for seed in seeds])
    rngs, reinforce = [np.random.default_rng([17, seed]) for seed in seeds], Reinforce(len(seeds))
    asked, curves = np.zeros(len(seeds)), [[(0, float(a))] for a in first]
    marks = set(np.cumsum([len(b) for b in np.array_split(np.arange(trials), points)]).tolist())
    for trial in range(trials):
        x = np.stack([w.train.rasters[i] for w, i in zip(worlds, order[:, trial], strict=True)]).astype(np.float32)
        y, spikes, psi = made.forward(x[:, None])
        p, e = made.probabilities(y[:, 0]), np.zeros_like(y[:, 0])
        for c, i in enumerate(order[:, trial]):
            label = int(worlds[c].train.targets[i])
            if by == "REINFORCE":
                e[c], count = reinforce(c, p[c], label, rngs[c])
            elif by == "queries":
                e[c], count = queried(p[c], label, rngs[c])
            else:
                e[c], count = answered(p[c], label, guesses, rngs[c])
            asked[c] += count
        made.commit(x, spikes[:, 0], psi[:, 0], e, 2.0 ** -annealing(plan, trial + 1))
        if trial + 1 in marks:
            for curve, a in zip(curves, judge(tests), strict=True):
                curve.append((trial + 1, float(a)))
    return [
        {
            "before": float(before[c]),
            "drifted": float(first[c]),
            "after": curves[c][-1][1],
            "asked": float(asked[c] / trials),
            "curve": curves[c],
        }
        for c in range(len(seeds))
    ]
