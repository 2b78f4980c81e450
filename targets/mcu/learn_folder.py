"""What a folder has beside the learner's C: the page that says how to call it, and a program for a board."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge_anp.integer import IntegerNetwork
from edge_anp.journal import WEIGHTS_AT
from edge_anp.ondevice_guard import LONGER
from edge_anp.ondevice_plan import LearningPlan, size_of
from targets.mcu import build, learning
from targets.mcu.learning import LearnTable

TEMPLATE = Path(__file__).with_name("learn_readme.md")
HEAD, CYCLES, DAYS = 64, 10_000, 5 * 365.25  # bytes of a slot's head; erases that a flash stands
SECTORS = (256, 2048, 4096, 16_384, 131_072)


def saves_a_day(cycles: int = CYCLES) -> int:
    """Slots take turns: each is erased once in two saves, or less often."""
    return int(2 * cycles / DAYS)


def slice_bound(net: IntegerNetwork, plan: LearningPlan) -> tuple[int, int]:
    """(a, b): a slice of n rows takes at most a + n b instructions on an M4.

    a: errors, one trace, one list of neurons. b: the updates of a row of masters, and a readout's sum over the trial.
    """
    outputs = [net.layers[s.layer].size for s in plan.synapses]
    sources = [size_of(net, net.layers[s.layer].connections[s.connection].source) for s in plan.synapses]
    errors = 6 * sum(net.layers[c.layer].size for c in plan.credits) * net.layers[-1].size
    listing = 80 if plan.rule == "perturbation" else 25  # a neuron; its noise is computed anew
    update = 20 if plan.bits == 16 else 60
    first = 1500 + errors + 20 * (plan.steps + max(sources)) + listing * max(outputs)
    return first, update * max(outputs) + 100 + (0 if plan.rule == "perturbation" else 8 * plan.steps)


def readme(learned: LearnTable, net: IntegerNetwork, plan: LearningPlan, prefix: str, state_bytes: int) -> str:
    """The section on learning of the folder's README.md."""
    first, row = slice_bound(net, plan)
    slot = WEIGHTS_AT + learned.weights[1]
    words = {
        "prefix": prefix,
        "PREFIX": prefix.upper(),
        "learn_sentence": f"What learns: {plan.learn}, {len(plan.synapses)} of its matrices, masters of {plan.bits} bits.",
        "steps": plan.steps,
        "guesses": "one a trial"
        if plan.guesses == 1
        else f"again after a wrong one, {plan.guesses} times a trial at most",
        "block": f"{learned.block:,}",
        "state_bytes": f"{state_bytes:,}",
        "learn_table": f"{4 * len(learned.words):,}",
        "slice_first": f"{first:,}",
        "slice_row": f"{row:,}",
        "slot": f"{slot:,}",
        "sectors": "\n".join(_sector(learned, slot, sector) for sector in SECTORS),
        "saves": saves_a_day(),
        "long": f"{1 << plan.window + LONGER:,}",
        "budget": f"slower as {plan.budget:,} trials go by, then constant" if plan.budget else "this plan's do not",
    }
    text = TEMPLATE.read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    return text


def _sector(learned: LearnTable, slot: int, sector: int) -> str:
    each = -(-slot // sector)
    calls = [each + -(-learned.weights[1] // page) + -(-HEAD // page) for page in (8, 256)]
    taken = " / ".join(f"{n * each * sector:,}" for n in (2, 3))
    return f"| {sector:,} | {2 * each:,} / {3 * each:,} | {taken} | {calls[0]:,} / {calls[1]:,} |"


def write_harness(place: Path, learned: LearnTable, net: IntegerNetwork, plan: LearningPlan, prefix: str) -> None:
    """The program that `edge-anp learn --runner serial:PORT` talks to on a board; its flash, if it has one, is -DFLASH_BYTES of RAM."""
    place.mkdir(exist_ok=True)
    for name in ("learn.c", "learn_world.c", "harness.h", "port_uart.c"):
        shutil.copyfile(build.HARNESS / name, place / name)
    sizes = f"#define BLOCK_BYTES {learned.block}\n#define INPUT_BYTES {learning.input_bytes(net, plan)}\n\n"
    guard = "#define EA_LEARN_WORLD_H\n"
    text = (build.HARNESS / "learn_world.h").read_text()
    (place / "learn_world.h").write_text(text.replace(guard, guard + sizes, 1))
    (place / "built_in.c").write_text(learning.GLUE.format(prefix=prefix))
