"""Feedback ANP on every kind of network: with symmetric feedback and the whole trial it is surrogate BPTT's gradient."""

import pytest
import torch
from torch.nn import functional as F

from edge_anp.errors import Unsupported
from edge_anp.learning.bptt import BPTT, surrogate_spike
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.output_error import TEMPERATURE, logits
from edge_anp.moment import Moment
from edge_anp.network import Connection, Layer, Network, begin, end, joined, run
from edge_anp.neurons import LIF, CubaLIF, Readout, Tanh
from edge_anp.synapses import AvgPool2d, Conv1d, Conv2d, Dense, MaxPool2d
from edge_anp.topology import INPUT, InputContract

T, B, K = 10, 5, 4
IMAGE, MAPS, POOLED = (1, 6, 6), (2, 4, 4), (2, 3, 3)


def numbers(seed=0):
    g = torch.Generator().manual_seed(seed)
    return lambda *shape, gain=1.0: (torch.randn(shape, generator=g, dtype=torch.float64) * gain).requires_grad_()


def lif(cls=LIF, **more):
    return cls(torch.tensor(0.9, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64), **more)


def readout(beta=0.9):
    return Readout(torch.tensor(beta, dtype=torch.float64))


def dense(w, n, i):
    return Dense(w(n, i, gain=1.5 / i**0.5), w(n, gain=0.1))


def deep(w):
    a, b = (
        Layer((8,), (Connection(INPUT, (dense(w, 8, 5),)), Connection(0, (dense(w, 8, 8),), 1)), lif()),
        Layer((7,), (Connection(0, (dense(w, 7, 8),)), Connection(1, (dense(w, 7, 7),), 1)), lif(reset="zero")),
    )
    return Network(
        (a, b, Layer((K,), (Connection(1, (dense(w, K, 7),)),), readout())), InputContract((5,)), "membrane_mean"
    )


def skipping(w):
    a, b = (
        Layer((8,), (Connection(INPUT, (dense(w, 8, 5),)),), lif()),
        Layer(
            (7,), (Connection(0, (dense(w, 7, 8),)), Connection(INPUT, (dense(w, 7, 5),), 2)), lif(reset_delay=False)
        ),
    )
    last = Layer((K,), (Connection(1, (dense(w, K, 7),)), Connection(0, (dense(w, K, 8),), 3)), readout())
    return Network((a, b, last), InputContract((5,)), "membrane_last")


def looping(w):
    a = Layer((8,), (Connection(INPUT, (dense(w, 8, 5),)), Connection(1, (dense(w, 8, 7),), 2)), lif())
    b = Layer((7,), (Connection(0, (dense(w, 7, 8),)),), lif(CubaLIF, alpha=torch.tensor(0.5, dtype=torch.float64)))
    return Network(
        (a, b, Layer((K,), (Connection(1, (dense(w, K, 7),)),), readout())), InputContract((5,)), "membrane_mean"
    )


def convolving(w):
    first = Conv2d(IMAGE, (3, 3), (1, 1), (0, 0), w(2, 1, 3, 3, gain=0.7), w(2, gain=0.1))
    second = Conv2d(POOLED, (2, 2), (1, 1), (1, 1), w(4, 1, 2, 2), w(4), groups=2)
    layers = (
        Layer(MAPS, (Connection(INPUT, (first,)),), lif()),
        Layer((4, 4, 4), (Connection(0, (MaxPool2d(MAPS, (2, 2), (1, 1), (0, 0)), second)),), lif()),
        Layer((K,), (Connection(1, (AvgPool2d((4, 4, 4), (2, 2), (2, 2), (0, 0)), dense(w, K, 16))),), readout()),
    )
    return Network(layers, InputContract(IMAGE), "membrane_mean")


def pooling_currents(w):
    """Convolution, then max pool, then the neuron: the tutorials' order. And a recurrence that is a convolution."""
    first = Conv2d(IMAGE, (3, 3), (1, 1), (0, 0), w(2, 1, 3, 3, gain=0.7), w(2, gain=0.1))
    back = Conv2d((2, 2, 2), (3, 3), (1, 1), (1, 1), w(2, 2, 3, 3, gain=0.3))
    hidden = Layer(
        (2, 2, 2),
        (Connection(INPUT, (first, MaxPool2d(MAPS, (2, 2), (2, 2), (0, 0)))), Connection(0, (back,), 1)),
        lif(),
    )
    return Network(
        (hidden, Layer((K,), (Connection(0, (dense(w, K, 8),)),), readout())), InputContract(IMAGE), "membrane_mean"
    )


def one_dimension(w):
    conv = Conv1d((1, 9), (3,), (2,), (1,), w(2, 1, 3), w(2, gain=0.1))
    hidden = Layer((2, 5), (Connection(INPUT, (conv,)),), lif())
    return Network(
        (hidden, Layer((K,), (Connection(0, (dense(w, K, 10),)),), readout())), InputContract((1, 9)), "membrane_mean"
    )


def rates(w):
    a = Layer((8,), (Connection(INPUT, (dense(w, 8, 5),)), Connection(0, (dense(w, 8, 8),), 1)), Tanh())
    return Network(
        (a, Layer((K,), (Connection(0, (dense(w, K, 8),)),), readout(0.0))), InputContract((5,)), "membrane_mean"
    )


def answering(decode, **more):
    def build(w):
        a = Layer((8,), (Connection(INPUT, (dense(w, 8, 5),)), Connection(0, (dense(w, 8, 8),), 1)), lif())
        b = Layer((K,), (Connection(0, (dense(w, K, 8),)), Connection(1, (dense(w, K, K),), 1)), lif(**more))
        return Network((a, b), InputContract((5,)), decode)

    return build


NETWORKS = {
    "two recurrent layers": deep, "skip and delays": skipping, "a loop over layers": looping, "convolutions": convolving,
    "max pools of currents": pooling_currents, "one dimension": one_dimension, "rates": rates, "count": answering("count"),
    "count, reset at once": answering("count", reset_delay=False), "first spike": answering("first_spike"),
    "first spike, reset to zero": answering("first_spike", reset="zero", zero="update"),
}  # fmt: skip


def sample(net, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(T, B, net.input.size, generator=g, dtype=torch.float64), torch.randint(K, (B,), generator=g)


def gradients(net, raster, labels, asking, **switches):
    rule = FeedbackANP(**{"feedback": "symmetric", "look_back": None, **switches})
    return rule.update(net, rule.init(net, 0), raster, asking(labels), 0).gradients


@pytest.mark.parametrize("name", NETWORKS)
def test_the_whole_trial_with_symmetric_feedback_is_bptt(asking, alike, name):
    net = NETWORKS[name](numbers(len(name)))
    raster, labels = sample(net)
    want = BPTT().update(net, {}, raster, asking(labels), 0).gradients
    got = gradients(net, raster, labels, asking)
    assert set(got) == set(net.parameters())
    assert alike(got, want) > 0.9999
    for g, w in ((got[n], want[n]) for n in want):
        torch.testing.assert_close(g, w, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_learns_forward_only_with_learned_feedback(asking, alike, name):
    """Look-back 0 is no gradient, but it points downhill: its cosine with BPTT's, once feedback is learned."""
    net = NETWORKS[name](numbers(1))
    raster, labels = sample(net)
    rule = FeedbackANP(look_back=0)
    state = rule.init(net, 0)
    for k in range(40):
        update = rule.update(net, state, raster, asking(labels), k)
        state = update.state
    want = BPTT().update(net, {}, raster, asking(labels), 0).gradients
    assert alike(update.gradients, want) > 0.5
    assert all(bool(g.isfinite().all()) for g in update.gradients.values())


@pytest.mark.parametrize("name", ["two recurrent layers", "count", "rates", "a loop over layers"])
def test_streaming_over_the_whole_trial_is_the_gradient_of_what_it_says(asking, name):
    """With look-back T the error of every step is swept to the start: the gradient of sum_t <e[t], o[t]> / (T B), e held fixed."""
    net = NETWORKS[name](numbers(2))
    raster, labels = sample(net)
    got = gradients(net, raster, labels, asking, look_back=T, error="streaming")
    trace = run(net, raster, surrogate_spike, surrogate_spike)
    x = trace.spikes[-1] / TEMPERATURE if net.decode == "count" else trace.states[-1]["mem"]
    running = x.cumsum(0) / torch.arange(1, T + 1)[:, None, None]
    e = (torch.softmax(running, 2) - F.one_hot(labels, K)).detach()
    want = torch.autograd.grad((e * x).sum() / (T * B), list(net.parameters().values()))
    for name_, w in zip(net.parameters(), want, strict=True):
        torch.testing.assert_close(got[name_], w, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("depth", [T // 2, T - 1])
def test_streaming_looks_back_on_twice_its_depth(asking, depth):
    """A block and the steps before it are all of the trial: exact, though the readout's leak carries errors back from block to block."""
    w = numbers(6)
    recurrent = (Connection(INPUT, (dense(w, 8, 5),)), Connection(0, (dense(w, 8, 8),), 1))
    last = Layer((K,), (Connection(0, (dense(w, K, 8),)),), readout(0.9))
    net = Network((Layer((8,), recurrent, lif()), last), InputContract((5,)), "membrane_mean")
    raster, labels = sample(net)
    want = gradients(net, raster, labels, asking, look_back=T, error="streaming")
    got = gradients(net, raster, labels, asking, look_back=depth, error="streaming")
    for n in want:
        torch.testing.assert_close(got[n], want[n], rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("depth", [0, 3, 4])
@pytest.mark.parametrize("name", ["current-based", "plain"])
def test_streaming_without_spikes_to_pass_is_exact_at_any_depth(asking, name, depth):
    """One layer, no recurrence, no reset: all memory is in the leaks, and traces stand for them exactly; the readout has no leak."""
    w = numbers(3)
    alpha = torch.tensor(0.6, dtype=torch.float64)
    neuron = lif(CubaLIF, alpha=alpha, reset="none") if name == "current-based" else lif(reset="none")
    hidden = Layer((8,), (Connection(INPUT, (dense(w, 8, 5),), 1),), neuron)
    net = Network(
        (hidden, Layer((K,), (Connection(0, (dense(w, K, 8),)),), readout(0.0))), InputContract((5,)), "membrane_mean"
    )
    raster, labels = sample(net)
    want = gradients(net, raster, labels, asking, look_back=T, error="streaming")
    got = gradients(net, raster, labels, asking, look_back=depth, error="streaming")
    for n in want:
        torch.testing.assert_close(got[n], want[n], rtol=1e-6, atol=1e-10)


def test_streaming_keeps_the_readouts_leak_exactly(asking):
    for alpha in (None, torch.tensor(0.7, dtype=torch.float64)):
        w = numbers(4)
        hidden = Layer((8,), (Connection(INPUT, (dense(w, 8, 5),)),), lif())
        last = Layer((K,), (Connection(0, (dense(w, K, 8),)),), Readout(torch.tensor(0.9, dtype=torch.float64), alpha))
        net = Network((hidden, last), InputContract((5,)), "membrane_mean")
        raster, labels = sample(net)
        each = [gradients(net, raster, labels, asking, look_back=d, error="streaming") for d in (0, 3, T)]
        for g in each[:2]:
            for n in ("1.0.weight", "1.0.bias"):
                torch.testing.assert_close(g[n], each[2][n], rtol=1e-6, atol=1e-10)


def test_a_reward_that_streams_asks_at_every_step(make, data):
    from edge_anp.learning.rule import Ask, Signal

    net, (raster, labels) = make(per_neuron=False), data()
    rule = FeedbackANP("reward", 3, error="streaming")
    ask = Ask(Signal.REWARD, labels, 4, answers=rule.answers)
    rule.update(net, rule.init(net, 0), raster, ask, 0)
    assert ask.counts == {"rewards": raster.shape[:2].numel()}


def test_streaming_says_what_it_cannot(make):
    with pytest.raises(Unsupported, match="beta of each neuron's own"):
        FeedbackANP(error="streaming").init(make(), 0)
    with pytest.raises(Unsupported, match="max pool"):
        FeedbackANP(error="streaming").init(convolving(numbers()), 0)
    with pytest.raises(ValueError, match="look_back is the whole trial"):
        FeedbackANP(error="streaming", look_back=None)


def test_one_step_backpropagation_is_the_gradient_with_the_past_held_fixed(make, data, asking):
    """dW = sum_t of the step's own gradient: hidden currents and readout currents at t alone."""
    net, (raster, labels) = make(3), data(3)
    got = BPTT(one_step=True).update(net, {}, raster, asking(labels), 0).gradients
    trace = run(net, raster)
    from edge_anp.learning.slopes import psi

    hidden, last = net.layers
    o = trace.states[1]["mem"].mean(0).detach()
    e = (torch.softmax(o, 1) - F.one_hot(labels, 4)) / len(labels) / len(raster)
    slope = psi(trace.states[0]["mem"].detach(), hidden.neuron.threshold)
    credit = slope * (e @ last.connections[0].path[0].weight.detach())
    torch.testing.assert_close(got["0.0.weight"], torch.einsum("tbn,tbi->ni", credit, raster))
    torch.testing.assert_close(got["1.0.bias"], e.sum(0) * len(raster))


@pytest.mark.parametrize("name", NETWORKS)
def test_one_step_backpropagation_of_all_steps_at_once_is_that_of_one_after_the_other(asking, name):
    """Delays, loops, current-based neurons: what a step takes as given is what the steps before it left."""
    net = NETWORKS[name](numbers(len(name)))
    raster, labels = sample(net)
    got = BPTT(one_step=True).update(net, {}, raster, asking(labels), 0).gradients
    moment, traces = begin(net, raster), []
    for x in raster.split(1):
        traces.append(run(net, x, surrogate_spike, surrogate_spike, moment))
        after = end(moment, x, traces[-1])
        held = tuple({n: v.detach() for n, v in s.items()} for s in after.states)
        moment = Moment(held, {source: spikes.detach() for source, spikes in after.past.items()})
    loss = F.cross_entropy(logits(net, joined(traces)), labels)
    want = torch.autograd.grad(loss, list(net.parameters().values()), allow_unused=True)
    for n, w in zip(net.parameters(), want, strict=True):
        torch.testing.assert_close(got.get(n), w, rtol=1e-6, atol=1e-10)
