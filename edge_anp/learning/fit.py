"""Train a network with any learning rule: one loop.

Runs share nothing: what a rule remembers is in its state, and everything random comes from the run's seed. trainer.py has the conveniences
around the loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from edge_anp import network as networks
from edge_anp.learning.parallel import Ranks
from edge_anp.learning.rule import Ask, Rule, State
from edge_anp.learning.watch import Watch
from edge_anp.network import Network
from edge_anp.tasks import Samples

Batches = Iterable[tuple[Tensor, Ask]]


@dataclass(frozen=True, eq=False)
class History:
    """What came of a run.

    network: the trained one, with the feedback that its rule learned. losses: one an update (for a reward: the share of answers that
    were not rewarded). asked: how many labels, scores and rewards were given out. state: what the rule would go on with. forward: the
    network that ran, where it was another (on integers).
    """

    network: Network
    losses: list[float]
    asked: dict[str, int]
    state: State = field(default_factory=dict, repr=False)
    forward: Network | None = None


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a run is after an update: handed to `seen`, and enough to go on from."""

    done: int
    losses: list[float]
    asked: Counter[str]
    state: State
    spike_rate: float


def fit(
    network: Network,
    rule: Rule,
    batches: Batches,
    optimizer: Optimizer,
    seed: int,
    scheduler: Any = None,
    state: State | None = None,
    seen: Callable[[Progress], None] | None = None,
    before: Progress | None = None,
    ranks: Ranks | None = None,
    forward: Callable[[int], Network] | None = None,
) -> History:
    """Train `network` in place with any learning rule, one step a batch.

    batches: (raster [T, B, I], ask). optimizer: over network.parameters(). seed: update k is given seed + k.
    scheduler: of torch, stepped after every update. state: of an earlier run of the rule, to go on with.
    seen: called after every update. before: of a run that goes on here; its numbers are continued. ranks: of the machines that share the
    batches; updates are averaged. forward: the network to run at update k, where it is not `network` itself (on integers).
    Raise EdgeAnpError with advice when the loss or a gradient is no number, when the loss explodes, or when the network falls silent.
    """
    parameters, watch, ranks = network.parameters(), Watch(network), ranks or Ranks()
    if not parameters:
        raise ValueError("no tensor of the network requires a gradient; training needs at least one that does")
    state = before.state if before else rule.init(network, seed) if state is None else state
    losses, first = (list(before.losses), before.done) if before else ([], 0)
    asked: Counter[str] = Counter(before.asked) if before else Counter()
    for k, (raster, ask) in enumerate(batches, first):
        if ask.signal != rule.signal:
            raise ValueError(
                f"the batches answer a {ask.signal}, but the rule learns from a {rule.signal}; they must agree"
            )
        update = rule.update(network if forward is None else forward(k), state, raster, ask, seed + k)
        watch.check(k, raster, update)
        for name, parameter in parameters.items():
            gradient = update.gradients.get(name)
            parameter.grad = None if gradient is None else ranks.mean(gradient)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        state = update.state
        losses.append(float(ranks.mean(torch.tensor(float(update.loss), dtype=torch.float64))))
        asked.update({what: n * ranks.size for what, n in ask.counts.items()})
        if seen is not None:
            seen(Progress(k + 1, losses, asked, state, watch.spike_rate))
    for parameter in parameters.values():
        parameter.grad = None
    finish = getattr(rule, "finish", None)
    if finish is not None:
        finish(network, state)
    kept = {
        name: x for name, x in state.items() if name in parameters
    }  # feedback has the name of the weight that it stands for
    feedback = {**network.feedback, **kept} if kept else network.feedback
    return History(
        replace(network, feedback=feedback), losses, dict(asked), state, forward(len(losses)) if forward else None
    )


@torch.no_grad()
def evaluate(network: Network, samples: Samples, batch: int = 256) -> float:
    """How well the network does: the share of answers that are right, of trials or (targets [S, T]) of steps; ties go to the lowest.

    For targets that are numbers [S, T, K], the mean square error of the last layer's membranes instead.
    """
    if not len(samples):
        raise ValueError("there are no samples to evaluate on; there must be at least one")
    total = 0.0
    for first in range(0, len(samples), batch):
        raster, targets = samples.batch(range(first, min(first + batch, len(samples))))
        trace = networks.run(network, raster)
        if targets.ndim == 1:
            found = networks.scores(network, trace).numpy().argmax(1)
            total += int((found == targets.numpy()).sum())
            continue
        outputs = trace.states[-1]["mem"].transpose(0, 1)
        if targets.ndim == 2:
            total += float((outputs.numpy().argmax(2) == targets.numpy()).mean(1).sum())
        else:
            total += float((outputs - targets).square().mean((1, 2)).sum())
    return total / len(samples)


def measured(samples: Samples) -> str:
    """What `evaluate` measures on these samples."""
    return "mean square error" if samples.targets.ndim == 3 else "accuracy"
