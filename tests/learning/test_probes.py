"""Feedback learned from flips finds the weights that it never reads."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edge_anp.learning import probes
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.probes import flips, follow_flips, learned_names, probed_steps
from edge_anp.learning.wiring import respond
from edge_anp.network import Connection, Layer, Network, run
from edge_anp.neurons import LIF, Readout, Tanh
from edge_anp.synapses import AvgPool2d, Conv2d, Dense, Diagonal, MaxPool2d
from edge_anp.topology import INPUT, InputContract

TRIALS = torch.arange(16)


def relative_error(found, weight, columns=None):
    """||found - weight||_F / ||weight||_F, over some columns."""
    if columns is not None:
        found, weight = found[:, columns], weight[:, columns]
    return float((found - weight).norm() / weight.norm())


def learn(net, raster, labels, asking, updates, **switches):
    rule = FeedbackANP(look_back=None, **switches)
    state = rule.init(net, 0)
    assert all(not bool(m.any()) for m in state.values())
    for k in range(updates):
        state = rule.update(net, state, raster, asking(labels), k).state
    return state


@pytest.mark.parametrize("current_based", [False, True])
def test_learned_feedback_converges_to_the_readout_and_to_the_recurrent_weights(make, data, asking, current_based):
    """The network is frozen; within 5 % over the neurons that flipped at least 10 times."""
    net = make(2, hidden=24, current_based=current_based)
    raster, labels = data(2, steps=16, batch=16)
    state, mem = learn(net, raster, labels, asking, 30), run(net, raster).states[0]["mem"].detach()
    counts = sum(flips(net.layers[0], 0, mem, torch.arange(16), TRIALS, 0.6, k).abs().sum((0, 1)) for k in range(30))
    assert isinstance(counts, torch.Tensor)
    often = counts >= 10
    assert often.sum() >= 20
    assert relative_error(state["1.0.weight"], net.layers[1].connections[0].path[0].weight.detach(), often) < 0.05
    assert relative_error(state["0.1.weight"], net.layers[0].connections[1].path[0].weight.detach(), often) < 0.05


@pytest.mark.parametrize("recurrence", ["diagonal", "scalar"])
def test_feedback_one_to_one_converges(make, data, asking, recurrence):
    net, (raster, labels) = make(2, recurrence=recurrence), data(2, steps=16, batch=16)
    state = learn(net, raster, labels, asking, 30)
    weight = net.layers[0].connections[1].path[0].weight.detach()
    assert state["0.1.weight"].shape == weight.shape
    assert relative_error(state["0.1.weight"], weight) < 0.05


@pytest.mark.parametrize("pool", [None, AvgPool2d, MaxPool2d])
def test_a_kernel_learns_a_kernel(data, asking, pool):
    g = torch.Generator().manual_seed(0)
    first = Dense(torch.randn(32, 5, generator=g))
    maps = (pool((2, 4, 4), (2, 2), (1, 1), (0, 0)),) if pool else ()
    side = 3 if pool else 4
    conv = Conv2d((2, side, side), (2, 2), (1, 1), (1, 1), torch.randn(3, 2, 2, 2, generator=g))
    size = 3 * (side + 1) ** 2
    layers = (
        Layer((2, 4, 4), (Connection(INPUT, (first,)),), LIF(torch.tensor(0.9), torch.tensor(1.0))),
        Layer((3, side + 1, side + 1), (Connection(0, (*maps, conv)),), LIF(torch.tensor(0.9), torch.tensor(1.0))),
        Layer((4,), (Connection(1, (Dense(torch.randn(4, size, generator=g)),)),), Readout(torch.tensor(0.9))),
    )
    net = Network(layers, InputContract((5,)), "membrane_mean")
    raster, labels = data(2, steps=16, batch=16, dtype=torch.float32)
    state = learn(net, raster, labels, asking, 25)
    assert relative_error(state["1.0.weight"], conv.weight) < 0.05


def test_rate_neurons_are_probed_by_what_they_send(data, asking):
    g = torch.Generator().manual_seed(0)
    first, last = Dense(torch.randn(12, 5, generator=g)), Dense(torch.randn(4, 12, generator=g))
    layers = (
        Layer((12,), (Connection(INPUT, (first,)),), Tanh()),
        Layer((4,), (Connection(0, (last,)),), Readout(torch.tensor(0.0))),
    )
    net = Network(layers, InputContract((5,)), "membrane_mean")
    raster, labels = data(2, steps=16, batch=16, dtype=torch.float32)
    assert relative_error(learn(net, raster, labels, asking, 25, sigma=0.3)["1.0.weight"], last.weight) < 0.05


def test_what_is_right_stays(make, data):
    net, (raster, _) = make(3), data(3)
    mem = run(net, raster).states[0]["mem"].detach()
    ds = flips(net.layers[0], 0, mem, torch.arange(11), TRIALS[:6], 0.6, 0).flatten(0, 1)
    weights = {
        name: net.layers[j].connections[k].path[0].weight.detach() for name, (j, k) in learned_names(net).items()
    }
    assert set(weights) == {"0.1.weight", "1.0.weight"}
    for name, weight in follow_flips(net, weights, [ds, None], [None, None], 0.4).items():
        torch.testing.assert_close(weight, weights[name])


def test_flips_are_one_sign_of_the_noise_against_the_other(make):
    layer, chosen, trials = make(0).layers[0], torch.arange(20), torch.arange(50)
    u = layer.neuron.threshold.expand(20, 50, -1).clone()  # on the edge: one sign or the other always flips
    ds = flips(layer, 0, u, chosen, trials, 0.6, 1)
    assert set(ds.unique().tolist()) == {-1.0, 1.0}
    assert abs(float(ds.mean())) < 4 / ds.numel() ** 0.5
    assert not flips(layer, 0, u - 10, chosen, trials, 0.6, 1).any()  # far below, nothing flips
    assert not flips(layer, 0, u + 10, chosen, trials, 0.6, 1).any()
    assert torch.equal(flips(layer, 0, u, chosen, trials, 0.6, 1), ds)
    assert not torch.equal(flips(layer, 0, u, chosen, trials, 0.6, 2), ds)
    assert not torch.equal(flips(layer, 1, u, chosen, trials, 0.6, 1), ds)
    half = flips(layer, 0, u[:, 25:], chosen, trials[25:], 0.6, 1)  # a trial's noise is its own, whoever computes it
    assert torch.equal(half, ds[:, 25:])


def test_so_many_steps_are_probed():
    assert len(probed_steps(20, 3, 0)) == 3
    assert probed_steps(20, 99, 0).tolist() == list(range(20))
    assert probed_steps(20, 5, 0).tolist() != probed_steps(20, 5, 1).tolist()
    assert len(set(probed_steps(20, 5, 0).tolist())) == 5


def test_only_the_response_to_flips_is_seen(make):
    """respond is W ds: the synapse's bias is no part of it."""
    net = make(4)
    ds = torch.randint(-1, 2, (7, 12)).double()
    for op in (net.layers[1].connections[0].path[0], net.layers[0].connections[1].path[0]):
        torch.testing.assert_close(respond(op, ds), ds @ op.weight.T)


@pytest.mark.parametrize("trials", [1, 3])
@pytest.mark.parametrize("eta", [0.4, 1.0])
def test_feedback_of_a_wide_layer_converges_from_few_trials(data, asking, trials, eta):
    """256 neurons, and no more flips than 16 steps of one trial hold: a delta rule that only divides by n diverges here."""
    g = torch.Generator().manual_seed(0)
    first, again, last = (Dense(torch.randn(n, i, generator=g) / i**0.5) for n, i in ((256, 5), (256, 256), (4, 256)))
    layers = (
        Layer(
            (256,), (Connection(INPUT, (first,)), Connection(0, (again,), 1)), LIF(torch.tensor(0.9), torch.tensor(1.0))
        ),
        Layer((4,), (Connection(0, (last,)),), Readout(torch.tensor(0.9))),
    )
    net, (raster, labels) = (
        Network(layers, InputContract((5,)), "membrane_mean"),
        data(2, steps=16, batch=trials, dtype=torch.float32),
    )
    errors = [
        relative_error(learn(net, raster, labels, asking, k, eta=eta)["0.1.weight"], again.weight) for k in (5, 20, 80)
    ]
    assert 1 > errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("kind", ["dense", "kernel", "one-to-one", "one number"])
@given(st.integers(0, 2**31), st.integers(1, 40), st.floats(0.01, 1), st.floats(0.02, 1))
def test_no_step_of_the_delta_rule_makes_the_feedback_worse(kind, seed, flipped, eta, density):
    """sum_ij n_j (W - W^)_ij^2 never grows, n of the flips that the step is made from."""
    g = torch.Generator().manual_seed(seed)
    real = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)  # noqa: E731
    op = {
        "dense": Dense(real(7, 24)), "kernel": Conv2d((2, 3, 4), (2, 2), (1, 1), (1, 1), real(3, 2, 2, 2)),
        "one-to-one": Diagonal(real(24), (24,)), "one number": Diagonal(real(1), (24,)),
    }[kind]  # fmt: skip
    layers = (
        Layer((24,), (Connection(INPUT, (Dense(real(24, 2)),)),), LIF(torch.tensor(0.9), torch.tensor(1.0))),
        Layer((op.out_size,), (Connection(0, (op,)),), LIF(torch.tensor(0.9), torch.tensor(1.0))),
        Layer((2,), (Connection(1, (Dense(real(2, op.out_size)),)),), Readout(torch.tensor(0.9))),
    )
    net = Network(layers, InputContract((2,)), "membrane_mean")
    ds = torch.sign(real(flipped, 24)) * (torch.rand(flipped, 24, generator=g) < density)
    before = real(*op.weight.shape)
    after = follow_flips(net, {"1.0.weight": before}, [ds, None, None], [None] * 3, eta)["1.0.weight"]
    n = probes._power(op, ds) + probes.FLOOR * flipped
    error = lambda found: float((n * (op.weight - found) ** 2).sum())  # noqa: E731
    assert error(after) <= error(before) * (1 + 1e-12)
