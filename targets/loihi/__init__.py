"""Loihi through Lava: the network as Lava processes, exact in Lava's fixed-point simulator. README.md says what a chip could run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_anp import netx, target
from edge_anp.artifact import Artifact
from edge_anp.errors import Unsupported
from edge_anp.integer import LOIHI2, Arithmetic, IntegerNetwork
from edge_anp.kinds import KINDS
from targets.loihi import about, legalize, lower, run, trials

NO_MAX = "a synapse adds, it has no maximum; pool with AvgPool2d, or stride the convolution"


@dataclass(frozen=True)
class Loihi:
    """The target; both runners are Lava's fixed-point simulator."""

    name: str = lower.NAME
    arithmetics: tuple[Arithmetic, ...] = (LOIHI2,)
    runners: tuple[str, ...] = lower.RUNNERS
    exact: tuple[str, ...] = lower.RUNNERS
    supports: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(KINDS, "") | {"max pool": NO_MAX})

    def legalize(self, network: Any) -> tuple[Any, tuple[str, ...]]:
        """Rewrite resets that are the stock LIF's by another name; say what each layer will be and what would change that."""
        reasons = [*target.missing(self, network), *lower.refusals(network), *legalize.refusals(network)]
        if reasons:
            raise Unsupported(reasons, self.name)
        return legalize.legalize(network)

    def lower(self, net: IntegerNetwork, folder: Path, network: Any = None, golden: str = "") -> Artifact:
        """Write Lava's files."""
        made = lower.lower(net, folder, golden)
        why_not = netx.refusals(net)
        if not why_not:
            netx.write(net, folder / "network.net")
        about.write(net, folder, "; ".join(why_not))
        return made

    def open(self, folder: Path, runner: str, limit_s: float = 600) -> run.Session:
        """Start a worker in Lava's environment. Raise ToolMissing if there is none."""
        return run.Session(folder, runner, limit_s)

    def bench_learning(self, digits: dict[str, np.ndarray]) -> list[str]:
        """What learning on chip reaches, as lines of a table."""
        return trials.report(digits)

    def find_python(self) -> Path:
        """The Python that Lava is in. Raise ToolMissing if there is none."""
        return run.find_python()


TARGET = Loihi()
