"""A run as learning sees it: the trace, the membranes that decided on spikes, and what every connection was sent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from edge_anp import topology
from edge_anp.learning.slopes import Slopes, measure
from edge_anp.network import Connection, Moment, Network, Trace, begin, current, run
from edge_anp.neurons import LIF, CubaLIF, heaviside, per_neuron
from edge_anp.topology import INPUT


@dataclass(frozen=True, eq=False)
class Observed:
    """decided: u of every layer [T, B, N]; the membrane that was kept is in the trace. silent: the run began in silence."""

    raster: Tensor
    trace: Trace
    decided: tuple[Tensor, ...]
    start: Moment
    silent: bool = False

    def pairs(self, c: Connection, credit: Float[Tensor, "T B J"]) -> tuple[Float[Tensor, "M J"], Float[Tensor, "M N"]]:
        """Credit beside what the connection was sent; without the steps that nothing was sent to, where they add nothing."""
        if self.silent and c.delay and all(getattr(op, "bias", None) is None for op in c.path):
            sent = self.raster if c.source == INPUT else self.trace.spikes[c.source]
            return credit[c.delay :].flatten(0, 1), sent[: -c.delay].flatten(0, 1)
        return credit.flatten(0, 1), self.source(c).flatten(0, 1)

    def source(self, c: Connection) -> Float[Tensor, "T B N"]:
        """What a connection was sent at every step, its delay included."""
        sent = self.raster if c.source == INPUT else self.trace.spikes[c.source]
        if not c.delay:
            return sent
        return torch.cat([self.start.past[c.source][-c.delay :], sent])[: len(sent)]

    def current(self, network: Network, i: int) -> Float[Tensor, "T B N"]:
        """c[t] of layer i: what reached its membrane, a current-based layer's own leak included."""
        if isinstance(network.layers[i].neuron, CubaLIF):
            return self.trace.states[i]["syn"]
        total: Tensor | None = None
        for c in network.layers[i].connections:
            sent = self.raster if c.source == INPUT else self.trace.spikes[c.source]
            term = current(c, sent, self.start.past.get(c.source))
            total = term if total is None else total + term
        assert total is not None
        return total

    def slopes(self, network: Network, of_spikes: bool) -> list[Slopes | None]:
        """The derivatives of every layer; None for the last where the answer is its membrane (of_spikes is false)."""
        found: list[Slopes | None] = []
        for i, layer in enumerate(network.layers):
            if i == len(network.layers) - 1 and not of_spikes:
                found.append(None)
                continue
            neuron, before = layer.neuron, None
            if isinstance(neuron, LIF):  # the reset due at the first step
                before = heaviside(self.start.states[i]["mem"], per_neuron(neuron.threshold, layer.shape))
            mem, spikes = self.trace.states[i]["mem"], self.trace.spikes[i]
            found.append(measure(layer, self.decided[i], mem, spikes, lambda i=i: self.current(network, i), before))
        return found


def observe(network: Network, raster: Float[Tensor, "T B I"], start: Moment | None = None) -> Observed:
    """Run a network and keep what learning asks for."""
    given, start = start, begin(network, raster) if start is None else start
    silent = given is None
    calls: list[Tensor] = []

    def watch(mem: Tensor, threshold: Tensor) -> Tensor:
        calls.append(mem)
        return heaviside(mem, threshold)

    immediate = any(isinstance(x.neuron, LIF) and not x.neuron.reset_delay for x in network.layers)
    if not immediate:  # the membrane that is kept is the one that decided
        trace = run(network, raster, start=given)
        return Observed(raster, trace, tuple(s["mem"] for s in trace.states), start, silent)
    trace = run(network, raster, spike=watch, start=given)
    decided: dict[int, Tensor] = {}
    for block in topology.blocks(network.layers):
        firing = [i for i in block if isinstance(network.layers[i].neuron, LIF)]
        for k, i in enumerate(firing):
            decided[i] = torch.stack(calls[k : len(raster) * len(firing) : len(firing)])
        del calls[: len(raster) * len(firing)]
    kept = (decided.get(i, s["mem"]) for i, s in enumerate(trace.states))
    return Observed(raster, trace, tuple(kept), start, silent)
