"""The learning curve of a run as a picture; matplotlib is an extra (`pip install edge-anp[plot]`), and without it there is none."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

SMOOTH = 20  # updates that the line is a running mean of


def draw(path: Path, losses: Mapping[str, Sequence[float]]) -> bool:
    """Write a PNG of loss over updates; return whether there was anything to draw it with."""
    if importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, each in losses.items():
        y = np.asarray(each, np.float64)
        (line,) = axes.plot(y, alpha=0.25, linewidth=0.5)
        window = min(SMOOTH, len(y))
        mean = np.convolve(y, np.ones(window) / window, "valid")
        axes.plot(np.arange(window - 1, len(y)), mean, color=line.get_color(), label=name)
    axes.set(xlabel="update", ylabel="loss")
    axes.legend()
    figure.savefig(path, dpi=120)
    return True
