"""The rules of the house, read from the source: who may import whom, what a file may be called, how long it may be."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("edge_anp", "targets", "examples", "tools")
FORBIDDEN_NAMES = re.compile(r"_*(base|commons?|helpers?|managers?|utils?)")
FORBIDDEN_MODULES = ("pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve")
SAFE_LOADS = {("np", "load"): "allow_pickle", ("numpy", "load"): "allow_pickle", ("torch", "load"): "weights_only"}
ONE_MACHINE = re.compile(r"(?<![\w.~})])/(home|root|tmp|Users|work)/\w")
LENGTH, LIMIT, EXAMPLE_LENGTH = 250, 300, 80


def files(*roots: str) -> list[Path]:
    """The text files below these folders, as the checkout has them, without what a run leaves behind."""
    found = [p for root in roots for p in (ROOT / root).rglob("*") if p.is_file()]
    return sorted(p for p in found if "__pycache__" not in p.parts and b"\0" not in p.read_bytes())


def is_python(path: Path) -> bool:
    return path.suffix == ".py" or (not path.suffix and path.read_text().startswith("#!/usr/bin/env python"))


PYTHON = [p for p in files(*SHIPPED) if is_python(p)]
EVERYTHING = [
    *files(*SHIPPED, "docs", "tests", ".ci"),
    *(p for p in ROOT.iterdir() if p.is_file() and p.name != ".git"),
]


def imports(tree: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    """The full name of everything imported, relative imports resolved against the `package` the file lies in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*origin, *([node.module] if node.module else [])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def broken_rules(path: str, source: str) -> list[str]:
    """Each rule that a Python file of this path and source breaks."""
    room, tree = Path(path).parts[:-1], ast.parse(source)
    broken = []
    for name in imports(tree, room):
        top, *rest = name.split(".")
        if room[0] == "edge_anp" and top == "targets":
            broken.append(f"imports {name}; edge_anp finds targets through their entry points")
        if room[0] == "targets" and top in ("torch", "snntorch"):
            broken.append(f"imports {name}; a target runs without torch")
        if room[0] == "targets" and top == "targets" and rest[:1] != list(room[1:2]):
            broken.append(f"imports {name}; a target never imports another")
        if top in FORBIDDEN_MODULES:
            broken.append(f"imports {name}, which can run code from a file")
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            called = (node.func.value.id, node.func.attr)
            given = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
            if called in SAFE_LOADS and given.get(SAFE_LOADS[called]) is not (called[0] == "torch"):
                broken.append(
                    f"line {node.lineno}: {'.'.join(called)} without {SAFE_LOADS[called]}={called[0] == 'torch'}"
                )
    return broken


@pytest.mark.parametrize("path", PYTHON, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_keeps_the_rules(path: Path) -> None:
    assert broken_rules(str(path.relative_to(ROOT)), path.read_text()) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("edge_anp/cli.py", "import targets.onnx"),
        ("edge_anp/learning/fit.py", "def late():\n    from targets import onnx"),
        ("targets/onnx/run.py", "import torch.nn as nn"),
        ("targets/onnx/run.py", "from torch import Tensor"),
        ("targets/onnx/run.py", "from targets.mcu import tables"),
        ("targets/onnx/run.py", "from targets import mcu"),
        ("targets/onnx/run.py", "from ..mcu import tables"),
        ("targets/onnx/run.py", "from .. import mcu"),
        ("edge_anp/storage.py", "from pickle import loads"),
        ("edge_anp/storage.py", "np.load(path)"),
        ("edge_anp/storage.py", "np.load(path, allow_pickle=True)"),
        ("edge_anp/sources.py", "torch.load(path)"),
        ("edge_anp/sources.py", "torch.load(path, weights_only=False)"),
    ],
)
def test_a_broken_rule_is_seen(path: str, source: str) -> None:
    assert len(broken_rules(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("edge_anp/cli.py", "from edge_anp import target"),
        ("targets/onnx/run.py", "import numpy\nfrom edge_anp.integer import load"),
        ("targets/onnx/run.py", "from targets.onnx import lower\nfrom . import graph\nfrom .graph import build"),
        ("edge_anp/storage.py", "np.load(path, allow_pickle=False)"),
        ("edge_anp/sources.py", "torch.load(path, weights_only=True)"),
    ],
)
def test_a_kept_rule_is_not_complained_about(path: str, source: str) -> None:
    assert broken_rules(path, source) == []


def test_every_file_says_its_one_idea_first() -> None:
    silent = [p for p in PYTHON if p.read_text() and not ast.get_docstring(ast.parse(p.read_text()))]
    assert silent == []


def test_no_file_is_named_after_nothing() -> None:
    assert [p for p in files(*SHIPPED) if FORBIDDEN_NAMES.fullmatch(p.stem)] == []


def test_files_stay_short() -> None:
    """Past 250 lines a file likely holds two ideas (a warning); past 300 it does. An example is read at a glance."""
    code = [p for p in files(*SHIPPED) if is_python(p) or p.suffix in (".c", ".h", "")]
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in code}
    long = {name: n for name, n in lengths.items() if n > LENGTH}
    if long:
        warnings.warn(f"files past {LENGTH} lines: {long}", stacklevel=1)
    assert {name: n for name, n in long.items() if n > LIMIT} == {}
    assert {name: n for name, n in lengths.items() if name.startswith("examples/") and n > EXAMPLE_LENGTH} == {}


def test_no_path_belongs_to_one_machine() -> None:
    lines = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in EVERYTHING
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if ONE_MACHINE.search(line)
    ]
    assert lines == []
