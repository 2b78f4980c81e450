"""tools/footprint: what an artifact costs on each core, and the budget that the reference networks are held to."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from edge_anp import artifact, cost, integer
from edge_anp.errors import EdgeAnpError, OutOfRange
from targets.mcu import footprint, lower, results, workloads
from targets.mcu.cores import CORES
from targets.mcu.footprint import Footprint
from targets.mcu.session import FORMS

BUDGET = Path(__file__).parents[2] / "tests/targets/mcu/budget.json"
HELD = ("inference", "code", "tables", "state", "stack", "instructions", "worst", "idle")
COUNT = "instructions (QEMU), not cycles"
TOLERANCE = 1.02  # a figure more than 2 % above its budget is a failure


def table(rows: Iterable[Footprint], title: str) -> Table:
    """One row a core."""
    columns = ("core", "flash: code", "of it a step", "flash: tables", "RAM", "stack", COUNT, "at worst", "at rest")
    made = Table(*columns, title=title)
    for f in rows:
        numbers = (f.code, f.inference, f.tables, f.state, f.stack, f.instructions, f.worst, f.idle)
        made.add_row(f.core, *(f"{n:,.0f}" for n in numbers))
    made.caption = (
        "bytes, and instructions of one step, which know no wait states and no double issue. Code: gcc -O2, with ea_init's checks.\n"
        "At worst: every input active, every neuron spiking. At rest: after 600 silent steps; biases may keep a network awake."
    )
    return made


def measure_workload(name: str, cores: Sequence[str]) -> list[Footprint]:
    """A reference network on these cores; those that it does not fit are left out."""
    work = workloads.WORKLOADS[name]()
    with tempfile.TemporaryDirectory(prefix="edge_anp_") as place:
        lower.lower(work.net, Path(place), "", ("host",))
        return list(_measured(Path(place), work.net, cores, work.raster))


def _measured(
    folder: Path, net: integer.IntegerNetwork, cores: Sequence[str], raster: np.ndarray
) -> Iterable[Footprint]:
    for core in cores:
        try:
            yield footprint.measure(folder, net, core, raster)
        except OutOfRange as error:
            print(f"not on {core}: {error}", file=sys.stderr)


def over_budget(found: Footprint, budget: dict[str, float]) -> list[str]:
    """What is more than 2 % above its budget."""
    numbers = asdict(found)
    return [
        f"{found.core}: {key} is {numbers[key]:.0f}, its budget is {budget[key]:.0f}"
        for key in HELD
        if numbers[key] > budget[key] * TOLERANCE
    ]


def read_budget() -> dict[str, dict[str, dict[str, float]]]:
    """{network: {core: {figure: number}}}."""
    return json.loads(BUDGET.read_text())["networks"]


def write_budget(found: dict[str, list[Footprint]]) -> None:
    """Write the file that git keeps."""
    networks = {
        name: {f.core: {key: round(asdict(f)[key], 1) for key in HELD} for f in rows} for name, rows in found.items()
    }
    note = "bytes, and instructions (QEMU), not cycles, of one step; a run more than 2 % above one of them fails"
    BUDGET.write_text(json.dumps({"note": note, "networks": networks}, indent=1) + "\n")


def show_folder(folder: Path, cores: Sequence[str], out: Console) -> None:
    """An artifact on its own golden vectors."""
    found = artifact.read(folder)
    net = integer.load(folder / "integer.npz")
    raster = np.concatenate(artifact.read_golden(found).rasters)
    rows = list(_measured(folder, net, cores, raster))
    out.print(table(rows, str(folder)))
    for f in rows[:1]:
        out.print(sweep(folder, net, f.core))
        said = cost.measure(net, artifact.read_golden(found).rasters).to_json()
        said["Energy of a step"] = [said["Energy of a step"], cost.energy(cost.INSTRUCTION, f.instructions)]
        out.print_json(json.dumps(said))


def sweep(folder: Path, net: integer.IntegerNetwork, core: str) -> Table:
    """How the work grows with the input: one row a form."""
    made = Table("input as", *(f"{rate:.0%} active" for rate in results.RATES), title=f"{core}, {COUNT}")
    for form in FORMS:
        made.add_row(form, *(f"{n:,.0f}" for n in footprint.activity(folder, net, core, results.RATES, form).values()))
    made.caption = "bits, events: spikes; bytes: numbers of 2 to 127, which are multiplied"
    return made


def main(words: Sequence[str]) -> int:
    out = Console(width=132)
    if words[:1] != ["--budget"]:
        unknown = set(words[1:]) - set(CORES)
        if unknown:
            raise ValueError(f"the cores are {', '.join(CORES)}; there is no {', '.join(sorted(unknown))}")
        show_folder(Path(words[0]), words[1:] or list(CORES), out)
        return 0
    found = {name: measure_workload(name, list(CORES)) for name in workloads.WORKLOADS}
    for name, rows in found.items():
        out.print(table(rows, name))
    if words[1:] == ["--write"]:
        write_budget(found)
        results.PAGE.write_text(results.page(read_budget()))
        return 0
    budget = read_budget()
    problems = [p for name, rows in found.items() for f in rows for p in over_budget(f, budget[name][f.core])]
    for problem in problems:
        out.print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (EdgeAnpError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 2))
