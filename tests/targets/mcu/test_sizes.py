"""What `check` says of flash and RAM before training is a bound on what the trained network takes."""

import json

import pytest
import torch
from typer.testing import CliRunner

from edge_anp import demo_net, quantize, tasks
from edge_anp.cli import app
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import LIF, CubaLIF, Readout
from edge_anp.snntorch_model import read
from edge_anp.synapses import AvgPool2d, Conv2d, Dense, Diagonal, MaxPool2d
from edge_anp.topology import INPUT, InputContract
from targets.mcu import TARGET, tables


def convolutional():
    """Convolution, mean and max pools, both neurons, a readout, a delay."""
    torch.manual_seed(0)
    conv = Conv2d((2, 8, 8), (3, 3), (1, 1), (1, 1), torch.randn(4, 2, 3, 3), torch.randn(4))
    one = Layer(
        (4, 4, 4),
        (Connection(INPUT, (conv, AvgPool2d((4, 8, 8), (2, 2), (2, 2), (0, 0)))),),
        LIF(torch.rand(64), torch.ones(64)),
    )
    dense = Dense(torch.randn(9, 16), torch.randn(9))
    two = Layer(
        (9,),
        (Connection(0, (MaxPool2d((4, 4, 4), (2, 2), (2, 2), (0, 0)), dense), 2),),
        CubaLIF(torch.tensor(0.9), torch.tensor(1.0), alpha=0.5),
    )
    own = Layer(
        (9,),
        (Connection(1, (Diagonal(torch.ones(9), (9,)),)), Connection(INPUT, (Dense(torch.randn(9, 128)),))),
        Readout(torch.tensor(0.9)),
    )
    return Network((one, two, own), InputContract((2, 8, 8)), "membrane_last")


def recurrent():
    raster, _ = tasks.load("digits").train.batch(range(4))
    return read(demo_net.build(0), raster.reshape(*raster.shape[:2], 8)).network


@pytest.mark.parametrize("build", [convolutional, recurrent])
def test_the_estimate_bounds_what_is_compiled(build):
    network = build()
    net, _ = quantize.quantize(network, torch.rand(12, 3, network.input.size))
    table, said = tables.write(net), TARGET.sizes(network)
    assert len(table.data) <= said["flash"] <= 1.1 * len(table.data) + 600
    assert table.state_bytes <= said["RAM"] <= 2 * table.state_bytes
    assert TARGET.sizes(net) == {"flash": len(table.data), "RAM": table.state_bytes}


def test_check_prints_them(tmp_path):
    result = CliRunner().invoke(
        app, ["check", "examples/my_net.py:build", "--target", "mcu", "--json", str(tmp_path / "c.json")]
    )
    assert result.exit_code == 0, result.output
    assert "bytes of RAM" in " ".join(result.output.replace("│", " ").split())
    assert set(json.loads((tmp_path / "c.json").read_text())["sizes"]["mcu"]) == {"flash", "RAM"}
