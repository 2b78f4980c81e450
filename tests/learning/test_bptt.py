"""BPTT is torch autograd: of a loop written out by hand, and of snnTorch's own."""

import pytest
import snntorch as snn
import torch
from torch import nn
from torch.nn import functional as F

from edge_anp.learning.bptt import BPTT, SurrogateSpike
from edge_anp.learning.rule import Signal
from edge_anp.snntorch_model import read

CASES = [
    ("subtract", True, "leak"),
    ("subtract", False, "leak"),
    ("zero", True, "leak"),
    ("zero", False, "leak"),
    ("zero", True, "update"),
    ("zero", False, "update"),
    ("none", True, "leak"),
]


def triangle(mem, threshold):
    """A spike whose derivative is max(0, 1 - |u/theta - 1|) / theta, by a trick that needs no Function: value - detach + surrogate."""
    width = threshold.detach()
    x = (mem - threshold) / width
    smooth = torch.where(x < 0, (1 + x.clamp(-1, 0)) ** 2 / 2, 1 - (1 - x.clamp(0, 1)) ** 2 / 2)
    return (mem > threshold).to(mem.dtype) - smooth.detach() + smooth


def loop(net, raster, labels, detach):
    """The loss of a hidden layer and a readout as snnTorch's tutorials write it: one step after the other."""
    hidden, readout = net.layers
    w, r, o = hidden.connections[0].path[0], hidden.connections[1].path[0], readout.connections[0].path[0]
    n, k = hidden.neuron, readout.neuron
    spike = triangle
    reset = (lambda m, th: triangle(m, th).detach()) if detach else triangle
    mem = spk = syn = torch.zeros(raster.shape[1], hidden.size, dtype=raster.dtype)
    out = total = torch.zeros(raster.shape[1], readout.size, dtype=raster.dtype)
    for x in raster:
        due = reset(mem, n.threshold)
        c = F.linear(x, w.weight, w.bias) + F.linear(spk, r.weight, r.bias)
        if hasattr(n, "alpha"):
            syn = n.alpha * syn + c
            c = syn
        if n.reset == "subtract":
            mem = n.beta * mem + c - due * n.threshold
        elif n.reset == "none":
            mem = n.beta * mem + c
        elif n.zero == "leak":
            mem = n.beta * (1 - due) * mem + c
        else:
            mem = (1 - due) * (n.beta * mem + c)
        spk = spike(mem, n.threshold)
        if not n.reset_delay:
            extra = reset(mem, n.threshold) - due
            mem = mem - extra * (n.threshold if n.reset == "subtract" else 0 if n.reset == "none" else mem)
        out = k.beta * out + F.linear(spk, o.weight, o.bias)
        total = total + out
    return F.cross_entropy(total / len(raster), labels)


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("current_based", [False, True])
@pytest.mark.parametrize(("reset", "delay", "zero"), CASES)
def test_bptt_is_autograd_of_the_loop_written_by_hand(make, data, asking, reset, delay, zero, current_based, detach):
    net = make(3, reset, delay, zero, current_based=current_based)
    for layer in net.layers:  # leaks and thresholds learn too
        for tensor in (
            layer.neuron.beta,
            getattr(layer.neuron, "threshold", None),
            getattr(layer.neuron, "alpha", None),
        ):
            if tensor is not None:
                tensor.requires_grad_()
    raster, labels = data(3)
    loss = loop(net, raster, labels, detach)
    want = torch.autograd.grad(loss, list(net.parameters().values()))
    update = BPTT(detach_reset=detach).update(net, {}, raster, asking(labels), 0)
    assert update.loss == pytest.approx(float(loss.detach()), abs=1e-12)
    assert update.gradients.keys() == net.parameters().keys()
    for got, expected in zip(update.gradients.values(), want, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


def test_bptt_with_detached_resets_is_autograd_through_snntorch(asking):
    torch.manual_seed(0)
    surrogate = lambda mem: SurrogateSpike.apply(mem + 1, torch.ones(()))  # noqa: E731  snnTorch hands over mem - threshold
    net = nn.Sequential(
        nn.Linear(5, 12), snn.RLeaky(beta=0.9, linear_features=12, init_hidden=True, spike_grad=surrogate),
        nn.Linear(12, 4, bias=False), snn.Leaky(beta=0.95, reset_mechanism="none", init_hidden=True, output=True),
    )  # fmt: skip
    raster, labels = 2 * torch.randn(15, 8, 5), torch.randint(4, (8,))
    reading = read(net, raster)
    update = BPTT(detach_reset=True).update(reading.network, {}, raster, asking(labels), 0)
    for layer in (net[1], net[3]):
        assert isinstance(layer, snn.Leaky | snn.RLeaky)
        layer.reset_mem()
    mean = torch.stack([net(x)[1] for x in raster]).mean(0)
    want = torch.autograd.grad(F.cross_entropy(mean, labels), list(net.parameters()))
    ours = {id(p): update.gradients[name] for name, p in reading.network.parameters().items()}
    for parameter, expected in zip(net.parameters(), want, strict=True):
        torch.testing.assert_close(ours[id(parameter)], expected, rtol=1e-4, atol=1e-6)


def test_only_what_may_learn_gets_a_gradient(make, data, asking):
    net = make()
    net.layers[0].connections[0].path[0].weight.requires_grad_(False)
    raster, labels = data()
    assert "0.0.weight" not in BPTT().update(net, {}, raster, asking(labels), 0).gradients


def test_it_needs_the_label():
    with pytest.raises(ValueError, match="label"):
        BPTT(signal=Signal.REWARD)
