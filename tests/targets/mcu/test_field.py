"""What the folder promises to firmware: a log that a device writes is replayed, slices of a commit stay within their bound, and the README
says what is."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_anp import journal
from edge_anp.integer import IntegerNetwork
from edge_anp.ondevice_rates import make_plan
from edge_anp.replaying import replay_file
from edge_anp.synapses import Dense
from edge_anp.target import compile_to
from targets.mcu import TARGET, build, learn_folder
from targets.mcu.cores import CORES
from targets.mcu.learn_run import open_learner
from targets.mcu.learn_workloads import T, compiled, network, rasters


def test_a_log_that_a_device_wrote_is_replayed(tmp_path):
    folder = tmp_path / "a"
    compiled(folder, network(inputs=5, hidden=8))
    files = [folder / name for name in ("edge_anp.c", "model.c", "edge_anp_learn.c", "learn.c")]
    source = Path(__file__).with_name("logged.c")
    program = build.compile_host([*files, source], tmp_path / "logged", [folder], ["-O1", *build.WARNINGS[1:]])
    done = subprocess.run([program, tmp_path / "x.log"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0
    found = replay_file(folder, tmp_path / "x.log", None, None)
    assert (found.crc, found.trials, found.cut) == (done.stdout.strip(), 20, False)


def busiest(inputs: int = 64, hidden: int = 128, classes: int = 10) -> IntegerNetwork:
    """A network whose hidden neurons all stay just below their threshold, psi = 1 in every step, whatever comes in."""
    net = network(inputs, hidden, classes)
    first, last = net.layers
    tiny = tuple(
        replace(c, path=(Dense(np.sign(c.path[0].weight).astype(np.int8)),), shift=0) for c in first.connections
    )
    vth = np.full(hidden, 4000)
    first = replace(first, connections=tiny, bias=np.full(hidden, 380), neuron=replace(first.neuron, vth=vth))
    return replace(net, layers=(first, last))


@pytest.mark.parametrize("rows", [1, 16, 64])
def test_a_slice_of_a_commit_stays_within_its_bound(rows, tmp_path):
    """Every neuron moves in every row: the worst that a slice can be. The bound is for an M4, and is not twice what is measured."""
    net, ones = busiest(), np.ones((40, 16, 64), np.int8)
    plan = make_plan(net, "all", ones, guesses=1, every=0)
    plan = replace(plan, synapses=tuple(replace(s, rate=1, limit=4000) for s in plan.synapses))
    compile_to(TARGET, net, tmp_path / "a", None, [ones[:, 0]], None, plan)
    slices = []
    with open_learner(tmp_path / "a", "qemu:m4", net, plan, 300, count=True) as session:
        session.start(1)
        number = session.begin()
        for x in ones[:, 0]:
            session.step(x)
        session.answer()
        session.reward(number, 0)
        status = 1
        while status == 1:
            status, ticks = struct.unpack("<iI", session.command("C", struct.pack("<I", rows), 8))
            slices.append(ticks / CORES["m4"].ticks)
    first, row = learn_folder.slice_bound(net, plan)
    print(f"{rows} rows: {max(slices):.0f} of {first + rows * row}, {len(slices)} slices")
    assert max(slices) <= first + rows * row
    assert max(slices) > (first + rows * row) / 2


def test_the_readme_says_what_this_model_takes(tmp_path):
    net = network()
    compiled(tmp_path / "a", net, learn="input,readout")
    text = (tmp_path / "a" / "README.md").read_text()
    layout = TARGET.layout(tmp_path / "a")
    assert "@" not in text.replace("@prefix@", "")
    assert "What learns: input,readout, 2 of its matrices, masters of 16 bits." in text
    assert f"Two slots of {256 + layout.bytes:,} bytes" in text
    assert "**10 a day for five years**" in text
    assert learn_folder.saves_a_day() * 5 * 365 <= 2 * 10_000 < (learn_folder.saves_a_day() + 1) * 5 * 366
    sectors = journal.slot_bytes(layout, 2048) // 2048
    assert f"| 2,048 | {2 * sectors} / {3 * sectors} | {2 * 2048 * sectors:,} / {3 * 2048 * sectors:,} |" in text
    assert (tmp_path / "a" / "harness_learn" / "learn_world.h").read_text().count("BLOCK_BYTES") == 1
    assert len(rasters(net)) == T
