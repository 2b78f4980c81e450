"""The read-back check: a network that was read, and its module, on the same input.

The first event (a spike, or a membrane kept above the threshold) that differs is allowed only where the number it compares lies within
1e-5 of the threshold, relative to the largest membrane (and to 1): there float32 sums in another order may fall on the other side.
Before it every membrane must agree to 1e-4, likewise relative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edge_anp import network, snntorch_steps
from edge_anp.network import Layer, Network
from edge_anp.neurons import LIF, per_neuron
from edge_anp.snntorch_steps import Recording
from edge_anp.snntorch_trace import Call

CLOSE = 1e-5  # how near the threshold a comparison may fall either way
EQUAL = 1e-4  # how far membranes may differ before
LOUDER = (1.0, 4.0, 16.0, 64.0)  # noise of this size, until every layer spikes
STEPS = 40  # of noise, where the module takes any number of steps


@dataclass(frozen=True)
class Difference:
    """Where a network first leaves its module."""

    what: str
    layer: str
    step: int
    sample: int
    neuron: int

    def __str__(self) -> str:
        return (
            f"read-back failed: {self.what} of layer {self.layer!r} differs from snnTorch's at step {self.step}, sample {self.sample},"
            f" neuron {self.neuron}; the module does something that the trace did not see (please report it)"
        )


def check(net: Network, module: nn.Module, raster: Tensor, recording: Recording) -> tuple[Difference | None, list[str]]:
    """Compare on the sample and on ever louder noise, until every layer has spiked; the first difference, and what stayed silent."""
    found = compare(net, raster, recording)
    silent = _silent(net, recording)
    steps = max(len(raster), STEPS) if recording.style in ("step", "states") else len(raster)
    noise = torch.Generator().manual_seed(0)
    for size in LOUDER:
        if found is not None or (size > LOUDER[0] and not silent):
            break
        shape = (steps, *raster.shape[1:])
        loud = (size * torch.randn(shape, generator=noise)).to(raster.device, raster.dtype)
        again = snntorch_steps.record(module, loud, recording.style, recording.num_steps)
        found, silent = compare(net, loud, again), silent & _silent(net, again)
    return found, sorted(silent)


def compare(net: Network, raster: Tensor, recording: Recording) -> Difference | None:
    """The first forbidden difference between a network and a recording of its module on raster [T, B, *shape]."""
    shown = raster[:1].expand(recording.steps, *raster.shape[1:]) if recording.style == "static" else raster
    with torch.no_grad():
        ours = network.run(net, shown.reshape(*shown.shape[:2], -1))
        layers = [
            _Compared(layer, spikes, states["mem"], recording.trace.calls[layer.name])
            for layer, spikes, states in zip(net.layers, ours.spikes, ours.states, strict=True)
        ]
    steps = torch.arange(recording.steps)[:, None, None]
    for b in range(shown.shape[1]):
        events = torch.stack([layer.differs[:, b].any(1) for layer in layers]).any(0)  # [T]
        first = int(events.int().argmax()) if bool(events.any()) else recording.steps
        for layer in layers:
            far = (layer.far & (steps < first))[:, b]
            if bool(far.any()):
                return _at("a membrane", layer.name, far, b)
        for layer in layers:
            if first < recording.steps and bool(layer.differs[first, b].any()):
                wrong = layer.differs[:, b] & ~layer.near[:, b] & (steps[:, :, 0] == first)
                if bool(wrong.any()):
                    return _at("a spike", layer.name, wrong, b)
                break
    return None


class _Compared:
    """One layer on both sides [T, B, N]: where events differ, where the threshold excuses it, where membranes are far apart."""

    def __init__(self, layer: Layer, spikes: Tensor, membrane: Tensor, calls: Sequence[Call]) -> None:
        self.name = layer.name
        fired, kept = (torch.stack([getattr(c, n).flatten(1) for c in calls]) for n in ("fired", "membrane"))
        largest = max(1.0, float(fired.abs().max()))
        self.far = ~((membrane - kept).abs() <= EQUAL * largest)  # a number that is none is far too
        self.differs = self.near = torch.zeros_like(self.far)
        if isinstance(layer.neuron, LIF):
            threshold = per_neuron(layer.neuron.threshold, layer.shape)
            flipped = (spikes != 0) != torch.stack([c.spikes.flatten(1) != 0 for c in calls])
            self.differs = flipped | ((membrane > threshold) != (kept > threshold))
            self.near = (torch.where(flipped, fired, kept) - threshold).abs() < CLOSE * largest


def _at(what: str, layer: str, wrong: Tensor, sample: int) -> Difference:
    """The first place in wrong [T, N]."""
    step = int(wrong.any(1).int().argmax())
    return Difference(what, layer, step, sample, int(wrong[step].int().argmax()))


def _silent(net: Network, recording: Recording) -> set[str]:
    """The layers that never spiked, readouts aside."""
    calls = recording.trace.calls
    return {
        x.name for x in net.layers if isinstance(x.neuron, LIF) and not any(bool(c.spikes.any()) for c in calls[x.name])
    }
