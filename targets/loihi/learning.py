"""On-chip learning in Lava, predicted in integers: node perturbation as a three-factor rule, bit for bit what lava-nc 0.10.0 computes.

A neuron steps twice on the same input, once with noise: s with it, c without. Its synapses see y1 = 64 + 32 (s - c), what the noise did,
and y2 = 64 + third, the third factor, which whoever gives rewards sends to it (traces are unsigned, so 64 is nought). Per step:

    x1  = round(x1 exp(-1/tau)) + impulse where the input spikes        at most 127; one random number rounds all
    y   = round(y exp(-1/65535))                                         Lava decays what it receives, once: 64 is now and then 63
    tag = tag + (x1 (y1 - 64) >> 3) 2^(dt+7) / 2^7                       what the perturbation would have to be paid for
    w   = w + (tag (y2 - 64) >> 5) 2^(dw+7) / 2^7                        paid, when the third factor is there

both rounded by one more random number. The shifts by 3 and 5 are Lava's: widths of the factors less 15
(lava/magma/core/learning/learning_rule_applier.py). Random numbers come from Lava's own generators and seeds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from targets.loihi.lower import VERSION

NOUGHT = 64


@dataclass(frozen=True)
class Rule:
    """The numbers of a rule: dt, dw exponents; seed of the traces' rounding. forget: tag loses tag 2^-forget a step, 0 for nothing."""

    dt: int = 0
    dw: int = -4
    forget: int = 0
    impulse: int = 16
    tau: int = 4
    seed: int = 1

    def strings(self) -> dict[str, str]:
        """As Loihi3FLearningRule reads it."""
        fades = f" - 2^-{self.forget} * u0 * t" if self.forget else ""
        return {"dt": f"2^{self.dt} * u0 * x1 * (y1 - 64){fades}", "dw": f"2^{self.dw} * u0 * t * (y2 - 64)"}


class _Trace:
    """Lava's TraceRandom: of each pair of draws a step, the decay's."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.generator.random(1)

    def next(self) -> float:
        self.generator.random(1)  # Lava draws twice a step and uses the second
        return float(self.generator.random(1)[0])


def _round(x: np.ndarray, draw: float) -> np.ndarray:
    return np.floor(x).astype(np.int64) + (draw < x % 1)


@dataclass
class Layer:
    """Neurons and the synapses that feed them, learning. w [N, I]; dv of 4096; vth in weights; noise is added in weights.

    sends: its noisy spikes, or its clean ones, the noise being a probe of what a push would change.
    """

    w: np.ndarray
    dv: int
    vth: int
    rule: Rule
    sends: Literal["noisy", "clean"] = "noisy"
    v: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        n, i = self.w.shape
        self.w = self.w.astype(np.int64)
        self.v, self.clean = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.a, self.tag, self.x1 = np.zeros(n, np.int64), np.zeros((n, i), np.int64), np.zeros(i, np.int64)
        self._x, self._y = _Trace(self.rule.seed), _Trace(self.rule.seed + 2)
        self._synapse = np.random.default_rng(2)
        self._synapse.random(1)

    def clear(self) -> None:
        """Between trials: membranes, what is under way, traces, tags; not weights, not random numbers."""
        for array in (self.v, self.clean, self.a, self.tag, self.x1):
            array[...] = 0

    def step(self, x: np.ndarray, third: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Advance by one step of Lava: spikes [I], third factor [N] and noise [N] -> spikes [N]."""
        spikes = []
        for v, xi in ((self.v, noise), (self.clean, 0)):
            product = v * (4096 - self.dv)
            v[...] = np.sign(product) * (np.abs(product) >> 12) + ((self.a + xi) << 6)
            spikes.append(v > self.vth << 6)
            v[spikes[-1]] = 0
        s, c = (k.astype(np.int64) for k in spikes)
        self.a = self.w @ x
        y1, y2 = NOUGHT + 32 * (s - c), NOUGHT + np.clip(third, -63, 63)
        self._learn(x, y1, y2)
        return s if self.sends == "noisy" else c

    def _learn(self, x: np.ndarray, y1: np.ndarray, y2: np.ndarray) -> None:
        rule = self.rule
        x1 = np.minimum(_round(self.x1 * np.exp(-1 / rule.tau), self._x.next()) + rule.impulse * x, 127)
        self.x1 = x1
        draw = self._y.next()
        y1, y2 = (_round(y * np.exp(-1 / 65535), draw)[:, None] - NOUGHT for y in (y1, y2))
        draw = float(self._synapse.random(1)[0])
        paid = (np.clip(self.tag, -512, 511) * y2 >> 5) << (rule.dw + 7)
        marked = [(self.x1[None] * y1 >> 3) << (rule.dt + 7)]
        if rule.forget:
            marked.append(-(self.tag << (7 - rule.forget)))
        self.w = np.clip(_accumulate(self.w, [paid], draw), -256, 255)
        self.tag = np.clip(_accumulate(self.tag, marked, draw), -257, 255)


def _accumulate(value: np.ndarray, products: list[np.ndarray], draw: float) -> np.ndarray:
    """value + the products / 2^7, through Lava's accumulator of 15 bits and its rounding."""
    low, high = -(2**15) - 1, 2**15 - 1
    if value.min() > low >> 7 and not any(product.any() for product in products):
        return value  # most steps: no probe flipped, nothing is paid
    total = value << 7
    for product in products:
        total = np.clip(total + np.clip(product, low, high), low, high)
    return _round(total / 128, draw)


def write(layers: Sequence[Layer], path: Path) -> None:
    """Write a chain of learning layers as worker/learner.py builds it: lava.npz."""
    said = [{"dv": x.dv, "vth": x.vth, "sends": x.sends, **asdict(x.rule), **x.rule.strings()} for x in layers]
    content = {
        "version": VERSION,
        "layers": [{"states": []} for _ in layers],
        "inputs": layers[0].w.shape[1],
        "learning": said,
    }
    arrays: dict[str, Any] = {f"w{k}": x.w for k, x in enumerate(layers)}
    np.savez_compressed(path, header=np.frombuffer(json.dumps(content).encode(), np.uint8), **arrays)


def run(layers: Sequence[Layer], asked: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What worker/learner.py answers: steps of Lava, in which a layer's spikes reach the next a step later."""
    if asked["clear"][0]:
        for layer in layers:
            layer.clear()
    found: dict[str, list[np.ndarray]] = {f"{n}{k}": [] for n in ("spikes", "w") for k in range(len(layers))}
    for t, x in enumerate(asked["x"]):
        for k, layer in enumerate(layers):
            x = layer.step(x, asked[f"third{k}"][t], asked[f"noise{k}"][t])
            found[f"spikes{k}"].append(x)
            found[f"w{k}"].append(layer.w.copy())
    watch = bool(asked["watch"][0])
    return {name: np.array(rows) if watch or name[0] == "s" else rows[-1] for name, rows in found.items()}
