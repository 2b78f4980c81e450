"""Write a network as ONNX files of one time step each: step_q and step_i32 from its integers, step_float from its floats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edge_anp.artifact import SEMANTICS, Artifact, describe
from edge_anp.errors import Unsupported
from edge_anp.integer import IntegerNetwork
from edge_anp.ondevice_plan import LearningPlan
from edge_anp.synapses import Diagonal
from edge_anp.topology import INPUT
from targets.onnx import learning, maps, step
from targets.onnx.carried import Carried
from targets.onnx.floating import Floating
from targets.onnx.int32 import Int32

NAME = "onnx"


def lower(
    net: IntegerNetwork, folder: Path, network: Any = None, golden: str = "", plan: LearningPlan | None = None
) -> Artifact:
    """Write step_q.onnx and step_i32.onnx, step_float.onnx if there is a float `network` (with numpy arrays), learn_*.onnx if a `plan`.

    Raise Unsupported, all reasons at once, before any file is written.
    """
    reasons = [reason for part in (net, network) if part is not None for reason in refusals(part)]
    if reasons:
        raise Unsupported(dict.fromkeys(reasons), NAME)
    models = {f.runner: model(net, f, golden) for f in (Carried(), Int32())}
    if network is not None:
        models[Floating.runner] = model(network, Floating(), golden)
    runners = tuple(models)
    if plan is not None:
        models |= learning.models(net, plan)
    for runner, made in models.items():
        onnx.save(made, folder / f"{runner}.onnx")
    return describe(folder, NAME, runners, net, golden)


def model(network: Any, flavor: step.Flavor, golden: str) -> onnx.ModelProto:
    """One flavor of a network's step, with what a stranger must know to run it in its metadata."""
    g, pairs, answers = step.build(network, flavor)
    contract = network.input
    metadata = {
        "edge_anp_semantics": SEMANTICS,
        "edge_anp_states": pairs,
        "edge_anp_layers": answers,
        "edge_anp_input": {"shape": contract.shape, "dt": contract.dt, "scale": contract.scale},
        "edge_anp_decode": network.decode,
        "edge_anp_units": [_unit(layer) for layer in network.layers],
        "edge_anp_golden": golden,
    }
    return g.model(flavor.runner, {key: json.dumps(value) for key, value in metadata.items()})


def _unit(layer: Any) -> float | list[float]:
    """What 1 in a membrane is worth in the float network: one number, or one per neuron."""
    unit = np.asarray(getattr(layer, "unit", 1.0), np.float64).reshape(-1)
    return float(unit[0]) if np.all(unit == unit[0]) else unit.tolist()


def refusals(network: Any) -> list[str]:
    """Views that would need a constant too large to ship (see maps.view)."""
    reasons = []
    for i, layer in enumerate(network.layers):
        for c in layer.connections:
            shape = network.input.shape if c.source == INPUT else network.layers[c.source].shape
            for given, wanted in _views(shape, c.path, layer.shape):
                if maps.view_entries(given, wanted) > maps.VIEW_LIMIT:
                    sizes = " as ".join("x".join(map(str, s)) for s in (given, wanted))
                    reasons.append(
                        f"layer {i} reads {sizes}: without Reshape, which step_q does without, that takes a constant of "
                        f"{maps.view_entries(given, wanted)} entries, the limit is {maps.VIEW_LIMIT}; give the source that shape"
                    )
    return reasons


def _views(shape: tuple[int, ...], path: tuple[Any, ...], end: tuple[int, ...]):
    """The changes of shape along a path, as (given, wanted)."""
    for op in path:
        if not isinstance(op, Diagonal):
            yield shape, op.in_shape
            shape = op.out_shape
    yield shape, end
