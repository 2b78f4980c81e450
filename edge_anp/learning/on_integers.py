"""Training on what ships: the forward pass is the integer network, rounding and saturation included; the weights stay in floats.

Units, shifts and leaks are chosen by `quantize` and kept for a while; at every update the weights are rounded to that grid and `simulate`
runs them. What rules see is the integers' spikes, and membranes v * unit. Backpropagation goes straight through the rounding: the float
network's derivatives at the integers' membranes and spikes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch
from torch import Tensor

from edge_anp import network as floats
from edge_anp import simulate
from edge_anp.errors import Unsupported
from edge_anp.integer import IntegerNetwork, quantize_input
from edge_anp.moment import Moment
from edge_anp.network import Network, Trace
from edge_anp.neurons import LIF, Readout, Spike, heaviside
from edge_anp.quantize import quantize
from edge_anp.synapses import AvgPool2d
from edge_anp.topology import INPUT
from edge_anp.units import Rows, integer_path

EVERY = 50  # updates between two choices of units
SAMPLES = 64  # of the training part, that units are chosen by


@dataclass(frozen=True)
class OnIntegers(Network):
    """A network that runs as integers. scheme: the integer network whose units, shifts and leaks are kept."""

    scheme: IntegerNetwork | None = None

    def integers(self) -> IntegerNetwork:
        """The integer network of the weights as they are now: what would ship."""
        assert self.scheme is not None
        a, layers = self.scheme.arithmetic, []
        for layer, old in zip(self.layers, self.scheme.layers, strict=True):
            connections = []
            for c, was in zip(layer.connections, old.connections, strict=True):
                scale = self.scheme.input.scale if c.source == INPUT else 1.0
                folded = scale / prod(prod(op.kernel) for op in c.path if isinstance(op, AvgPool2d))
                rows = Rows(c, np.zeros(0), 0.0, folded, a.input.high if c.source == INPUT else 1)
                connections.append(replace(was, path=integer_path(rows, old.unit, was.shift, a)))
            layers.append(replace(old, connections=tuple(connections), bias=self._bias(layer, old.unit)))
        return replace(self.scheme, layers=tuple(layers))

    def _bias(self, layer: floats.Layer, unit: np.ndarray) -> np.ndarray:
        bias = np.zeros(layer.size)
        for c in layer.connections:
            size = self.input.size if c.source == INPUT else self.layers[c.source].size
            quiet = layer_quiet(c, size)
            bias += quiet
        return np.rint(bias / unit).astype(np.int64)

    def run(
        self,
        raster: Tensor,
        spike: Spike,
        reset_spike: Spike,
        start: Moment | None,
        added: Sequence[Tensor | None] | None,
    ) -> Trace:
        """The integers' trace, in the units of the float network."""
        if added is not None or start is not None:
            raise Unsupported(
                "integers run whole trials, and take no added current; use feedback-anp or bptt", who="--on integer"
            )
        net = self.integers()
        found = simulate.run(net, quantize_input(raster.detach().cpu().numpy(), net.input))
        names = {"v": "mem", "u": "syn"}
        spikes = tuple(torch.from_numpy(s.astype(np.float32)).to(raster) for s in found.spikes)
        states = tuple(
            {names[n]: (torch.from_numpy(x.astype(np.float64) * layer.unit)).to(raster) for n, x in s.items()}
            for s, layer in zip(found.states, net.layers, strict=True)
        )
        if spike is heaviside:
            return Trace(spikes, states)
        return self._straight_through(raster, spike, reset_spike, Trace(spikes, states))

    def _straight_through(self, raster: Tensor, spike: Spike, reset_spike: Spike, found: Trace) -> Trace:
        """The float graph, with the integers' values in place of its own."""
        at = _Positions(self, len(raster))

        def fire(mem: Tensor, threshold: Tensor) -> Tensor:
            i, t = at.next("spike")
            there = found.states[i]["mem"][t]
            s = spike(mem + (there - mem).detach(), threshold)
            return s + (found.spikes[i][t] - s).detach()

        def due(mem: Tensor, threshold: Tensor) -> Tensor:
            i, t = at.next("reset")
            before = found.states[i]["mem"][t - 1] if t else torch.zeros_like(mem)
            r = reset_spike(mem + (before - mem).detach(), threshold)
            return r + ((found.spikes[i][t - 1] if t else torch.zeros_like(r)) - r).detach()

        graph = floats.run(Network(self.layers, self.input, self.decode), raster, fire, due)
        spikes = tuple(s + (n - s).detach() for s, n in zip(graph.spikes, found.spikes, strict=True))
        states = tuple(
            {n: x + (there[n] - x).detach() for n, x in s.items()}
            for s, there in zip(graph.states, found.states, strict=True)
        )
        return Trace(spikes, states)


class _Positions:
    """Which layer and step the next call of a spike function is for: `run` calls them block by block, step by step, layer by layer."""

    def __init__(self, network: Network, steps: int) -> None:
        from edge_anp import topology

        firing = [i for i, layer in enumerate(network.layers) if isinstance(layer.neuron, LIF)]
        order = {"spike": firing, "reset": [i for i in firing if _neuron(network, i).reset != "none"]}
        self.order = {
            kind: iter(
                [
                    (i, t)
                    for block in topology.blocks(network.layers)
                    for t in range(steps)
                    for i in block
                    if i in wanted
                ]
            )
            for kind, wanted in order.items()
        }

    def next(self, kind: str) -> tuple[int, int]:
        return next(self.order[kind])


def _neuron(network: Network, i: int) -> LIF:
    neuron = network.layers[i].neuron
    assert isinstance(neuron, LIF)
    return neuron


def layer_quiet(c: floats.Connection, size: int) -> np.ndarray:
    """The current that a connection brings when its source is silent: its bias."""
    with torch.no_grad():
        return floats.follow(c.path, torch.zeros(1, size))[0].double().cpu().numpy()


def put_on_integers(network: Network, raster: Tensor) -> OnIntegers:
    """The network, to be run as integers of units chosen now. Raise Unsupported, all reasons, for one that cannot be."""
    reasons = [
        f"layer {i} resets at once; on integers the membrane that decided is then unknown: use reset_delay=True"
        for i, layer in enumerate(network.layers)
        if isinstance(layer.neuron, LIF) and not layer.neuron.reset_delay and layer.neuron.reset != "none"
    ]
    reasons += [
        f"layer {i} is a rate neuron" for i, x in enumerate(network.layers) if not isinstance(x.neuron, LIF | Readout)
    ]
    if reasons:
        raise Unsupported(reasons, who="--on integer")
    scheme, _ = quantize(network, raster)
    return OnIntegers(network.layers, network.input, network.decode, network.feedback, scheme)
