"""Learning on a device, in integers: what the learners in C and in ONNX mean, to the last bit.

A master is U = 2^8 (w + 128) + f of 16 bits, f its fraction (128 when shipped), or w + 128 of 8 bits; the network runs on w. One trial:

    step     the network's own step (reference.py), keeping of each layer that learns spikes s[t] and psi[t] = -th/4 <= v[t] - th < th/4
    answer   a drawn from the softmax of the scores; a reward or a label gives e (ondevice_answer.py)
    credit   h = 8 e (last layer), or sum_c e_c O_ic >> 3, O the readout's int8 weights, or sum_c e_c B_ic >> 3
    horizon  g[T-1] = 256, g[t] = min(256 + (g[t+1] k >> S), 65535), k the readout's leak; no 256 + where only the last membrane counts
    trace    x[t] = clip(sign(x[t-1]) (|x[t-1]| k >> S) + (in[t - delay] 2^G), -255, 255), of the layer's leak: it reaches exact 0
    commit   U_ji -= round(clip(h_i g[t] >> GS) x_j[t] / 2^rate) where psi_i[t] = 1, at every step or one hashed step in 2^LW
             U_jc -= round(clip(n_j) e_c / 2^rate), n_j = sum_t in_j[t - delay] g[t] >> GS, of a readout

round is to nearest; masters of 8 bits round by noise, at 8 bits more. Rates anneal: rate + k once 1 - 2^-k of the budget is spent, k <= 3.
perturbation: two trials on one input, the drives moved by +sigma xi, then -sigma xi, xi = +-1 from noise; psi = 1, h g = (r- - r+) xi.
Bounds: |h| <= 4096, g < 2^16, |h g| < 2^28; |x| <= 255, |clip| <= 8191: products stay below 2^21; |n| <= 2^15, |e| <= 128.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from edge_anp import ondevice_answer, reference
from edge_anp.integer import IntegerLayer, IntegerNetwork, Leak
from edge_anp.noise import noise
from edge_anp.ondevice_answer import ONE
from edge_anp.ondevice_guard import Guard
from edge_anp.ondevice_plan import Credit, LearningPlan, Synapse, size_of, weight_of
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT

ANSWER, PICK, ROUND, NODE = (
    16,
    17,
    18,
    19,
)  # draws of the hash that are the learner's (learning/draws.py has the host's)
IDLE, RUNNING, ANSWERED, REWARDED = range(4)
G_MAX, TRACE_MAX = 65_535, 255


class Learner:
    """A network that learns. weights: the masters U, one array [I, N] per synapse of the plan; trial: how many were begun."""

    def __init__(self, net: IntegerNetwork, plan: LearningPlan, seed: int = 0) -> None:
        self.net, self.plan, self.seed = net, plan, seed
        self.one = 256 if plan.bits == 16 else 1  # masters per step of int8
        self.weights = [
            (weight_of(net, s.layer, s.connection).T.astype(np.int64) + 128) * self.one + self.one // 2
            for s in plan.synapses
        ]
        self.trial, self.phase, self.frozen, self.guard = 0, IDLE, False, Guard()
        self.shown: set[int] = {s.layer for s in plan.synapses if net.layers[s.layer].neuron.vth is not None}
        self._refresh()

    def _refresh(self) -> None:
        """The network's layers with the weights as they are now."""
        self.layers = list(self.net.layers)
        for s, u in zip(self.plan.synapses, self.weights, strict=True):
            connections = list(self.layers[s.layer].connections)
            connections[s.connection] = replace(connections[s.connection], path=(Dense(self._top(u).T),))
            self.layers[s.layer] = replace(self.layers[s.layer], connections=tuple(connections))

    def _top(self, u: np.ndarray) -> np.ndarray:
        """w, the int8 weights of masters."""
        return u // self.one - 128

    def begin(self, mirrored: bool = False) -> int:
        """Silence, and a new trial, whose number is returned; mirrored: the second of a pair of perturbation."""
        if not mirrored:
            self.trial = (self.trial + 1) & 0xFFFFFFFF
        self.mirrored, self.phase, self.tried = mirrored, RUNNING, []
        self.sent: dict[int, list[np.ndarray]] = {INPUT: [], **{i: [] for i in range(len(self.layers))}}
        self.psi: dict[int, list[np.ndarray]] = {i: [] for i in self.shown}
        self.state = [{name: np.zeros(x.size, np.int64) for name in x.neuron.state_names} for x in self.layers]
        self.scores = np.zeros(self.layers[-1].size, np.int64)
        return self.trial

    def step(self, x: np.ndarray) -> None:
        """Advance by one step of the input [I]."""
        self._expect(RUNNING)
        t = len(self.sent[INPUT])
        if t >= self.plan.steps:
            raise ValueError(f"the trial has {t} steps already; the plan keeps {self.plan.steps}")
        self.sent[INPUT].append(np.asarray(x, np.int64))
        for i, layer in enumerate(self.layers):
            inputs = [self._past(c.source, t - c.delay) for c in layer.connections]
            moved = replace(layer, bias=layer.bias + self._perturbation(t, i)) if self._perturbed(i) else layer
            spikes, self.state[i] = reference.step(self.net, moved, inputs, self.state[i])
            self.sent[i].append(spikes)
            if i in self.shown:
                vth = np.asarray(layer.neuron.vth)
                above, box = self.state[i]["v"] - vth, vth >> 2
                self.psi[i].append((above >= -box) & (above < box))
        v = self.state[-1]["v"]
        self.scores = (
            v if self.net.decode == "membrane_last" else self.scores + (spikes if self.net.decode == "count" else v)
        )

    def _past(self, source: int, t: int) -> np.ndarray:
        return self.sent[source][t] if t >= 0 else np.zeros(size_of(self.net, source), np.int64)

    def _perturbed(self, layer: int) -> bool:
        return self.plan.rule == "perturbation" and any(s.layer == layer for s in self.plan.synapses)

    def _xi(self, t: int, layer: int) -> np.ndarray:
        """+-1 [N]: bit n mod 32 of a word for every 32 neurons."""
        size = self.layers[layer].size
        words = noise(self.seed, self.trial, NODE, t, layer, np.arange(-(-size // 32)))
        bits = (words[:, None] >> np.arange(32, dtype=np.uint32)) & np.uint32(1)
        return 2 * bits.reshape(-1)[:size].astype(np.int64) - 1

    def _perturbation(self, t: int, layer: int) -> np.ndarray:
        return self._xi(t, layer) * (-self.plan.sigma if self.mirrored else self.plan.sigma)

    def answer(self) -> int:
        """The next guess at the class."""
        self._expect(RUNNING, ANSWERED, REWARDED)
        if len(self.tried) >= min(self.plan.guesses, len(self.scores)):
            raise ValueError(f"{len(self.tried)} answers were given in this trial; the plan has {self.plan.guesses}")
        v = ondevice_answer.softmax(self.scores, self.plan.temperature)
        word = int(noise(self.seed, self.trial, ANSWER, 0, 0, len(self.tried)))
        self.tried.append(ondevice_answer.draw(v, self.tried, word))
        self.phase = ANSWERED
        return self.tried[-1]

    def reward(self, trial: int, reward: int) -> None:
        """What the world says of the last answer, of 0 (wrong) to 128 (right). Raise ValueError for another trial's."""
        self._current(trial)
        self._expect(ANSWERED)
        if not 0 <= reward <= ONE:
            raise ValueError(f"the reward is {reward}; it must lie in 0..{ONE}")
        v = ondevice_answer.softmax(self.scores, self.plan.temperature)
        self.e, self.phase = ondevice_answer.error(v, self.tried, reward), REWARDED
        self.rewards = (reward, self.rewards[0]) if self.mirrored else (reward, 0)
        if len(self.tried) == 1 and not self.mirrored:
            self.guard = self.guard.judge(self.plan, reward)

    def label(self, trial: int, label: int) -> None:
        """The right answer. Raise ValueError for another trial's."""
        self._current(trial)
        self._expect(RUNNING, ANSWERED, REWARDED)
        if not 0 <= label < len(self.scores):
            raise ValueError(f"the label is {label}; it must lie in 0..{len(self.scores) - 1}")
        if self.phase == RUNNING:
            self.guard = self.guard.judge(self.plan, ONE * (int(self.scores.argmax()) == label))
        self.e, self.phase = (
            ondevice_answer.label_error(ondevice_answer.softmax(self.scores, self.plan.temperature), label),
            REWARDED,
        )

    def commit(self) -> None:
        """Change the weights as the rule says; the trial is over."""
        self._expect(REWARDED)
        self.phase = IDLE
        if self.frozen:
            return
        g = horizon(self.net, len(self.sent[INPUT]))
        errors = {c.layer: self._credit(c) for c in self.plan.credits}
        for k, s in enumerate(self.plan.synapses):
            layer = self.layers[s.layer]
            if layer.neuron.vth is None and self.plan.rule == "feedback":
                self._commit_readout(k, s, g)
            else:
                self._commit_traced(k, s, layer, errors, g)
        self._refresh()

    def _credit(self, c: Credit) -> np.ndarray:
        """h [N] of a layer."""
        if c.kind == "error":
            return 8 * self.e
        if c.kind == "shipped":
            return c.matrix.astype(np.int64) @ self.e >> 3
        op = self.layers[-1].connections[c.source].path[0]
        assert isinstance(op, Dense)
        return op.weight.astype(np.int64).T @ self.e >> 3

    def _commit_readout(self, k: int, s: Synapse, g: np.ndarray) -> None:
        c = self.layers[s.layer].connections[s.connection]
        n = sum(self._past(c.source, t - c.delay) * g[t] for t in range(len(g)))
        n = np.clip(n >> self.plan.horizon, -s.limit, s.limit)
        self._subtract(k, s, n[:, None] * self.e, self.plan.steps, np.arange(self.layers[s.layer].size))

    def _commit_traced(
        self, k: int, s: Synapse, layer: IntegerLayer, errors: dict[int, np.ndarray], g: np.ndarray
    ) -> None:
        c, x = (
            layer.connections[s.connection],
            np.zeros(size_of(self.net, layer.connections[s.connection].source), np.int64),
        )
        last = s.layer == len(self.layers) - 1
        for t in range(len(g)):
            x = trace(x, layer.neuron.leak, self._past(c.source, t - c.delay), s.gain)
            if t != self._picked(t):
                continue
            if self.plan.rule == "perturbation":
                at = np.arange(layer.size)
                hg = np.clip((self.rewards[0] - self.rewards[1]) * self._xi(t, s.layer), -s.limit, s.limit)
            else:
                at = np.flatnonzero(self.psi[s.layer][t])
                hg = np.clip(
                    errors[s.layer][at] * (256 if last else g[t]) >> (8 if last else self.plan.horizon),
                    -s.limit,
                    s.limit,
                )
            self._subtract(k, s, x[:, None] * hg, t, at)

    def _picked(self, t: int) -> int:
        """The step that updates, of the 2^LW steps around t."""
        window = t >> self.plan.every
        if self.plan.every == 0:
            return t
        return (window << self.plan.every) + (
            int(noise(self.seed, self.trial, PICK, window, 0, 0)) >> (32 - self.plan.every)
        )

    def _subtract(self, k: int, s: Synapse, step: np.ndarray, t: int, at: np.ndarray) -> None:
        """U -= round(step / 2^rate) in the columns `at`."""
        u, shift = self.weights[k], s.rate + annealing(self.plan, self.trial)
        if self.plan.bits == 16:
            low = np.int64(1 << shift >> 1)
        else:
            shift += 8
            place = np.arange(len(u))[:, None] * u.shape[1] + at
            low = noise(self.seed, self.trial, ROUND, t, k, place).astype(np.int64) >> (32 - shift)
        u[:, at] = np.clip(u[:, at] - ((step + low) >> shift), 0, 256 * self.one - 1)

    def _current(self, trial: int) -> None:
        if trial != self.trial:
            raise ValueError(f"the reward is for trial {trial}; the trial that is kept is {self.trial}")

    def _expect(self, *phases: int) -> None:
        if self.phase not in phases:
            names = (
                "no trial",
                "a trial that runs",
                "an answer that waits for its reward",
                "a reward that waits for its commit",
            )
            raise ValueError(f"there is {names[self.phase]}; there must be {' or '.join(names[p] for p in phases)}")

    def network(self) -> IntegerNetwork:
        """The network as it is now."""
        return replace(self.net, layers=tuple(self.layers))

    def crc(self) -> int:
        """CRC-32 of all masters, signed, little-endian, in the order of the plan: [I, N] each."""
        kind = "<i2" if self.plan.bits == 16 else "i1"
        return zlib.crc32(b"".join((u - 128 * self.one).astype(kind).tobytes() for u in self.weights))


def annealing(plan: LearningPlan, trial: int) -> int:
    """Bits that the rates are slower by."""
    return sum(0 < (2**k - 1) * plan.budget <= 2**k * trial for k in (1, 2, 3))


def horizon(net: IntegerNetwork, steps: int) -> np.ndarray:
    """g [T]."""
    leak, direct = net.layers[-1].neuron.leak, 0 if net.decode == "membrane_last" else 256
    g = np.full(steps, 256, np.int64)
    for t in range(steps - 2, -1, -1):
        g[t] = min(direct + (int(g[t + 1]) * int(leak.keep[0]) >> leak.bits), G_MAX)
    return g


def trace(x: np.ndarray, leak: Leak, new: np.ndarray, gain: int) -> np.ndarray:
    """One step of a trace."""
    size = np.abs(x) * int(leak.keep[0]) >> leak.bits
    added = new << gain if gain >= 0 else (new + (1 << (-gain - 1))) >> -gain
    return np.clip(np.sign(x) * size + added, -TRACE_MAX, TRACE_MAX)
