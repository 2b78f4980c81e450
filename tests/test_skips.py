"""In CI a skip that nobody wrote down is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest

@pytest.mark.parametrize("machine", ["lava"])
def test_listed(machine):
    pytest.skip("no lava here")

def test_forgotten():
    pytest.importorskip("a_module_that_nobody_has")
"""


def run(folder: Path, allowed: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(TESTS)
    (folder / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    (folder / "allowed_skips.txt").write_text(allowed)
    command = [sys.executable, "-m", "pytest", *options, "--rootdir", str(folder), str(folder)]
    environment = {**os.environ, "EDGE_ANP_STRICT_SKIPS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_a_skip_that_is_not_listed_fails_in_a_worker_too(tmp_path: Path) -> None:
    ran = run(tmp_path, "# what CI lacks\ntest_it.py::test_listed[*]: Lava lives in its own environment\n", "-n", "1")
    assert (ran.returncode, "1 failed, 1 skipped" in ran.stdout) == (1, True), ran.stdout
    assert "test_it.py::test_forgotten was skipped" in ran.stdout


def test_a_listed_skip_has_a_reason(tmp_path: Path) -> None:
    ran = run(tmp_path, "test_it.py::test_listed[*]:\n")
    assert (ran.returncode, "gives no reason" in ran.stderr) == (4, True), ran.stdout + ran.stderr
