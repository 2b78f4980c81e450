"""Which layers are Lava's stock LIF, which a chip could run, and why the others are not.

The stock LIF resets to zero in the step of the spike, and its bias adds to the membrane. So it is a layer of ours if the reset is zero,
at once; `legalize` turns snnTorch's Leaky with reset "zero" into that, which changes no spike. A layer with a few different leaks is as
many stock LIFs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge_anp.integer import LOIHI2, IntegerLayer, IntegerNetwork, Leak, path_bounds, source_max

KEEP_MAX = 2**12
GROUPS = 16  # a process each: more different leaks than this would be a process a neuron or so
ZERO = "reset_mechanism='zero' is stock, with reset_delay=False except on Leaky"


def largest_drive(net: IntegerNetwork, layer: IntegerLayer) -> int:
    """The largest |sum of weights times inputs| of a layer."""
    return sum(path_bounds(c.path, source_max(net, c))[1] << c.shift for c in layer.connections)


def obstacles(layer: IntegerLayer, drive: int) -> list[str]:
    """Why a layer is not the stock LIF; none if it is. drive: the largest |sum of weights times inputs|."""
    n, why = layer.neuron, []
    if n.vth is None:
        if _reach(layer, drive) >= LOIHI2.threshold_max:
            why.append("a readout's membrane could reach the largest threshold there is")
    elif n.reset != "zero":
        why.append(f"reset {n.reset}: a spike of the stock LIF sets the membrane to zero; {ZERO}")
    elif n.reset_delay:
        what = "and swallows the next step's input" if n.zero == "update" else "and the membrane is read before it"
        why.append(f"the reset comes a step after the spike {what}; reset_delay=False is stock")
    keep = np.unique(n.leak.keep)
    if len(keep) > 1:
        why.append(f"{len(keep)} different leaks, {_betas(keep)}; the stock LIF has one dv")
    if keep.min() < 1:
        why.append("a membrane that forgets everything (beta 0); dv is at most 4095, which keeps 1/4096")
    if n.current_leak is not None:
        keep = np.unique(n.current_leak.keep)
        if len(keep) > 1:
            why.append(f"{len(keep)} different leaks of the current, {_betas(keep)}; the stock LIF has one du")
        if keep.max() > KEEP_MAX - 1:
            why.append("a current without a leak (alpha 1); du = 0 still loses 1/4096")
        if layer.bias.any() and layer.bias_into == "current":
            why.append("a bias that adds to the current; the stock LIF's adds to the membrane")
    return why


def describe(count: int, why: list[str]) -> str:
    """What a layer of `count` processes is, in words; why: its obstacles."""
    if why:
        return f"a process of ours, in simulation only (a chip would need microcode): {'; '.join(why)}"
    return (f"{count} stock LIFs, one a leak" if count > 1 else "the stock LIF") + ", which a chip could run"


def _betas(keep: np.ndarray) -> str:
    """What one leak in place of several would do."""
    low, high = keep.min() / KEEP_MAX, keep.max() / KEEP_MAX
    return f"{low:.3f}..{high:.3f} (one in place of them would move them by up to {(high - low) / 2:.3f})"


def groups(layer: IntegerLayer, drive: int) -> list[np.ndarray]:
    """The neurons of a layer that share their leaks, if each such group is the stock LIF and they are few; else all in one."""
    n, everyone = layer.neuron, np.arange(layer.size)
    leaks = [n.leak.keep] if n.current_leak is None else [n.leak.keep, n.current_leak.keep]
    _, which = np.unique(np.stack([np.broadcast_to(k, (layer.size,)) for k in leaks]), axis=1, return_inverse=True)
    which = which.reshape(-1)
    parts = [everyone[which == k] for k in range(which.max() + 1)]
    if len(parts) > GROUPS or any(obstacles(part(layer, some), drive) for some in parts):
        return [everyone]
    return parts


def part(layer: IntegerLayer, some: np.ndarray) -> IntegerLayer:
    """A layer of `some` of its neurons, in that order; its connections are left out."""
    n = layer.neuron

    def pick(leak: Leak) -> Leak:
        return Leak(np.broadcast_to(leak.keep, (layer.size,))[some], leak.bits)

    current = None if n.current_leak is None else pick(n.current_leak)
    neuron = replace(n, leak=pick(n.leak), current_leak=current, vth=None if n.vth is None else n.vth[some])
    rest = {"connections": (), "bias": layer.bias[some], "unit": layer.unit[some], "neuron": neuron}
    return replace(layer, shape=(len(some),), **rest)


def _reach(layer: IntegerLayer, drive: int) -> float:
    """A bound of |v| for all time: a leak that keeps k of 2^12 sums at most 2^12 / (2^12 - k) of its drive."""
    n = layer.neuron

    def summed(x: float, keep: np.ndarray) -> float:
        lost = KEEP_MAX - int(keep.max())
        return x * KEEP_MAX / lost if lost else np.inf

    bias = int(np.abs(layer.bias).max(initial=0))
    total = float(drive + bias) if n.current_leak is None else summed(drive + bias, n.current_leak.keep) + bias
    return summed(total, n.leak.keep)
