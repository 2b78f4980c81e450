"""The learning step as ONNX files: learn_start, learn_step, learn_answer, learn_error and learn_commit, each a plain inference graph.

learn_start has no inputs: its outputs are the weights as shipped. README.md says how the five make a trial.
"""

from __future__ import annotations

import json

import numpy as np
import onnx

from edge_anp.artifact import SEMANTICS
from edge_anp.errors import Unsupported
from edge_anp.integer import IntegerNetwork, source_max
from edge_anp.ondevice import horizon
from edge_anp.ondevice_plan import LearningPlan, weight_of
from targets.onnx import learn_answer, learn_commit, learn_step
from targets.onnx.graph import INT8, UINT8, Graph, Tensor


def models(net: IntegerNetwork, plan: LearningPlan) -> dict[str, onnx.ModelProto]:
    """Name of a file -> its model. Raise Unsupported, all reasons at once."""
    reasons = refusals(net, plan)
    if reasons:
        raise Unsupported(reasons, "learning in ONNX")
    told = {
        "edge_anp_semantics": SEMANTICS,
        "edge_anp_input": {"shape": net.input.shape, "dt": net.input.dt, "scale": net.input.scale},
        "edge_anp_decode": net.decode,
        "edge_anp_steps": plan.steps,
        "edge_anp_guesses": plan.guesses,
    }
    return {
        name: g.model(name, {key: json.dumps(value) for key, value in {**told, "edge_anp_states": pairs}.items()})
        for name, (g, pairs) in graphs(net, plan).items()
    }


def graphs(net: IntegerNetwork, plan: LearningPlan) -> dict[str, tuple[Graph, dict[str, str]]]:
    """Name of a file -> its graph, and its states, input -> output."""
    step, states = learn_step.build(net, plan)
    commit = learn_commit.Commit(net, plan)
    return {
        "learn_start": (start(net, plan), {}),
        "learn_step": (step, states),
        "learn_answer": (learn_answer.build_answer(net, plan), {"tried": "tried_n"}),
        "learn_error": (learn_answer.build_error(net, plan), {}),
        "learn_commit": (commit.g, commit.pairs),
    }


def start(net: IntegerNetwork, plan: LearningPlan) -> Graph:
    """The weights as shipped: w, and for masters of 16 bits the fraction f, one half."""
    g = Graph()
    for k, s in enumerate(plan.synapses):
        w = np.ascontiguousarray(weight_of(net, s.layer, s.connection).T)
        g.output(_shown(g, f"shipped_w{k}", w, INT8), f"w{k}")
        if plan.bits == 16:
            g.output(_shown(g, f"shipped_f{k}", np.full(w.shape, 128, np.uint8), UINT8), f"f{k}")
    return g


def _shown(g: Graph, name: str, array: np.ndarray, type: int) -> Tensor:
    return g.node("Cast", [g.constant(name, array)], array.shape, type, batch=False, to=type)


def refusals(net: IntegerNetwork, plan: LearningPlan) -> list[str]:
    """Sums that an int32 may not hold: n of a readout that reads graded input."""
    reach = int(horizon(net, plan.steps).sum())
    return [
        f"layer {s.layer} reads numbers up to {most}: their sum over {plan.steps} steps could reach {most * reach}, "
        f"the limit is {2**31 - 1}; compile with fewer --steps"
        for s in plan.synapses
        for most in [source_max(net, net.layers[s.layer].connections[s.connection])]
        if net.layers[s.layer].neuron.vth is None and most * reach > 2**31 - 1
    ]
