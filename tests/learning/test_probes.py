"""Feedback learned from flips finds the weights that it never reads."""

import pytest
import torch

from edge_anp.learning.circuit import respond, take_apart
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.probes import flips, follow_flips
from edge_anp.network import run


def relative_error(found, weight, columns):
    """||found - weight||_F / ||weight||_F over some columns."""
    return float((found - weight)[:, columns].norm() / weight[:, columns].norm())


@pytest.mark.parametrize("current_based", [False])
@pytest.mark.parametrize("recurrence", ["dense", "diagonal"])
def test_learned_feedback_converges_to_the_readout_and_to_the_recurrent_weights(
    make, data, asking, recurrence, current_based
):
    """The network is frozen; within 5 % over the neurons that flipped at least 10 times."""
    net = make(2, recurrence=recurrence, hidden=24, current_based=current_based)
    raster, labels = data(2, steps=16, batch=16)
    rule = FeedbackANP(look_back=None)
    state, counts, circuit = rule.init(net, 0), torch.zeros(24), take_apart(net)
    assert all(not bool(m.any()) for m in state.values())
    mem = run(net, raster).states[0]["mem"]
    for k in range(30):
        state = rule.update(net, state, raster, asking(labels), k).state
        counts += flips(circuit, mem, rule.sigma, rule.probes, k).abs().sum(0)
    often = counts >= 10
    assert often.sum() >= 20
    o = net.layers[1].connections[0].path[0].weight.detach()
    r = net.layers[0].connections[1].path[0].weight.detach()
    assert relative_error(state["B"], o, often) < 0.05
    assert relative_error(state["R"], torch.diag(r) if recurrence == "diagonal" else r, often) < 0.05


def test_what_is_right_stays(make, data):
    net, (raster, _) = make(3), data(3)
    circuit = take_apart(net)
    ds = flips(circuit, run(net, raster).states[0]["mem"].detach(), 0.6, 11, 0)
    o = circuit.o.path[0].weight.detach()
    torch.testing.assert_close(follow_flips(o, circuit.o, ds, 0.4), o)


def test_flips_are_one_sign_of_the_noise_against_the_other(make):
    circuit = take_apart(make(0))
    theta = circuit.threshold
    u = theta.expand(20, 50, -1).clone()  # on the edge: one sign or the other always flips
    ds = flips(circuit, u, 0.6, 20, 1)
    assert set(ds.unique().tolist()) == {-1.0, 1.0}
    assert abs(float(ds.mean())) < 4 / ds.numel() ** 0.5
    assert not flips(circuit, u - 10, 0.6, 20, 1).any()  # far below, nothing flips
    assert not flips(circuit, u + 10, 0.6, 20, 1).any()
    assert torch.equal(flips(circuit, u, 0.6, 20, 1), ds)
    assert not torch.equal(flips(circuit, u, 0.6, 20, 2), ds)


def test_so_many_steps_are_probed(make):
    circuit = take_apart(make(0))
    u = circuit.threshold.expand(20, 50, -1).clone()
    assert len(flips(circuit, u, 0.6, 3, 0)) == 3 * 50
    assert len(flips(circuit, u, 0.6, 99, 0)) == 20 * 50


def test_only_the_response_to_flips_is_seen(make):
    """respond is W ds: the connection's bias is no part of it."""
    circuit = take_apart(make(4))
    ds = torch.randint(-1, 2, (7, 12)).double()
    assert circuit.r is not None
    for connection in (circuit.o, circuit.r):
        torch.testing.assert_close(respond(connection, ds), ds @ connection.path[0].weight.T)
