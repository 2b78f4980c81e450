"""From a signal to an error at the outputs: the label's is exact, the score's unbiased, the reward's points the same way."""

import math

import pytest
import torch
from torch.nn import functional as F

from edge_anp import network
from edge_anp.decode import DECODES
from edge_anp.learning.output_error import draw_action, logits, output_error, spread
from edge_anp.network import run
from edge_anp.neurons import LIF

OUTPUTS = torch.tensor([[0.3, -1.0, 0.8, 0.1], [2.0, 0.0, -0.5, 0.4]], dtype=torch.float64)
LABELS = torch.tensor([0, 3])


def exact(outputs, labels):
    return torch.softmax(outputs, 1) - F.one_hot(labels, outputs.shape[1])


def test_the_labels_error_is_the_gradient_of_the_cross_entropy(asking):
    o = OUTPUTS.clone().requires_grad_()
    loss = F.cross_entropy(o, LABELS, reduction="sum")
    error, mean = output_error(OUTPUTS, asking(LABELS), 0.1, 4, 0)
    torch.testing.assert_close(error, torch.autograd.grad(loss, o)[0])
    assert mean == pytest.approx(float(loss.detach()) / 2)


@pytest.mark.parametrize("queries", [3, 7])
def test_as_many_scores_as_classes_less_one_are_the_labels_error(asking, queries):
    """Up to the curvature over h = 1/2: (l(o+hn) - l(o-hn)) / 2h = l' + h^2 l'''/6 + ..."""
    ask = asking(LABELS, "score")
    error, _ = output_error(OUTPUTS, ask, 0.1, queries, 0)
    torch.testing.assert_close(error, exact(OUTPUTS, LABELS), rtol=0, atol=0.01)
    assert ask.counts == {"scores": 2 * 3 * 2}  # two a query, three queries at most, two trials


def test_fewer_scores_are_unbiased(asking):
    many = 4000
    o, y = OUTPUTS[:1].repeat(many, 1), LABELS[:1].repeat(many)
    ask = asking(y, "score")
    error, _ = output_error(o, ask, 0.1, 1, 0)
    assert ask.counts == {"scores": 2 * many}
    uncertain = error.std(0) / math.sqrt(many)
    assert ((error.mean(0) - exact(o, y)[0]).abs() < 4 * uncertain + 0.01).all()
    assert float(error.sum(1).abs().max()) < 1e-5


def test_an_answer_is_drawn_as_often_as_it_should_be():
    many, explore = 20_000, 0.3
    pi = torch.softmax(OUTPUTS[:1], 1).repeat(many, 1)
    share = torch.bincount(draw_action(pi, explore, 7, torch.arange(many)), minlength=4) / many
    want = (1 - explore) * pi[0] + explore / 4
    assert ((share - want).abs() < 4 * (want * (1 - want) / many).sqrt()).all()
    assert not torch.equal(
        draw_action(pi, explore, 7, torch.arange(many)), draw_action(pi, explore, 8, torch.arange(many))
    )


@pytest.mark.parametrize("scale", [0.0, 0.1, 0.5])
def test_the_expected_error_of_the_reward_points_along_the_labels(asking, scale):
    """At initialization outputs are small. One answer a trial, 20000 trials of the same outputs."""
    many = 20_000
    o = scale * torch.randn(1, 10, generator=torch.Generator().manual_seed(0)).repeat(many, 1)
    y = torch.full((many,), 4)
    ask = asking(y, "reward", 10)
    error, loss = output_error(o, ask, 0.1, 4, 3)
    mean, want = error.mean(0), exact(o, y)[0]
    assert float(F.cosine_similarity(mean, want, 0)) > 0.9
    assert ask.counts == {"rewards": many}
    right = float(0.9 * torch.softmax(o[0], 0)[4] + 0.01)
    assert abs(loss - (1 - right)) < 4 * math.sqrt(right / many)
    torch.testing.assert_close(error.sum(1), torch.zeros(many), rtol=0, atol=1e-6)


def test_the_rewards_baseline_is_the_networks_own_confidence(asking):
    """e = (pi_a - r)(onehot(a) - pi), whatever was answered: right answers pull up, wrong ones push down."""
    o, y = OUTPUTS.repeat(50, 1), LABELS.repeat(50)
    error, _ = output_error(o, asking(y, "reward"), 0.5, 4, 1)
    pi = torch.softmax(o, 1)
    a = draw_action(pi, 0.5, 1, torch.arange(len(pi)))
    r = (a == y).double()
    pi_a = pi.gather(1, a[:, None])
    torch.testing.assert_close(error, (pi_a - r[:, None]) * (F.one_hot(a, 4) - pi))
    assert 0 < r.sum() < len(r)


@pytest.mark.parametrize("decode", DECODES)
def test_the_answer_is_the_argmax_of_the_logits(make, data, decode):
    net, (raster, _) = make(0), data(0, batch=40)
    last = net.layers[1]
    if not decode.startswith("membrane"):
        firing = LIF(torch.tensor(0.9), torch.tensor(0.7))
        last = network.Layer(last.shape, last.connections, firing)
    net = network.Network((net.layers[0], last), net.input, decode)
    trace = run(net, raster)
    found, want = logits(net, trace).detach(), network.scores(net, trace).detach()
    best = want.amax(1, keepdim=True)
    tied = (want == best).sum(1) > 1
    assert torch.equal(found.argmax(1)[~tied], want.argmax(1)[~tied])
    torch.testing.assert_close(found.gather(1, want.argmax(1)[:, None])[:, 0], found.amax(1))


@pytest.mark.parametrize("alpha", [None, 0.6])
@pytest.mark.parametrize("decode", ["membrane_mean", "membrane_last"])
def test_the_error_is_spread_as_the_readout_leaks(make, data, decode, alpha):
    """ebar is the gradient with respect to the currents of the last layer, by autograd through its own equation."""
    net, (raster, _) = make(5, decode=decode, alpha=alpha), data(5)
    readout = net.layers[1].neuron
    steps, batch = raster.shape[:2]
    c = torch.randn(steps, batch, 4, dtype=torch.float64, requires_grad=True)
    syn = mem = torch.zeros(batch, 4, dtype=torch.float64)
    mems = []
    for t in range(steps):
        syn = c[t] if alpha is None else readout.alpha * syn + c[t]
        mem = readout.beta * mem + syn
        mems.append(mem)
    o = mems[-1] if decode == "membrane_last" else torch.stack(mems).mean(0)
    e = torch.randn(batch, 4, dtype=torch.float64)
    want = torch.autograd.grad((o * e).sum(), c)[0]
    leaks = (readout.beta,) if alpha is None else (readout.beta, readout.alpha)
    torch.testing.assert_close(spread(e, steps, decode, leaks), want)
