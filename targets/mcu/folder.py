"""What goes into a firmware project beside the runtime and the tables: build files, example programs, a page to read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge_anp import __version__
from edge_anp.integer import IntegerNetwork
from targets.mcu.tables import Table

TEMPLATES = Path(__file__).parent / "folder"


def files(table: Table, net: IntegerNetwork, prefix: str) -> Iterator[tuple[str, str]]:
    """(path, text) of each file, from the templates in folder/, where @word@ stands for what is known of the network."""
    words = {
        "prefix": prefix,
        "PREFIX": prefix.upper(),
        "version": __version__,
        "inputs": net.input.size,
        "shape": " x ".join(map(str, net.input.shape)),
        "scale": f"{net.input.scale:.9g}",
        "outputs": net.layers[-1].size,
        "decode": net.decode,
        "table_bytes": len(table.data),
        "state_bytes": table.state_bytes,
    }
    for path in sorted(p for p in TEMPLATES.rglob("*") if p.is_file()):
        text = path.read_text()
        for word, value in words.items():
            text = text.replace(f"@{word}@", str(value))
        yield path.relative_to(TEMPLATES).as_posix(), text
