"""The digits benchmark as tables: one row a rule, on the terminal and in Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean, stdev

from rich.table import Table


@dataclass(frozen=True)
class Row:
    """A rule at its best rate. validation: mean accuracy that the rate was chosen by; test: one accuracy a seed.

    behind_bptt: points of test accuracy; integer: the accuracy of the same networks in integers, agreement: of their hidden spikes;
    mismatches: spikes and states of the compiled ones that differ from the reference, of so many neuron_steps.
    asked: labels, scores or rewards a run; seconds: a run, the mean.
    """

    rule: str
    signal: str
    look_back: str
    rate: float
    validation: float
    test: tuple[float, ...]
    behind_bptt: float
    integer: tuple[float, ...]
    agreement: float
    mismatches: int
    neuron_steps: int
    asked: dict[str, int]
    seconds: float


HEADINGS = (
    "rule",
    "learns from",
    "look-back",
    "rate",
    "validation",
    "test",
    "each seed",
    "behind BPTT",
    "in integers",
    "spikes agree",
    "ONNX differs",
    "asked a run",
    "seconds",
)
SHOWN = tuple(map(HEADINGS.index, ("rule", "learns from", "test", "behind BPTT", "in integers", "ONNX differs")))


def _cells(row: Row) -> tuple[str, ...]:
    spread = f" ± {stdev(row.test):.3f}" if len(row.test) > 1 else ""
    asked = ", ".join(f"{n:,} {what}" for what, n in row.asked.items())
    each = " ".join(f"{a:.3f}" for a in row.test)
    accuracy = (f"{row.validation:.3f}", f"{mean(row.test):.3f}{spread}", each, f"{row.behind_bptt:+.1f}")
    shipped = (f"{mean(row.integer):.3f}", f"{row.agreement:.3f}", f"{row.mismatches} of {row.neuron_steps:,}")
    return (row.rule, row.signal, row.look_back, f"{row.rate:g}", *accuracy, *shipped, asked, f"{row.seconds:.0f}")


def _describe(settings: dict[str, object]) -> str:
    return (
        f"{settings['seeds']} seeds, {settings['updates']} updates of batch {settings['batch']}, Adam annealed along a cosine; "
        f"rate from {settings['rates']}, chosen on the validation part; then trained anew on training and validation part"
    )


def table(rows: list[Row], settings: dict[str, object]) -> Table:
    """What fits on a terminal; the rest is in digits.md."""
    shown = Table(*(HEADINGS[k] for k in SHOWN), title="digits, row by row", caption=_describe(settings))
    for row in rows:
        shown.add_row(*(_cells(row)[k] for k in SHOWN))
    return shown


def markdown(rows: list[Row], settings: dict[str, object]) -> str:
    """The whole table, and how to read it."""
    lines = ["# Learning rules on handwritten digits", "", f"`edge-anp bench digits`: {_describe(settings)}.", ""]
    lines += ["| " + " | ".join(cells) + " |" for cells in (HEADINGS, ("---",) * len(HEADINGS), *map(_cells, rows))]
    notes = [
        "Accuracy: share of the 360 test samples, mean and standard deviation over seeds; each seed, from the worst. One seed is",
        "uncertain by 0.015. Seconds: of one training on one thread. Label, score and reward are different signals: a reward is one",
        "right or wrong a trial.",
    ]
    return "\n".join([*lines, "", *notes, ""])
