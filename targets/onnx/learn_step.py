"""learn_step: one step of a trial, as step_i32 with the weights that learn as inputs, and what of it the learning needs.

    w0, w1, ..       int8 [I, N], the weights of each matrix that learns, in the order of the plan
    psi0 [N]         of each layer that learns: -th/4 <= v - th < th/4
    scores [K]       what answers are drawn from, summed over the trial as the network's decode says

With perturbation the drives move by sigma xi times `direction` (1, -1 in the second run of a pair, 0: not), and the counters of the noise
(seed, trial, t) are inputs.
"""

from __future__ import annotations

import numpy as np

from edge_anp.integer import IntegerConnection, IntegerLayer, IntegerNetwork
from edge_anp.ondevice import NODE
from edge_anp.ondevice_plan import LearningPlan
from edge_anp.synapses import Dense
from targets.onnx import step
from targets.onnx.graph import BOOL, INT8, INT32, UINT32, Graph, Tensor
from targets.onnx.int32 import Int32, byte, integer, view
from targets.onnx.words import Noise, shifted


class Learning(Int32):
    """step_i32 whose weights may be inputs, and whose drives may be perturbed."""

    runner = "learn_step"

    def __init__(self, plan: LearningPlan) -> None:
        self.plan = plan
        self.places = {f"l{s.layer}_{s.connection}": k for k, s in enumerate(plan.synapses)}
        self.perturbed = {f"l{s.layer}": s.layer for s in plan.synapses if plan.rule == "perturbation"}
        self.counters: list[Tensor] = []

    def path(self, g: Graph, c: IntegerConnection, x: Tensor, name: str) -> Tensor:
        if name not in self.places:
            return super().path(g, c, x, name)
        op = c.path[0]
        assert isinstance(op, Dense)
        w = g.input(f"w{self.places[name]}", op.weight.T.shape, INT8, batch=False)
        x = g.cast(view(g, x, op.in_shape), INT8)
        return g.node("MatMulInteger", [x, w, byte(g, 0), byte(g, 0)], op.out_shape, INT32)

    def currents(self, g: Graph, layer: IntegerLayer, sources: list[Tensor], name: str) -> list[Tensor]:
        currents = super().currents(g, layer, sources, name)
        if name in self.perturbed:
            seed, trial, t, direction = self._counters(g)
            xi = view(g, directions(g, seed, trial, t, self.perturbed[name], layer.size), layer.shape)
            currents.append(g.elementwise("Mul", g.elementwise("Mul", xi, direction), integer(g, self.plan.sigma)))
        return currents

    def _counters(self, g: Graph) -> list[Tensor]:
        """Of the noise; declared once, where the first layer wants them."""
        if not self.counters:
            self.counters = [g.input(n, (), UINT32) for n in ("seed", "trial", "t")]
            self.counters.append(g.input("direction", (), INT32))
        return self.counters


def directions(g: Graph, seed: Tensor, trial: Tensor, t: Tensor, layer: int, size: int) -> Tensor:
    """xi: +-1 [N] as int32, bit n mod 32 of a word for every 32 neurons."""
    at = np.arange(size, dtype=np.uint32)[None]
    places = Tensor(g.constant(f"word_of_{size}", at // 32), (size,), UINT32)
    bits = shifted(
        g,
        Noise(g).at(seed, trial, NODE, t, layer, places),
        Tensor(g.constant(f"bit_of_{size}", at % 32), (size,), UINT32),
    )
    twice = shifted(g, shifted(g, bits, 1), 1, left=True)
    bit = g.cast(g.elementwise("Sub", bits, twice), INT32)
    return g.elementwise("Sub", g.elementwise("Mul", bit, integer(g, 2)), integer(g, 1))


def build(net: IntegerNetwork, plan: LearningPlan) -> tuple[Graph, dict[str, str]]:
    """The graph, and its state pairs, input -> output."""
    g, pairs, _ = step.build(net, Learning(plan))
    for i in sorted({s.layer for s in plan.synapses}):
        layer = net.layers[i]
        if layer.neuron.vth is not None and plan.rule == "feedback":
            g.output(_psi(g, layer, Tensor(f"v{i}_n", layer.shape, INT32)), f"psi{i}")
    last = len(net.layers) - 1
    size, shape = net.layers[last].size, net.layers[last].shape
    told = Tensor(f"s{last}", shape, INT8) if net.decode == "count" else Tensor(f"v{last}_n", shape, INT32)
    told = view(g, g.cast(told, INT32), (size,))
    if net.decode == "membrane_last":
        g.output(g.elementwise("Add", told, integer(g, 0)), "scores_n")
    else:
        g.output(g.elementwise("Add", g.input("scores", (size,), INT32), told), "scores_n")
        pairs["scores"] = "scores_n"
    return g, pairs


def _psi(g: Graph, layer: IntegerLayer, v: Tensor) -> Tensor:
    vth = np.asarray(layer.neuron.vth).astype(np.int64)
    box = vth >> 2
    low, high = (g.parameter(f"psi_{n}_{v.name}", x, v) for n, x in (("low", vth - box - 1), ("high", vth + box - 1)))
    inside = g.node("Greater", [v, low], v.shape, BOOL)
    past = g.node("Greater", [v, high], v.shape, BOOL)
    one = g.node("Where", [inside, byte(g, 1), byte(g, 0)], v.shape, INT8)
    return g.node("Where", [past, byte(g, 0), one], v.shape, INT8)
