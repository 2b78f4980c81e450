"""The curves of a soak as an SVG: accuracy over trials, the bad stretches shaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_anp.bench_soak import Soak

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 900, 420, 50, 20, 110
COLORS = ("#06c", "#c30", "#090", "#808")


def plot(soaks: Sequence[Soak], path: Path) -> None:
    """One line a course, trials on the axis."""
    from edge_anp.bench_soak import STRETCHES

    trials = soaks[0].trials
    x = lambda trial: LEFT + trial / trials * (WIDTH - LEFT - 20)  # noqa: E731
    y = lambda accuracy: HEIGHT - BOTTOM - accuracy * (HEIGHT - BOTTOM - TOP)  # noqa: E731
    parts = [
        f'<rect x="{x(a * trials):.0f}" y="{y(1):.0f}" width="{x(b * trials) - x(a * trials):.0f}" height="{y(0) - y(1):.0f}" fill="#eee"/>'
        f'<text x="{x((a + b) / 2 * trials):.0f}" y="{y(1) - 5:.0f}" text-anchor="middle">{world}</text>'
        for world, (a, b) in STRETCHES.items()
    ]
    parts += [
        f'<text x="20" y="{y(a):.0f}">{a:.1f}</text><path d="M{LEFT} {y(a):.0f}H{WIDTH - 20}" stroke="#ddd"/>'
        for a in (0, 0.2, 0.4, 0.6, 0.8, 1)
    ]
    parts += [
        f'<text x="{x(trials * k / 4):.0f}" y="{y(0) + 16:.0f}" text-anchor="middle">{trials * k // 4:,}</text>'
        for k in range(5)
    ]
    for k, (soak, color) in enumerate(zip(soaks, COLORS, strict=False)):
        points = " ".join(f"{x(p.trial):.1f},{y(p.accuracy):.1f}" for p in soak.points)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        parts.append(f'<text x="{LEFT}" y="{y(0) + 40 + 18 * k:.0f}" fill="{color}">{soak.name}</text>')
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )
