"""What a network costs on a core: flash and RAM from the linked program, stack from the compiler, instructions from the emulator.

Code that an application links is measured as an application links it: a `main` that calls the runtime, without a library, unused
sections removed. Instructions are QEMU's, not cycles: no wait states, no double issue.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_anp.errors import BadFile
from edge_anp.integer import IntegerNetwork
from targets.mcu import build, lower, run
from targets.mcu.cores import CORES, Core

# what the runtime calls through pointers: the kernels, and what those call
OUTER = {
    "ea_dense",
    "ea_diagonal",
    "ea_conv",
    "ea_lif",
    "ea_neuron",
    "ea_remember",
    "ea_path",
    "ea_score_spikes",
    "ea_score_membranes",
}
MIDDLE = {"ea_dense", "ea_diagonal", "ea_conv", "ea_pool"}
INNER = {
    "ea_rows",
    "ea_products",
    *(f"{form}_{verb}" for form in ("bits", "list", "bytes") for verb in ("gather", "active")),
}
STEP = """#include "model.h"
uint32_t state[{big}_STATE_BYTES / 4];
{type} input[{big}_INPUTS];
int main(void)
{{
    {init}return {step}(&{prefix}, state, input) + ea_answer(&{prefix}, state);
}}
"""
STEPS = {"bits": ("ea_step_bits", "uint32_t"), "bytes": ("ea_step_bytes", "int8_t")}
INIT = "ea_init(&{prefix}, state, sizeof state);\n    "


@dataclass(frozen=True)
class Footprint:
    """Bytes and instructions of one network on one core.

    inference: code of a step and of ea_answer with their constants; code: with ea_init and its checks; tables: of the network, in
    flash; state: the block in RAM; stack: of the deepest call of a step, indirect calls included; instructions: of a step, the mean;
    worst: of a step with every input active and every neuron spiking; idle: of a step after 600 of silence, in which nothing happens
    unless biases keep the network awake.
    """

    core: str
    inference: int
    code: int
    tables: int
    state: int
    stack: int
    instructions: float
    worst: float
    idle: float


def measure(
    folder: Path, net: IntegerNetwork, core: str, raster: np.ndarray, flags: Sequence[str] = ("-O2",)
) -> Footprint:
    """Build, run and count; the first two steps of `raster` [T, I], in which layers wake up, do not count.

    A raster of spikes goes in as bits, one of numbers as bytes.
    """
    prefix, numbers = run.read_model(folder)
    form = "bits" if raster.size == 0 or (raster.min() >= 0 and raster.max() <= 1) else "bytes"
    inference, _ = _link(folder, prefix, CORES[core], flags, form, "")
    code, stack = _link(folder, prefix, CORES[core], flags, form, INIT.format(prefix=prefix))
    with run.open_session(folder, f"qemu:{core}", net, 120, flags=flags, count=True) as session:
        session.form = form
        session.run(raster)
        count = float(session.ticks[2:].mean()) / CORES[core].ticks
        session.run(np.zeros((600, net.input.size), np.int8))
        idle = float(session.ticks[-1]) / CORES[core].ticks
    sizes = (numbers["table_bytes"], numbers["state_bytes"])
    return Footprint(core, inference, code, *sizes, stack, count, _worst(net, core, flags), idle)


def _worst(net: IntegerNetwork, core: str, flags: Sequence[str]) -> float:
    """The same network with thresholds so low that every neuron spikes, every input active, as bits and as numbers."""
    layers = [
        replace(
            x,
            neuron=x.neuron
            if x.neuron.vth is None
            else replace(x.neuron, vth=np.full(x.size, -net.arithmetic.threshold_max)),
        )
        for x in net.layers
    ]
    loud = replace(net, layers=tuple(layers))
    with tempfile.TemporaryDirectory(prefix="edge_anp_") as place:
        lower.lower(loud, Path(place), "", ())
        with run.open_session(Path(place), f"qemu:{core}", loud, 120, flags=flags, count=True) as session:
            found = 0
            for form, value in (("bits", 1), ("bytes", 127)):
                session.form = form
                session.run(np.full((6, net.input.size), value, np.int8))
                found = max(found, int(session.ticks.max()))
    return found / CORES[core].ticks


def activity(
    folder: Path, net: IntegerNetwork, core: str, rates: Sequence[float], form: str = "bits", steps: int = 12
) -> dict[float, float]:
    """Instructions of a step, by the share of inputs that are active: spikes as bits or as events, or numbers as bytes."""
    found = {}
    with run.open_session(folder, f"qemu:{core}", net, 120, count=True) as session:
        session.form = form
        for rate in rates:
            rng = np.random.default_rng(0)
            raster = np.zeros((600 if rate == 0 else steps, net.input.size), np.int8)
            for row in raster:
                at = rng.choice(net.input.size, round(rate * net.input.size), replace=False)
                row[at] = rng.integers(2, 128, len(at)) if form == "bytes" else 1
            session.run(raster)
            found[rate] = float((session.ticks[-steps // 2 :] / CORES[core].ticks).mean())
    return found


def _link(folder: Path, prefix: str, core: Core, flags: Sequence[str], form: str, init: str) -> tuple[int, int]:
    """(bytes of code with its constants, bytes of stack) of a program that steps the network."""
    step, type_ = STEPS[form]
    with tempfile.TemporaryDirectory(prefix="edge_anp_") as name:
        place = Path(name)
        (place / "main.c").write_text(STEP.format(big=prefix.upper(), prefix=prefix, init=init, step=step, type=type_))
        link(core, [folder / "edge_anp.c", folder / "model.c", place / "main.c"], folder, place, flags)
        linked = symbols(core, place / "app")
        stack = deepest(place, step, linked)
        not_code = sum(linked.get(name, 0) for name in (prefix, f"{prefix}_table", f"{prefix}_kernels", "main"))
        return _sections(core, place / "app") - not_code, stack


def link(core: Core, files: Sequence[Path], include: Path, place: Path, flags: Sequence[str]) -> None:
    """`place`/app from C files, without a library, with the call graphs of all of them beside it."""
    words = [build.require(core.compiler), "-std=c99", "-ffreestanding", *core.flags, *flags]
    words += ["-ffunction-sections", "-fdata-sections", "-fcallgraph-info=su", f"-I{include.resolve()}"]
    for file in files:
        build.run([*words, "-c", file.resolve(), "-o", place / f"{file.stem}.o"], place)
    objects = [place / f"{file.stem}.o" for file in files]
    end = ["-nostdlib", "-Wl,--gc-sections,-e,main", "-lgcc", "-o", place / "app"]
    build.run([*words[:1], *core.flags, *objects, *end], place)


def _sections(core: Core, program: Path) -> int:
    tool = core.compiler.removesuffix("gcc") + "size"
    text = subprocess.run([tool, "-A", program], capture_output=True, text=True, timeout=30, check=True).stdout
    rows = re.findall(r"^(\S+)\s+(\d+)\s+\d+$", text, re.MULTILINE)
    return sum(int(n) for name, n in rows if name.startswith((".text", ".rodata", ".srodata", ".ARM.ex")))


def symbols(core: Core, program: Path) -> dict[str, int]:
    """The bytes of everything that is linked."""
    tool = core.compiler.removesuffix("gcc") + "nm"
    text = subprocess.run([tool, "-S", program], capture_output=True, text=True, timeout=30, check=True).stdout
    return {name: int(size, 16) for size, name in re.findall(r"^[0-9a-f]+ ([0-9a-f]+) \w (\S+)$", text, re.MULTILINE)}


def deepest(place: Path, root: str, linked: Collection[str]) -> int:
    """Bytes of stack below `root`, from GCC's call graphs; a call through a pointer may reach every kernel that is linked."""
    text = "".join(path.read_text() for path in place.glob("*.ci"))
    own = {t: int(n) for t, n in re.findall(r'node: \{ title: "([^"]+)" label: "[^"]*?\\n(\d+) bytes', text)}
    calls: dict[str, set[str]] = {}
    for source, target in re.findall(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', text):
        calls.setdefault(source, set()).add(target)
    name = {t: t.rpartition(":")[2].split(".")[0] for t in own}

    def depth(title: str, path: tuple[str, ...]) -> int:
        reached = set(calls.get(title, ()))
        if "__indirect_call" in reached:
            who = name.get(title, "")
            meant = MIDDLE if who == "ea_path" else INNER if who in OUTER else OUTER | INNER
            reached |= {t for t in own if name[t] in meant and t.rpartition(":")[2] in linked}
        if title in path:
            raise BadFile(place, f"{title} calls itself", should_be="without recursion")
        below = (depth(t, (*path, title)) for t in reached - {"__indirect_call"})
        return own.get(title, 0) + max(below, default=0)

    (start,) = (t for t in own if t.rpartition(":")[2] == root)
    return depth(start, ())
