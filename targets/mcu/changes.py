"""Which C files of a folder are not as this edge-anp writes them: a difference is then looked for where somebody was."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from edge_anp.integer import IntegerNetwork
from targets.mcu import build, model, tables


def changes(folder: Path, net: IntegerNetwork, prefix: str) -> Iterator[tuple[str, int]]:
    """(file, first line) of each, tables first; another version of edge-anp may have written it, or an editor."""
    table = tables.write(net)
    texts = {
        "model.c": model.source(table, net, prefix),
        "model.h": model.header(table, net, prefix),
        "edge_anp.c": build.amalgamate(),
        **{name: (build.RUNTIME / name).read_text() for name in ("edge_anp.h", "edge_anp_table.h")},
    }
    for name, text in texts.items():
        pairs = zip_longest(text.splitlines(), (folder / name).read_text(errors="replace").splitlines())
        lines = [k for k, (written, found) in enumerate(pairs, 1) if written != found]
        if lines:
            yield name, lines[0]
