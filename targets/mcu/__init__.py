"""Microcontrollers: a network as C99 tables and a small runtime. README.md says how to use the folder in a firmware project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_anp import integer, journal, ondevice_plan, target
from edge_anp.artifact import Artifact
from edge_anp.errors import Unsupported
from edge_anp.integer import MCU16, Arithmetic, IntegerNetwork
from edge_anp.journal import Layout
from edge_anp.kinds import KINDS
from edge_anp.ondevice_plan import LearningPlan
from targets.mcu import learn_cost, learn_layout, learn_run, lower, run, sizes
from targets.mcu.cores import CORES
from targets.mcu.learn_session import LearnSession
from targets.mcu.session import Session

QEMU = tuple(f"qemu:{name}" for name in CORES)


@dataclass(frozen=True)
class Mcu:
    """The target. Its runners build the folder with a C compiler: the host's, or a cross-compiler whose program QEMU runs.

    `serial:` is followed by the port of a board that runs the harness.
    """

    name: str = lower.NAME
    arithmetics: tuple[Arithmetic, ...] = (MCU16,)
    runners: tuple[str, ...] = ("host", *QEMU, "serial:")
    exact: tuple[str, ...] = ("host", *QEMU, "serial:")
    by_default: tuple[str, ...] = ("host",)
    options: tuple[str, ...] = ("prefix",)
    supports: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(KINDS, ""))

    def legalize(self, network: Any) -> tuple[Any, tuple[str, ...]]:
        """The runtime takes every kind as it is: the network itself, and nothing lost."""
        reasons = target.missing(self, network)
        if reasons:
            raise Unsupported(reasons, self.name)
        return network, ()

    def sizes(self, network: Any) -> dict[str, int]:
        """Bytes of flash (tables alone; the runtime is about 4 KB more) and of RAM."""
        return sizes.estimate(network)

    def lower(
        self,
        net: IntegerNetwork,
        folder: Path,
        network: Any = None,
        golden: str = "",
        prefix: str = "network",
        learning: LearningPlan | None = None,
    ) -> Artifact:
        """Write the C files; `prefix` begins every name that model.c defines; `learning`: what of it goes on learning."""
        return lower.lower(net, folder, golden, self.runners, prefix, learning)

    def open(self, folder: Path, runner: str, limit_s: float = 600) -> Session:
        """Build the folder's C for `runner` and start it."""
        return run.open_session(folder, runner, integer.load(folder / "integer.npz"), limit_s)

    def open_learner(self, folder: Path, runner: str, limit_s: float = 600, slots: int = journal.SLOTS) -> LearnSession:
        """Build the folder's learner for `runner` and start it. slots: of its flash."""
        net, plan = integer.load(folder / "integer.npz"), ondevice_plan.load(folder / "learning.npz")
        return learn_run.open_learner(folder, runner, net, plan, limit_s, slots=slots)

    def layout(self, folder: Path) -> Layout:
        """Where the folder's learner keeps its weights, in its block and in its journal."""
        return learn_layout.layout(folder)

    def learning_costs(self, core: str = "m4") -> str:
        """A table of what trials of learning cost on an emulated core."""
        return learn_cost.report(core)


TARGET = Mcu()
