"""The files keep to what every ONNX tool has, and a stranger can run them from their metadata alone."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from edge_anp import network as floats
from edge_anp import reference, target
from edge_anp.conformance_networks import random_network, random_raster
from edge_anp.errors import Unsupported
from edge_anp.integer import MCU16, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.kinds import KINDS
from edge_anp.network import Connection, Layer, Network, copy_to_numpy
from edge_anp.neurons import LIF, CubaLIF, Readout
from edge_anp.synapses import AvgPool2d, Conv2d, Dense, MaxPool2d
from edge_anp.topology import INPUT, InputContract
from targets.onnx import TARGET

SAFE = {
    *("Gemm", "MatMul", "Conv", "AveragePool", "MaxPool", "Flatten"),
    *("Add", "Sub", "Mul", "Greater", "Cast", "Floor", "Clip"),
}
SEEDS = range(40)


def float_network(contract=(2, 6, 6)):
    """Convolution, mean and max pools, a delay, both neurons and a readout."""
    torch.manual_seed(0)
    conv = Conv2d((2, 6, 6), (3, 3), (1, 1), (1, 1), torch.randn(4, 2, 3, 3), torch.randn(4))
    mean, largest = AvgPool2d((4, 6, 6), (3, 3), (2, 2), (1, 1)), MaxPool2d((4, 3, 3), (2, 2), (1, 1), (1, 1))
    one = Layer((4, 6, 6), (Connection(INPUT, (conv,)),), LIF(torch.rand(4, 1, 1), torch.rand(4, 1, 1) + 0.5), "conv")
    dense = Dense(torch.randn(9, 64), torch.randn(9))
    two = Layer(
        (9,),
        (Connection(0, (mean, largest, dense), 2),),
        CubaLIF(torch.tensor(1.2), torch.tensor(1.0), "zero", False, alpha=0.5),
    )
    out = Layer((3,), (Connection(1, (Dense(torch.randn(3, 9)),)),), Readout(torch.tensor(0.9)))
    return Network((one, two, out), InputContract(contract), "membrane_mean")


def all_models(folder):
    """Models of every kind, all flavors."""
    for seed in SEEDS:
        TARGET.lower(random_network(seed), folder, copy_to_numpy(float_network()) if seed == 0 else None)
        for path in sorted(folder.glob("*.onnx")):
            if path.stem != "step_float" or seed == 0:
                yield path.stem, onnx.load(path)


def test_files_keep_the_rules(tmp_path):
    for runner, model in all_models(tmp_path):
        onnx.checker.check_model(model, full_check=True)
        assert (model.opset_import[0].version, model.ir_version) == (13, 8)
        used = {node.op_type for node in model.graph.node}
        assert "Constant" not in used
        assert used <= SAFE or runner == "step_i32"
        names = [n for node in model.graph.node for n in (*node.input, *node.output)]
        names += [i.name for i in (*model.graph.input, *model.graph.output, *model.graph.initializer)]
        assert all(re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) for name in names)
        for value in (*model.graph.input, *model.graph.output):
            sizes = [d.dim_value for d in value.type.tensor_type.shape.dim]
            assert sizes[0] == 1
            assert all(n > 0 for n in sizes)
            assert len(sizes) <= 4


@pytest.mark.parametrize("seed", [0, 3, 11])
@pytest.mark.parametrize("runner", TARGET.exact)
def test_a_stranger_can_run_it(runner, seed, tmp_path):
    """With onnxruntime and the metadata, as README.md says, and nothing of ours."""
    net = random_network(seed)
    raster = random_raster(net, 1, 20)
    TARGET.lower(net, tmp_path, golden="abc")
    session = onnxruntime.InferenceSession(tmp_path / f"{runner}.onnx")
    told = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    types = {"tensor(float)": np.float32, "tensor(int8)": np.int8, "tensor(int32)": np.int32}
    state = {i.name: np.zeros(i.shape, types[i.type]) for i in session.get_inputs()}
    x, names = state.pop("x"), [o.name for o in session.get_outputs()]
    want = reference.run(net, raster)
    for t, row in enumerate(raster):
        answer = session.run(names, {"x": row.astype(x.dtype).reshape(x.shape), **state})
        out = {name: np.array(value) for name, value in zip(names, answer, strict=True)}
        state = {k: out[n] for k, n in told["edge_anp_states"].items()}
        for i, layer in enumerate(told["edge_anp_layers"]):
            if layer["spikes"]:
                assert np.array_equal(np.ravel(out[layer["spikes"]]), want.spikes[i][t])
            for n, name in layer["states"].items():
                assert np.array_equal(np.ravel(out[name]), want.states[i][n][t])
    assert told["edge_anp_golden"] == "abc"
    assert told["edge_anp_decode"] == net.decode
    assert told["edge_anp_input"] == {"shape": list(net.input.shape), "dt": None, "scale": 1.0}
    assert len(told["edge_anp_units"]) == len(net.layers)


@pytest.mark.parametrize("runner", TARGET.runners)
def test_emx_compiles_it_to_c(runner, tmp_path):
    floats_ = float_network()
    net = next(n for n in map(random_network, range(99)) if len(n.input.shape) == 3 and len(n.layers) == 3)
    TARGET.lower(net, tmp_path, copy_to_numpy(floats_))
    program = shutil.which("emx-onnx-cgen") or str(Path(sys.executable).with_name("emx-onnx-cgen"))
    subprocess.run([program, "compile", tmp_path / f"{runner}.onnx", tmp_path / "net.c"], check=True, timeout=300)
    assert "void" in (tmp_path / "net.c").read_text()


def test_step_float_is_the_float_network(tmp_path):
    network = float_network()
    TARGET.lower(random_network(0), tmp_path, copy_to_numpy(network))
    x = torch.rand(30, 1, 72, generator=torch.manual_seed(1)) * 3 - 1
    with torch.no_grad():
        want = floats.run(network, x)
    got = TARGET.open(tmp_path, "step_float").run(x[:, 0].numpy())
    assert all(s.any() for s in want.spikes[:2])
    for i, spikes in enumerate(want.spikes):
        assert np.array_equal(got.spikes[i], spikes[:, 0].numpy())
        for ours, theirs in {"v": "mem", "u": "syn"}.items():
            if ours in got.states[i]:
                np.testing.assert_allclose(got.states[i][ours], want.states[i][theirs][:, 0], rtol=1e-4, atol=1e-4)


def huge_view():
    """300 x 300 neurons in a row, read as an image of 900 rows of 100."""
    size = 300 * 300
    neuron = lambda n: IntegerNeuron(Leak(np.full(n, 200), 8), None, np.full(n, 9), "subtract")  # noqa: E731
    dense, pool = Dense(np.ones((size, 1), np.int8)), MaxPool2d((9, 100, 100), (2, 2), (2, 2), (0, 0))
    one = IntegerLayer((size,), (IntegerConnection(INPUT, (dense,)),), np.zeros(size), neuron(size), np.ones(size))
    two = IntegerLayer((9, 50, 50), (IntegerConnection(0, (pool,)),), np.zeros(22500), neuron(22500), np.ones(22500))
    return IntegerNetwork(MCU16, (one, two), InputContract((1,)))


def test_a_view_that_would_not_ship_is_refused_before_any_file(tmp_path):
    with pytest.raises(Unsupported, match=r"layer 1 reads 90000 as 9x100x100: .* limit is 4194304"):
        TARGET.lower(huge_view(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_cell_of_the_table_is_yes():
    assert TARGET.supports == dict.fromkeys(KINDS, "")


def test_another_machine_is_refused_by_name():
    net = replace(random_network(0), arithmetic=replace(MCU16, name="other"))
    assert target.missing(TARGET, net) == ["its arithmetic is other; onnx computes mcu16: quantize it for that"]


def test_legalize_changes_nothing():
    network = float_network()
    assert TARGET.legalize(network) == (network, ())
