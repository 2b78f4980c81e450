"""Footprints are budgets: the bars of the reference networks, the figures in budget.json, and work that grows with spikes."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_anp import reference
from edge_anp.compilation import GOLDEN
from edge_anp.target import compile_to
from targets.mcu import TARGET, footprint, footprint_table, lower, results, run, workloads
from targets.mcu.cores import CORES

CASES = [(name, core) for name, cores in footprint_table.read_budget().items() for core in cores]
BARS = {
    ("dense", "m4"): 13_000,
    ("dense", "m55"): 8_500,
    ("dense", "m0plus"): 27_000,
    ("recurrent", "m4"): 7_300,
    ("recurrent", "m0"): 9_800,
}


def test_every_core_has_a_budget():
    budget = footprint_table.read_budget()
    assert set(budget) == set(workloads.WORKLOADS)
    assert all(set(budget[name]) == set(CORES) for name in ("dense", "recurrent", "graded"))
    assert set(CORES) - set(budget["convolutional"]) == {"m0"}  # 16 KiB of RAM are too few for its maps


@pytest.mark.slow
@pytest.mark.parametrize(("name", "core"), CASES)
def test_the_budget_is_kept(name, core):
    (found,) = footprint_table.measure_workload(name, [core])
    assert footprint_table.over_budget(found, footprint_table.read_budget()[name][core]) == []
    assert found.instructions <= BARS.get((name, core), np.inf)
    if core == "m0plus" and name == "dense":
        assert found.inference <= 2048


def test_the_page_says_what_the_budget_holds():
    assert results.tables(footprint_table.read_budget()) in results.PAGE.read_text()


def test_a_figure_past_its_budget_is_named():
    budget = footprint_table.read_budget()["dense"]["m4"]
    figures = {key: budget[key] * (1.021 if key == "stack" else 1.0) for key in footprint_table.HELD}
    found = footprint.Footprint("m4", **figures)  # type: ignore[arg-type]
    assert [p.split(" is ")[0] for p in footprint_table.over_budget(found, budget)] == ["m4: stack"]


@pytest.mark.slow
@pytest.mark.parametrize("core", ["m4", "m55", "rv32"])
def test_work_grows_with_spikes(core, tmp_path):
    """At 0, 1, 5, 20 and 100 % activity; a layer at rest costs less than a fortieth of a busy one."""
    work = workloads.dense()
    lower.lower(work.net, tmp_path, "", ("host",))
    counts = list(footprint.activity(tmp_path, work.net, core, results.RATES).values())
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] / 40
    assert counts[1] < counts[3] / 2


def test_the_reference_networks_are_what_the_budget_says():
    work = workloads.recurrent()
    assert work.raster.mean() == 0.1
    assert 0.08 <= reference.run(work.net, work.raster).spikes[0].mean() <= 0.12
    assert set(workloads.dense().raster.sum(1)) == {36}


@pytest.mark.parametrize("core", ["m0plus", "rv32"])
def test_the_runtime_calls_no_library(core, tmp_path):
    """Nothing but the compiler's own arithmetic is undefined in it."""
    lower.lower(workloads.recurrent().net, tmp_path, "", ("host",))
    tool = CORES[core].compiler.removesuffix("gcc")
    for flags in ("-O2", "-Os", "-O3"):
        words = [
            CORES[core].compiler,
            *CORES[core].flags,
            flags,
            "-std=c99",
            "-ffreestanding",
            "-c",
            "edge_anp.c",
            "-o",
            "x.o",
        ]
        subprocess.run(words, cwd=tmp_path, check=True, timeout=300)
        text = subprocess.run(
            [f"{tool}nm", "-u", "x.o"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300
        ).stdout
        wanted = set(re.findall(r"U (\w+)", text))
        assert wanted <= {
            "__aeabi_uidiv",
            "__aeabi_uidivmod",
            "__aeabi_idiv",
            "__gnu_thumb1_case_uqi",
            "__gnu_thumb1_case_shi",
        }, wanted


@pytest.mark.slow
def test_the_tool_prints_a_table(tmp_path):
    work = workloads.recurrent()
    compile_to(TARGET, work.net, tmp_path / "mcu", None, [work.raster] * GOLDEN)
    tool = Path(__file__).parents[3] / "tools" / "footprint"
    words = [sys.executable, "-m", "targets.mcu.footprint_table", tmp_path / "mcu", "m4"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert footprint_table.COUNT in " ".join(done.stdout.split())
    assert "100%" in done.stdout
    assert tool.stat().st_mode & 0o111
    assert run.read_model(tmp_path / "mcu")[0] == "network"
    assert shutil.which("bash")
