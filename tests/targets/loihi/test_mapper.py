"""What a network would take of a chip: which layer breaks which limit, and what the artifact says of it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from edge_anp import report, target
from edge_anp.errors import BadFile
from edge_anp.integer import LOIHI2, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.synapses import Conv2d, Dense
from edge_anp.topology import INPUT, InputContract
from targets.loihi import TARGET, mapper


def wide(inputs, size):
    neuron = IntegerNeuron(Leak(np.full(size, 3686), 12), None, np.full(size, 640), "zero", False)
    ways = (IntegerConnection(INPUT, (Dense(np.full((size, inputs), 2, np.int16)),), 6),)
    layers = (IntegerLayer((size,), ways, np.zeros(size, np.int64), neuron, np.ones(size), "wide"),)
    return IntegerNetwork(LOIHI2, layers, InputContract((inputs,), high=1))


def test_the_mapper_names_the_layer_the_limit_and_the_excess():
    (small,) = mapper.measure(wide(100, 64))
    assert (small.cores, small.axons_in, small.memory, small.broken) == (1, 100, 6400, ())
    (split,) = mapper.measure(wide(4000, 64))
    assert split.cores == 2  # 250 KiB of synapses
    (broken,) = mapper.measure(wide(5000, 8))
    assert broken.broken == ("5000 input axons a core, the limit is 4096; fewer inputs: pool or split the source",)


def test_a_convolution_is_split_by_rows_until_each_core_hears_little_enough():
    image, maps = (2, 64, 64), (1, 62, 62)
    op = Conv2d(image, (3, 3), (1, 1), (0, 0), np.full((1, 2, 3, 3), 2, np.int16))
    neuron = IntegerNeuron(Leak(np.full(62 * 62, 3686), 12), None, np.full(62 * 62, 640), "zero", False)
    layer = IntegerLayer(
        maps, (IntegerConnection(INPUT, (op,), 6),), np.zeros(62 * 62, np.int64), neuron, np.ones(62 * 62)
    )
    (use,) = mapper.measure(IntegerNetwork(LOIHI2, (layer,), InputContract(image, high=1)))
    assert (use.cores, use.axons_in, use.memory, use.broken) == (3, (21 + 2) * 64 * 2, 18, ())


def test_an_artifact_has_its_report(tmp_path):
    net = wide(100, 64)
    target.compile_to(TARGET, net, tmp_path / "out", None, [np.zeros((3, 100), np.int8)])
    tables = json.loads((tmp_path / "out/report.json").read_text())["tables"]
    assert tables[0]["rows"] == [["wide", "stock LIF", 64, 1, 100, 0, "6.2"]]
    assert len(report.artifact_tables(tmp_path / "out")) == 2
    assert (tmp_path / "out/network.net").is_file()
    (tmp_path / "out/report.json").write_text("{")
    with pytest.raises(BadFile, match=r"report\.json"):
        report.artifact_tables(tmp_path / "out")
    subtract = replace(net.layers[0], neuron=replace(net.layers[0].neuron, reset="subtract"))
    target.compile_to(TARGET, replace(net, layers=(subtract,)), tmp_path / "out", None, [np.zeros((3, 100), np.int8)])
    assert not (tmp_path / "out/network.net").exists()
    assert "a chip would need microcode" in (tmp_path / "out/README.md").read_text()
