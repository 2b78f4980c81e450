"""`edge-anp replay`: a log and a compiled folder, repeated by the reference or by a target's own code."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_anp import artifact, journal, ondevice_plan, trial_log
from edge_anp import target as targets
from edge_anp.errors import BadFile
from edge_anp.migration import open_build, read_saved


@dataclass(frozen=True)
class Replayed:
    """What was equal. crc: of the masters, at the end."""

    log: str
    trials: int
    records: int
    crc: str
    by: str
    cut: bool

    def sentence(self) -> str:
        cut = "; its last record is cut off" if self.cut else ""
        return f"{self.log}: {self.trials} trials, {self.records} records, replayed by {self.by}: all equal; weights {self.crc}{cut}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def replay_file(
    folder: Path, path: Path, journal_path: Path | None, runner: str | None, sector: int = journal.SECTOR,
    seen: Callable[[int, int], None] | None = None, slots: int = journal.SLOTS,
) -> Replayed:  # fmt: skip
    """Replay a log of a device whose flash has so many slots; raise Divergence at the first difference, BadFile for another model's log."""
    if slots not in (2, journal.SLOTS):
        raise ValueError(f"--slots is {slots}; a journal has 2 or {journal.SLOTS}")
    build = open_build(folder)
    log = trial_log.read(path, build.net.input.size)
    for name, found, wanted in (
        ("network", log.network, build.layout.network),
        ("learning plan", log.learner, build.layout.learner),
    ):
        if found != wanted:
            raise BadFile(path, f"it is of another {name}, {found:08x}", "byte 8", f"of {folder}, {wanted:08x}")
    saved, anchor = (None, None) if journal_path is None else read_saved(build, journal_path, sector)
    plan = ondevice_plan.load(folder / "learning.npz")
    if runner is None:
        opened: Any = nullcontext(trial_log.Reference(build.net, plan, build.layout, saved, anchor, slots))
    else:
        machine: Any = targets.find(artifact.read(folder).target)
        if not targets.listed(runner, machine.runners):
            raise ValueError(f"--runner is {runner!r}; it must be one of {', '.join(machine.runners)}")
        opened = machine.open_learner(folder, runner, slots=slots)
    with opened as desk:
        if saved is not None and runner is not None:
            desk.put_flash(journal.image(build.layout, [saved, anchor, None]))
        for done in trial_log.replay(log, desk, saved):
            if seen is not None:
                seen(done, len(log.records))
        crc = desk.crc()
    trials = sum(record.letter == "N" for record in log.records)
    return Replayed(str(path), trials, len(log.records), f"{crc:08x}", runner or "the reference", log.cut)
