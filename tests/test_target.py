"""Targets are found wherever they are installed, refuse in full, and leave a whole artifact or none."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest

import edge_anp
from edge_anp import artifact, integer, target
from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.errors import BadFile, ToolMissing, Unsupported
from edge_anp.integer import MCU16, Arithmetic
from edge_anp.kinds import KINDS, kinds

NET = random_network(2)
GOLDEN = [random_raster(NET, k, 6) for k in range(2)]


@dataclass
class Toy:
    """A target that writes two files."""

    name: str = "toy"
    arithmetics: tuple[Arithmetic, ...] = (MCU16,)
    runners: tuple[str, ...] = ("one",)
    exact: tuple[str, ...] = ("one",)
    supports: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(KINDS, ""))
    fails: bool = False

    def legalize(self, network):
        return network, ()

    def lower(self, net, folder, network=None, golden=""):
        (folder / "first.bin").write_bytes(b"1")
        if self.fails:
            raise RuntimeError("the power went out")
        (folder / "second.bin").write_bytes(b"2")
        return artifact.describe(folder, self.name, self.runners, net, golden)

    def open(self, folder, runner, limit_s=600.0):
        raise NotImplementedError


@pytest.mark.parametrize("name", target.available())
def test_every_installed_target_answers_for_every_kind(name):
    found = target.find(name)
    assert set(found.supports) == set(KINDS)
    assert set(found.exact) <= set(found.runners)
    assert found.arithmetics


def test_an_unknown_target_is_answered_with_the_known():
    with pytest.raises(ValueError, match=r"'abacus'; it must be .*onnx"):
        target.find("abacus")


@pytest.mark.parametrize(
    ("module", "source", "words"),
    [
        ("absent_package", None, "importing absent_package fails"),
        ("broken_target", "import absent_dependency\n", "absent_dependency.*install what it needs"),
        ("broken_target", "raise RuntimeError('no board')\n", "RuntimeError: no board"),
        ("broken_target", "TARGET = 3\n", "is no Target of that name"),
        ("broken_target", "", "importing broken_target fails.*TARGET"),
    ],
)
def test_a_target_that_cannot_be_had_is_one_clear_error(module, source, words, tmp_path, monkeypatch):
    if source is not None:
        (tmp_path / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, module, raising=False)
    entries = EntryPoints([EntryPoint("toy", f"{module}:TARGET", target.GROUP)])
    monkeypatch.setattr(target, "entry_points", lambda **want: entries.select(**want))
    with pytest.raises(ToolMissing, match=words) as error:
        target.find("toy")
    assert "\n" not in str(error.value)


def test_a_targets_folder_of_ones_own_is_named_as_the_cause(tmp_path):
    """A script's folder comes first on the path, so a `targets` package beside it hides ours."""
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "__init__.py").write_text("")
    (tmp_path / "script.py").write_text(
        "import sys\nsys.meta_path[:] = [f for f in sys.meta_path if 'Editable' not in repr(f)]  # as a plain install is\n"
        "from edge_anp import target\nfrom edge_anp.errors import ToolMissing\n"
        "try:\n    target.find('onnx')\nexcept ToolMissing as error:\n    print(error)\n"
    )
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(Path(edge_anp.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stderr == ""
    assert str(tmp_path / "targets") in done.stdout
    assert "hides the installed package `targets`: rename it" in done.stdout


def test_every_reason_comes_at_once_and_before_any_file(tmp_path):
    there = sorted(kinds(NET))[:2]
    toy = Toy(supports=dict.fromkeys(KINDS, "") | {kind: f"no {kind} on a toy" for kind in there}, arithmetics=())
    with pytest.raises(Unsupported) as error:
        target.compile_to(toy, NET, tmp_path / "out", None, GOLDEN)
    assert len(error.value.reasons) == 3
    assert all(f"no {kind} on a toy" in str(error.value) for kind in there)
    assert str(error.value).startswith("toy cannot run this network")
    assert not list(tmp_path.iterdir())


def test_a_kind_that_a_target_forgot_is_refused():
    reasons = target.missing(Toy(supports={}), NET)
    assert len(reasons) == len(kinds(NET))
    assert all(reason.endswith("the target does not say that it can") for reason in reasons)


def test_a_folder_holds_all_that_a_runner_needs(tmp_path):
    made = target.compile_to(Toy(), NET, tmp_path / "a" / "out", None, GOLDEN)
    names = {p.name for p in (tmp_path / "a" / "out").iterdir()}
    assert names == {"artifact.json", "integer.npz", "golden.npz", "first.bin", "second.bin"}
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["out"]
    assert artifact.read(made.folder) == made
    assert len(integer.load(made.folder / "integer.npz").layers) == len(NET.layers)
    assert np.array_equal(artifact.read_golden(made).rasters[1], GOLDEN[1])


def test_a_crash_while_files_are_made_leaves_the_old_artifact(tmp_path):
    old = target.compile_to(Toy(), NET, tmp_path / "out", None, GOLDEN)
    with pytest.raises(RuntimeError, match="power"):
        target.compile_to(Toy(fails=True), random_network(5), tmp_path / "out", None, [])
    assert artifact.read(tmp_path / "out") == old
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_crash_before_the_end_leaves_no_artifact(tmp_path, monkeypatch):
    target.compile_to(Toy(), NET, tmp_path / "out", None, GOLDEN)

    def stop(_):
        raise RuntimeError("the power went out")

    monkeypatch.setattr(artifact, "write", stop)
    with pytest.raises(RuntimeError, match="power"):
        target.compile_to(Toy(), random_network(5), tmp_path / "out", None, [])
    with pytest.raises(BadFile, match="there is no such file"):
        artifact.read(tmp_path / "out")
