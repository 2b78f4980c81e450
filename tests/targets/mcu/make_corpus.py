"""The first samples of the fuzzer: small random networks that between them have every kind of layer, as tables.

.venv/bin/python tests/targets/mcu/make_corpus.py tests/targets/mcu/corpus
"""

import struct
import sys
from pathlib import Path

from edge_anp.conformance_networks import random_network
from targets.mcu import tables

LARGEST, COUNT = 1500, 40


def main(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    made = 0
    for seed in range(10_000):
        table = tables.write(random_network(seed))
        if len(table.data) <= LARGEST:
            (folder / f"network_{seed}").write_bytes(struct.pack("<I", seed) + table.data)
            made += 1
        if made == COUNT:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
