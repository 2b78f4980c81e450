"""learn_answer draws the next answer from the scores of a trial; learn_error says what its reward teaches: ondevice_answer.py in ONNX.

    tried      int32 [K], 1 for every answer already given in this trial, the last one among them
    answer     int32, the last one
    reward     int32, 0 (wrong) to 128 (right)
    e          int32 [K], the error of the outputs
    h0, h1     int32 [N], the error of each layer that learns by it, through the weights of the readout as they are now, or as shipped

A label is an answer that was right: tried has its 1 alone, answer is the label, reward is 128.
"""

from __future__ import annotations

import numpy as np

from edge_anp.integer import IntegerNetwork
from edge_anp.ondevice import ANSWER
from edge_anp.ondevice_answer import OCTAVES, ONE, narrowing
from edge_anp.ondevice_plan import Credit, LearningPlan, weight_of
from targets.onnx.graph import BOOL, INT8, INT32, UINT32, Graph, Tensor
from targets.onnx.int32 import integer, view
from targets.onnx.words import Noise, down, shifted, word


def build_answer(net: IntegerNetwork, plan: LearningPlan) -> Graph:
    """r = ((word >> 16) left) >> 16; the answer is the first c, not tried, at which the sum of v up to it passes r."""
    g, classes = Graph(), net.layers[-1].size
    scores, tried = g.input("scores", (classes,), INT32), g.input("tried", (classes,), INT32)
    seed, trial = g.input("seed", (), UINT32), g.input("trial", (), UINT32)
    v = softmax(g, scores, plan.temperature)
    open_ = g.elementwise("Sub", _ones(g, classes), tried)
    v = g.elementwise("Mul", v, open_)
    left = total(g, v)
    noise = Noise(g).at(seed, trial, ANSWER, 0, 0, g.cast(total(g, tried), UINT32))
    r = shifted(g, g.elementwise("Mul", shifted(g, noise, 16), g.cast(left, UINT32)), 16)
    up_to = g.elementwise("CumSum", v, g.constant("axis", np.array(1, np.int64)))
    passed = g.node("Greater", [up_to, g.cast(r, INT32)], v.shape, BOOL)
    first = total(g, g.node("Where", [passed, integer(g, 0), integer(g, 1)], v.shape, INT32))
    last = g.node("ReduceMax", [g.elementwise("Mul", open_, _places(g, classes))], (1,), INT32, axes=[1], keepdims=1)
    some = g.node("Greater", [left, integer(g, 0)], (1,), BOOL)
    answer = view(g, g.node("Where", [some, first, last], (1,), INT32), ())
    g.output(g.elementwise("Add", tried, onehot(g, answer, classes)), "tried_n")
    g.output(answer, "answer")
    return g


def build_error(net: IntegerNetwork, plan: LearningPlan) -> Graph:
    """e = (r e_yes + (128 - r) e_no + 64) >> 7, its rest given to the answer, and h of every credit."""
    g, classes = Graph(), net.layers[-1].size
    scores, tried = g.input("scores", (classes,), INT32), g.input("tried", (classes,), INT32)
    answer, reward = g.input("answer", (), INT32), g.input("reward", (), INT32)
    one = integer(g, ONE)
    v = softmax(g, scores, plan.temperature)
    all_ = total(g, v)
    p = g.elementwise("Div", g.elementwise("Mul", v, one), all_)
    given = onehot(g, answer, classes)
    yes = g.elementwise("Sub", p, g.elementwise("Mul", given, one))
    gone = total(g, g.elementwise("Mul", v, tried))
    bad = g.elementwise("Div", g.elementwise("Mul", gone, one), all_)
    open_ = g.elementwise("Sub", _ones(g, classes), tried)
    left, count = g.elementwise("Sub", all_, gone), total(g, open_)
    shares = g.elementwise("Add", g.elementwise("Mul", v, count), left)
    rest = g.elementwise("Mul", g.elementwise("Mul", left, count), integer(g, 2))
    rest = g.elementwise("Max", rest, integer(g, 1))
    others = g.elementwise("Div", g.elementwise("Mul", shares, bad), rest)
    no = g.elementwise("Sub", g.elementwise("Mul", p, tried), g.elementwise("Mul", others, open_))
    wrong = g.elementwise("Sub", Tensor(one, (), INT32), reward)
    both = g.elementwise("Add", g.elementwise("Mul", yes, reward), g.elementwise("Mul", no, wrong))
    e = down(g, g.elementwise("Add", both, integer(g, ONE // 2)), 7)
    e = g.elementwise("Sub", e, g.elementwise("Mul", given, total(g, e)))
    g.output(e, "e")
    for c in plan.credits:
        g.output(_credit(g, net, plan, c, e), f"h{c.layer}")
    return g


def _credit(g: Graph, net: IntegerNetwork, plan: LearningPlan, c: Credit, e: Tensor) -> Tensor:
    """8 e, or sum_c e_c O_ic >> 3, or sum_c e_c B_ic >> 3."""
    if c.kind == "error":
        return g.elementwise("Mul", e, integer(g, 8))
    last, size, classes = len(net.layers) - 1, net.layers[c.layer].size, net.layers[-1].size
    learned = [k for k, s in enumerate(plan.synapses) if (s.layer, s.connection) == (last, c.source)]
    if c.kind == "readout" and learned:
        rows = g.cast(g.input(f"w{learned[0]}", (size, classes), INT8, batch=False), INT32)
    else:
        matrix = c.matrix if c.kind == "shipped" else weight_of(net, last, c.source).T
        rows = Tensor(g.constant(f"b{c.layer}", matrix.astype(np.int32)), (size, classes), INT32, batch=False)
    sums = total(g, g.elementwise("Mul", rows, e))
    return down(g, view(g, sums, (size,)), 3)


def softmax(g: Graph, scores: Tensor, temperature: int) -> Tensor:
    """v [K] as int32. To the left no further than what decides: from 13 octaves on all is 0."""
    most = g.node("ReduceMax", [scores], (1,), INT32, axes=[1], keepdims=1)
    d = g.cast(g.node("Sub", [most, scores], scores.shape, INT32), UINT32)
    if temperature >= 0:
        d = shifted(g, d, min(temperature, 31))
    else:
        far = 256 * (OCTAVES + 1)
        d = shifted(g, g.elementwise("Min", d, word(g, far)), min(-temperature, far.bit_length()), left=True)
    octave = shifted(g, d, 8)
    part = g.elementwise("Sub", d, shifted(g, octave, 8, left=True))
    mantissa = shifted(g, g.node("Sub", [word(g, 512), part], part.shape, UINT32), 3, left=True)
    near = g.elementwise("Min", octave, word(g, OCTAVES + 1))
    v = g.cast(shifted(g, mantissa, g.elementwise("Add", near, word(g, narrowing(scores.size)))), INT32)
    beyond = g.node("Greater", [g.cast(near, INT32), integer(g, OCTAVES)], v.shape, BOOL)
    return g.node("Where", [beyond, integer(g, 0), v], v.shape, INT32)


def total(g: Graph, x: Tensor) -> Tensor:
    """The sum along the last axis, which stays, of size 1."""
    axes = g.constant("axes", np.array([1], np.int64))
    return g.node("ReduceSum", [x, axes], (*x.shape[:-1], 1), INT32, x.batch, keepdims=1)


def onehot(g: Graph, answer: Tensor, classes: int) -> Tensor:
    same = g.node("Equal", [_places(g, classes), answer], (classes,), BOOL)
    return g.node("Where", [same, integer(g, 1), integer(g, 0)], (classes,), INT32)


def _places(g: Graph, classes: int) -> Tensor:
    return Tensor(g.constant("places", np.arange(classes, dtype=np.int32)[None]), (classes,), INT32)


def _ones(g: Graph, classes: int) -> Tensor:
    return Tensor(g.constant("ones", np.ones((1, classes), np.int32)), (classes,), INT32)
