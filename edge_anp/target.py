"""Target: a machine that runs integer networks. This file is the seam between the library and `targets/`.

Targets are found in the entry-point group `edge_anp.targets`, so somebody else's installs beside ours.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from edge_anp import artifact, integer, ondevice_plan
from edge_anp.artifact import Artifact
from edge_anp.errors import ToolMissing, Unsupported
from edge_anp.integer import Arithmetic, IntegerNetwork, Trace
from edge_anp.kinds import KINDS, find_kinds, kinds
from edge_anp.ondevice_plan import LearningPlan

GROUP = "edge_anp.targets"


@runtime_checkable
class Session(Protocol):
    """A network running on a machine; a context manager, because a machine may be a process or a board.

    ran: what executes it, with its version.
    """

    @property
    def ran(self) -> str: ...
    def __enter__(self) -> Session: ...
    def __exit__(self, *error: object) -> None: ...
    def reset(self) -> None:
        """Silence: every state and every delayed spike is zero."""
        ...

    def step(self, x: np.ndarray) -> Trace:
        """Advance by one step: input [I] -> spikes and states [N], in the machine's own number types."""
        ...

    def run(self, raster: np.ndarray) -> Trace:
        """Run from silence: raster [T, I] -> spikes and states [T, N]."""
        ...


@runtime_checkable
class Target(Protocol):
    """A machine.

    arithmetics: what it computes exactly, the preferred one first.
    runners: the ways it can be run; the `exact` ones equal the reference to the last bit, the others are reported.
        One that ends in a colon stands for all that begin so: `serial:` for serial:/dev/ttyACM0.
    supports: for each of KINDS, "" or the reason why not.

    It may also have `by_default`: the runners that `verify` takes where none is named (without it: all); `options`: what a user may choose,
    each a text, taken by `lower` by keyword, or before anything else by `configured(options)` -> (the target so chosen, what is left for
    `lower`); `alternatives(network)`: (what it is, a float network) that it would rather run; `sizes(network)`: the bytes that a network
    will need, by kind of memory, before any training; and, where networks learn on it, `open_learner` (device_learning.py), with
    `learners`: the runners that do, where those are not `runners`.
    """

    @property
    def name(self) -> str: ...
    @property
    def arithmetics(self) -> tuple[Arithmetic, ...]: ...
    @property
    def runners(self) -> tuple[str, ...]: ...
    @property
    def exact(self) -> tuple[str, ...]: ...
    @property
    def supports(self) -> Mapping[str, str]: ...

    def legalize(self, network: Any) -> tuple[Any, tuple[str, ...]]:
        """A float network as this machine can run it, and what that loses. Raise Unsupported, all reasons at once."""
        ...

    def lower(self, net: IntegerNetwork, folder: Path, network: Any = None, golden: str = "") -> Artifact:
        """Write the machine's own files for `net` into `folder`; `network` is the float network with numpy arrays.

        Raise Unsupported, all reasons at once, before any file is written.
        """
        ...

    def open(self, folder: Path, runner: str, limit_s: float = 600) -> Session:
        """Start a runner on what `lower` wrote. limit_s: for one answer of a process or board outside this one.

        Raise BadFile for files that are not what `lower` writes.
        """
        ...


def available() -> tuple[str, ...]:
    """The names of the installed targets."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def find(name: str) -> Target:
    """The installed target of that name. Raise ValueError if there is none, ToolMissing if it cannot be imported."""
    found = entry_points(group=GROUP, name=name)
    if not found:
        there = ", ".join(available()) or "one of an installed edge-anp (`pip install edge-anp`)"
        raise ValueError(f"the target is {name!r}; it must be {there}")
    (entry, *_) = found
    try:
        target = entry.load()
    except Exception as error:  # a target may be anybody's, and fail in any way
        raise ToolMissing(f"target {name}", _remedy(entry.module, error)) from error
    if not isinstance(target, Target) or target.name != name:
        raise ToolMissing(f"target {name}", f"{entry.value} is no Target of that name; see edge_anp/target.py")
    return target


def _remedy(module: str, error: Exception) -> str:
    top = module.partition(".")[0]
    spec = importlib.util.find_spec(top)
    places = [] if spec is None else [p for p in (spec.origin, *(spec.submodule_search_locations or ())) if p]
    if isinstance(error, ImportError | AttributeError) and places and not _holds(places[-1], module):
        return (
            f"{module} is not in {places[-1]}, which hides the installed package `{top}`: rename it, or run elsewhere"
        )
    return f"importing {module} fails ({type(error).__name__}: {error}); install what it needs"


def _holds(place: str, module: str) -> bool:
    path = Path(place).joinpath(*module.split(".")[1:])
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def listed(runner: str, runners: Sequence[str]) -> bool:
    """Whether `runner` is one of `runners`, or begins as one that ends in a colon and goes on."""
    return any(runner.startswith(name) and runner != name if name.endswith(":") else runner == name for name in runners)


def by_default(target: Target) -> tuple[str, ...]:
    """The runners that are taken where none is named."""
    return getattr(target, "by_default", target.runners)


def sizes(target: Target, network: Any) -> dict[str, int]:
    """The bytes that a network will need, by kind of memory, where the target can say."""
    tell = getattr(target, "sizes", None)
    return {} if tell is None else tell(network)


def configure(target: Target, options: Mapping[str, str]) -> tuple[Target, Mapping[str, str]]:
    """The target as `options` set it, and those that are left for `lower`."""
    choose = getattr(target, "configured", None)
    return (target, options) if choose is None else choose(options)


def alternatives(target: Target, network: Any) -> Sequence[tuple[str, Any]]:
    """Float networks that the target would rather run than a legalized one, each with what it is and how to get it."""
    offer = getattr(target, "alternatives", None)
    return () if offer is None else offer(network)


def missing(target: Target, network: Any) -> list[str]:
    """Every reason why `target` cannot run a Network or an IntegerNetwork; none, if it can."""
    places: dict[str, list[str]] = {}
    for kind, place in find_kinds(network):
        places.setdefault(kind, []).append(place)
    reasons = []
    if isinstance(network, IntegerNetwork) and network.arithmetic not in target.arithmetics:
        takes = " or ".join(a.name for a in target.arithmetics)
        reasons.append(
            f"its arithmetic is {network.arithmetic.name}; {target.name} computes {takes}: quantize it for that"
        )
    for kind, where in places.items():
        reason = target.supports.get(kind, "the target does not say that it can")
        if reason:
            reasons.append(f"{', '.join(where)}: {kind}: {reason}")
    return reasons


def review(target: Target, network: Any) -> tuple[list[str], tuple[str, ...]]:
    """(every reason why `target` cannot run a network, what it would make of it): before training, without data."""
    reasons = missing(target, network)
    if isinstance(network, IntegerNetwork):
        return reasons, ()
    try:
        _, notes = target.legalize(network)
    except Unsupported as refusal:
        return list(dict.fromkeys([*reasons, *refusal.reasons])), ()
    return reasons, notes


def compile_to(
    target: Target,
    net: IntegerNetwork,
    folder: Path,
    network: Any,
    rasters: Sequence[np.ndarray],
    options: Mapping[str, str] | None = None,
    learning: LearningPlan | None = None,
) -> Artifact:
    """Compile `net` for `target` into `folder`, with the reference's answers to `rasters` [T, I] as golden vectors.

    network: the float network with numpy arrays, or None. options: of this target alone.
    learning: what of the network goes on learning there. Raise Unsupported, all reasons, before any file is written. The files
    are made beside `folder` and moved into it, artifact.json last: a crash leaves the old artifact or none.
    """
    options, known = options or {}, getattr(target, "options", ())
    for name in sorted(set(options) - set(known)):
        raise ValueError(f"{target.name} has no option {name!r}; it has {', '.join(known) or 'none'}")
    reasons = missing(target, net)
    if reasons:
        raise Unsupported(reasons, target.name)
    if learning is not None and not hasattr(target, "open_learner"):
        raise Unsupported("it does not learn; compile without --learn", target.name)
    extra: dict[str, Any] = {} if learning is None else {"learning": learning}
    golden = artifact.make_golden(net, rasters)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as place:
        made = target.lower(net, Path(place), network, golden=artifact.digest(golden), **options, **extra)
        if learning is not None:
            ondevice_plan.save(learning, Path(place) / "learning.npz")
        integer.save(net, Path(place) / "integer.npz")
        artifact.write_golden(Path(place), golden)
        if network is not None:
            from edge_anp import network as floats

            floats.save(network, Path(place) / "network.npz")
        folder.mkdir(exist_ok=True)
        for name in (artifact.NAME, "network.npz", "network.net", "learning.npz"):
            (folder / name).unlink(missing_ok=True)
        for path in sorted(p for p in Path(place).rglob("*") if p.is_file()):
            there = folder / path.relative_to(place)
            there.parent.mkdir(parents=True, exist_ok=True)
            path.replace(there)
        made = replace(made, folder=folder)
        artifact.write(made)
    return made


__all__ = ["KINDS", "Artifact", "Session", "Target", "available", "compile_to", "find", "kinds", "missing", "review"]
