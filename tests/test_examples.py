"""Every example runs, and stays short enough to read."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
ARGUMENTS = {
    "deploy.py": ["{tmp}/deploy", "40"],
    "weather_forecast.py": ["absent.csv", "20"],
    "learn_on_device.py": ["host", "{tmp}/device"],
}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.name)
def test_example_runs(path, tmp_path):
    if path.name == "tonic_data.py":
        pytest.importorskip("tonic", reason="the extra `tonic` is not installed")
    words = [w.format(tmp=tmp_path) for w in ARGUMENTS.get(path.name, [])]
    result = subprocess.run(
        [sys.executable, str(path), *words], cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert len(path.read_text().splitlines()) < 80


def test_a_rule_from_outside_is_short():
    assert len((EXAMPLES / "my_rule.py").read_text().splitlines()) < 60


def test_deploying_takes_under_fifteen_lines():
    tree = ast.parse((EXAMPLES / "deploy.py").read_text())
    assert len([node for node in tree.body if not isinstance(node, ast.Expr)]) < 15
