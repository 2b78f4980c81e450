"""verify finds one changed number, says where it is, and takes nothing on trust."""

import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from edge_anp import conformance, integer, reference, target
from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.errors import BadFile, Divergence
from edge_anp.integer import IntegerNetwork, quantize_input
from edge_anp.network import Connection, Layer, Network, copy_to_numpy
from edge_anp.neurons import LIF
from edge_anp.quantize import quantize
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT, InputContract
from edge_anp.verify import verify


def build():
    """A small float network, its integers, and samples of floats."""
    torch.manual_seed(0)
    lif = LIF(torch.tensor(0.9), torch.tensor(1.0))
    one = (
        Connection(INPUT, (Dense(torch.randn(12, 8), None),)),
        Connection(0, (Dense(torch.randn(12, 12) / 4, None),), 1),
    )
    two = (Connection(0, (Dense(torch.randn(5, 12), None),)),)
    network = Network((Layer((12,), one, lif, "hidden"), Layer((5,), two, lif, "out")), InputContract((8,)))
    x = torch.rand(25, 4, 8)
    net, _ = quantize(network, x)
    return network, net, [x[:, b].numpy() for b in range(4)]


NETWORK, NET, SAMPLES = build()
WHOLE = [quantize_input(x, NET.input) for x in SAMPLES]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build") / "onnx"
    target.compile_to(target.find("onnx"), NET, folder, copy_to_numpy(NETWORK), WHOLE[:2])
    return folder


@pytest.fixture
def folder(compiled, tmp_path):
    return shutil.copytree(compiled, tmp_path / "copy")


def edit(path, name, change):
    """Change an initializer of a model."""
    model = onnx.load(path)
    (tensor,) = [t for t in model.graph.initializer if t.name == name]
    values = onnx.numpy_helper.to_array(tensor).copy()
    change(values)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, name))
    onnx.save(model, path)


def test_every_bit_is_equal(compiled):
    seen = []
    result = verify(compiled, SAMPLES, progress=lambda done, of: seen.append((done, of)))
    result.check()
    steps = 4 * 25 * 17
    exact = {"spike_mismatches": 0, "state_mismatches": 0, "neuron_steps": steps, "samples": 4, "first": None}
    told = result.to_json()
    assert told["target"] == "onnx"
    assert "onnxruntime" in told["ran"]
    assert told["runners"]["step_q"] == told["runners"]["step_i32"] == exact
    assert told["runners"]["step_float"]["state_mismatches"] is None
    assert told["runners"]["step_float"]["spike_mismatches"] == 0
    assert json.loads(json.dumps(told)) == told
    assert seen == [(k, 4) for k in range(1, 5)]


def test_floats_are_rounded_as_the_contract_says(compiled):
    """Integers stand for themselves; as images, as floats and as tensors they are the same samples."""
    results = [
        verify(compiled, rasters, "step_q").to_json()
        for rasters in (SAMPLES, WHOLE, [x.reshape(25, 2, 4) for x in WHOLE])
    ]
    assert results[0] == results[1] == results[2]
    assert verify(compiled, torch.from_numpy(np.stack(SAMPLES)), "step_q").to_json() == results[0]


@pytest.mark.parametrize("runner", ["step_q", "step_i32"])
@pytest.mark.parametrize(("layer", "constant", "neuron"), [(0, "l0_0_0_w", 7), (0, "l0_1_0_w", 3), (1, "l1_0_0_w", 2)])
def test_one_changed_weight_is_named_by_step_layer_and_neuron(folder, runner, layer, constant, neuron):
    """The place is where the reference itself first differs, given the same change."""
    connection = int(constant[3])
    c = NET.layers[layer].connections[connection]
    weight = c.path[0].weight.copy()
    sent = np.concatenate([x if c.source == INPUT else reference.run(NET, x).spikes[c.source] for x in WHOLE])
    source = int(np.where(weight[neuron] < 118, np.abs(sent).sum(0), -1).argmax())
    weight[neuron, source] += 9
    added = 9 * 2.0**c.shift if runner == "step_q" else 9

    def change(w):
        w[source, neuron] += added

    edit(folder / f"{runner}.onnx", constant, change)
    connections = list(NET.layers[layer].connections)
    connections[connection] = replace(c, path=(replace(c.path[0], weight=weight),))
    layers = list(NET.layers)
    layers[layer] = replace(layers[layer], connections=tuple(connections))
    other = IntegerNetwork(NET.arithmetic, tuple(layers), NET.input, NET.decode)
    wanted = [conformance.first_difference(reference.run(NET, x), reference.run(other, x)) for x in WHOLE]
    sample = next(k for k, text in enumerate(wanted) if text)

    result = verify(folder, WHOLE)
    with pytest.raises(
        Divergence, match=rf"{runner} .*layer {layer} \({NET.layers[layer].name}\), neuron {neuron}"
    ) as error:
        result.check()
    first = result.to_json()["runners"][runner]["first"]
    assert set(first) == {"sample", "step", "layer", "neuron", "state"}
    place = f"step {first['step']}, layer {first['layer']}, neuron {first['neuron']}: "
    assert str(wanted[sample]).startswith(place)
    assert (first["sample"], first["layer"], first["neuron"]) == (sample, layer, neuron)
    assert f"sample {sample}, step {first['step']}" in str(error.value)
    others = [c for name, c in result.runners.items() if name != runner]
    assert all(c.first is None for c in others)


def test_a_fraction_is_not_rounded_away(folder):
    def change(b):
        b += 0.25

    edit(folder / "step_q.onnx", "half", change)
    assert verify(folder, WHOLE, "step_q").runners["step_q"].state_mismatches


def test_the_float_flavor_is_reported_and_decides_nothing(folder):
    def change(w):
        w *= 3

    edit(folder / "step_float.onnx", "l0_0_0_w", change)
    result = verify(folder, SAMPLES)
    assert result.runners["step_float"].spike_mismatches > 0
    assert result.runners["step_float"].first is not None
    result.check()


def test_counts_are_of_every_number_that_differs(folder):
    def change(b):
        b += 1

    edit(folder / "step_i32.onnx", "l1_vth", change)
    found = verify(folder, WHOLE, "step_i32").runners["step_i32"]
    last = NET.layers[1]
    assert last.neuron.vth is not None
    harder = replace(last, neuron=replace(last.neuron, vth=last.neuron.vth + 1))
    other = replace(NET, layers=(NET.layers[0], harder))
    pairs = [(reference.run(NET, x), reference.run(other, x)) for x in WHOLE]
    assert found.spike_mismatches == sum(int((a.spikes[1] != b.spikes[1]).sum()) for a, b in pairs)
    assert found.state_mismatches == sum(int((a.states[1]["v"] != b.states[1]["v"]).sum()) for a, b in pairs)


def test_without_a_float_network_nothing_is_reported_of_it(tmp_path):
    target.compile_to(target.find("onnx"), NET, tmp_path, None, WHOLE[:1])
    assert set(verify(tmp_path, WHOLE).runners) == {"step_q", "step_i32"}


OTHER = random_network(2)
BIASED = replace(NET, layers=(replace(NET.layers[0], bias=NET.layers[0].bias + 9), NET.layers[1]))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "artifact.json").unlink(), "artifact.json"),
        (lambda f: (f / "integer.npz").unlink(), "integer.npz"),
        (lambda f: (f / "golden.npz").unlink(), "golden.npz"),
        (lambda f: (f / "network.npz").unlink(), "network.npz"),
        (lambda f: (f / "step_i32.onnx").unlink(), "step_i32.onnx"),
        (lambda f: shutil.copy(f / "golden.npz", f / "integer.npz"), "integer.npz"),
        (lambda f: integer.save(OTHER, f / "integer.npz"), "integer.npz: it is not the network that was compiled"),
        (
            lambda f: integer.save(BIASED, f / "integer.npz"),
            r"integer.npz: it answers a golden vector otherwise: sample 0, step 0, layer 0 \(hidden\), neuron 0",
        ),
    ],
    ids=["artifact", "integer", "golden", "network", "model", "wrong kind", "other network", "other bias"],
)  # fmt: skip
def test_a_file_that_compile_did_not_write_is_a_bad_file(folder, damage, words):
    damage(folder)
    with pytest.raises(BadFile, match=words) as error:
        verify(folder, SAMPLES)
    assert "\n" not in str(error.value)


def test_a_model_of_another_network_is_a_bad_file(folder, tmp_path):
    narrow = replace(NET, layers=NET.layers[:1])
    target.compile_to(target.find("onnx"), narrow, tmp_path / "narrow", None, [])
    shutil.copy(tmp_path / "narrow" / "step_q.onnx", folder / "step_q.onnx")
    with pytest.raises(BadFile, match="step_q is a network of other layers or sizes"):
        verify(folder, SAMPLES)


@pytest.mark.parametrize(
    ("rasters", "runner", "words"),
    [
        ([], None, "there are no samples"),
        (WHOLE, "step_z", "the runner is 'step_z'; this artifact has step_q, step_i32, step_float"),
        ([np.zeros((3, 9))], None, r"sample 0 is float64 of shape \(3, 9\); it must be numbers \[T, 8\]"),
        ([np.zeros(8)], None, r"it must be numbers \[T, 8\]"),
        ([np.full((3, 8), "a")], None, "it must be numbers"),
        ([np.full((3, 8), np.nan)], None, "sample 0 holds 24 NaN"),
        ([np.full((3, 8), 128)], None, r"it must lie in -127\.\.127"),
    ],
)
def test_a_wrong_argument_is_a_value_error(compiled, rasters, runner, words):
    with pytest.raises(ValueError, match=words):
        verify(compiled, rasters, runner)


def test_random_networks_are_verified_from_their_folders(tmp_path):
    for seed in range(8):
        net = random_network(seed)
        rasters = [random_raster(net, k, 12) for k in range(2)]
        target.compile_to(target.find("onnx"), net, tmp_path / str(seed), None, rasters)
        verify(tmp_path / str(seed), rasters).check()
