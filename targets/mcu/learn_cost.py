"""What learning costs on a core: instructions of a trial's steps and of its commit, RAM with the stack, as built.

The network is 64-128-10 with recurrence and a readout, T = 50, 8 % of the input active and about 7 % of the hidden neurons; its weights
come from a seed. Instructions are QEMU's, not cycles. The stack is GCC's, of the deepest call that a trial makes, calls through pointers
included.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_anp import reference
from edge_anp.integer import MCU16, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.ondevice_rates import make_plan
from edge_anp.synapses import Dense
from edge_anp.target import compile_to, find
from edge_anp.topology import INPUT, InputContract
from targets.mcu import footprint, learning, tables
from targets.mcu.cores import CORES, Core
from targets.mcu.learn_run import open_learner
from targets.mcu.run import read_model

STEPS, SEED, INPUTS, HIDDEN, ACTIVE, SAMPLES, TRIALS = 50, 7, 64, 128, 5, 16, 12
CALLS = ("ea_learn_step_bits", "ea_learn_answer", "ea_learn_reward", "ea_learn_commit")
MAIN = """#include "learn.h"
uint32_t block[{big}_LEARN_BYTES / 4], input[({big}_INPUTS + 31) / 32];
int main(void)
{{
    uint32_t trial = 0;
    return ea_learn_init(&{prefix}_learner, block, sizeof block, 1) + ea_learn_begin(&{prefix}_learner, block, &trial)
        + ea_learn_step_bits(&{prefix}_learner, block, input) + ea_learn_answer(&{prefix}_learner, block)
        + ea_learn_reward(&{prefix}_learner, block, trial, 128) + ea_learn_commit(&{prefix}_learner, block, 0);
}}
"""
ROWS = (
    ("all", 16, 2, (1_200_000, 57_000)),
    ("all", 16, 0, (1_800_000, 57_000)),
    ("input,readout", 16, 0, (None, 24_000)),
    ("readout", 16, 0, (None, 6_000)),
    ("all", 8, 2, (None, 31_000)),
)
"""learn, bits, LW, and what is allowed: instructions of a trial, bytes of RAM."""


@dataclass(frozen=True)
class LearnCost:
    """steps, commit: instructions of a trial, the mean over trials; worst: of one commit. block, stack: bytes."""

    core: str
    learn: str
    bits: int
    every: int
    steps: float
    commit: float
    worst: float
    block: int
    stack: int

    @property
    def trial(self) -> float:
        return self.steps + self.commit

    @property
    def ram(self) -> int:
        return self.block + self.stack


def network() -> IntegerNetwork:
    """64-128-10, recurrent, with one threshold."""
    rng = np.random.default_rng(SEED)

    def dense(rows: int, columns: int, scale: int) -> tuple[Dense, ...]:
        return (Dense(np.clip(rng.normal(0, scale, (rows, columns)), -127, 127).astype(np.int8)),)

    into = IntegerConnection(INPUT, dense(HIDDEN, INPUTS, 40), 2)
    back = IntegerConnection(0, dense(HIDDEN, HIDDEN, 20), 2, 1)
    neuron = IntegerNeuron(Leak(np.full(HIDDEN, 230), 8), None, np.full(HIDDEN, 775), "subtract")
    hidden = IntegerLayer(
        (HIDDEN,), (into, back), np.zeros(HIDDEN, np.int64), neuron, np.full(HIDDEN, 1 / 775), "hidden"
    )
    out = IntegerConnection(0, dense(10, HIDDEN, 40), 2)
    readout = IntegerLayer(
        (10,), (out,), np.zeros(10, np.int64), IntegerNeuron(Leak(np.full(10, 243), 8)), np.full(10, 1 / 450), "out"
    )
    return IntegerNetwork(MCU16, (hidden, readout), InputContract((INPUTS,)), "membrane_mean")


def rasters() -> np.ndarray:
    """Spikes [T, S, I], ACTIVE inputs a step."""
    rng = np.random.default_rng(SEED)
    found = np.zeros((STEPS, SAMPLES, INPUTS), np.int8)
    for row in found.reshape(-1, INPUTS):
        row[rng.choice(INPUTS, ACTIVE, replace=False)] = 1
    return found


def activity(net: IntegerNetwork, some: np.ndarray) -> float:
    """The share of hidden neurons that spike in a step."""
    return float(np.mean([reference.run(net, some[:, k]).spikes[0].mean() for k in range(4)]))


def measure(core: str, learn: str, bits: int, every: int) -> LearnCost:
    """Build for a core, learn TRIALS trials under the emulator, and read the stack off the compiler's call graph."""
    net, some = network(), rasters()
    plan = make_plan(net, learn, some, bits=bits, every=every, guesses=1)
    with tempfile.TemporaryDirectory(prefix="edge_anp_") as name:
        folder = Path(name) / "a"
        compile_to(find("mcu"), net, folder, None, [some[:, 0]], None, plan)
        stack = _stack(folder, CORES[core])
        block = learning.write(net, plan, tables.write(net)).block
        with open_learner(folder, f"qemu:{core}", net, plan, 300, count=True, slots=0) as session:
            session.start(SEED)
            session.trials([some[:, k % SAMPLES] for k in range(TRIALS)], np.arange(TRIALS) % 10, 1)
            ticks = session.ticks / CORES[core].ticks
    return LearnCost(
        core,
        learn,
        bits,
        every,
        float(ticks[:, 0].mean()),
        float(ticks[:, 1].mean()),
        float(ticks[:, 1].max()),
        block,
        stack,
    )


def _stack(folder: Path, core: Core) -> int:
    """Bytes of stack of the deepest call that a trial makes."""
    prefix, _ = read_model(folder)
    with tempfile.TemporaryDirectory(prefix="edge_anp_") as name:
        place = Path(name)
        (place / "main.c").write_text(MAIN.format(big=prefix.upper(), prefix=prefix))
        files = [folder / f for f in ("edge_anp.c", "edge_anp_learn.c", "model.c", "learn.c")] + [place / "main.c"]
        footprint.link(core, files, folder, place, ("-O2",))
        linked = footprint.symbols(core, place / "app")
        return max(footprint.deepest(place, call, linked) for call in CALLS)


def costs(core: str = "m4") -> Iterator[tuple[LearnCost, tuple[int | None, int]]]:
    """Every row that the issue bounds, with its bounds."""
    for learn, bits, every, bounds in ROWS:
        yield measure(core, learn, bits, every), bounds


def table(rows: list[tuple[LearnCost, tuple[int | None, int]]]) -> str:
    """Markdown."""
    lines = [
        "| learns | masters | updates | steps | commit | trial | allowed | block | stack | RAM | allowed |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for c, (instructions, ram) in rows:
        when = "every step" if c.every == 0 else f"one step in {2**c.every}"
        lines.append(
            f"| {c.learn} | int{c.bits} | {when} | {c.steps:,.0f} | {c.commit:,.0f} | {c.trial:,.0f} | "
            f"{'' if instructions is None else f'{instructions:,}'} | {c.block:,} | {c.stack:,} | {c.ram:,} | {ram:,} |"
        )
    return "\n".join(lines) + "\n"


def report(core: str = "m4") -> str:
    """The table, and what it was measured on."""
    active = activity(network(), rasters())
    head = (
        f"Cost on an emulated {CORES[core].name} (QEMU, instructions, as built with -O2): 64-128-10, {STEPS} steps, "
        f"{ACTIVE / INPUTS:.1%} of the input and {active:.1%} of the hidden\nneurons active. RAM is the block (weights, one trial, the "
        "network's own state) and the deepest stack of a trial's calls.\n\n"
    )
    return head + table(list(costs(core)))


if __name__ == "__main__":
    print(report())
