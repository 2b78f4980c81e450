"""Data as rasters: a task by name, or the user's own file."""

from __future__ import annotations

from pathlib import Path

from edge_anp.errors import BadFile
from edge_anp.tasks.samples import Samples, Task

EMBEDDED = ("digits", "mackey_glass", "mackey_glass_forecast", "copying")  # nothing has to be there
NAMES = (
    *EMBEDDED,
    "braille7",
    "fsdd",
    "kws",
    "mnist",
    "psmnist",
    "weather",
)  # these read files: --data, or EDGE_ANP_DATA


def load(name: str | Path, data: str | Path | None = None) -> Task:
    """The task `name`: one of NAMES, a `.npz`, or `file.py:function`; data: raw folder or file of a named task that reads files.

    Raise BadFile for a file that is no task, ValueError for a name that is none.
    """
    from edge_anp import sources
    from edge_anp.tasks import digits, files, recordings, sequences

    path, function = sources.split_attribute(str(name))
    own = function is not None or path.suffix == ".npz"
    if data is not None and str(name) not in recordings.READERS:
        raise ValueError(f"--data goes with a task that has raw files; {name} has its data inside")
    if function is not None:
        return files.draw(path, function)
    if own:
        return files.open_npz(path)
    if str(name) == "digits":
        return digits.load()
    if str(name) in sequences.MAKERS:
        return sequences.MAKERS[str(name)]()
    if str(name) in recordings.READERS:
        return recordings.READERS[str(name)](data)
    if path.exists():
        raise BadFile(path, "it is no task", should_be="a .npz, or file.py:function")
    raise ValueError(f"the task is {str(name)!r}; it must be one of {', '.join(NAMES)}, a .npz, or file.py:function")


__all__ = ["EMBEDDED", "NAMES", "Samples", "Task", "load"]
