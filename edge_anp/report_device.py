"""A device's journal and its migration, as tables for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from edge_anp import journal, migration
from edge_anp.errors import BadFile
from edge_anp.journal import Slot
from edge_anp.migration import Build, Fate
from edge_anp.ondevice_plan import weight_of


@dataclass(frozen=True, eq=False)
class Found:
    """A dump, examined. loaded: the slot that the device would load; crc: of its masters, as ea_learn_crc gives it."""

    path: Path
    build: Build
    slots: tuple[Slot, ...]
    loaded: int | None
    masters: list[np.ndarray]
    hint: str

    @property
    def damaged(self) -> bool:
        """Whether anything is there that is neither whole nor erased."""
        return any(slot.problems and not slot.erased for slot in self.slots)

    @property
    def crc(self) -> str:
        return f"{journal.masters_crc(self.masters, self.build.layout.bits):08x}" if self.loaded is not None else ""


def examine(build: Build, path: Path, sector: int) -> Found:
    """Raise BadFile for a dump that is of another model, or is none."""
    if sector < journal.WEIGHTS_AT:
        raise ValueError(f"--sector is {sector}; it must be at least {journal.WEIGHTS_AT}")
    data = journal.read(path)
    slots = journal.examine(data, build.layout, sector)
    loaded = journal.newest(slots)
    if loaded is None and journal.foreign(slots):
        what = "; ".join(f"slot {k}: {', '.join(slot.problems)}" for k, slot in enumerate(slots))
        raise BadFile(
            path, f"the device would refuse it, for it is another model's ({what})", should_be=f"of {build.folder}"
        )
    saved = None if loaded is None else slots[loaded].saved
    masters = [] if saved is None else build.layout.unpack(saved.weights)
    return Found(path, build, slots, loaded, masters, _hint(data, slots, sector))


def _hint(data: bytes, slots: Sequence[Slot], sector: int) -> str:
    """Where heads lie that no slot begins with: the sector is likely another."""
    magic, places, at = journal.MAGIC.to_bytes(4, "little"), [], -1
    while (at := data.find(magic, at + 1)) >= 0:
        places += [at] if at not in [slot.at for slot in slots] and at % journal.WEIGHTS_AT == 0 else []
    return f"a head lies at byte {places[0]}, where no slot begins: is the sector {sector} bytes?" if places else ""


def tables(found: Found) -> Iterator[Table]:
    """The slots, and what was learned."""
    anchor = journal.anchor(found.slots)
    table = Table(
        "", *(f"slot {k}" for k in range(len(found.slots))), title=f"{found.path}: the journal of {found.build.folder}"
    )
    rows: dict[str, list[str]] = {
        "byte": [str(slot.at) for slot in found.slots],
        "state": [", ".join(slot.problems) or "whole" for slot in found.slots],
        "the device loads": ["this one" if k == found.loaded else "" for k in range(len(found.slots))],
        "the guard's anchor": ["this one" if k == anchor else "" for k in range(len(found.slots))],
    }
    for name, form in (
        ("sequence", "d"),
        ("trial", "d"),
        ("seed", "d"),
        ("network", "08x"),
        ("learner", "08x"),
        ("weights_crc", "08x"),
    ):
        rows[name.replace("_", " ")] = [format(s.head[name], form) if s.head else "" for s in found.slots]
    for name in ("running", "good"):
        rows[f"reward, {'fast' if name == 'running' else 'slow'} mean"] = [
            f"{s.head[name] / 32768:.3f}" if s.head else "" for s in found.slots
        ]
    for name, texts in rows.items():
        table.add_row(name, *texts)
    table.caption = found.hint or ("" if found.loaded is not None else "nothing is loaded: the shipped weights stay")
    yield table
    if found.loaded is None:
        return
    learned = Table(
        "layer",
        "matrix",
        "weights",
        "moved",
        "largest move",
        "at an end",
        title=f"what was learned; weights {found.crc}",
    )
    for m, u in zip(found.build.layout.matrices, found.masters, strict=True):
        row = _learned(found, m, u)
        learned.add_row(
            row["layer"], row["matrix"], *(str(row[k]) for k in ("weights", "moved", "largest_move", "at_an_end"))
        )
    yield learned


def _learned(found: Found, m: journal.Matrix, u: np.ndarray) -> dict[str, Any]:
    """How far a matrix has moved from what was shipped, in steps of int8."""
    net, one = found.build.net, 256 if m.low is not None else 1
    w = u // one - 128
    move = w - weight_of(net, m.layer, m.connection).T.astype(np.int64)
    return {
        "layer": migration.source_name(net, m.layer),
        "matrix": migration.matrix_name(net, m.layer, m.connection),
        "weights": w.size,
        "moved": int((move != 0).sum()),
        "largest_move": int(np.abs(move).max()),
        "at_an_end": int(((w == -128) | (w == 127)).sum()),
    }


def to_json(found: Found) -> dict[str, Any]:
    return {
        "slots": [{"at": s.at, "problems": list(s.problems), **s.head} for s in found.slots],
        "loaded": found.loaded,
        "anchor": journal.anchor(found.slots),
        "damaged": found.damaged,
        "masters_crc": found.crc,
        "learned": [_learned(found, m, u) for m, u in zip(found.build.layout.matrices, found.masters, strict=False)],
        "hint": found.hint,
    }


def fate_table(fates: Sequence[Fate]) -> Table:
    """What was kept, layer by layer."""
    table = Table("layer", "matrix", "learned weights", "why", title="migration")
    for fate in fates:
        table.add_row(fate.layer, fate.matrix, fate.what, fate.why)
    return table
