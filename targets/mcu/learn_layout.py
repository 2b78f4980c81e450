"""Where a folder's learner keeps its weights, read from the table in its learn.c: so it stays true for folders that are old."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

from edge_anp.errors import BadFile
from edge_anp.journal import Layout, Matrix
from targets.mcu.learning import MAGIC, SYNAPSE_WORDS, TABLE_WORDS, VERSION

SHOULD_BE = "what `edge-anp compile --target mcu --learn` wrote there"


def layout(folder: Path) -> Layout:
    """The layout of a folder's journal; raise BadFile where there is none."""
    path = folder / "learn.c"
    if not path.is_file():
        raise BadFile(path, "there is no such file", should_be=SHOULD_BE)
    found = re.search(r"_learn_table\[\d+\] = \{([^}]*)\}", path.read_text(errors="replace"))
    words = [] if found is None else [int(w, 16) for w in re.findall(r"0x([0-9A-F]{8})u", found.group(1))]
    if len(words) < TABLE_WORDS or words[0] != MAGIC:
        raise BadFile(path, "it holds no learner's table", should_be=SHOULD_BE)
    if words[1] != VERSION:
        raise BadFile(path, f"its table has version {words[1]}", should_be=f"version {VERSION}")
    if words[2] != 4 * len(words) or zlib.crc32(struct.pack(f"<{len(words) - 4}I", *words[4:])) != words[3]:
        raise BadFile(path, "the checksum of its table is wrong", should_be=SHOULD_BE)
    bits, first, size = words[11], words[TABLE_WORDS - 2], words[TABLE_WORDS - 1]
    matrices = []
    for k in range(words[5]):
        at = words[6] // 4 + SYNAPSE_WORDS * k
        layer, connection, inputs, outputs = words[at : at + 4]
        high, stride, low = words[at + 7 : at + 10]
        matrices.append(
            Matrix(layer, connection, inputs, outputs, high - first, stride, low - first if bits == 16 else None)
        )
    return Layout(words[4], words[3], size, tuple(matrices))
