"""Weight perturbation: noise on every weight and bias, fresh at every step or one a trial; the noise is asked for again, never stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from edge_anp import storage
from edge_anp.learning.draws import Draw
from edge_anp.learning.rule import Ask, Update
from edge_anp.network import Network, Trace, begin, end, run
from edge_anp.noise import gaussian, noise

if TYPE_CHECKING:
    from edge_anp.learning.perturbation import Perturbation


def perturb_weights(rule: Perturbation, network: Network, raster: Tensor, ask: Ask, seed: int) -> Update:
    """The update of wp; one loss difference for the batch, which shares the noise."""
    trained = {n: p for n, p in network.parameters().items() if n.rsplit(".", 1)[1] in ("weight", "bias")}
    found = {name: torch.zeros_like(p) for name, p in trained.items()}
    size, losses = 1 if rule.fresh else len(raster), []
    for q in range(rule.draws):
        at = lambda t, q=q: _draw(rule, trained, seed, t, q)  # noqa: E731
        plain = _run(network, trained, raster, len(raster), lambda t: None)
        up = _run(network, trained, raster, size, at)
        other = (
            _run(network, trained, raster, size, lambda t, at=at: {n: -x for n, x in at(t).items()})
            if rule.antithetic
            else plain
        )
        high, _ = rule._losses(network, up, ask, len(raster), 0, None)
        low, _ = rule._losses(network, other, ask, len(raster), 0, None)
        change = (0.5 if rule.antithetic else 1.0) * (high - low)
        change = ask.total(change.sum(1)) / ask.total(torch.tensor(float(change.shape[1]), device=change.device))
        together = change.sum()  # one noise a trial answers for all of it
        for t in range(len(change) - 2, -1, -1):
            change[t] += rule.trace * change[t + 1]
        divide = rule.draws * (rule.sigma if rule.scale == "sigma" else rule.sigma**2)
        if rule.fresh:
            for t, weight in enumerate(change):
                if weight != 0:
                    for name, xi in at(t).items():
                        found[name] += weight / divide * xi
        else:
            for name, xi in at(0).items():
                found[name] += together / divide * xi
        losses.append(float(low.mean()) if rule.error == "streaming" else float(low[-1].mean()))
    scale = 1 / raster.shape[1] if rule.average else 1.0
    return Update({name: g * scale for name, g in found.items()}, {}, sum(losses) / len(losses))


def _draw(rule: Perturbation, trained: dict[str, Tensor], seed: int, t: int, q: int) -> dict[str, Tensor]:
    """sigma times noise, shaped as each tensor."""
    drawn = {}
    for number, (name, p) in enumerate(trained.items()):
        where = (seed, 0, int(Draw.WEIGHTS) + q * int(Draw.TWIN), t, number, torch.arange(p.numel(), device=p.device))
        xi = 2.0 * (noise(*where) >> 31).float() - 1 if rule.signs else gaussian(*where)
        drawn[name] = rule.sigma * xi.reshape(p.shape).to(p.dtype)
    return drawn


def _run(network: Network, trained: dict[str, Tensor], raster: Tensor, size: int, at) -> Trace:
    """A run whose weights are moved by `at(t)`, anew every `size` steps."""
    moment, traces = begin(network, raster), []
    for t in range(0, len(raster), size):
        moved = at(t)
        there = network
        if moved is not None:
            changed = {id(p): p + moved[name] for name, p in trained.items()}
            there = storage.rebuild(network, lambda x, changed=changed: changed.get(id(x), x))
        traces.append(run(there, raster[t : t + size], start=moment))
        moment = end(moment, raster[t : t + size], traces[-1])
    spikes = tuple(torch.cat(each) for each in zip(*(t.spikes for t in traces), strict=True))
    states = zip(*(t.states for t in traces), strict=True)
    return Trace(spikes, tuple({n: torch.cat([s[n] for s in each]) for n in each[0]} for each in states))
