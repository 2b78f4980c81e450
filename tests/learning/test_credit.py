"""Credit: the whole trial with exact feedback is surrogate BPTT's gradient; look-back 0 is the sum of eligibility traces."""

import pytest
import torch
from torch.nn import functional as F

from edge_anp.learning.bptt import BPTT
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.observed import observe
from edge_anp.learning.slopes import psi
from edge_anp.learning.wiring import weight_gradients
from edge_anp.network import Connection, run
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT

CASES = [
    ("subtract", True, "leak"),
    ("subtract", False, "leak"),
    ("zero", True, "leak"),
    ("zero", False, "leak"),
    ("zero", True, "update"),
    ("zero", False, "update"),
    ("none", True, "leak"),
]


def gradients(net, raster, labels, asking, **switches):
    rule = FeedbackANP(feedback="symmetric", **switches)
    return rule.update(net, rule.init(net, 0), raster, asking(labels), 0).gradients


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("recurrence", ["dense", "diagonal", "scalar", "none"])
@pytest.mark.parametrize(("reset", "delay", "zero"), CASES)
def test_the_whole_trial_with_symmetric_feedback_is_bptt(
    make, data, asking, alike, reset, delay, zero, recurrence, detach
):
    net, (raster, labels) = make(1, reset, delay, zero, recurrence), data(1)
    want = BPTT(detach_reset=detach).update(net, {}, raster, asking(labels), 0).gradients
    got = gradients(net, raster, labels, asking, look_back=None, detach_reset=detach)
    assert alike(got, want) > 0.9999
    for name, expected in want.items():
        torch.testing.assert_close(got[name], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("alpha", [None, 0.6])
@pytest.mark.parametrize("decode", ["membrane_mean", "membrane_last"])
def test_it_is_bptt_for_every_membrane_that_is_read(make, data, asking, alike, decode, alpha):
    net, (raster, labels) = make(2, decode=decode, alpha=alpha), data(2)
    want = BPTT().update(net, {}, raster, asking(labels), 0).gradients
    assert alike(gradients(net, raster, labels, asking, look_back=None), want) > 0.9999


@pytest.mark.parametrize("feedback", ["symmetric", "random"])
def test_look_back_0_is_the_sum_of_eligibility_traces(make, data, asking, feedback):
    """dW = sum_t psi[t] B' ebar[t] xbar[t]', xbar[t] = beta xbar[t-1] + x[t], run forward; nothing else is kept."""
    net, (raster, labels) = make(4), data(4)
    rule = FeedbackANP(feedback=feedback, look_back=0)
    state = rule.init(net, 5)
    got = rule.update(net, state, raster, asking(labels), 0).gradients
    hidden, readout = net.layers
    n, kappa = hidden.neuron, readout.neuron.beta
    back = state["1.0.weight"] if feedback == "random" else readout.connections[0].path[0].weight.detach()
    with torch.no_grad():
        trace = run(net, raster)
        out = trace.states[1]["mem"].mean(0)
        e = (torch.softmax(out, 1) - F.one_hot(labels, readout.size)) / len(labels) / len(raster)
        mem, spikes = trace.states[0]["mem"], trace.spikes[0]
        xbar = torch.zeros(len(labels), hidden.size, raster.shape[2], dtype=raster.dtype)
        sbar = torch.zeros(len(labels), hidden.size, hidden.size, dtype=raster.dtype)
        one = torch.zeros(len(labels), hidden.size, dtype=raster.dtype)
        dw, dr, db = torch.zeros_like(got["0.0.weight"]), torch.zeros_like(got["0.1.weight"]), torch.zeros(hidden.size)
        for t in range(len(raster)):
            past = spikes[t - 1] if t else torch.zeros_like(spikes[0])
            xbar = n.beta[:, None] * xbar + raster[t][:, None]
            sbar = n.beta[:, None] * sbar + past[:, None]
            one = n.beta * one + 1
            ebar = e * sum(kappa**k for k in range(len(raster) - t))
            learning = psi(mem[t], n.threshold) * (ebar @ back)
            dw += (learning[:, :, None] * xbar).sum(0)
            dr += (learning[:, :, None] * sbar).sum(0)
            db = db + (learning * one).sum(0)
    torch.testing.assert_close(got["0.0.weight"], dw, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(got["0.1.weight"], dr, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(got["0.0.bias"], db.double(), rtol=1e-6, atol=1e-9)


def test_look_back_of_a_trial_less_one_is_the_whole_trial(make, data, asking, alike):
    net, (raster, labels) = make(6), data(6)
    whole = gradients(net, raster, labels, asking, look_back=None)
    for name, g in gradients(net, raster, labels, asking, look_back=len(raster) - 1).items():
        torch.testing.assert_close(g, whole[name], rtol=0, atol=0)
    less = alike(gradients(net, raster, labels, asking, look_back=4), whole)
    assert 0.99 < less < 1 - 1e-9  # paths of more spikes are missing


def test_looking_further_back_comes_closer(make, data, asking, alike):
    net, (raster, labels) = make(7), data(7, steps=16)
    whole = gradients(net, raster, labels, asking, look_back=None)
    cosines = [alike(gradients(net, raster, labels, asking, look_back=d), whole) for d in (0, 2, 4, 8)]
    assert cosines == sorted(cosines)
    assert cosines[0] < 0.99 < cosines[-1]


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_credit_passes_through_exactly_so_many_spikes(make, data, asking, depth):
    """Input that comes at one step alone: with an error at the last step, D spikes reach D steps back exactly, and no further."""
    steps = 9
    net, (raster, labels) = make(8, decode="membrane_last"), data(8, steps=steps)
    raster = raster.requires_grad_(False)
    for t in range(steps):
        alone = torch.zeros_like(raster)
        alone[t] = raster[t]
        got = gradients(net, alone, labels, asking, look_back=depth)["0.0.weight"]
        want = gradients(net, alone, labels, asking, look_back=None)["0.0.weight"]
        if t >= steps - 1 - depth:
            torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)


def test_psi_is_a_triangle_of_unit_area():
    theta = torch.tensor(0.8, dtype=torch.float64)
    u = torch.linspace(-1, 3, 4001, dtype=torch.float64)
    slope = psi(u, theta)
    assert float(torch.trapezoid(slope, u)) == pytest.approx(1, abs=1e-3)
    assert float(psi(theta, theta)) == pytest.approx(1 / 0.8)
    assert float(psi(2 * theta, theta)) == float(psi(0 * theta, theta)) == 0


def test_shared_weights_get_the_sum_of_both(make, data, asking):
    """A matrix that is both recurrence and ... of two nets' gradients: the same tensor twice has the sum."""
    net, (raster, labels) = make(9, hidden=5), data(9)
    w, r = (c.path[0] for c in net.layers[0].connections)
    apart = gradients(net, raster, labels, asking, look_back=None)
    with torch.no_grad():
        r.weight.copy_(w.weight)
    apart = gradients(net, raster, labels, asking, look_back=None)
    object.__setattr__(r, "weight", w.weight)
    together = gradients(net, raster, labels, asking, look_back=None)
    torch.testing.assert_close(together["0.0.weight"], apart["0.0.weight"] + apart["0.1.weight"])


@pytest.mark.parametrize("source", [INPUT, 0])
@pytest.mark.parametrize("delay", [0, 1, 3, 20])
def test_steps_that_nothing_was_sent_to_add_nothing(make, data, source, delay):
    net, (raster, _) = make(2), data(2)
    size = raster.shape[2] if source == INPUT else net.layers[0].size
    seen = observe(net, raster)
    c = Connection(source, (Dense(torch.zeros(7, size, dtype=raster.dtype)),), delay)
    sent = raster if source == INPUT else seen.trace.spikes[0]
    late = torch.cat([torch.zeros(delay, *sent.shape[1:], dtype=raster.dtype), sent])[: len(sent)]
    credit = torch.randn(*raster.shape[:2], 7, generator=torch.Generator().manual_seed(delay), dtype=raster.dtype)
    ((_, got),) = weight_gradients(c, *seen.pairs(c, credit))
    torch.testing.assert_close(got, torch.einsum("tbj,tbi->ji", credit, late))
