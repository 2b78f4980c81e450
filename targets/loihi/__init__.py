"""Loihi through Lava: the network as Lava processes, exact in Lava's fixed-point simulator. README.md says what a chip could run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_anp import target
from edge_anp.artifact import Artifact
from edge_anp.errors import Unsupported
from edge_anp.integer import LOIHI2, NETX, Arithmetic, IntegerNetwork
from edge_anp.kinds import KINDS
from targets.loihi import about, legalize, lower, net_file, run, trials, xor

NO_MAX = "a synapse adds, it has no maximum; pool with AvgPool2d, or stride the convolution"


@dataclass(frozen=True)
class Loihi:
    """The target; both runners are Lava's fixed-point simulator.

    one_leak (--option leaks=one): a layer's leaks become their mean where that makes it the stock LIF. with_netx (--option netx=yes): a
    network.net is written, and the network quantized so that it can be.
    """

    name: str = lower.NAME
    arithmetics: tuple[Arithmetic, ...] = (LOIHI2, NETX)
    runners: tuple[str, ...] = lower.RUNNERS
    exact: tuple[str, ...] = lower.RUNNERS
    by_default: tuple[str, ...] = lower.RUNNERS[:1]  # Lava's own runtime takes minutes for what this does in seconds
    options: tuple[str, ...] = ("leaks", "netx")
    one_leak: bool = False
    with_netx: bool = False
    supports: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(KINDS, "") | {"max pool": NO_MAX})

    def configured(self, options: Mapping[str, str]) -> tuple[Loihi, dict[str, str]]:
        """This target as leaks=each|one and netx=no|yes set it, and the options that are left."""
        choices = {"leaks": ("each", "one"), "netx": ("no", "yes")}
        for name, (default, other) in choices.items():
            if options.get(name, default) not in (default, other):
                raise ValueError(f"--option {name} is {options[name]!r}; it must be {default} or {other}")
        leaks, netx = (options.get(name) == other for name, (_, other) in choices.items())
        machine = replace(
            self, one_leak=leaks, with_netx=netx, arithmetics=(NETX, LOIHI2) if netx else self.arithmetics
        )
        return machine, {name: value for name, value in options.items() if name not in choices}

    def legalize(self, network: Any) -> tuple[Any, tuple[str, ...]]:
        """Rewrite resets that are the stock LIF's by another name; say what each layer will be and what would change that."""
        reasons = [*target.missing(self, network), *lower.refusals(network), *legalize.refusals(network)]
        if reasons:
            raise Unsupported(reasons, self.name)
        network, notes = legalize.legalize(network)
        if not self.one_leak:
            return network, notes
        network, merged = legalize.merge_leaks(network)
        return network, (*merged, *legalize.legalize(network)[1])

    def alternatives(self, network: Any) -> list[tuple[str, Any]]:
        """A legalized network with one leak a layer, if that puts more of it on a chip."""
        merged, said = legalize.merge_leaks(network)
        return [(f"{'; '.join(said)} (--option leaks=one)", merged)] if said else []

    def lower(self, net: IntegerNetwork, folder: Path, network: Any = None, golden: str = "") -> Artifact:
        """Write Lava's files."""
        why_not = net_file.refusals(net)
        if why_not and self.with_netx:
            raise Unsupported(why_not, "network.net")
        made = lower.lower(net, folder, golden)
        if not why_not:
            net_file.write(net, folder / "network.net")
        about.write(net, folder, "; ".join(why_not))
        return made

    def open(self, folder: Path, runner: str, limit_s: float = 600) -> run.Session:
        """Start a worker in Lava's environment. Raise ToolMissing if there is none."""
        return run.Session(folder, runner, limit_s)

    def bench_learning(self, digits: dict[str, np.ndarray]) -> list[str]:
        """What learning on chip reaches, as lines of a table."""
        return [*trials.report(digits), "", *xor.report()]

    def find_python(self) -> Path:
        """The Python that Lava is in. Raise ToolMissing if there is none."""
        return run.find_python()


TARGET = Loihi()
