"""Targets are found where anybody can add one: in an entry-point group."""

from __future__ import annotations

from importlib.metadata import entry_points


def test_the_onnx_target_is_found_by_name() -> None:
    (entry,) = entry_points(group="edge_anp.targets", name="onnx")
    assert entry.value == "targets.onnx:TARGET"
    assert entry.load().name == "onnx"


def test_every_target_answers_to_the_name_it_is_found_by() -> None:
    for entry in entry_points(group="edge_anp.targets"):
        assert entry.load().name == entry.name


def test_the_command_line_is_installed() -> None:
    (entry,) = entry_points(group="console_scripts", name="edge-anp")
    assert callable(entry.load())
