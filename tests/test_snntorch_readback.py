"""The read-back check: a network that is not its module is an error that says where; only a tie at the threshold is forgiven."""

# torch types a part of a module as Tensor | Module, and snnTorch a parameter as float: neither says what is there.
# pyright: reportCallIssue=false

from dataclasses import replace

import pytest
import snntorch as snn
import torch
from torch import nn

from edge_anp import network, neurons, snntorch_layers, snntorch_readback, snntorch_steps
from edge_anp.errors import Unsupported
from edge_anp.network import Network
from edge_anp.snntorch_model import read
from edge_anp.synapses import Dense

RASTER = torch.rand(12, 2, 8, generator=torch.Generator().manual_seed(0))


def module(beta: float = 0.9, **options) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 6),
        snn.Leaky(beta=beta, threshold=0.3, init_hidden=True, **options),
        nn.Linear(6, 3),
        snn.RLeaky(beta=0.8, threshold=0.3, linear_features=3, init_hidden=True),
    )


def changed(net: Network, layer: int, **neuron) -> Network:
    layers = list(net.layers)
    layers[layer] = replace(layers[layer], neuron=replace(layers[layer].neuron, **neuron))
    return replace(net, layers=tuple(layers))


def difference(net: Network, of: nn.Module) -> str:
    found, _ = snntorch_readback.check(net, of, RASTER, snntorch_steps.follow(of, RASTER))
    return "" if found is None else str(found)


@pytest.mark.parametrize(
    ("layer", "change"),
    [
        (0, {"beta": torch.tensor(0.89)}),
        (0, {"threshold": torch.tensor(0.31)}),
        (0, {"reset": "zero"}),
        (0, {"reset": "none"}),
        (0, {"reset_delay": False}),
        (1, {"beta": torch.tensor(0.7)}),
        (1, {"reset": "none"}),
    ],
)
def test_every_wrong_option_is_found_by_layer(layer, change):
    net = read(module(), RASTER).network
    assert difference(net, module()) == ""
    said = difference(changed(net, layer, **change), module())
    assert f"of layer {['1', '3'][layer]!r} differs from snnTorch's at step" in said


def test_the_kind_of_zero_is_found():
    """Leaky keeps the input of the step after a spike, RLeaky loses it."""
    net = read(module(reset_mechanism="zero"), RASTER).network
    assert "of layer '1'" in difference(changed(net, 0, zero="update"), module(reset_mechanism="zero"))


def test_every_wrong_connection_is_found():
    net = read(module(), RASTER).network
    one, two = net.layers
    own = two.connections[1]
    for connections in (
        two.connections[:1],
        (two.connections[0], replace(own, delay=2)),
        (two.connections[0], replace(own, path=(Dense(own.path[0].weight.T.contiguous(), own.path[0].bias),))),
    ):
        wrong = replace(net, layers=(one, replace(two, connections=connections)))
        assert "of layer '3'" in difference(wrong, module())


def test_read_ends_with_the_check(monkeypatch):
    """A reader that translates a neuron wrongly cannot get past it."""
    right = neurons.step

    def leaks_twice(neuron, shape, currents, state, *spike):
        return right(neuron, shape, currents, {k: 0.99 * v for k, v in state.items()}, *spike)

    monkeypatch.setattr(network.neurons, "step", leaks_twice)
    with pytest.raises(
        Unsupported, match=r"read-back failed: a (membrane|spike) of layer '1' differs .*please report it"
    ):
        read(module(), RASTER)


def test_a_connection_that_is_lost_is_found(monkeypatch):
    monkeypatch.setattr(snntorch_layers, "_own", lambda *_: ())
    with pytest.raises(Unsupported, match=r"read-back failed: a (membrane|spike) of layer '3' differs"):
        read(module(), RASTER)


class Secretive(nn.Module):
    """Changes numbers behind the back of torch functions, through `.data`."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.lif = nn.Linear(8, 6), snn.Leaky(beta=0.9, threshold=0.3, init_hidden=True)

    def forward(self, x):
        current = self.fc(x)
        current.data.mul_(1.5)
        return self.lif(current)


def test_what_the_trace_cannot_see_is_found():
    with pytest.raises(Unsupported, match=r"read-back failed: .* of layer 'lif' differs"):
        read(Secretive(), RASTER)


@pytest.mark.parametrize(("gap", "forgiven"), [(2e-6, True), (1e-4, False)])
@pytest.mark.parametrize("size", [1.0, 100.0])
def test_a_tie_at_the_threshold_is_forgiven(gap, forgiven, size):
    """A membrane `gap` above its threshold on one side and `gap` below on the other, relative to the largest membrane."""
    of = nn.Sequential(nn.Linear(1, 1, bias=False), snn.Leaky(beta=0.0, threshold=size * (1 - gap), init_hidden=True))
    of[0].weight.data.fill_(size)
    ones = torch.ones(6, 1, 1)
    recording = snntorch_steps.follow(of, ones)
    moved = changed(read(of, ones).network, 0, threshold=torch.tensor(size * (1 + gap)))
    assert recording.trace.calls["1"][0].spikes.all()
    assert not network.run(moved, ones).spikes[0].any()
    assert (snntorch_readback.compare(moved, ones, recording) is None) == forgiven


def test_quiet_layers_are_shown_louder_noise():
    """A wrong reset is seen only where something spikes; the sample alone wakes nobody."""
    of = module()
    of[1].threshold.fill_(20.0)
    net = read(of, 0 * RASTER).network
    assert "of layer '1'" in difference(changed(net, 0, reset="zero"), of)
