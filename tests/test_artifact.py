"""The folder says what it is, whole or not at all."""

import json
from dataclasses import replace

import numpy as np
import pytest

from edge_anp import artifact, reference, storage
from edge_anp.artifact import Golden, make_golden
from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.errors import BadFile
from edge_anp.integer import Trace

NET = random_network(2)


@pytest.fixture
def made(tmp_path):
    golden = make_golden(NET, [random_raster(NET, k, 6) for k in range(2)])
    found = artifact.describe(tmp_path, "onnx", ["a", "b"], NET, artifact.digest(golden))
    artifact.write(found)
    artifact.write_golden(tmp_path, golden)
    return found


def test_what_is_written_is_read(made):
    assert artifact.read(made.folder) == made
    golden = artifact.read_golden(made)
    for raster, trace in zip(golden.rasters, golden.traces, strict=True):
        want = reference.run(NET, raster)
        assert all(np.array_equal(a, b) for a, b in zip(want.spikes, trace.spikes, strict=True))
    assert [layer.size for layer in made.layers] == [layer.size for layer in NET.layers]


def test_no_hash_of_a_model_file_is_in_it(made):
    content = json.loads((made.folder / "artifact.json").read_text())
    assert set(content) == {
        *("version", "semantics", "target", "runners", "arithmetic", "input", "decode", "golden", "layers")
    }


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: p.unlink(),
        lambda p: p.write_bytes(b"\xff\xfe\x00"),
        lambda p: p.write_text("{" * 100_000),
        lambda p: p.write_text("[" * 100_000),
        lambda p: p.write_text("[]"),
        lambda p: p.write_text(p.read_text()[:-20]),
        lambda p: change(p, version=2),
        lambda p: change(p, semantics=7),
        lambda p: change(p, decode="guess"),
        lambda p: change(p, target=3),
        lambda p: change(p, runners=5),
        lambda p: change(p, runners=[["a"]]),
        lambda p: change(p, input={"shape": [0], "dt": None, "scale": 1}),
        lambda p: change(p, input={"shape": [3], "dt": None, "scale": "no"}),
        lambda p: change(p, layers=[1]),
    ],
)
def test_a_damaged_artifact_is_one_sentence(made, damage):
    damage(made.folder / "artifact.json")
    with pytest.raises(BadFile, match=r"artifact\.json") as error:
        artifact.read(made.folder)
    assert "\n" not in str(error.value)


def test_other_golden_vectors_are_noticed(made):
    with pytest.raises(BadFile, match=r"golden\.npz: its vectors have digest"):
        artifact.read_golden(replace(made, golden="0" * 64))


@pytest.mark.parametrize(
    "content", [Golden((), ()), Golden((np.ones(3),), ()), Golden((np.array("a"),), (Trace((), ()),))]
)
def test_golden_vectors_of_another_shape_are_a_bad_file(made, content):
    storage.write(made.folder / "golden.npz", "golden", artifact.VERSION, content)
    with pytest.raises(BadFile, match=r"golden\.npz"):
        artifact.read_golden(made)


@pytest.mark.parametrize("part", ["raster", "spikes", "states"])
def test_the_digest_covers_every_number(part):
    golden = make_golden(NET, [random_raster(NET, 0, 6)])
    before = artifact.digest(golden)
    trace = golden.traces[0]
    array = {"raster": golden.rasters[0], "spikes": trace.spikes[-1], "states": trace.states[0]["v"]}[part]
    array[3, 0] += 1
    assert artifact.digest(golden) != before
