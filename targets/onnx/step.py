"""One time step of a network as an ONNX graph: the equations of reference.py (and of neurons.py), once for all flavors.

Inputs are `x` and the states, outputs the spikes `s0, s1, ..` and the next states; whoever runs the graph feeds each state's output
back into its input, from zeros at the start. A membrane `v0` comes back as `v0_n`, a current `u0` as `u0_n`; `s0_2` are the spikes of
layer 0 two steps ago, `x_1` is the last input: a connection with delay d reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from edge_anp.topology import INPUT
from targets.onnx.graph import BOOL, Graph, Tensor


class Flavor(Protocol):
    """The number type of a step, and how it leaks, shifts and saturates. wide: of states; narrow: of what layers send."""

    runner: str
    wide: int
    narrow: int

    def states(self, neuron: Any) -> tuple[str, ...]: ...
    def threshold(self, layer: Any) -> np.ndarray | None: ...
    def currents(self, g: Graph, layer: Any, sources: list[Tensor], name: str) -> list[Tensor]: ...
    def leak(self, g: Graph, layer: Any, state: str, x: Tensor, name: str) -> Tensor: ...
    def fit(self, g: Graph, x: Tensor) -> Tensor: ...
    def sent(self, g: Graph, fires: Tensor) -> Tensor: ...


def build(network: Any, flavor: Flavor) -> tuple[Graph, dict[str, str], list[dict[str, Any]]]:
    """The graph of one step; its state pairs, input -> output; and per layer the outputs that make its trace."""
    g = Graph()
    pairs: dict[str, str] = {}
    shapes = {INPUT: network.input.shape, **{i: layer.shape for i, layer in enumerate(network.layers)}}
    now = {INPUT: g.input("x", network.input.shape, flavor.narrow)}
    past: dict[tuple[int, int], Tensor] = {}
    for source, depth in _depths(network).items():
        for d in range(1, depth + 1):
            past[source, d] = g.input(f"{_sender(source)}_{d}", shapes[source], flavor.narrow)

    answers = []
    for i, layer in enumerate(network.layers):
        state = {n: g.input(f"{n}{i}", layer.shape, flavor.wide) for n in flavor.states(layer.neuron)}
        sources = [past[c.source, c.delay] if c.delay else now[c.source] for c in layer.connections]
        currents = flavor.currents(g, layer, sources, f"l{i}")
        spikes, new = neuron_step(g, flavor, layer, f"l{i}", currents, state)
        if spikes is not None:
            now[i] = g.output(spikes, f"s{i}")
        for n, tensor in new.items():
            g.output(tensor, f"{n}{i}_n")
            pairs[f"{n}{i}"] = f"{n}{i}_n"
        answers.append({"spikes": spikes and f"s{i}", "states": {n: f"{n}{i}_n" for n in new}, "size": layer.size})

    for (source, d), tensor in past.items():
        if d == 1 and source != INPUT:
            pairs[tensor.name] = f"s{source}"
        else:
            pairs[tensor.name] = f"{tensor.name}_n"
            g.output(past[source, d - 1] if d > 1 else now[source], f"{tensor.name}_n")
    return g, pairs, answers


def neuron_step(
    g: Graph, flavor: Flavor, layer: Any, name: str, currents: Sequence[Tensor], state: dict[str, Tensor]
) -> tuple[Tensor | None, dict[str, Tensor]]:
    """Advance a layer: its currents and states -> its spikes (None for a readout) and its new states."""
    neuron, new = layer.neuron, {}
    if "u" in state:
        u = plus(g, flavor.leak(g, layer, "u", state["u"], f"{name}_keep_u"), currents)
        new["u"] = u = flavor.fit(g, u)
        currents = [u]
    v, values = state["v"], flavor.threshold(layer)
    if values is None:
        return None, {**new, "v": flavor.fit(g, plus(g, flavor.leak(g, layer, "v", v, f"{name}_keep"), currents))}

    vth = g.parameter(f"{name}_vth", values, v)
    subtract, zero = neuron.reset == "subtract", neuron.reset == "zero"
    r = g.cast(above(g, v, vth), flavor.wide) if subtract or zero else v
    if zero and neuron.zero == "leak":
        v = minus(g, v, r, v)
    v1 = plus(g, flavor.leak(g, layer, "v", v, f"{name}_keep"), currents)
    if subtract:
        v1 = minus(g, v1, r, vth)
    v1 = flavor.fit(g, v1)
    if zero and neuron.zero == "update":
        v1 = minus(g, v1, r, v1)
    fires = above(g, v1, vth)
    s = flavor.sent(g, fires)
    if not neuron.reset_delay and (subtract or zero):
        extra = g.elementwise("Sub", g.cast(s, flavor.wide), r)
        v1 = flavor.fit(g, minus(g, v1, extra, vth if subtract else v1))
    return s, {**new, "v": v1}


def plus(g: Graph, x: Tensor, terms: Sequence[Tensor]) -> Tensor:
    """x + terms, one after the other."""
    for term in terms:
        x = g.elementwise("Add", x, term)
    return x


def minus(g: Graph, x: Tensor, factor: Tensor, y: Tensor | str) -> Tensor:
    """x - factor y."""
    return g.elementwise("Sub", x, g.elementwise("Mul", factor, y))


def above(g: Graph, v: Tensor, vth: str) -> Tensor:
    """v > vth, as booleans."""
    return g.node("Greater", [v, vth], v.shape, BOOL)


def _depths(network: Any) -> dict[int, int]:
    """For each source that somebody reads late, how many steps back it must be remembered."""
    depths: dict[int, int] = {}
    for layer in network.layers:
        for c in layer.connections:
            if c.delay:
                depths[c.source] = max(depths.get(c.source, 0), c.delay)
    return dict(sorted(depths.items()))


def _sender(source: int) -> str:
    return "x" if source == INPUT else f"s{source}"
