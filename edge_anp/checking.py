"""What `edge-anp check` finds out in seconds, without data: what is read or refused, per layer and per target, and what it will need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from edge_anp import report, sources
from edge_anp import target as targets
from edge_anp.errors import Unsupported


def check_model(
    model: str,
    names: Sequence[str] | None,
    weights: Path | None,
    shape: tuple[int, ...] | None,
    decode: str | None,
    out: Console,
    err: Console,
) -> tuple[bool, dict[str, Any]]:
    """Print it; return whether the model is read and every target can run it, and the same for programs."""
    try:
        opened = sources.open_model(model, weights, shape, decode=decode)
    except Unsupported as refusal:
        err.print(str(refusal), markup=False, highlight=False)
        return False, {"read": False, "reasons": list(refusal.reasons), "targets": {}}
    machines = {name: targets.find(name) for name in names or targets.available()}
    found = {name: targets.review(machine, opened.network) for name, machine in machines.items()}
    reasons = {name: list(why) for name, (why, _) in found.items()}
    sizes = {name: targets.sizes(machine, opened.network) for name, machine in machines.items() if not reasons[name]}
    out.print(report.layer_table(opened.network))
    for note in opened.reading.notes if opened.reading else ():
        out.print(f"note: {note}", markup=False)
    out.print(report.target_table(reasons, sizes))
    for name, (_, notes) in found.items():
        for note in notes:
            out.print(f"{name}: {note}", markup=False, highlight=False)
    notes = {name: list(notes) for name, (_, notes) in found.items()}
    known = {name: of for name, of in sizes.items() if of}
    return not any(reasons.values()), {"read": True, "reasons": [], "targets": reasons, "sizes": known, "notes": notes}
