"""ONNX: a network's time step as a file that any ONNX runtime or compiler takes. README.md says how to run it without edge-anp."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_anp import integer, ondevice_plan, target
from edge_anp.artifact import Artifact
from edge_anp.errors import Unsupported
from edge_anp.integer import MCU16, Arithmetic, IntegerNetwork
from edge_anp.kinds import KINDS
from edge_anp.ondevice_plan import LearningPlan
from targets.onnx import learn_session, lower, run


@dataclass(frozen=True)
class Onnx:
    """The target; runners are files, step_float among them only where a float network was given; learners run learn_*.onnx."""

    name: str = lower.NAME
    arithmetics: tuple[Arithmetic, ...] = (MCU16,)
    runners: tuple[str, ...] = ("step_q", "step_i32", "step_float")
    exact: tuple[str, ...] = ("step_q", "step_i32")
    learners: tuple[str, ...] = ("onnxruntime",)
    supports: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(KINDS, ""))

    def legalize(self, network: Any) -> tuple[Any, tuple[str, ...]]:
        """ONNX takes every kind as it is: the network itself, and nothing lost."""
        reasons = [*target.missing(self, network), *lower.refusals(network)]
        if reasons:
            raise Unsupported(reasons, self.name)
        return network, ()

    def lower(
        self,
        net: IntegerNetwork,
        folder: Path,
        network: Any = None,
        golden: str = "",
        learning: LearningPlan | None = None,
    ) -> Artifact:
        """Write the ONNX files; `learning`: what of the network goes on learning."""
        return lower.lower(net, folder, network, golden, learning)

    def open(self, folder: Path, runner: str, limit_s: float = 600) -> run.Session:
        """Open one of the files in onnxruntime, which runs inside this process and needs no time limit."""
        return run.open_session(folder, runner)

    def open_learner(self, folder: Path, runner: str, limit_s: float = 600) -> learn_session.LearnSession:
        """Open learn_*.onnx in onnxruntime; as above, without a time limit."""
        net, plan = integer.load(folder / "integer.npz"), ondevice_plan.load(folder / "learning.npz")
        return learn_session.open_learner(folder, net, plan)


TARGET = Onnx()
