"""A session steps, resets, and refuses files that are not ours in one sentence."""

import numpy as np
import onnx
import pytest

from edge_anp import reference, target
from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.errors import BadFile
from targets.onnx import TARGET

NET = random_network(4)


@pytest.fixture
def folder(tmp_path):
    TARGET.lower(NET, tmp_path)
    return tmp_path


def test_the_protocols_are_kept(folder):
    assert isinstance(TARGET, target.Target)
    with TARGET.open(folder, "step_q") as session:
        assert isinstance(session, target.Session)
        assert "onnxruntime" in session.ran


@pytest.mark.parametrize("runner", TARGET.exact)
def test_steps_make_a_run_and_reset_is_silence(folder, runner):
    raster = random_raster(NET, 3, 15)
    want = reference.run(NET, raster)
    session = TARGET.open(folder, runner)
    session.run(random_raster(NET, 5, 8))  # leaves states behind
    session.reset()
    for t, row in enumerate(raster):
        got = session.step(row)
        assert all(np.array_equal(a[t], b) for a, b in zip(want.spikes, got.spikes, strict=True))
        assert all(np.array_equal(a["v"][t], b["v"]) for a, b in zip(want.states, got.states, strict=True))
    again = session.run(raster)
    assert all(np.array_equal(a, b) for a, b in zip(want.spikes, again.spikes, strict=True))


def test_no_steps_are_no_rows(folder):
    trace = TARGET.open(folder, "step_q").run(np.zeros((0, NET.input.size), np.int8))
    assert [s.shape for s in trace.spikes] == [(0, layer.size) for layer in NET.layers]


def test_a_wrong_input_is_named(folder):
    with pytest.raises(ValueError, match=rf"it must be \[T, {NET.input.size}\]"):
        TARGET.open(folder, "step_q").run(np.zeros((3, NET.input.size + 1), np.int8))


def foreign(path):
    """A fine ONNX file that is not ours."""
    info = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Floor", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [info("x", 1, [1, 2])], [info("y", 1, [1, 2])])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), path)


def stripped(path):
    """Ours, with states that its inputs do not have."""
    model = onnx.load(path)
    for p in model.metadata_props:
        p.value = p.value.replace("v0", "w0")
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda p: p.unlink(), "there is no such file"),
        (lambda p: p.write_bytes(b"\x80\x04K*."), "onnxruntime refuses it"),
        (lambda p: p.write_bytes(p.read_bytes()[:-300]), "onnxruntime refuses it"),
        (foreign, "it is another model"),
        (stripped, "it is another model"),
    ],
    ids=["absent", "garbage", "truncated", "foreign", "stripped"],
)
def test_a_bad_file_is_one_sentence(folder, damage, words, capfd):
    damage(folder / "step_q.onnx")
    with pytest.raises(BadFile, match=words) as error:
        TARGET.open(folder, "step_q")
    assert "step_q.onnx" in str(error.value)
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""
