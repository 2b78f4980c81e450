"""Weight perturbation: noise on every weight and bias, fresh at every step or one a trial.

    e[t] = trace e[t-1] + Xi[t]        update = sum over t of  dL[t] e[t] / sigma

the forward-running form of perturbation.py's  w[t] Xi[t], so that a step's noise is drawn once and is gone with its piece of the trial.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from edge_anp import storage
from edge_anp.learning.draws import Draw
from edge_anp.learning.rule import Ask, Update
from edge_anp.network import Moment, Network, Trace, begin, end, joined, run
from edge_anp.noise import gaussian, noise

if TYPE_CHECKING:
    from edge_anp.learning.perturbation import Perturbation

DRAWN = 8  # steps whose noise is drawn at once


def perturb_weights(rule: Perturbation, network: Network, raster: Tensor, ask: Ask, seed: int) -> Update:
    """The update of wp; one loss difference for the batch, which shares the noise."""
    trained = {n: p for n, p in network.parameters().items() if n.rsplit(".", 1)[1] in ("weight", "bias")}
    found = {name: torch.zeros_like(p) for name, p in trained.items()}
    steps, gain, losses = len(raster), 0.5 if rule.antithetic else 1.0, []
    divide = rule.draws * (rule.sigma if rule.scale == "sigma" else rule.sigma**2)
    for q in range(rule.draws):
        eligibility = {name: torch.zeros_like(p) for name, p in trained.items()}
        moments = [begin(network, raster)] * 2
        sums: list[Tensor | None] = [None, None]
        for first in range(0, steps, DRAWN if rule.fresh else steps):
            x = raster[first : first + DRAWN] if rule.fresh else raster
            xi = _draw(rule, trained, seed, first, len(x) if rule.fresh else 1, q)
            loss = []
            for k, sign in enumerate((1, -1 if rule.antithetic else 0)):
                trace, moments[k] = _run(network, trained, x, moments[k], xi, sign)
                of_each, sums[k] = rule._losses(network, trace, ask, steps, first, sums[k])
                loss.append(of_each)
            change = ask.total(gain * (loss[0] - loss[1]).sum(1)) / ask.total(loss[0].new_tensor(float(x.shape[1])))
            change = (change if rule.fresh else change.sum(0, keepdim=True)) / divide
            for name, drawn in xi.items():
                for weight, each in zip(change.tolist(), drawn, strict=True):
                    e = eligibility[name].mul_(rule.trace).add_(each)
                    found[name].add_(e, alpha=weight)
            losses.append(loss[1].mean(1))
    low = torch.cat(losses).reshape(rule.draws, steps)
    scale = 1 / raster.shape[1] if rule.average else 1.0
    mean = float((low if rule.error == "streaming" else low[:, -1]).mean())
    return Update({name: g * scale for name, g in found.items()}, {}, mean)


def _draw(
    rule: Perturbation, trained: dict[str, Tensor], seed: int, first: int, count: int, q: int
) -> dict[str, Tensor]:
    """sigma times noise for steps from `first` on, [count, *shape] of each tensor."""
    drawn = {}
    for number, (name, p) in enumerate(trained.items()):
        t = torch.arange(first, first + count, device=p.device)[:, None]
        where = (seed, 0, int(Draw.WEIGHTS) + q * int(Draw.TWIN), t, number, torch.arange(p.numel(), device=p.device))
        xi = 2.0 * (noise(*where) >> 31).float() - 1 if rule.signs else gaussian(*where)
        drawn[name] = xi.mul_(rule.sigma).reshape(count, *p.shape).to(p.dtype)
    return drawn


def _run(
    network: Network, trained: dict[str, Tensor], raster: Tensor, start: Moment, xi: dict[str, Tensor], sign: int
) -> tuple[Trace, Moment]:
    """A run from `start` whose weights are moved by sign times a row of `xi`, at every step or for all of it; and the moment after."""
    if sign == 0:
        trace = run(network, raster, start=start)
        return trace, end(start, raster, trace)
    rows, traces = len(next(iter(xi.values()))), []
    at = {name: torch.empty_like(p) for name, p in trained.items()}
    places = {id(p): at[name] for name, p in trained.items()}
    moved = storage.rebuild(network, lambda value: places.get(id(value), value))
    for k, piece in enumerate(raster.split(len(raster) // rows)):
        for name, p in trained.items():
            torch.add(p, xi[name][k], alpha=sign, out=at[name])
        traces.append(run(moved, piece, start=start))
        start = end(start, piece, traces[-1])
    return joined(traces), start
