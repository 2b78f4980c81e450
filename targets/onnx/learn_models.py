"""The five learn_*.onnx, opened: graphs that take what they ask for out of what is known.

Whatever runs them is an Engine (run.py): onnxruntime here; the tests put a stranger's C and onnx.reference in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_anp.integer import IntegerNetwork
from edge_anp.ondevice_plan import LearningPlan
from targets.onnx import learning
from targets.onnx.graph import NUMPY
from targets.onnx.run import TYPES, Engine, bad, first_line, open_engine

GRAPHS = ("learn_start", "learn_step", "learn_answer", "learn_error", "learn_commit")
Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Model:
    """One graph. zeros: of each input's shape and type; pairs: its states, input -> output."""

    path: Path
    engine: Engine
    zeros: Mapping[str, np.ndarray]
    outputs: tuple[str, ...]
    pairs: Mapping[str, str]

    def __call__(self, *given: Values) -> Values:
        """Its outputs, from the values that it asks for; the last of `given` that has one is believed."""
        known = {name: value for values in given for name, value in values.items()}
        try:
            answers = self.engine.run(list(self.outputs), {name: known[name] for name in self.zeros})
        except Exception as error:  # onnxruntime's own kinds of exceptions share no base
            raise bad(self.path, f"it stops while it runs ({first_line(error)})") from error
        return dict(zip(self.outputs, answers, strict=True))


def open_models(folder: Path, net: IntegerNetwork, plan: LearningPlan) -> dict[str, Model]:
    """The five files of `folder` in onnxruntime. Raise BadFile unless they take and give what `lower` writes."""
    found: dict[str, Model] = {}
    for name, (g, pairs) in learning.graphs(net, plan).items():
        path = Path(folder) / f"{name}.onnx"
        engine = open_engine(path)
        for what, there, wanted in (
            ("inputs", engine.get_inputs(), g.inputs),
            ("outputs", engine.get_outputs(), g.outputs),
        ):
            shown = {(i.name, tuple(i.shape), TYPES.get(i.type)) for i in there}
            if shown != {(i.name, i.dims, NUMPY[i.type]) for i in wanted}:
                names = ", ".join(i.name for i in wanted)
                raise bad(path, f"it is another model: its {what} are not {names}, of the plan's shapes")
        zeros = {i.name: np.zeros(i.dims, NUMPY[i.type]) for i in g.inputs}
        found[name] = Model(path, engine, zeros, tuple(i.name for i in g.outputs), pairs)
    return found
