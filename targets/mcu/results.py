"""docs/results/mcu.md: every figure of the budget, how work grows with activity, and a stranger's compiler beside ours."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from targets.mcu import build, footprint, foreign, lower, workloads
from targets.mcu.cores import ARM, RISCV

PAGE = Path(__file__).parents[2] / "docs/results/mcu.md"
COLUMNS = {
    "instructions": "instructions of a step", "worst": "at worst", "idle": "at rest", "inference": "code of a step",
    "code": "with ea_init", "tables": "tables", "state": "RAM", "stack": "stack",
}  # fmt: skip
RATES = (0.0, 0.01, 0.05, 0.2, 1.0)
SWEPT = ("m0plus", "m4", "m55", "rv32")
HEAD = """# Microcontrollers: what a step costs

Written by `tools/footprint --budget --write`, together with `tests/targets/mcu/budget.json`, which CI holds every figure to (2 %).
Instructions (QEMU), not cycles: they know no wait states and no double issue; nothing was run on silicon.
{compilers}, -O2.
Networks and inputs are from a fixed seed (`targets/mcu/workloads.py`). Flash, RAM and stack in bytes. At worst: every input active, every
neuron spiking. At rest: after 600 silent steps."""
LIMITS = """## What limits going below

Instructions a synaptic operation of the 700 -> 128 layer, between 5 % and 100 % active: {per}. The rest of a step is finding events,
shifting sums and stepping 128 neurons.

* M4, M7, M33: UXTAB16 adds two weights an instruction, so 16 weights take 8, two loads of 8 bytes, and 4 for the row and the loop: 14/16 =
  0.88. Less would take weights of 4 bits, or rows that are read once for several steps.
* M55: 16 weights take two loads that widen, two additions of 8 lanes, and 3 for the row and the loop: 7/16 = 0.44.
* M0+, RV32: no instruction adds two halves of a word; a mask and an addition for every two weights, 16 instructions for 8: 2.
* Neurons: 17 instructions each on an M4, whether they get input or not, unless the whole layer is at rest. Skipping single neurons would
  need the time since their last event and a power of the leak, whose rounding the reference does not have.
* Input as numbers is looked at one by one, 10 to 15 instructions each, also where all are 0; bits are looked at 32 at a time.
* Numbers: one multiplication a weight (SMLAxy; VMLA for four). SMLAD would do two, of rows stored in pairs, which spikes cannot use."""


def tables(networks: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """{network: {core: {figure: number}}} as one table a network; cores with equal figures share a row."""
    parts = []
    for name, cores in networks.items():
        told = " ".join((workloads.WORKLOADS[name].__doc__ or "").split())
        rows: dict[tuple[str, ...], list[str]] = {}
        for core, figures in cores.items():
            rows.setdefault(tuple(f"{figures[key]:,.0f}" for key in COLUMNS), []).append(core)
        lines = [f"| {', '.join(who)} | {' | '.join(numbers)} |" for numbers, who in rows.items()]
        parts += [f"## {name}", "", told, "", _head("core", *COLUMNS.values()), *lines, ""]
    return "\n".join(parts).rstrip()


def page(networks: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """The whole page; measures what the budget does not hold."""
    compilers = " and ".join(build.version(name) for name in (ARM, RISCV))
    swept, per = _swept()
    head, limits = HEAD.format(compilers=compilers), LIMITS.format(per=per)
    return "\n\n".join([head, tables(networks), swept, _foreign(), limits]) + "\n"


def _swept() -> tuple[str, str]:
    """The sweep of activity, and from its slope instructions a synaptic operation."""
    work, lines, slopes = workloads.dense(), [], []
    synapses = work.net.input.size * work.net.layers[0].size
    with tempfile.TemporaryDirectory(prefix="edge_anp_") as place:
        lower.lower(work.net, Path(place), "", ("host",))
        for core in SWEPT:
            for form in ("bits", "events", "bytes"):
                found = footprint.activity(Path(place), work.net, core, RATES, form)
                lines.append(f"| {core}, {form} | " + " | ".join(f"{n:,.0f}" for n in found.values()) + " |")
                if form == "bits":
                    slopes.append(f"{(found[1.0] - found[0.05]) / (0.95 * synapses):.2f} ({core})")
    text = "Instructions of a step of 700 -> 128, by active inputs; bits and events are spikes, bytes are numbers of 2 to 127."
    head = _head("core, input as", *(f"{rate:.0%}" for rate in RATES))
    return "\n".join(["## Work grows with activity", "", text, "", head, *lines]), ", ".join(slopes)


def _foreign() -> str:
    lines = []
    cases: dict[str, Callable[[], workloads.Workload]] = {
        name: workloads.WORKLOADS[name] for name in ("recurrent", "graded")
    }
    for name, make in cases.items():
        work = make()
        with tempfile.TemporaryDirectory(prefix="edge_anp_") as place:
            lower.lower(work.net, Path(place), "", ("host",))
            for core in ("m4", "m0plus"):
                ours = footprint.measure(Path(place), work.net, core, work.raster).instructions
                theirs = [foreign.measure(work.net, work.raster, flavor, core)[1] for flavor in foreign.FLAVORS]
                cells = [f"{n:,.0f} ({n / ours:.1f})" for n in theirs]
                lines.append(f"| {name}, {core} | {ours:,.0f} | {' | '.join(cells)} |")
    text = "Instructions of a step, and how many times ours; the spikes and states are the same (tests/targets/mcu/test_foreign.py)."
    head = _head("network, core", "ours", *(f"emx-onnx-cgen from our {flavor}" for flavor in foreign.FLAVORS))
    return "\n".join(["## Beside emx-onnx-cgen", "", text, "", head, *lines])


def _head(*names: str) -> str:
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"
