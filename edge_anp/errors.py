"""Everything that edge-anp refuses to do, five kinds and no more, with the exit code of the command line.

    EdgeAnpError
    ├── Unsupported   2   a network or an option that a reader or a target cannot honor: every reason, one a line, with the remedy
    ├── OutOfRange    2   a number does not fit its register: layer, number, limit
    ├── Divergence    1   a target's spikes or states differ from the reference: the first difference
    ├── ToolMissing   3   a program or package is absent: how to get it
    └── BadFile       2   a file is not what it should be: what, where in the file, what it should be

A bad argument is a ValueError (exit code 2): what it is, what it must be.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class EdgeAnpError(Exception):
    """Base of all errors that are meant for a person to read."""

    exit_code = 2


class Unsupported(EdgeAnpError):
    """What cannot be honored exactly. `reasons` holds all of them; `who` says who refuses."""

    def __init__(self, reasons: str | Iterable[str], who: str = "") -> None:
        self.reasons = (reasons,) if isinstance(reasons, str) else tuple(reasons)
        self.who = who
        head = f"{who} cannot run this network" if who else "this network cannot be used"
        super().__init__(f"{head}:\n" + "\n".join(f"  {reason}" for reason in self.reasons))


class OutOfRange(EdgeAnpError):
    """A number does not fit its register."""


class Divergence(EdgeAnpError):
    """A target does not compute what the reference computes."""

    exit_code = 1


class ToolMissing(EdgeAnpError):
    """`tool` is not here; `remedy` says how to get it."""

    exit_code = 3

    def __init__(self, tool: str, remedy: str) -> None:
        self.tool, self.remedy = tool, remedy
        super().__init__(f"{tool} is missing; {remedy}")


class BadFile(EdgeAnpError):
    """`path` is not usable: `what` is wrong, `where` in the file, and what it `should_be`."""

    def __init__(self, path: str | Path, what: str, where: str = "", should_be: str = "") -> None:
        self.path, self.what, self.where, self.should_be = Path(path), what, where, should_be
        place = f" ({where})" if where else ""
        remedy = f"; it must be {should_be}" if should_be else ""
        super().__init__(f"{path}{place}: {what}{remedy}")
