"""A board at a serial line: the same session, tested against QEMU's serial port on a pseudo-terminal."""

import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_anp import target, verify
from edge_anp.conformance_networks import random_raster
from edge_anp.errors import ToolMissing
from targets.mcu import TARGET, build, run, workloads
from targets.mcu.cores import CORES


@contextmanager
def running(sources, folder, include, flags=()):
    """A program on an emulated M4 whose UART is a pseudo-terminal; yields the port."""
    m4 = CORES["m4"]
    program = build.compile_core(
        m4, sources, folder / "firmware", include, ("-O2", "-Wall", "-Wextra", "-Werror", *flags)
    )
    words = [
        "pty" if w == "none" and before == "-serial" else w
        for before, w in zip(["", *run.emulate(m4, program)], run.emulate(m4, program), strict=False)
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"/dev/\S+", process.stdout.readline())
        assert found is not None
        yield found.group()
    finally:
        process.kill()
        process.wait(timeout=10)


@pytest.fixture
def board(tmp_path):
    """The folder's harness on a board; yields (folder, port)."""
    work = workloads.recurrent()
    folder = target.compile_to(TARGET, work.net, tmp_path / "mcu", None, [work.raster[:5]]).folder
    sources = [folder / f for f in ("edge_anp.c", "model.c")] + sorted((folder / "harness").glob("*.c"))
    with running(sources, tmp_path, [folder, folder / "harness"]) as port:
        yield folder, port


@pytest.mark.slow
def test_a_board_learns_over_a_serial_line_what_an_emulated_core_learns(tmp_path):
    """examples/learn_on_device.py, through harness_learn/ on a pseudo-terminal, and through QEMU's semihosting: the same weights."""
    example, folder = Path(__file__).parents[3] / "examples/learn_on_device.py", tmp_path / "device"

    def learn(*words):
        done = subprocess.run(
            [sys.executable, example, *words, folder], capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return re.findall(r"^(\S+): .* weights (\w+) on", done.stdout, re.MULTILINE)

    there = learn("qemu:m4")
    parts = [folder / f for f in ("edge_anp.c", "model.c", "edge_anp_learn.c", "learn.c")]
    sources, flash = [*parts, *sorted((folder / "harness_learn").glob("*.c"))], "-DFLASH_BYTES=98304"
    with running(sources, tmp_path, [folder, folder / "harness_learn"], [flash]) as port:
        here = learn(f"serial:{port}")
    assert [crc for _, crc in there] == [crc for _, crc in here]
    assert here[0][0] == f"serial:{port}"


def test_a_board_is_verified_over_a_serial_line(board):
    folder, port = board
    net = workloads.recurrent().net
    result = verify.verify(folder, [random_raster(net, k, 12) for k in range(4)], f"serial:{port}")
    found = result.to_json()["runners"][f"serial:{port}"]
    assert (found["spike_mismatches"], found["state_mismatches"], found["neuron_steps"]) == (0, 0, 4 * 12 * 74)
    assert result.ran == f"a board at {port}"


def test_a_port_that_is_not_there_is_named(tmp_path):
    work = workloads.recurrent()
    folder = target.compile_to(TARGET, work.net, tmp_path / "mcu", None, [work.raster[:5]]).folder
    with pytest.raises(ToolMissing, match=r"a board at /dev/ttyNONE0 is missing; the port cannot be opened"):
        TARGET.open(folder, "serial:/dev/ttyNONE0")
    with pytest.raises(ToolMissing, match="it is no serial line"):
        TARGET.open(folder, "serial:/dev/null")


def test_a_runner_that_is_not_there_is_answered_with_the_known(tmp_path):
    work = workloads.recurrent()
    folder = target.compile_to(TARGET, work.net, tmp_path / "mcu", None, [work.raster[:5]]).folder
    for name in ("qemu:m9", "serial", "serial:"):
        with pytest.raises(ValueError, match=rf"the runner is '{name}'; this artifact has host, qemu:m0, .*serial:"):
            verify.verify(folder, [work.raster[:5]], name)
