"""The curves of `edge-anp bench ondevice` as an SVG: accuracy over trials, a panel a task, the mean over networks."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 560, 340, 44, 30, 40
COLORS = {"label": "#060", "two answers": "#06c", "one answer": "#c30"}
DASHES = {"all": "", "input,readout": "6 3", "readout": "2 3"}
OTHERS = {"REINFORCE": "#999", "queries": "#333", "perturbation": "#c9c"}


def curves(rows: Sequence[dict[str, Any]], task: str) -> list[tuple[str, str, str, list[tuple[int, float]]]]:
    """(name, color, dashes, points) of every learner that is drawn: int16, 4000 trials, the first stream."""
    found = []
    some = [r for r in rows if r["task"] == task and r["bits"] == 16 and r["trials"] == 4000 and r["stream"] == 0]
    for by, learn, world in dict.fromkeys((r["by"], r["learn"], r["world"]) for r in some if r["by"] != "float"):
        lines = [r["curve"] for r in some if (r["by"], r["learn"], r["world"]) == (by, learn, world)]
        points = [(int(at[0][0]), mean(a for _, a in at)) for at in zip(*lines, strict=True)]
        name = f"{world}, {learn}" if by == "rule" else by
        found.append((name, OTHERS.get(by, COLORS[world]), DASHES[learn], points))
    return found


def svg(rows: Sequence[dict[str, Any]]) -> str:
    """All panels, one below the other."""
    names = list(dict.fromkeys(r["task"] for r in rows))
    parts = [_panel(rows, name, k * HEIGHT) for k, name in enumerate(names)]
    size = f'width="{WIDTH + 190}" height="{HEIGHT * len(names)}"'
    font = 'font-family="sans-serif" font-size="12"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'


def _panel(rows: Sequence[dict[str, Any]], task: str, down: int) -> str:
    drawn = curves(rows, task)
    last = max((points[-1][0] for *_, points in drawn), default=1)
    x = lambda trial: LEFT + trial / last * (WIDTH - LEFT - 10)  # noqa: E731
    y = lambda accuracy: down + HEIGHT - BOTTOM - accuracy * (HEIGHT - BOTTOM - TOP)  # noqa: E731
    out = [f'<text x="{LEFT}" y="{down + 18}">{task}: accuracy over trials (mean over networks)</text>']
    for a in (0.2, 0.4, 0.6, 0.8, 1.0):
        out.append(
            f'<path d="M{LEFT} {y(a):.1f}H{WIDTH - 10}" stroke="#ddd"/><text x="10" y="{y(a) + 4:.1f}">{a:.1f}</text>'
        )
    for k in range(5):
        out.append(
            f'<text x="{x(last * k / 4):.0f}" y="{down + HEIGHT - 20}" text-anchor="middle">{last * k // 4}</text>'
        )
    for k, (name, color, dashes, points) in enumerate(drawn):
        style = f'fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"'
        line = " ".join(f"{x(t):.1f},{y(a):.1f}" for t, a in points)
        at = down + TOP + 16 * k
        out.append(
            f'<polyline points="{line}" {style}/><path d="M{WIDTH} {at}h24" {style}/><text x="{WIDTH + 30}" y="{at + 4}">{name}</text>'
        )
    return "".join(out)
