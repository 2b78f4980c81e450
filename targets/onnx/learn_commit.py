"""learn_commit: one kept step of a trial changes the weights: ondevice.py's commit, called once for every step t, the first to the last.

    x, s0, s0_1, psi0    of that step, under the names that learn_step gave them
    e, h0                of learn_error; with perturbation instead reward and mirrored_reward, of the two trials of a pair
    w0, f0               int8 and, for masters of 16 bits, uint8 [I, N]: a master is 256 w + f, w the weight that the network runs on
    trace0               int32 [I, 1], of each matrix that learns by traces; from zeros at t = 0
    sum0                 int32 [I, 1], of each matrix of a readout, which the last call changes; from zeros at t = 0
    seed, trial, t       uint32: counters of the noise; steps: uint32, how many steps the trial had

Outputs are w0_n, f0_n, trace0_n and sum0_n. A step that is not picked, a neuron outside the box of psi and a readout before the last call
get a step of 0, which rounds to 0 to nearest and by noise alike.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from edge_anp.integer import IntegerNetwork
from edge_anp.ondevice import PICK, ROUND, TRACE_MAX, annealing, horizon
from edge_anp.ondevice_plan import LearningPlan, Synapse, size_of, weight_of
from edge_anp.topology import INPUT
from targets.onnx.graph import BOOL, INT8, INT32, UINT8, UINT32, Graph, Tensor
from targets.onnx.int32 import integer, view
from targets.onnx.learn_step import directions
from targets.onnx.words import SIGN, Noise, down, shifted, word


class Commit:
    """The graph while it is built. pairs: its states, input -> output; the weights among them stay from trial to trial."""

    def __init__(self, net: IntegerNetwork, plan: LearningPlan) -> None:
        self.net, self.plan, self.g = net, plan, Graph()
        self.pairs: dict[str, str] = {}
        self.named: dict[str, Tensor] = {}
        self.seed, self.trial, self.t, self.steps = (self.input(n, (), UINT32) for n in ("seed", "trial", "t", "steps"))
        self.noise, g = Noise(self.g), self.g
        after = g.elementwise("Add", self.t, word(g, 1))
        self.left = g.cast(g.elementwise("Sub", self.steps, after), INT32)
        table = g.constant("horizon", horizon(net, plan.steps)[::-1].astype(np.int32).copy())
        self.now = g.node("Gather", [table, self.left], (), INT32, axis=0)
        for k, s in enumerate(plan.synapses):
            if net.layers[s.layer].neuron.vth is None and plan.rule == "feedback":
                self.readout(k, s)
            else:
                self.traced(k, s)

    def input(self, name: str, shape: tuple[int, ...], type: int, batch: bool = True) -> Tensor:
        """An input, declared once."""
        if name not in self.named:
            self.named[name] = self.g.input(name, shape, type, batch)
        return self.named[name]

    def state(self, name: str, shape: tuple[int, ...], type: int, new: Tensor) -> None:
        self.g.output(new, f"{name}_n")
        self.pairs[name] = f"{name}_n"

    def past(self, s: Synapse) -> Tensor:
        """What the synapse read: int32 [I, 1]."""
        c = self.net.layers[s.layer].connections[s.connection]
        source = "x" if c.source == INPUT else f"s{c.source}"
        shape = self.net.input.shape if c.source == INPUT else self.net.layers[c.source].shape
        x = self.g.cast(self.input(source + (f"_{c.delay}" if c.delay else ""), shape, INT8), INT32)
        sizes = self.g.constant(f"column_{x.size}", np.array([x.size, 1], np.int64))
        return self.g.node("Reshape", [x, sizes], (x.size, 1), INT32, batch=False)

    def clipped(self, x: Tensor, limit: int) -> Tensor:
        low, high = (
            self.g.constant(f"{n}{limit}", np.array(v, np.int32)) for n, v in (("low", -limit), ("high", limit))
        )
        return self.g.elementwise("Clip", x, low, high)

    def flag(self, x: Tensor, value: int) -> Tensor:
        """1 where x is `value`, else 0."""
        g = self.g
        same = g.node("Equal", [x, integer(g, value)], x.shape, BOOL)
        return g.node("Where", [same, integer(g, 1), integer(g, 0)], x.shape, INT32)

    def readout(self, k: int, s: Synapse) -> None:
        """n += in g[t]; at the end U -= round(clip(n >> GS) e / 2^rate)."""
        g, size = self.g, size_of(self.net, self.net.layers[s.layer].connections[s.connection].source)
        n = g.input(f"sum{k}", (size, 1), INT32, batch=False)
        n = g.elementwise("Add", n, g.elementwise("Mul", self.past(s), self.now))
        self.state(f"sum{k}", (size, 1), INT32, n)
        rows = self.clipped(down(g, n, self.plan.horizon), s.limit)
        e = self.input("e", (self.net.layers[s.layer].size,), INT32)
        self.move(k, s, rows, g.elementwise("Mul", e, self.flag(self.left, 0)), self.plan.steps)

    def traced(self, k: int, s: Synapse) -> None:
        """x = clip(sign(x) (|x| k >> S) + in 2^G); U -= round(clip(h g[t] >> GS) x / 2^rate) where psi = 1."""
        g, layer, new = self.g, self.net.layers[s.layer], self.past(s)
        x = g.input(f"trace{k}", new.shape, INT32, batch=False)
        kept = g.elementwise("Mul", g.elementwise("Abs", x), integer(g, int(layer.neuron.leak.keep[0])))
        kept = g.elementwise("Mul", down(g, kept, layer.neuron.leak.bits), g.elementwise("Sign", x))
        if s.gain >= 0:
            new = g.elementwise("Mul", new, integer(g, 2**s.gain))
        else:
            new = down(g, g.elementwise("Add", new, integer(g, 2 ** (-s.gain - 1))), -s.gain)
        x = self.clipped(g.elementwise("Add", kept, new), TRACE_MAX)
        self.state(f"trace{k}", new.shape, INT32, x)
        columns = self.direction(s)
        if self.plan.every:
            columns = g.elementwise("Mul", columns, self.picked())
        self.move(k, s, x, columns, self.t)

    def direction(self, s: Synapse) -> Tensor:
        """clip(h g[t] >> GS) psi, or clip((r- - r+) xi): int32 [N]."""
        g, layer = self.g, self.net.layers[s.layer]
        if self.plan.rule == "perturbation":
            first, second = (self.input(n, (), INT32) for n in ("reward", "mirrored_reward"))
            xi = directions(g, self.seed, self.trial, self.t, s.layer, layer.size)
            return self.clipped(g.elementwise("Mul", xi, g.elementwise("Sub", second, first)), s.limit)
        hg = self.input(f"h{s.layer}", (layer.size,), INT32)
        if s.layer != len(self.net.layers) - 1:
            hg = down(g, g.elementwise("Mul", hg, self.now), self.plan.horizon)
        psi = self.input(f"psi{s.layer}", layer.shape, INT8)
        return g.elementwise("Mul", self.clipped(hg, s.limit), view(g, g.cast(psi, INT32), (layer.size,)))

    def picked(self) -> Tensor:
        """1 in the step that updates, of the 2^LW steps around t."""
        g, every = self.g, self.plan.every
        window = shifted(g, self.t, every)
        place = shifted(g, self.noise.at(self.seed, self.trial, PICK, window, 0, 0), 32 - every)
        at = g.elementwise("Add", shifted(g, window, every, left=True), place)
        return self.flag(g.cast(g.elementwise("Sub", at, self.t), INT32), 0)

    def rate(self, s: Synapse) -> Tensor | int:
        """S and what annealing adds to it: a word. The trials at which it grows are asked of ondevice.py."""
        g, extra = self.g, 8 if self.plan.bits == 8 else 0
        slowest, all_ = annealing(self.plan, 2**32 - 1), range(2**32)
        marks = [bisect_left(all_, n, key=lambda t: annealing(self.plan, t)) for n in range(1, slowest + 1)]
        if not marks:
            return s.rate + extra
        trial = g.cast(g.elementwise("Min", self.trial, word(g, SIGN - 1)), INT32)
        shift = Tensor(integer(g, s.rate + extra), (), INT32)
        for mark in marks:
            late = g.node("Greater", [trial, integer(g, mark - 1)], (), BOOL)
            shift = g.elementwise("Add", shift, g.node("Where", [late, integer(g, 1), integer(g, 0)], (), INT32))
        return g.cast(shift, UINT32)

    def move(self, k: int, s: Synapse, rows: Tensor, columns: Tensor, at: Tensor | int) -> None:
        """U -= (rows columns + low) >> S, within the range of a master: as words, lifted by 2^31 as in words.py."""
        g, shape = self.g, weight_of(self.net, s.layer, s.connection).T.shape
        w, shift, rows, columns = (
            g.input(f"w{k}", shape, INT8, False),
            self.rate(s),
            g.cast(rows, UINT32),
            g.cast(columns, UINT32),
        )
        by = Tensor(word(g, shift), (), UINT32) if isinstance(shift, int) else shift
        sign = Tensor(word(g, SIGN), (), UINT32)
        step = g.node("Mul", [rows, columns], shape, UINT32, batch=False)
        if self.plan.bits == 16:
            half = shifted(g, shifted(g, Tensor(word(g, 1), (), UINT32), by, left=True), 1)
            step = g.elementwise("Add", step, g.elementwise("Add", half, sign))
        else:
            places = g.constant(f"places{k}", np.arange(np.prod(shape), dtype=np.uint32).reshape(shape))
            low = self.noise.at(self.seed, self.trial, ROUND, at, k, Tensor(places, shape, UINT32, False))
            low = shifted(g, low, g.node("Sub", [word(g, 32), by], (), UINT32))
            step = g.elementwise("Add", g.elementwise("Add", step, low), sign)
        step = g.cast(shifted(g, step, by), INT32)
        lifted = g.cast(shifted(g, sign, by), INT32)
        u = g.cast(w, INT32)
        if self.plan.bits == 16:
            f = g.input(f"f{k}", shape, UINT8, False)
            u = g.elementwise("Add", g.elementwise("Mul", u, integer(g, 256)), g.cast(f, INT32))
        u = g.elementwise("Sub", g.elementwise("Add", u, lifted), step)
        high = 2 ** (self.plan.bits - 1)
        low_, high_ = (
            g.constant(f"master_{n}", np.array(v, np.int32)) for n, v in (("low", -high), ("high", high - 1))
        )
        u = g.elementwise("Clip", u, low_, high_)
        if self.plan.bits == 16:
            u = g.cast(u, UINT32)
            self.state(f"f{k}", shape, UINT8, g.cast(u, UINT8))
            u = shifted(g, u, 8)
        self.state(f"w{k}", shape, INT8, g.cast(u, INT8))
