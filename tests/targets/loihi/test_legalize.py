"""What a network becomes on Loihi is said before training; rewriting changes no spike; what cannot be is refused, all reasons at once."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from edge_anp import compilation, conformance, integer, netx, quantize, reference, simulate, target, tasks
from edge_anp import network as floats
from edge_anp.errors import Unsupported
from edge_anp.integer import LOIHI2, quantize_input
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import LIF, CubaLIF, Readout
from edge_anp.synapses import AvgPool2d, Conv2d, Dense, MaxPool2d
from edge_anp.topology import INPUT, InputContract
from targets.loihi import TARGET, lower, run, schedule


def lif(beta: object = 0.9, **more):
    return LIF(torch.as_tensor(beta), torch.tensor(1.0), **more)


def network(*neurons, decode="count", size=20):
    torch.manual_seed(0)
    layers, width = [], 12
    for i, neuron in enumerate(neurons):
        ways = (Connection(i - 1 if i else INPUT, (Dense(torch.randn(size, width) * 0.4),)),)
        layers.append(Layer((size,), ways, neuron, f"l{i}"))
        width = size
    return Network(tuple(layers), InputContract((12,)), decode)


STOCK, OWN = "the stock LIF, which a chip could run", "a process of ours"


@pytest.mark.parametrize(
    ("neuron", "words"),
    [
        (lif(reset="zero", reset_delay=False), (STOCK,)),
        (lif(reset="zero"), (STOCK, "the same spikes")),
        (lif(reset="zero", zero="update"), (OWN, "swallows the next step's input; reset_delay=False is stock")),
        (lif(), (OWN, "reset_mechanism='zero' is stock")),
        (lif(reset="none"), (OWN, "reset none")),
        (lif(0.0, reset="zero"), (OWN, "forgets everything")),
        (lif(torch.tensor([0.8, 0.9] * 10), reset="zero"), ("2 stock LIFs, one a leak",)),
        (lif(torch.linspace(0.5, 0.9, 20), reset="zero"), (OWN, "20 different leaks, 0.500..0.900 (one in place of them")),
        (CubaLIF(torch.tensor(0.9), torch.tensor(1.0), "zero", False, "update", torch.tensor(0.5)), (STOCK,)),
        (CubaLIF(torch.tensor(0.9), torch.tensor(1.0), "zero", False, "update", torch.tensor(1.0)), (OWN, "alpha 1")),
        (CubaLIF(torch.tensor(0.9), torch.tensor(1.0), "zero", False, "update", torch.tensor(0.0)), (STOCK, "alpha is 0")),
    ],
)  # fmt: skip
def test_each_layer_is_told_what_it_will_be(neuron, words):
    net = network(neuron)
    _, notes = target.review(TARGET, net)
    assert all(any(word in note for note in notes) for word in words), notes
    if OWN not in words:
        assert not any(OWN in note for note in notes)


@pytest.mark.parametrize(
    "neuron",
    [
        lif(reset="zero"),
        CubaLIF(torch.tensor(0.9), torch.tensor(1.0), "subtract", True, "update", torch.tensor(0.0)),
        LIF(torch.tensor(0.9), torch.rand(20) + 0.5, "zero"),
    ],
)
def test_rewriting_changes_no_spike(neuron):
    net = network(neuron, lif())
    legal, _ = TARGET.legalize(net)
    assert type(legal.layers[0].neuron) is LIF
    raster = (torch.rand(80, 4, 12) < 0.3).float()
    with torch.no_grad():
        a, b = floats.run(net, raster), floats.run(legal, raster)
    assert all(torch.equal(x, y) for x, y in zip(a.spikes, b.spikes, strict=True))
    assert a.spikes[1].any()


def test_a_membrane_that_is_read_keeps_its_reset():
    legal, notes = TARGET.legalize(network(lif(reset="zero"), decode="membrane_mean"))
    assert legal.layers[0].neuron.reset_delay
    assert "the membrane is read before it" in notes[0]


def test_every_reason_at_once():
    image = (1, 4, 4)
    pooled = (MaxPool2d(image, (2, 2), (2, 2), (0, 0)), Dense(torch.randn(5, 4)))
    first = Layer((5,), (Connection(INPUT, pooled), Connection(1, (Dense(torch.randn(5, 3)),), 1)), lif(), "a")
    thresholds = LIF(torch.tensor(0.9), torch.tensor([1.0, -1.0, 0.5]))
    last = Layer((3,), (Connection(0, (Dense(torch.randn(3, 5)),)),), thresholds, "b")
    net = Network((first, last), InputContract(image))
    reasons, _ = target.review(TARGET, net)
    words = ("max pool: a synapse adds", "make this connection's delay at least 2", "a threshold is -1")
    assert [sum(word in r for r in reasons) for word in words] == [1, 1, 1]
    with pytest.raises(Unsupported, match="loihi cannot run this network"):
        TARGET.legalize(net)
    mixed = network(LIF(torch.tensor(0.9), torch.rand(20) + 0.5), decode="membrane_last")
    assert "its membranes are compared" in target.review(TARGET, mixed)[0][0]


@pytest.fixture
def samples(tmp_path):
    """A task file of 40 samples; half train, half test."""
    rng = np.random.default_rng(0)
    x = (rng.random((40, 15, 12)) < 0.3).astype(np.float32)
    np.savez(tmp_path / "task.npz", x=x, y=rng.integers(0, 3, 40), split=np.arange(40) % 2 * 2)
    return tasks.load(str(tmp_path / "task.npz")).train


def test_what_one_leak_a_layer_costs_is_said_and_may_be_chosen(samples, tmp_path):
    """Twenty leaks are a process of ours; their mean is the stock LIF, at a price in answers and accuracy."""
    net = network(lif(torch.linspace(0.5, 0.95, 20), reset="zero"), lif(reset="zero"), size=20)
    kept = compilation.compile_network(net, "loihi", tmp_path / "kept", samples)
    (said,) = [note for note in kept.notes if "--option leaks=one" in note]
    assert "with its leaks merged into their mean, beta 0.725, the stock LIF" in said
    changed, before, after = map(float, re.findall(r"([\d.]+)% of .* accuracy ([\d.]+) -> ([\d.]+) \(", said)[0])
    assert changed > 0
    assert any("20 different leaks" in note for note in kept.notes)
    merged = compilation.compile_network(net, "loihi", tmp_path / "merged", samples, options={"leaks": "one"})
    assert f"as loihi runs it: {changed:.2f}% of answers changed, accuracy {before:.3f} -> {after:.3f}" in str(
        merged.notes
    )
    assert merged.loss is not None
    assert merged.loss.float_accuracy == pytest.approx(after, abs=1e-3)
    for folder, kinds in (("kept", ["Neuron", "LIF"]), ("merged", ["LIF", "LIF"])):
        people = run.read_description(tmp_path / folder / "lava.npz")["populations"]
        assert [p["process"] for p in people] == kinds
    with pytest.raises(ValueError, match="it must be each or one"):
        compilation.compile_network(net, "loihi", tmp_path / "wrong", samples, options={"leaks": "two"})
    with pytest.raises(ValueError, match="no option 'x'; it has leaks, netx"):
        compilation.compile_network(net, "loihi", tmp_path / "wrong", samples, options={"x": "two"})


def test_a_network_is_quantized_for_netx_if_asked(samples, tmp_path):
    """A recurrent network with biases: by default its exponents keep it from being a .net file, said with the remedy; then it is one."""
    ways = (Connection(INPUT, (Dense(torch.randn(20, 12) * 0.4, torch.randn(20) * 0.1),)),
            Connection(0, (Dense(torch.randn(20, 20) * 0.1),), 1))  # fmt: skip
    last = Layer((3,), (Connection(0, (Dense(torch.randn(3, 20)),)),), Readout(torch.tensor(0.9)), "out")
    net = Network((Layer((20,), ways, lif(reset="zero"), "in"), last), InputContract((12,)), "membrane_mean")
    for folder, options in (("plain", {}), ("netx", {"netx": "yes"})):
        done = compilation.compile_network(net, "loihi", tmp_path / folder, samples, options=options)
        assert done.loss is not None
        assert done.loss.agreement[0] is not None
        assert done.loss.agreement[0] > 0.9
    assert not (tmp_path / "plain/network.net").exists()
    readme = (tmp_path / "plain/README.md").read_text()
    assert re.search(r"layer 0 \(in\): a weight exponent, \d; compile with --option netx=yes", readme)
    back = netx.read(tmp_path / "netx/network.net")
    x = quantize_input(samples.batch(np.arange(4))[0].numpy(), back.input)
    want, got = simulate.run(integer.load(tmp_path / "netx/integer.npz"), x), simulate.run(back, x)
    assert want.spikes[0].any()
    assert all(np.array_equal(a["v"], b["v"]) for a, b in zip(want.states, got.states, strict=True))
    subtract = replace(net, layers=(replace(net.layers[0], neuron=lif()), last))
    with pytest.raises(Unsupported, match=r"network\.net cannot run.*|reset subtract"):
        compilation.compile_network(subtract, "loihi", tmp_path / "never", samples, options={"netx": "yes"})
    assert not (tmp_path / "never").exists()


def test_lags_make_every_connection_on_time():
    def layer(*ways):
        return Layer((1,), tuple(Connection(s, (Dense(torch.ones(1, 1)),), d) for s, d in ways), lif())

    chain = (layer((INPUT, 0)), layer((0, 0), (1, 1)), layer((1, 0), (INPUT, 0), (0, 2)))
    plan = schedule.plan(chain)
    assert plan.lags == (1, 2, 3)
    assert [plan.late(2, c) for c in chain[2].connections] == [0, 2, 3]
    assert plan.late(1, chain[1].connections[1]) == 0
    assert schedule.plan((layer((INPUT, 0), (1, 2)), layer((0, 0)))).lags == (1, 2)
    assert schedule.plan((layer((INPUT, 3)),)).lags == (0,)
    assert "at least 2" in schedule.plan((layer((INPUT, 0), (1, 1)), layer((0, 0)))).reasons[0]


def test_pools_grids_of_leaks_and_thresholds_through_lava(tmp_path):
    """Mean pooling before and after a synapse, thresholds and leaks that differ, a zero reset by Leaky: quantized, and equal in Lava."""
    torch.manual_seed(0)
    image = (2, 6, 6)
    conv = Conv2d(image, (3, 3), (1, 1), (1, 1), torch.randn(3, 2, 3, 3) * 0.5)
    after = (conv, AvgPool2d((3, 6, 6), (2, 2), (2, 2), (0, 0)))
    before = (AvgPool2d((3, 3, 3), (2, 2), (1, 1), (0, 0)), Dense(torch.randn(8, 12) * 0.8))
    leaks = torch.tensor([0.8, 0.95] * 4)
    layers = (
        Layer((3, 3, 3), (Connection(INPUT, after),), lif(reset="zero")),
        Layer((8,), (Connection(0, before), Connection(1, (Dense(torch.randn(8, 8) * 0.2),), 1)),
              LIF(leaks, torch.rand(8) * 0.2 + 0.3, "zero")),
        Layer((4,), (Connection(1, (Dense(torch.randn(4, 8)),)), Connection(0, (Dense(torch.randn(4, 27)),), 2)),
              Readout(torch.tensor(0.9))),
    )  # fmt: skip
    net, _ = TARGET.legalize(Network(layers, InputContract(image), "membrane_mean"))
    raster = (torch.rand(30, 4, 72) < 0.3).float()
    integers, loss = quantize.quantize(net, raster, LOIHI2)
    assert min(a for a in loss.agreement if a is not None) > 0.9
    lower.lower(integers, tmp_path, "")
    people = run.read_description(tmp_path / "lava.npz")["populations"]
    assert [p["layer"] for p in people] == [0, 1, 1, 2]
    assert {p["process"] for p in people} == {"LIF"}
    with run.Session(tmp_path, "lava-fixed", 60) as lava:
        x = raster[:, 0].numpy().astype(np.int8)
        want = reference.run(integers, x)
        assert all(want.spikes[i].any() for i in (0, 1))
        assert conformance.first_difference(want, lava.run(x)) is None
