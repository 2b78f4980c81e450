"""Raw files of named tasks: where they are looked for, and what is said when they are not there."""

from __future__ import annotations

import os
from pathlib import Path

from edge_anp.errors import BadFile

VARIABLE = "EDGE_ANP_DATA"


def find(data: str | Path | None, task: str, *names: str) -> Path:
    """The first of `names` in --data (a file, its folder, or the folder above), else in the folder that EDGE_ANP_DATA names."""
    roots = [Path(data)] if data is not None else [Path(p) for p in (os.environ.get(VARIABLE),) if p]
    for root in roots:
        if root.is_file():
            return root
        for name in names:
            for place in (root / name, root / Path(name).name):
                if place.is_file():
                    return place
    wanted = f"a folder with {' or '.join(names)}, given by --data or by the environment variable {VARIABLE}"
    where = roots[0] if roots else Path(names[0])
    raise BadFile(where, f"the data of the task {task} are not there", should_be=wanted)


__all__ = ["VARIABLE", "find"]
