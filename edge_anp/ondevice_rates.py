"""A LearningPlan for a network: what its calibration data say about traces, temperature and rates.

A rate is chosen so that learning moves what a synapse does, not its weights: with P the mean over steps of sum_j x_j^2, x the traces,

    hidden   eta = KAPPA / (P T)      a step of every trial moves a drive by eta P h g, in thresholds
    readout  eta = KAPPA / (P T)      P of (1/T) sum_t in_j[t] g[t]: one trial moves the mean output by KAPPA e

and rounded to a shift: a master is 2^F / (256 vth) thresholds of a hidden layer, unit 2^F / 256 of a readout. The constants were chosen
on networks that no table shows (docs/results/ondevice.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log2

import numpy as np

from edge_anp import ondevice_plan, simulate
from edge_anp.integer import IntegerNetwork
from edge_anp.ondevice import TRACE_MAX, horizon, trace
from edge_anp.ondevice_plan import GUESSES, LearningPlan, Synapse
from edge_anp.topology import INPUT

KAPPA = {"input": 0.7, "hidden": 0.7, "readout": 4.0}  # of what reads the input, other layers, the last layer
SPIKE_GAIN = 4  # a spike adds 16 to a trace
BOUND = 128  # steps of int8 that a weight moves by at most in one commit
HIGHEST_RATE, LIMIT = 19, 8191  # with 3 of annealing and 8 of stochastic rounding a shift is 30 at most


def make_plan(
    net: IntegerNetwork,
    learn: str,
    calibration: np.ndarray,
    steps: int | None = None,
    bits: int = 16,
    guesses: int = 2,
    budget: int = 4000,
    every: int = 0,
    rule: str = "feedback",
    kappa: dict[str, float] = KAPPA,
    sigma: int = 0,
) -> LearningPlan:
    """Plan to learn on calibration [T, B, I] of integers. Raise Unsupported, with every reason, for a network that cannot."""
    steps = len(calibration) if steps is None else steps
    for name, value, low, high in (
        ("guesses", guesses, 1, GUESSES),
        ("every", every, 0, 5),
        ("budget", budget, 0, 2**28),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}; it must lie in {low}..{high}")
    if bits not in (8, 16):
        raise ValueError(f"a master has {bits} bits; it must have 8 or 16")
    if rule not in ("feedback", "perturbation"):
        raise ValueError(f"the rule is {rule!r}; it must be feedback or perturbation")
    ondevice_plan.check(net, learn, steps)
    run = simulate.run(net, calibration)
    sent = {INPUT: calibration, **dict(enumerate(run.spikes))}
    g = horizon(net, len(calibration))
    gs = floor(log2(float(g.max())))
    temperature = round(log2(_octave(net, len(calibration)) / 256))
    places = ondevice_plan.chosen(net, learn)
    synapses = tuple(_synapse(net, i, k, sent, g, gs, every, kappa, rule) for i, k in places)
    last = len(net.layers) - 1
    credited = sorted({i for i, _ in places if i != last or net.layers[i].neuron.vth is not None})
    credits = () if rule == "perturbation" else tuple(ondevice_plan.credit(net, i) for i in credited)
    binary = bool(calibration.min(initial=0) >= 0 and calibration.max(initial=0) <= 1 and net.input.scale == 1)
    vth = next((int(x.neuron.vth.min()) for x in net.layers if x.neuron.vth is not None), 1024)
    return LearningPlan(
        learn, synapses, credits, bits, rule, sigma or max(1, vth // 8), every, steps, binary, temperature, gs, budget, guesses,
        drop=4915, gain=1638, window=7,
    )  # fmt: skip


def _octave(net: IntegerNetwork, steps: int) -> float:
    """The score that is worth a factor of two in probability: one unit of the float network's mean (or last) membrane, or one spike."""
    if net.decode == "count":
        return 1.0
    return (steps if net.decode == "membrane_mean" else 1) / float(net.layers[-1].unit[0])


def _synapse(
    net: IntegerNetwork, i: int, k: int, sent: dict[int, np.ndarray], g: np.ndarray, gs: int, every: int, kappa: dict[str, float], rule: str
) -> Synapse:  # fmt: skip
    layer, steps = net.layers[i], len(g)
    c = layer.connections[k]
    x = np.zeros_like(sent[c.source], np.int64)
    x[c.delay :] = sent[c.source][: steps - c.delay]
    last, spiking = i == len(net.layers) - 1, layer.neuron.vth is not None
    name = "readout" if last else "input" if c.source == INPUT else "hidden"
    unit = float(layer.neuron.vth.max()) ** -1 if layer.neuron.vth is not None else float(layer.unit[0])
    master = unit * 2.0**c.shift / 256
    if last and not spiking and rule == "feedback":
        q = np.einsum("tbi,t->bi", x, g / 256) / steps
        eta = kappa[name] / (max(float((q**2).sum(1).mean()), 1e-9) * steps)
        rate = log2(master * 128 * 256 / 2**gs / eta)
        bound = floor(BOUND * 256 * 2.0 ** _rate(rate) / 128)
        return Synapse(i, k, _rate(rate), 0, min(bound, 32767))
    gain = SPIKE_GAIN if c.source != INPUT else _gain(layer, x)
    traces, now = [], np.zeros(x.shape[1:], np.int64)
    for t in range(steps):
        now = trace(now, layer.neuron.leak, x[t], gain)
        traces.append(now)
    power = max(float((np.array(traces) ** 2).sum(2).mean()) * 4.0**-gain, 1e-9)
    eta = kappa[name] / (power * steps) * 2**every
    rate = log2(master * error_unit(net, i, gs, rule) * 2.0**gain / eta)
    picked = ceil(steps / 2**every)
    bound = floor(BOUND * 256 * 2.0 ** _rate(rate) / (TRACE_MAX * picked))
    return Synapse(i, k, _rate(rate), gain, int(np.clip(bound, 1, LIMIT)))


def _rate(exact: float) -> int:
    return int(np.clip(round(exact), 1, HIGHEST_RATE))


def error_unit(net: IntegerNetwork, i: int, gs: int, rule: str) -> float:
    """h g of the learner for an error h g of 1: in octaves an output, each 128 of e, as the layer's credit scales it."""
    last = net.layers[-1]
    if rule == "perturbation":
        return 128.0
    if i == len(net.layers) - 1:
        return 128.0 * 8
    back = [c for c in last.connections if c.source == i and ondevice_plan.plain(c)]
    worth = float(last.unit[0]) if last.neuron.vth is None else 1 / float(last.neuron.vth.max())
    scale = worth * 2.0 ** back[0].shift if back else 1 / 127
    return 128 / 8 * 256 / 2**gs / scale


def _gain(layer: object, x: np.ndarray) -> int:
    """The largest shift, 4 at most, at which hardly a trace of the input is clipped."""
    for gain in range(SPIKE_GAIN, -6, -1):
        now, clipped = np.zeros(x.shape[1:], np.int64), 0.0
        for t in range(len(x)):
            now = trace(now, layer.neuron.leak, x[t], gain)  # type: ignore[attr-defined]
            clipped += float((np.abs(now) == TRACE_MAX).mean())
        if clipped / len(x) < 1e-3:
            return gain
    return -6


def integers(net: IntegerNetwork, rasters: Sequence[np.ndarray]) -> np.ndarray:
    """Rasters [S][T, I] in the input's own numbers -> [T, S, I] of integers."""
    from edge_anp.integer import quantize_input

    return np.stack([quantize_input(r, net.input) for r in rasters], 1)
