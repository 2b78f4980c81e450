"""Write the golden journals of version 2: python tests/targets/mcu/make_journals.py. It ran once, and once for version 1; readers stay
true to what it wrote.

A folder for masters of each width: learn.c, whose table says where the weights lie, dumps with sectors of 512 bytes, and expected.json:
what a device loads of each dump. The weights are noise.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from edge_anp import journal
from edge_anp.journal import Layout, Saved
from edge_anp.noise import noise
from targets.mcu import TARGET
from targets.mcu.learn_workloads import compiled, network

PLACE, SECTOR = Path(__file__).with_name("journal_v2"), 512


def saved(layout: Layout, sequence: int, trial: int, anchor: int = 0) -> Saved:
    masters = [
        noise(sequence, trial, 0, 0, k, np.arange(m.inputs * m.outputs)).astype("i8").reshape(m.inputs, m.outputs)
        >> (16 if layout.bits == 16 else 24)
        for k, m in enumerate(layout.matrices)
    ]
    return Saved(sequence, trial, 0xDEADBEEF, 30_000, 29_000, layout.pack(masters), anchor)


def dumps(layout: Layout) -> dict[str, bytes]:
    """By name."""
    one, two = saved(layout, 1, 1000), saved(layout, 2, 0xFFFFFFFF)
    last, wrapped = saved(layout, 0xFFFFFFFF, 7), saved(layout, 0, 8)
    whole = journal.image(layout, [one, two], SECTOR)
    second = journal.slot_bytes(layout, SECTOR)
    torn = whole[:second] + b"\xff" * journal.HEAD.size + whole[second + journal.HEAD.size :]
    flipped = bytearray(whole)
    flipped[second + journal.WEIGHTS_AT + 5] ^= 16
    return {
        "one": journal.image(layout, [one, None], SECTOR),
        "two": whole,
        "three": journal.image(layout, [one, two, saved(layout, 3, 2000, 1)], SECTOR),
        "wrapped": journal.image(layout, [wrapped, last], SECTOR),
        "torn": torn,
        "flipped": bytes(flipped),
    }


def main() -> None:
    for bits in (16, 8):
        folder = PLACE / f"bits{bits}"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as place:
            compiled(Path(place) / "a", network(4, 5, 3), bits=bits)
            shutil.copyfile(Path(place) / "a" / "learn.c", folder / "learn.c")
        layout = TARGET.layout(folder)
        expected = {}
        for name, data in dumps(layout).items():
            (folder / f"{name}.bin").write_bytes(data)
            slots = journal.examine(data, layout, SECTOR)
            k = journal.newest(slots)
            kept = None if k is None else slots[k].saved
            assert kept is not None
            row = {key: value for key, value in asdict(kept).items() if key != "weights"}
            masters = layout.unpack(kept.weights)
            crc = f"{journal.masters_crc(masters, bits):08x}"
            expected[name] = {"slot": k, **row, "crc": crc, "masters": [u.tolist() for u in masters]}
        (folder / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
