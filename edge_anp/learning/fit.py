"""Train a network with any learning rule: one loop, and the conveniences around it.

Runs share nothing: what a rule remembers is in its state, and everything random comes from the run's seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from edge_anp import network as networks
from edge_anp.learning.draws import Draw
from edge_anp.learning.rule import Ask, Rule, Signal, State
from edge_anp.learning.watch import Watch
from edge_anp.network import Network
from edge_anp.noise import noise
from edge_anp.tasks import Samples, Task

Batches = Iterable[tuple[Tensor, Ask]]


@dataclass(frozen=True, eq=False)
class History:
    """What came of a run.

    network: the trained one, with the feedback that its rule learned. losses: one an update (for a reward: the share of answers that
    were not rewarded). asked: how many labels, scores and rewards were given out. state: what the rule would go on with.
    """

    network: Network
    losses: list[float]
    asked: dict[str, int]
    state: State = field(default_factory=dict, repr=False)


def fit(
    network: Network,
    rule: Rule,
    batches: Batches,
    optimizer: Optimizer,
    seed: int,
    scheduler: Any = None,
    state: State | None = None,
    seen: Callable[[int, float, float], None] | None = None,
) -> History:
    """Train `network` in place with any learning rule, one step a batch.

    batches: (raster [T, B, I], ask). optimizer: over network.parameters(). seed: update k is given seed + k.
    scheduler: of torch, stepped after every update. state: of an earlier run of the rule, to go on with.
    seen: called after every update with its number, its loss and the share of spikes in the hidden layers.
    Raise EdgeAnpError with advice when the loss or a gradient is no number, when the loss explodes, or when the network falls silent.
    """
    parameters, watch = network.parameters(), Watch(network)
    if not parameters:
        raise ValueError("no tensor of the network requires a gradient; training needs at least one that does")
    state = rule.init(network, seed) if state is None else state
    losses: list[float] = []
    asked: Counter[str] = Counter()
    for k, (raster, ask) in enumerate(batches):
        if ask.signal != rule.signal:
            raise ValueError(
                f"the batches answer a {ask.signal}, but the rule learns from a {rule.signal}; they must agree"
            )
        update = rule.update(network, state, raster, ask, seed + k)
        watch.check(k, raster, update)
        for name, parameter in parameters.items():
            parameter.grad = update.gradients.get(name)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        state = update.state
        losses.append(float(update.loss))
        asked.update(ask.counts)
        if seen is not None:
            seen(k, losses[-1], watch.spike_rate)
    for parameter in parameters.values():
        parameter.grad = None
    feedback = {**network.feedback, **state} if state else network.feedback
    return History(replace(network, feedback=feedback), losses, dict(asked), state)


def train(
    network: Network,
    task: Task,
    rule: Rule,
    updates: int = 600,
    batch: int = 128,
    rate: float = 4e-3,
    seed: int = 0,
    progress: bool = True,
) -> History:
    """Train `network` in place on the task's training part: Adam, its rate annealed along half a cosine.

    A batch larger than the training part is the whole of it. Raise ValueError for targets that are not one class of the network a trial.
    """
    from edge_anp.learning.progress import show

    for name, value in (("updates", updates), ("batch", batch)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")
    if not rate > 0:
        raise ValueError(f"the rate is {rate}; it must be positive")
    check_fit(network, task)
    parameters = list(network.parameters().values())
    if not parameters:
        raise ValueError("no tensor of the network requires a gradient; training needs at least one that does")
    optimizer = Adam(parameters, lr=rate)
    scheduler = CosineAnnealingLR(optimizer, updates)
    classes = network.layers[-1].size
    samples = task.train

    def batches() -> Iterator[tuple[Tensor, Ask]]:
        for indices in draw_batches(len(samples), batch, updates, seed):
            raster, targets = samples.batch(indices)
            yield raster, Ask(Signal(rule.signal), targets, classes)

    first = int(noise(seed, 0, int(Draw.RUN), 0, 0, 0))  # so that the updates of seeds 0 and 1 share no noise
    with show(f"training, {rule.signal}", updates, progress) as seen:
        return fit(network, rule, batches(), optimizer, first, scheduler, seen=seen)


def draw_batches(samples: int, batch: int, updates: int, seed: int) -> Iterator[np.ndarray]:
    """The samples of every update: all of them in a new order each epoch, cut into batches."""
    batch, epoch = min(batch, samples), 0
    waiting = np.empty(0, np.int64)
    for _ in range(updates):
        if len(waiting) < batch:
            order = noise(seed, epoch, int(Draw.ORDER), 0, 0, np.arange(samples)).argsort(kind="stable")
            waiting, epoch = np.concatenate([waiting, order]), epoch + 1
        yield waiting[:batch]
        waiting = waiting[batch:]


def check_fit(network: Network, task: Task) -> None:
    """Raise ValueError unless the task's input is the network's, with every reason."""
    if task.input.size != network.input.size:
        raise ValueError(
            f"a step of {task.name} has {task.input.size} values, but the network takes {network.input.size}; they must agree"
        )


@torch.no_grad()
def evaluate(network: Network, samples: Samples, batch: int = 256) -> float:
    """The share of samples that the network answers right; ties go to the lowest index."""
    if not len(samples):
        raise ValueError("there are no samples to evaluate on; there must be at least one")
    right = 0
    for first in range(0, len(samples), batch):
        raster, targets = samples.batch(range(first, min(first + batch, len(samples))))
        found = networks.scores(network, networks.run(network, raster)).numpy().argmax(1)
        right += int((found == targets.numpy()).sum())
    return right / len(samples)
