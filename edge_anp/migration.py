"""From one compiled network to the next: what a device has learned is kept where it still means the same, and nowhere else.

A layer runs as it did if it has the same name (or place), size, neurons, bias, connections and shipped weights; if everything that it had
learned can be kept; and if the layers that it reads run as they did, for weights mean nothing without what they read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from edge_anp import artifact, integer, journal
from edge_anp import target as targets
from edge_anp.errors import BadFile, Unsupported
from edge_anp.integer import IntegerConnection, IntegerNetwork
from edge_anp.journal import Layout, Saved
from edge_anp.ondevice_plan import weight_of
from edge_anp.topology import INPUT

JOURNAL = "journal.bin"
Place = tuple[int, int]  # (layer, connection)


@dataclass(frozen=True, eq=False)
class Build:
    """A compiled folder that learns."""

    folder: Path
    net: IntegerNetwork
    layout: Layout


@dataclass(frozen=True)
class Fate:
    """What became of one matrix. what: kept, reset, or as shipped (it had learned nothing)."""

    layer: str
    matrix: str
    what: str
    why: str


def open_build(folder: Path) -> Build:
    """Read a compiled folder; raise Unsupported where its target keeps no journal, or nothing in it learns."""
    made = artifact.read(folder)
    machine: Any = targets.find(made.target)
    if not hasattr(machine, "layout"):
        raise Unsupported(f"{folder} is for {made.target}, which keeps no journal; mcu does", made.target)
    if not (folder / "learning.npz").is_file():
        raise Unsupported(f"{folder} was compiled without --learn", made.target)
    return Build(folder, integer.load(folder / "integer.npz"), machine.layout(folder))


def slots_of(build: Build, path: Path, sector: int) -> int:
    """How many slots a dump has."""
    return len(journal.examine(journal.read(path), build.layout, sector))


def read_saved(build: Build, path: Path, sector: int) -> tuple[Saved, Saved | None]:
    """What a device with this build would load from a dump, and its guard's anchor; raise BadFile where it would load nothing."""
    slots = journal.examine(journal.read(path), build.layout, sector)
    place = journal.newest(slots)
    if place is None:
        why = "; ".join(f"slot {k}: {', '.join(slot.problems)}" for k, slot in enumerate(slots))
        raise BadFile(path, f"a device would load nothing of it ({why})", should_be=f"a journal of {build.folder}")
    saved, anchor = slots[place].saved, journal.anchor(slots)
    assert saved is not None
    return saved, None if anchor is None else slots[anchor].saved


def migrate(old: Build, new: Build, saved: Saved) -> tuple[Saved, list[Fate]]:
    """What a device with the new build goes on from, and the fate of every matrix. Raise ValueError where nothing can be kept."""
    learned = dict(zip(_places(old.layout), old.layout.unpack(saved.weights), strict=True))
    changed, twins = changes(old, new)
    masters, fates = [], []
    for i, k in _places(new.layout):
        j = twins.get(i, -1)
        shipped = _shipped(new, i, k)
        reason, found = changed.get(i), learned.get((j, k))
        if reason is not None:
            masters.append(shipped)
            fates.append(_fate(new.net, i, k, "reset", reason))
        elif found is None:
            masters.append(shipped)
            fates.append(_fate(new.net, i, k, "as shipped", "it did not learn before"))
        else:
            masters.append(_converted(found, old.layout.bits, new.layout.bits))
            rounded = old.layout.bits > new.layout.bits
            fates.append(_fate(new.net, i, k, "kept", "fractions of 8 bits are dropped" if rounded else ""))
    for j, k in _places(old.layout):
        if not any(twins.get(i) == j and place == k for i, place in _places(new.layout)):
            fates.append(_fate(old.net, j, k, "reset", "it is not among what the new build learns"))
    if not any(fate.what == "kept" for fate in fates):
        reasons = dict.fromkeys(f"{fate.layer}, {fate.matrix}: {fate.why}" for fate in fates)
        raise ValueError("\n  ".join(["nothing that was learned can be kept:", *reasons]))
    whole = all(fate.what != "reset" for fate in fates)
    running, good = (saved.running, saved.good) if whole else (0, 0)  # else the guard begins anew
    sequence = saved.sequence % (2**32 - 1) + 1  # never 0
    return Saved(sequence, saved.trial, saved.seed, running, good, new.layout.pack(masters)), fates


def write(path: Path, build: Build, saved: Saved, sector: int, force: bool = False, slots: int = journal.SLOTS) -> None:
    """A journal of so many slots that a device with `build` loads; it appears whole or not at all. ValueError for a file that is there."""
    if path.exists() and not force:
        raise ValueError(f"{path} is there already; it must be another file, or --force says that it may be replaced")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(journal.image(build.layout, [saved] + [None] * (slots - 1), sector))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def changes(old: Build, new: Build) -> tuple[dict[int, str], dict[int, int]]:
    """Why each layer of the new build does not run as it did (those that do are absent), and its twin in the old build."""
    twins = {i: j for i in range(len(new.net.layers)) if (j := _twin(old.net, new.net, i)) is not None}
    places = set(_places(new.layout))
    changed: dict[int, str] = {}
    for i, layer in enumerate(new.net.layers):
        if i not in twins:
            changed[i] = f"the old build has no layer {layer.name or i}"
            continue
        lost = [k for j, k in _places(old.layout) if j == twins[i] and (i, k) not in places]
        reasons = [*_differences(old.net, new.net, twins[i], i, twins)]
        reasons += [f"what its {matrix_name(new.net, i, k)} had learned has no place in the new build" for k in lost]
        if reasons:
            changed[i] = "; ".join(reasons)
    while True:
        more = {
            i: f"it reads {source_name(new.net, c.source)}, which does not run as it did"
            for i, layer in enumerate(new.net.layers)
            for c in layer.connections
            if i not in changed and c.source in changed
        }
        if not more:
            return changed, twins
        changed |= more


def _twin(old: IntegerNetwork, new: IntegerNetwork, i: int) -> int | None:
    """The old layer of the same name; where neither has names, of the same place."""
    name = new.layers[i].name
    if name:
        found = [j for j, layer in enumerate(old.layers) if layer.name == name]
        return found[0] if len(found) == 1 and [x.name for x in new.layers].count(name) == 1 else None
    return i if i < len(old.layers) and not old.layers[i].name else None


def _differences(
    old: IntegerNetwork, new: IntegerNetwork, j: int, i: int, twins: Mapping[int, int]
) -> Iterator[str]:  # fmt: skip
    """Every reason why layer i of `new` is not layer j of `old`, as they were shipped."""
    a, b = old.layers[j], new.layers[i]
    if a.shape != b.shape:
        yield f"it has shape {_by(b.shape)}, it had {_by(a.shape)}"
        return
    for field in fields(a.neuron):
        if not _same(getattr(a.neuron, field.name), getattr(b.neuron, field.name)):
            yield f"its neurons' {field.name.replace('_', ' ')} changed"
    if not _same(a.bias, b.bias) or a.bias_into != b.bias_into:
        yield "its bias changed"
    if i == len(new.layers) - 1 and old.decode != new.decode:
        yield f"the answer is read by {new.decode}, it was {old.decode}"
    if len(a.connections) != len(b.connections):
        yield f"it reads {len(b.connections)} sources, it read {len(a.connections)}"
        return
    for k, (c, d) in enumerate(zip(a.connections, b.connections, strict=True)):
        name = matrix_name(new, i, k)
        if (INPUT if d.source == INPUT else twins.get(d.source)) != c.source:
            yield f"its {name} read {source_name(old, c.source)} before"
        elif d.source == INPUT and old.input != new.input:
            yield f"the input changed: {old.input} became {new.input}"
        elif (c.shift, c.delay) != (d.shift, d.delay):
            yield f"its {name} has another shift or delay"
        else:
            yield from _weight_differences(name, c, d)


def _weight_differences(name: str, c: IntegerConnection, d: IntegerConnection) -> Iterator[str]:
    if [op.describe() for op in c.path] != [op.describe() for op in d.path]:
        yield f"its {name} is {' - '.join(op.describe() for op in d.path)}, it was {' - '.join(op.describe() for op in c.path)}"
        return
    for old, new in zip(c.path, d.path, strict=True):
        for field in fields(old):  # type: ignore[arg-type]
            a, b = getattr(old, field.name), getattr(new, field.name)
            if not _same(a, b):
                count = f" in {int((np.asarray(a) != b).sum())} of {np.size(a)}" if np.shape(a) == np.shape(b) else ""
                yield f"its {name} was shipped with another {field.name}{count}"


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, integer.Leak) and isinstance(b, integer.Leak):
        return a.bits == b.bits and bool(np.array_equal(a.keep, b.keep))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return a is not None and b is not None and bool(np.array_equal(np.asarray(a), np.asarray(b)))
    return a == b


def _converted(masters: np.ndarray, bits: int, wanted: int) -> np.ndarray:
    """The same int8 weights, with a fraction of a half, or with none."""
    return masters if bits == wanted else 256 * masters + 128 if wanted == 16 else masters >> 8


def _shipped(build: Build, i: int, k: int) -> np.ndarray:
    w = weight_of(build.net, i, k).T.astype(np.int64) + 128
    return 256 * w + 128 if build.layout.bits == 16 else w


def _places(layout: Layout) -> list[Place]:
    return [(m.layer, m.connection) for m in layout.matrices]


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def source_name(net: IntegerNetwork, source: int) -> str:
    return "the input" if source == INPUT else net.layers[source].name or f"layer {source}"


def matrix_name(net: IntegerNetwork, i: int, k: int) -> str:
    c = net.layers[i].connections[k]
    return "matrix from itself" if c.source == i else f"matrix from {source_name(net, c.source)}"


def _fate(net: IntegerNetwork, i: int, k: int, what: str, why: str) -> Fate:
    return Fate(source_name(net, i), matrix_name(net, i, k), what, why)


def to_json(fates: Sequence[Fate]) -> list[dict[str, str]]:
    return [asdict(fate) for fate in fates]
