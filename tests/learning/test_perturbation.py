"""The perturbation family: what its mean is, in which limits it is a gradient, and the source paper's update written out."""

import math

import pytest
import torch

from edge_anp.learning import perturbation, weight_perturbation
from edge_anp.learning.bptt import BPTT
from edge_anp.learning.draws import Draw
from edge_anp.learning.perturbation import Perturbation
from edge_anp.learning.rule import Ask, Signal
from edge_anp.network import Connection, Layer, Network, run
from edge_anp.neurons import Readout, Tanh
from edge_anp.noise import gaussian
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT, InputContract

T, IN, H, K = 6, 3, 5, 2


def elman(seed=0):
    """a[t] = W x[t] + R h[t-1], h = tanh(a), z[t] = V h[t]: the source paper's network."""
    g = torch.Generator().manual_seed(seed)
    w = lambda n, i: Dense((torch.randn(n, i, generator=g, dtype=torch.float64) / math.sqrt(i)).requires_grad_())  # noqa: E731
    hidden = Layer((H,), (Connection(INPUT, (w(H, IN),)), Connection(0, (w(H, H),), 1)), Tanh())
    readout = Layer((K,), (Connection(0, (w(K, H),)),), Readout(torch.tensor(0.0, dtype=torch.float64)))
    return Network((hidden, readout), InputContract((IN,)), "membrane_mean")


def trials(batch, copies=1, steps=T):
    g = torch.Generator().manual_seed(5)
    raster = torch.randn(steps, batch, IN, generator=g, dtype=torch.float64).repeat(1, copies, 1)
    return raster, torch.randn(batch, steps, K, generator=g, dtype=torch.float64).repeat(copies, 1, 1)


def score(targets, classes=K):
    return Ask(Signal.SCORE, targets, classes)


def update(rule, net, raster, targets, seed=0):
    return rule.update(net, {}, raster, score(targets), seed).gradients


@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.parametrize("antithetic", [False, True])
def test_the_mean_of_node_perturbation_is_the_one_step_gradient(asking, alike, antithetic, signs):
    net, (raster, targets) = elman(), trials(2, copies=6000)
    rule = Perturbation("np", antithetic=antithetic, signs=signs)
    one = BPTT(one_step=True).update(net, {}, raster[:, :2], asking(targets[:2], classes=K), 0).gradients
    got = update(rule, net, raster, targets)
    assert alike(got, one) > 0.99
    size = (
        sum(float(g.norm()) ** 2 for g in got.values()) ** 0.5 / sum(float(g.norm()) ** 2 for g in one.values()) ** 0.5
    )
    assert abs(size / T - 1) < 0.1  # it is the gradient of the sum over steps, at its own scale


def test_the_mean_with_reward_to_go_is_the_gradient_through_time(asking, alike):
    net, (raster, targets) = elman(), trials(2, copies=12000)
    whole = BPTT().update(net, {}, raster[:, :2], asking(targets[:2], classes=K), 0).gradients
    one = BPTT(one_step=True).update(net, {}, raster[:, :2], asking(targets[:2], classes=K), 0).gradients
    assert alike(whole, one) < 0.97  # the two differ, so the next line says something
    assert alike(update(Perturbation("np", trace=1.0), net, raster, targets), whole) > 0.99


def test_the_mean_of_weight_perturbation_is_the_gradient_through_time(asking, alike):
    net, (raster, targets) = elman(), trials(2)
    whole = BPTT().update(net, {}, raster, asking(targets, classes=K), 0).gradients
    rule = Perturbation("wp", fresh=False, per_sample=False, draws=600)
    assert alike(update(rule, net, raster, targets), whole) > 0.9


def test_weight_perturbation_credits_the_noise_of_earlier_steps(make, data):
    """One loss difference, at the end:  dL / sigma^2  sum_t trace^(T-1-t) Xi[t]."""
    net, (raster, labels) = make(), data(batch=8)
    last, traced = (
        update_spiking(Perturbation("wp", sigma=0.3, error="end", per_sample=False, trace=x), net, raster, labels)
        for x in (0.0, 0.8)
    )
    for k, (name, p) in enumerate(net.parameters().items()):
        t, n = torch.arange(len(raster))[:, None], torch.arange(p.numel())
        xi = 0.3 * gaussian(3, 0, int(Draw.WEIGHTS), t, k, n).double()
        change = float(last[name].double().flatten() @ xi[-1] / (xi[-1] @ xi[-1]))
        assert change != 0
        want = change * (0.8 ** (len(raster) - 1 - t) * xi).sum(0)
        torch.testing.assert_close(traced[name].flatten().double(), want, rtol=1e-4, atol=1e-5)


def paper(net, raster, targets, rule, seed, sigma=1e-3):
    """The source paper's update of a sequence, from its formulas: Xi, xi fresh at every step, the loss difference of that step's batch."""
    batch = raster.shape[1]
    w, r, v = (c.path[0].weight.detach() for layer in net.layers for c in layer.connections)
    names = ("0.0.weight", "0.1.weight", "1.0.weight")
    clean = noisy = torch.zeros(batch, H, dtype=torch.float64)
    found = {n: torch.zeros_like(p) for n, p in zip(names, (w, r, v), strict=True)}
    draw = lambda what, t, layer, *places: sigma * gaussian(seed, places[0], what, t, layer, places[1]).double()  # noqa: E731
    for t, x in enumerate(raster):
        before, noisy_before = clean, noisy
        a = x @ w.T + clean @ r.T
        xi = zeta = torch.zeros(())
        if rule == "wp":
            flat = [
                draw(int(Draw.WEIGHTS), t, k, 0, torch.arange(p.numel())).reshape(p.shape)
                for k, p in enumerate((w, r, v))
            ]
            b = x @ (w + flat[0]).T + noisy @ (r + flat[1]).T
        else:
            rows = torch.arange(batch)[:, None]
            xi, zeta = (
                draw(int(Draw.PERTURB), t, 0, rows, torch.arange(H)),
                draw(int(Draw.PERTURB), t, 1, rows, torch.arange(K)),
            )
            b = x @ w.T + noisy @ r.T + xi
            flat = [torch.zeros_like(p) for p in (w, r, v)]
        clean, noisy = torch.tanh(a), torch.tanh(b)
        z, y = clean @ v.T, noisy @ (v + flat[2]).T + zeta
        loss = lambda out, t=t: (out - targets[:, t]).square().mean()  # noqa: E731  over outputs and batch
        dl = loss(y) - loss(z)
        if rule == "wp":
            for n, f in zip(names, flat, strict=True):
                found[n] += dl / sigma * f
            continue
        if rule == "np":
            hidden, out = xi / sigma, zeta / sigma
        else:
            n = IN + H + K
            da, dz = b - a, y - z
            hidden, out = n**0.5 * da / da.norm() ** 2, n**0.5 * dz / dz.norm() ** 2
        found[names[0]] += dl * hidden.T @ x
        found[names[1]] += dl * hidden.T @ before
        found[names[2]] += dl * out.T @ clean
        del noisy_before
    return found


@pytest.mark.parametrize("rule", ["wp", "np", "anp"])
def test_a_preset_is_the_source_papers_update(rule):
    from edge_anp.learning.presets import make

    net, (raster, targets) = elman(1), trials(4)
    got, want = update(make(rule), net, raster, targets, seed=9), paper(net, raster, targets, rule, 9)
    for name in want:
        torch.testing.assert_close(got[name], want[name], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("per_sample", [True, False])
@pytest.mark.parametrize("kind", ["np", "anp", "wp"])
@pytest.mark.parametrize("trace", [0.0, 0.8, 1.0])
def test_a_trial_in_pieces_is_the_trial(monkeypatch, kind, trace, per_sample):
    """What a trace remembers does not depend on how the trial is cut."""
    net, (raster, targets) = elman(2), trials(3, steps=11)
    rule = Perturbation(kind, trace=trace, per_sample=per_sample, sigma=0.1)
    whole = update(rule, net, raster, targets)
    monkeypatch.setattr(perturbation, "CHUNK", 3)
    monkeypatch.setattr(weight_perturbation, "DRAWN", 3)
    for name, g in update(rule, net, raster, targets).items():
        torch.testing.assert_close(g, whole[name])


def test_switches_do_what_they_say(make, data):
    net, (raster, labels) = make(), data(batch=8)
    go = lambda **s: update_spiking(Perturbation(**{"kind": "anp", "sigma": 0.3, **s}), net, raster, labels)  # noqa: E731
    base = go()
    count = sum(layer.size for layer in net.layers)
    for name, g in go(factor="sqrt").items():
        torch.testing.assert_close(g * count**0.5, base[name])
    for name, g in go(factor="sqrt", inputs=True).items():
        torch.testing.assert_close(g * count / (count + 5) ** 0.5, base[name])
    for name, g in go(average=True).items():
        torch.testing.assert_close(g * 8, base[name])
    same = go()
    assert all(torch.equal(same[n], base[n]) for n in base)
    for switches in (
        {"norm": "network"},
        {"per_sample": False},
        {"antithetic": True},
        {"draws": 2},
        {"signs": True},
        {"trace": 0.5},
    ):
        assert any(not torch.allclose(g, base[n]) for n, g in go(**switches).items())
    a, b = (update_spiking(Perturbation("np", sigma=0.3, scale=s), net, raster, labels) for s in ("sigma", "sigma2"))
    for name, g in a.items():
        torch.testing.assert_close(g / 0.3, b[name])


def update_spiking(rule, net, raster, labels):
    return rule.update(net, {}, raster, Ask(Signal.SCORE, labels, 4), 3).gradients


@pytest.mark.parametrize("kind", ["np", "anp", "wp"])
def test_an_answer_at_the_end_is_asked_for_once_a_run(make, data, kind):
    net, (raster, labels) = make(), data()
    ask = Ask(Signal.SCORE, labels, 4)
    rule = Perturbation(kind, error="end", sigma=0.3, trace=1.0, draws=2)
    got = rule.update(net, {}, raster, ask, 0).gradients
    assert ask.counts == {"scores": 2 * 2 * len(labels)}
    assert set(got) == set(net.parameters())
    assert all(bool(g.any()) for g in got.values())


def test_a_trials_noise_is_its_own(make, data):
    """The same trial alone and within a batch, numbered alike: the mean over trials is the batch's."""
    net, (raster, labels) = make(), data()
    rule = Perturbation("np", sigma=0.3)
    whole = update_spiking(rule, net, raster, labels)
    each = [
        rule.update(net, {}, raster[:, b : b + 1], Ask(Signal.SCORE, labels[b : b + 1], 4, first=b), 3).gradients
        for b in range(len(labels))
    ]
    for name, g in whole.items():
        torch.testing.assert_close(g, torch.stack([e[name] for e in each]).mean(0))


def test_the_clean_run_is_the_network(make, data):
    net, (raster, labels) = make(), data()
    update = Perturbation("np", error="end").update(net, {}, raster, Ask(Signal.SCORE, labels, 4), 0)
    want = torch.nn.functional.cross_entropy(run(net, raster).states[1]["mem"].mean(0), labels)
    assert update.loss == pytest.approx(float(want.detach()))


@pytest.mark.parametrize("switches", [{"kind": "xp"}, {"sigma": 0.0}, {"trace": 1.5}, {"draws": 0}, {"norm": "world"}])
def test_switches_are_checked(switches):
    with pytest.raises(ValueError, match="must be"):
        Perturbation(**switches)
