"""The road of a newcomer: the networks of snnTorch's README and of its tutorials 5, 6 and 7, and one drawn by hand, to verified ONNX.

Written afresh from their shapes (snntorch 1.0.0: README; tutorials 5, dense; 6, convolutional; 7, event camera), with weights that make
every layer spike. Each is read, quantized, and equal on reference, simulate and both exact ONNX flavors.
"""

from pathlib import Path

import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch import surrogate, utils
from torch import nn
from torch.nn import functional as F

from edge_anp import network, reference, simulate, target
from edge_anp.integer import quantize_input
from edge_anp.network import Connection, Layer, Network, copy_to_numpy
from edge_anp.neurons import LIF
from edge_anp.quantize import quantize
from edge_anp.snntorch_model import read
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT, InputContract
from edge_anp.verify import verify

SPIKE = surrogate.fast_sigmoid(slope=25)


def loud(module: nn.Module, gain: float = 3.0) -> nn.Module:
    """The same module with weights large enough for spikes in every layer."""
    with torch.no_grad():
        for m in module.modules():
            if isinstance(m, nn.Linear | nn.Conv2d):
                m.weight *= gain
    return module


def readme() -> nn.Module:
    leaky = {"beta": 0.5, "init_hidden": True, "spike_grad": SPIKE}
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 5), nn.MaxPool2d(2), snn.Leaky(**leaky)),
        *(nn.Conv2d(8, 16, 5), nn.MaxPool2d(2), snn.Leaky(**leaky)),
        *(nn.Flatten(), nn.Linear(16 * 4 * 4, 10), snn.Leaky(**leaky, output=True)),
    )


class Tutorial5(nn.Module):
    """784 - 1000 - 10, a static image for 25 steps."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(784, 1000), snn.Leaky(beta=0.95)
        self.fc2, self.lif2 = nn.Linear(1000, 10), snn.Leaky(beta=0.95)

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for _ in range(25):
            spk1, mem1 = self.lif1(self.fc1(x.view(x.size(0), -1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


class Tutorial6(nn.Module):
    """12C5 - MP2 - 64C5 - MP2 - 10, a static image for 50 steps, pools as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.lif1 = nn.Conv2d(1, 12, 5), snn.Leaky(beta=0.5, spike_grad=SPIKE)
        self.conv2, self.lif2 = nn.Conv2d(12, 64, 5), snn.Leaky(beta=0.5, spike_grad=SPIKE)
        self.fc1, self.lif3 = nn.Linear(64 * 4 * 4, 10), snn.Leaky(beta=0.5, spike_grad=SPIKE)

    def forward(self, x):
        mem1, mem2, mem3, out = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky(), []
        for _ in range(12):
            spk1, mem1 = self.lif1(F.max_pool2d(self.conv1(x), 2), mem1)
            spk2, mem2 = self.lif2(F.max_pool2d(self.conv2(spk1), 2), mem2)
            spk3, mem3 = self.lif3(self.fc1(spk2.view(x.size(0), -1)), mem3)
            out.append((spk3, mem3))
        return torch.stack([s for s, _ in out]), torch.stack([m for _, m in out])


class Tutorial7(nn.Module):
    """An event camera's 2 x 34 x 34 frames through init_hidden layers, with a loop of its own over the frames."""

    def __init__(self) -> None:
        super().__init__()
        leaky = {"beta": 0.5, "init_hidden": True, "spike_grad": SPIKE}
        self.net = nn.Sequential(
            *(nn.Conv2d(2, 12, 5), nn.MaxPool2d(2), snn.Leaky(**leaky)),
            *(nn.Conv2d(12, 32, 5), nn.MaxPool2d(2), snn.Leaky(**leaky)),
            *(nn.Flatten(), nn.Linear(32 * 5 * 5, 10), snn.Leaky(**leaky, output=True)),
        )

    def forward(self, data):
        spikes = []
        utils.reset(self.net)
        for step in range(data.size(0)):
            spk, _ = self.net(data[step])
            spikes.append(spk)
        return torch.stack(spikes)


def static(*shape: int) -> torch.Tensor:
    """An image shown for 8 steps [T, B, *shape]."""
    return torch.rand(1, 3, *shape).expand(8, 3, *shape)


def events(*shape: int) -> torch.Tensor:
    return (torch.rand(8, 3, *shape) < 0.15).float()


def verified(net: Network, raster: torch.Tensor, folder: Path) -> None:
    """Quantize a network on its raster and hold reference, simulate and onnxruntime against each other on two samples."""
    whole, loss = quantize(net, raster)
    assert all(a is None or a > 0.5 for a in loss.agreement), loss.agreement
    samples = quantize_input(raster[:, :2].numpy(), whole.input)
    together = simulate.run(whole, samples)
    for b in range(2):
        alone = reference.run(whole, samples[:, b])
        for i, layer in enumerate(whole.layers):
            assert np.array_equal(alone.spikes[i], together.spikes[i][:, b])
            assert all(np.array_equal(v, together.states[i][name][:, b]) for name, v in alone.states[i].items())
            assert alone.spikes[i].any(), layer.name
    target.compile_to(target.find("onnx"), whole, folder, copy_to_numpy(net), [samples[:, 0]])
    result = verify(folder, [samples[:, b] for b in range(2)])
    result.check()
    told = result.to_json()["runners"]
    for name in ("step_q", "step_i32"):
        assert (told[name]["spike_mismatches"], told[name]["state_mismatches"]) == (0, 0)
        assert told[name]["neuron_steps"] == 2 * len(raster) * sum(x.size for x in whole.layers)


@pytest.mark.parametrize(
    ("make", "raster", "shapes"),
    [
        (readme, lambda: events(1, 28, 28), [(8, 12, 12), (16, 4, 4), (10,)]),
        (Tutorial5, lambda: static(1, 28, 28), [(1000,), (10,)]),
        (Tutorial6, lambda: static(1, 28, 28), [(12, 12, 12), (64, 4, 4), (10,)]),
        (Tutorial7, lambda: events(2, 34, 34), [(12, 15, 15), (32, 5, 5), (10,)]),
    ],
    ids=["readme", "tutorial 5", "tutorial 6", "tutorial 7"],
)
def test_a_tutorials_network_reaches_onnx(make, raster, shapes, tmp_path):
    torch.manual_seed(0)
    module, images = loud(make()), raster()
    reading = read(module, images)
    assert [layer.shape for layer in reading.network.layers] == shapes
    assert (reading.network.decode, reading.notes) == ("count", ())
    verified(reading.network, images.flatten(2), tmp_path / "onnx")


def test_a_network_drawn_by_hand_reaches_onnx(tmp_path):
    """A skip connection, a loop over two layers and a delay of 3, in one network."""
    g = torch.Generator().manual_seed(0)

    def dense(out: int, size: int) -> tuple[Dense]:
        return (Dense(torch.randn(out, size, generator=g) / size**0.5, 0.1 * torch.randn(out, generator=g)),)

    lif = LIF(torch.tensor(0.9), torch.tensor(0.7))
    layers = (
        Layer((20,), (Connection(INPUT, dense(20, 6)), Connection(1, dense(20, 15), 1)), lif, "up"),
        Layer((15,), (Connection(0, dense(15, 20)), Connection(0, dense(15, 20), 3)), lif, "down"),
        Layer(
            (5,),
            (Connection(1, dense(5, 15)), Connection(INPUT, dense(5, 6), 3), Connection(0, dense(5, 20))),
            lif,
            "out",
        ),
    )
    net = Network(layers, InputContract((6,)))
    raster = torch.rand(40, 8, 6, generator=g)
    spikes = network.run(net, raster).spikes[-1]
    for broken in (
        (Layer((20,), layers[0].connections[:1], lif), *layers[1:]),
        (
            layers[0],
            Layer((15,), (layers[1].connections[0], Connection(0, layers[1].connections[1].path, 2)), lif),
            layers[2],
        ),
        (*layers[:2], Layer((5,), layers[2].connections[:1], lif)),
    ):
        assert not torch.equal(network.run(Network(broken, net.input), raster).spikes[-1], spikes)
    verified(net, raster, tmp_path / "onnx")
