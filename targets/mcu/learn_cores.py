"""One checksum everywhere: 1000 trials of the learner by the reference, on this machine under sanitizers, and on every emulated core.

    tools/learn_cores [--trials N] [--out FILE]

16-32-4 on the M0 of 16 KB RAM; 64-128-10 on all others, the M0+ running ARMv6-M code as the M0 would.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from edge_anp.continual import schedule
from edge_anp.integer import IntegerNetwork
from edge_anp.ondevice import Learner
from edge_anp.ondevice_plan import LearningPlan
from targets.mcu.cores import CORES
from targets.mcu.learn_run import open_learner
from targets.mcu.learn_workloads import compiled, network, rasters

SEED, GUESSES, SAMPLES = 11, 2, 16
NETWORKS = {"16-32-4": (16, 32, 4), "64-128-10": (64, 128, 10)}
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def wanted(net: IntegerNetwork, plan: LearningPlan, trials: int) -> int:
    """The checksum of the reference after `trials` trials."""
    reference, some = Learner(net, plan, SEED), rasters(net)
    for k in map(int, schedule(SAMPLES, trials, 1)):
        number = reference.begin()
        for x in some[:, k]:
            reference.step(x)
        for _ in range(GUESSES):
            right = reference.answer() == k % net.layers[-1].size
            reference.reward(number, 128 * right)
            if right:
                break
        reference.commit()
    return reference.crc()


def found(folder: Path, runner: str, net: IntegerNetwork, plan: LearningPlan, trials: int) -> tuple[int, str]:
    """The checksum of a runner after the same trials, and what ran it."""
    chosen, some = schedule(SAMPLES, trials, 1), rasters(net)
    flags = SANITIZED if runner == "host" else ("-O2",)
    with open_learner(folder, runner, net, plan, 500, flags=flags) as session:
        session.start(SEED)
        session.trials([some[:, k] for k in chosen], np.asarray(chosen % net.layers[-1].size), GUESSES)
        return session.crc(), session.ran


def table(trials: int) -> str:
    """Markdown: a row per runner and network. Raise SystemExit where one differs."""
    rows = [
        "| runs on | network | trials | CRC of all weights | as the reference | seconds |",
        "|---|---|---|---|---|---|",
    ]
    equal = True
    with tempfile.TemporaryDirectory() as place:
        for name, shape in NETWORKS.items():
            net, folder = network(*shape), Path(place) / name
            plan, begun = compiled(folder, net), time.monotonic()
            crc = wanted(net, plan, trials)
            rows.append(f"| ondevice.py | {name} | {trials} | {crc:08x} | is it | {time.monotonic() - begun:.0f} |")
            for runner in ("host", *(f"qemu:{core}" for core in CORES)):
                if runner == "qemu:m0" and name == "64-128-10":
                    continue  # its 16 KB hold no 51 KB of weights; the M0+ row is the same ARMv6-M code
                begun = time.monotonic()
                mine, ran = found(folder, runner, net, plan, trials)
                equal &= mine == crc
                what = "host, address and undefined-behavior sanitizers" if runner == "host" else f"{runner}: {ran}"
                rows.append(
                    f"| {what} | {name} | {trials} | {mine:08x} | {'yes' if mine == crc else 'NO'} "
                    f"| {time.monotonic() - begun:.0f} |"
                )
                print(rows[-1], flush=True)
    if not equal:
        raise SystemExit("a checksum differs:\n" + "\n".join(rows))
    return "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("docs/results/learn_cores.md"))
    options = parser.parse_args()
    text = table(options.trials)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(
        "# The same weights everywhere\n\nWritten by `tools/learn_cores`. Networks of inputs, recurrent LIF and readout; everything "
        "learns, masters of 16 bits,\nup to two answers a trial, the same seed and rewards.\n\n" + text
    )


if __name__ == "__main__":
    main()
