"""What is written is read back; anything else is a BadFile, and nothing of it is executed."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_anp import integer, network, reference, storage
from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.errors import BadFile
from edge_anp.integer import Leak
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import LIF
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT, InputContract


class Bomb:
    """Unpickled, it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def good(tmp_path):
    integer.save(random_network(1), tmp_path / "good.npz")
    return tmp_path / "good.npz"


def write_raw(path, header, **arrays):
    np.savez(path, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)


@pytest.mark.parametrize("seed", range(15))
def test_an_integer_network_returns(tmp_path, seed):
    net = random_network(seed)
    integer.save(net, tmp_path / "a.npz")
    back = integer.load(tmp_path / "a.npz")
    raster = random_raster(net, seed, 12)
    a, b = reference.run(net, raster), reference.run(back, raster)
    assert (back.arithmetic, back.input, back.decode) == (net.arithmetic, net.input, net.decode)
    assert all(np.array_equal(x["v"], y["v"]) for x, y in zip(a.states, b.states, strict=True))
    assert storage._encode(net, []) == storage._encode(back, [])


def test_a_float_network_returns(tmp_path):
    w = torch.randn(3, 4, requires_grad=True)
    layer = Layer((3,), (Connection(INPUT, (Dense(w),)),), LIF(torch.tensor(0.9), torch.tensor(1.0)))
    network.save(Network((layer,), InputContract((4,)), feedback={"B": torch.ones(2)}), tmp_path / "n.npz")
    back = network.load(tmp_path / "n.npz")
    assert torch.equal(back.layers[0].connections[0].path[0].weight, w)
    assert torch.equal(back.feedback["B"], torch.ones(2))
    with pytest.raises(BadFile, match="'network' file"):
        integer.load(tmp_path / "n.npz")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(50), bytes(range(256)) * 4, b"PK\x03\x04"])
def test_a_foreign_file(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(BadFile):
        integer.load(tmp_path / "x.npz")


def test_a_zip_of_text_and_no_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("header", "hello")
    for name in ("x.npz", "absent.npz"):
        with pytest.raises(BadFile):
            integer.load(tmp_path / name)


@pytest.mark.parametrize("wrap", ["pickle", "npz", "npy"])
def test_nothing_is_executed(tmp_path, wrap):
    target, bomb = tmp_path / "executed", Bomb(tmp_path / "executed")
    objects = np.array([bomb], dtype=object)
    path = tmp_path / "x.npz"
    if wrap == "pickle":
        path.write_bytes(pickle.dumps(bomb))
    elif wrap == "npz":
        np.savez(path, header=objects, a0=objects)
    else:
        with path.open("wb") as file:
            np.save(file, objects)
    with pytest.raises(BadFile):
        integer.load(path)
    assert not target.exists()


def test_a_truncated_or_changed_file(good):
    content = good.read_bytes()
    want = storage._encode(integer.load(good), arrays := [])
    for k in range(0, len(content), max(1, len(content) // 150)):
        good.write_bytes(content[:k])
        with pytest.raises(BadFile):
            integer.load(good)
        good.write_bytes(content[:k] + bytes([content[k] ^ 0x41]) + content[k + 1 :])
        try:
            got = storage._encode(integer.load(good), others := [])
        except BadFile:
            continue
        assert got == want
        assert all(np.array_equal(a, b) for a, b in zip(arrays, others, strict=True))


def test_wrong_version_unknown_type_wrong_root_and_numbers_that_do_not_fit(tmp_path, good):
    with pytest.raises(BadFile, match="version is 1"):
        storage.read(good, "integer", 2, integer.CLASSES)
    for tree in ({"type": "Popen", "fields": {}}, Leak(np.ones(2), 8), [1, 2]):
        storage.write(tmp_path / "x.npz", "integer", 1, {"x": 1})
        digest = None
        if isinstance(tree, Leak | list):
            storage.write(tmp_path / "x.npz", "integer", 1, tree)
        else:
            digest = storage._digest(tree, [])
            write_raw(tmp_path / "x.npz", {"kind": "integer", "version": 1, "tree": tree, "sha256": digest})
        with pytest.raises(BadFile):
            integer.load(tmp_path / "x.npz")


@pytest.mark.parametrize("depth", [900, 5000, 200_000])
def test_deep_nesting(tmp_path, depth):
    text = '{"kind":"integer","version":1,"sha256":"","tree":' + "[" * depth + "]" * depth + "}"
    np.savez(tmp_path / "x.npz", header=np.frombuffer(text.encode(), np.uint8))
    with pytest.raises(BadFile):
        integer.load(tmp_path / "x.npz")


def test_a_giant_shape_allocates_nothing(tmp_path):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (2**33,)})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("header.npy", head.getvalue())
    with pytest.raises(BadFile, match="declares 8589934592 bytes and holds 0"):
        integer.load(tmp_path / "x.npz")


def test_a_killed_write_leaves_the_old_file(good, monkeypatch):
    before = good.read_bytes()

    def die(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", die)
    with pytest.raises(KeyboardInterrupt):
        integer.save(random_network(2), good)
    assert good.read_bytes() == before
