"""A run's progress on the terminal: updates, loss, spike rate, time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

MEMORY = 0.95  # of the running mean of the loss that is shown


@contextmanager
def show(what: str, updates: int, visible: bool, rates: bool = False) -> Iterator[Callable[[int, float, float], None]]:
    """A bar for fit's `seen`; nothing is shown unless `visible`. rates: the neurons send numbers, not spikes."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[now]}"))
    with Progress(*columns, TimeRemainingColumn(), disable=not visible) as progress:
        bar, sent = progress.add_task(what, total=updates, now=""), "activity" if rates else "spikes"
        mean: float | None = None

        def seen(k: int, loss: float, spike_rate: float) -> None:
            nonlocal mean
            mean = loss if mean is None else MEMORY * mean + (1 - MEMORY) * loss
            progress.update(bar, completed=k + 1, now=f"loss {mean:.3f}, {sent} {spike_rate:.1%}")

        yield seen
