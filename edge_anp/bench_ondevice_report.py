"""What `edge-anp bench ondevice` writes: a row for each task, world and learner, spoken digits, and costs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from edge_anp import bench_cells

HEAD = """# Learning on the device

Written by `edge-anp bench ondevice`. Inputs -> 128 recurrent LIF -> readout, trained with labels on the host (600 updates), quantized;
40 % of the input channels rewired; then trials of the C learner on this machine, equal bit by bit to `ondevice.py` and every emulated
core (braille7 updates at one step in four). Trials come from the training split, accuracies from the untouched test split.
Regained: (after - drifted) / (before - drifted), of means. Rates follow from calibration; their constants were chosen on networks of
seeds 100 to 107, which no row shows. Not blind: that a wrong answer pushes all others, half of it evenly, was added after two networks
of braille7 never again gave three of their classes; the half was one of 0, 1/4, 1/2 and all that were tried. Curves: ondevice.svg.

"""
COLUMNS = ("task", "the world gives", "learns", "by", "masters", "guard", "trials", "courses", "before", "drifted", "after", "regained",
           "least after - drifted", "answers a trial")  # fmt: skip
NAMES = {"rule": "the device's rule", "perturbation": "node perturbation, antithetic", "float": "the rule in floats, on the host",
         "REINFORCE": "REINFORCE, in floats, same rates", "queries": "4 score queries, in floats, same rates"}  # fmt: skip


def regained(rows: Sequence[dict[str, Any]]) -> float:
    """Of what the drift took, the share that came back: of the means over networks."""
    before, drifted, after = (mean(r[name] for r in rows) for name in ("before", "drifted", "after"))
    return (after - drifted) / (before - drifted)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    kinds: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for r in rows:
        kind = tuple(r[n] for n in ("task", "world", "learn", "by", "bits", "guarded", "trials"))
        kinds.setdefault((*kind, r["stream"] > 0), []).append(r)
    for kind in dict.fromkeys(k[:-1] for k in kinds):
        first, more = kinds.get((*kind, False), []), kinds.get((*kind, True), [])
        lines += [_line(kind, some) for some in ([first] if not more else [first, first + more])]
    return "\n".join(lines) + "\n"


def _line(kind: tuple[Any, ...], rows: Sequence[dict[str, Any]]) -> str:
    task, world, learn, by, bits, guarded, trials = kind
    networks, streams = len({r["seed"] for r in rows}), len({r["stream"] for r in rows})
    values = [mean(r[n] for r in rows) for n in ("before", "drifted", "after")]
    words = [
        task, world, learn, NAMES[by], f"int{bits}" if by in ("rule", "perturbation") else "float32",
        "on" if guarded and by == "rule" else "off", f"{trials}", f"{networks} x {streams}", *(f"{v:.3f}" for v in values),
        f"{regained(rows):.0%}", f"{min(r['after'] - r['drifted'] for r in rows):+.3f}", f"{mean(r['asked'] for r in rows):.2f}",
    ]  # fmt: skip
    return "| " + " | ".join(words) + " |"


def kept(out: Path) -> dict[str, Any]:
    """What `out`/ondevice.json holds: rows of courses, rows of spoken digits, the table of costs."""
    file = out / "ondevice.json"
    content = json.loads(file.read_text()) if file.is_file() else {}
    return {"courses": [], "spoken": [], "cost": "", **(content if isinstance(content, dict) else {})}


def done(out: Path, kind: str) -> dict[str, dict[str, Any]]:
    """Rows by their keys: of ondevice.json, and of the file that a bench which was stopped left."""
    return {r["key"]: r for r in kept(out)[kind]} | bench_cells.read(out / "cells" / f"ondevice_{kind}.jsonl")


def write(out: Path, **parts: Any) -> None:
    """ondevice.md, ondevice.svg and ondevice.json, with these parts (courses, spoken, cost) anew."""
    from edge_anp import bench_ondevice_plot, bench_ondevice_spoken

    content = kept(out) | {k: list(v.values()) if isinstance(v, dict) else v for k, v in parts.items()}
    out.mkdir(parents=True, exist_ok=True)
    cost = str(content["cost"])
    texts = [
        HEAD,
        table(content["courses"]),
        bench_ondevice_spoken.table(content["spoken"]),
        f"\n{cost}" if cost else "",
    ]
    (out / "ondevice.md").write_text("".join(texts))
    (out / "ondevice.svg").write_text(bench_ondevice_plot.svg(content["courses"]))
    (out / "ondevice.json").write_text(json.dumps(content) + "\n")
