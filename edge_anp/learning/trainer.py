"""Train on a task: batches, an optimizer, checkpoints, machines that share the work, and a bar that shows how it goes."""

from __future__ import annotations

import ast
import dataclasses
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from edge_anp import storage
from edge_anp.learning import checkpoint, parallel
from edge_anp.learning.checkpoint import Checkpoint
from edge_anp.learning.draws import Draw
from edge_anp.learning.fit import History, Progress, fit
from edge_anp.learning.progress import show
from edge_anp.learning.rule import Ask, Reward, Rule, Signal
from edge_anp.network import Network
from edge_anp.neurons import Tanh
from edge_anp.noise import noise
from edge_anp.tasks import Task


def train(
    network: Network,
    task: Task,
    rule: Rule,
    updates: int = 600,
    batch: int = 128,
    rate: float = 4e-3,
    seed: int = 0,
    progress: bool = True,
    optimizer: str = "Adam",
    reward: Reward | None = None,
    device: str = "cpu",
    on_integer: bool = False,
    folder: Path | None = None,
    every: int = 100,
    resume: bool = False,
    settings: dict[str, Any] | None = None,
) -> History:
    """Train `network` in place on the task's training part, the rate annealed along half a cosine.

    optimizer: a name in torch.optim, perhaps with options: "SGD:momentum=0.9". reward: judges answers in place of right or wrong.
    on_integer: the forward pass is the integer network. folder: a checkpoint lies there, renewed at every `every` updates and on Ctrl-C;
    resume goes on from it, and ends as if it had never stopped. Started by torchrun, processes share every batch, and all begin with the
    first one's network.
    A batch larger than the training part is the whole of it. Raise ValueError for targets that are not the network's.
    """
    check(network, task, rule, updates, batch, rate)
    place = parallel.choose_device(device)
    ranks = parallel.join(place.type)
    there, samples = _move(network, place), task.train
    for tensor in storage.tensors(there):
        ranks.agree(torch.as_tensor(tensor))
    parameters = there.parameters()
    opt = make_optimizer(optimizer, list(parameters.values()), rate)
    scheduler = CosineAnnealingLR(opt, updates)
    before, scheme, began_with = None, None, {} if folder is None else checkpoint.origins(there, samples)
    if resume:
        assert folder is not None
        old = checkpoint.load(folder)
        checkpoint.restore(old, parameters, began_with, opt, scheduler)
        state = {name: x.to(place) for name, x in old.state.items()}
        before, scheme = Progress(old.done, old.losses, Counter(old.asked), state, float("nan")), old.scheme
    integers = _Integers(there, samples.batch(range(min(64, len(samples))))[0], scheme) if on_integer else None
    first = before.done if before else 0
    part = ranks.share(min(batch, len(samples)))

    def batches() -> Iterator[tuple[Tensor, Ask]]:
        for k, indices in enumerate(draw_batches(len(samples), batch, updates, seed)):
            if k < first:
                continue
            raster, targets = (x.to(place) for x in samples.batch(indices[part]))
            many, classes = getattr(rule, "answers", 1), network.layers[-1].size
            yield (
                raster,
                Ask(
                    Signal(rule.signal),
                    targets,
                    classes,
                    answers=many,
                    own=reward,
                    raster=raster,
                    first=part.start,
                    total=ranks.total,
                ),
            )

    def keep(now: Progress) -> None:
        if folder is not None and ranks.rank == 0:
            numbers = (now.done, dict(parameters), opt.state_dict(), scheduler.state_dict(), dict(now.state))
            held = integers.snapshot if integers else None
            checkpoint.save(Checkpoint(*numbers, now.losses, dict(now.asked), held, settings or {}, began_with), folder)

    start = int(noise(seed, 0, int(Draw.RUN), 0, 0, 0))  # so that the updates of seeds 0 and 1 share no noise
    visible, rates = progress and ranks.rank == 0, any(isinstance(layer.neuron, Tanh) for layer in network.layers)
    with show(f"training, {rule.signal}", updates, visible, rates) as shown, checkpoint.interrupts_wait() as stop:

        def seen(now: Progress) -> None:
            shown(now.done - 1, now.losses[-1], now.spike_rate)
            stops = ranks.any(bool(stop))  # all after the same update, whoever heard of it
            if stops or now.done % every == 0 or now.done == updates:
                keep(now)
            if stops:
                raise KeyboardInterrupt

        if before is None:
            keep(Progress(0, [], Counter(), rule.init(there, start), float("nan")))
        forward = integers.at if integers else None
        history = fit(there, rule, batches(), opt, start, scheduler, None, seen, before, ranks, forward)
    if there is not network:
        with torch.no_grad():
            for name, p in network.parameters().items():
                p.copy_(history.network.parameters()[name])
        feedback = {name: torch.as_tensor(x).cpu() for name, x in history.network.feedback.items()}
        history = dataclasses.replace(history, network=dataclasses.replace(network, feedback=feedback))
    return history


class _Integers:
    """The integer network of every update: its units are chosen anew now and then, by the weights of that moment."""

    def __init__(self, network: Network, raster: Tensor, scheme: dict[str, Tensor] | None) -> None:
        from edge_anp.learning.on_integers import put_on_integers

        self.put, self.network, self.raster = put_on_integers, network, raster
        self.snapshot, self.current = scheme, None
        if scheme is not None:
            names = {id(p): name for name, p in network.parameters().items()}
            then = storage.rebuild(network, lambda x: scheme[names[id(x)]] if id(x) in names else x)
            self.current = dataclasses.replace(put_on_integers(then, raster), layers=network.layers)

    def at(self, k: int) -> Network:
        from edge_anp.learning.on_integers import EVERY

        if self.current is None or k % EVERY == 0:
            self.snapshot = {name: p.detach().clone() for name, p in self.network.parameters().items()}
            self.current = self.put(self.network, self.raster)
        return self.current


def _move(network: Network, place: torch.device) -> Network:
    """The network on a device; itself, where it is there already. A tensor that is used twice stays one."""
    if place.type == "cpu":
        return network
    made: dict[int, Tensor] = {}

    def move(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        if id(x) not in made:
            made[id(x)] = x.detach().to(place).requires_grad_(x.requires_grad)
        return made[id(x)]

    return storage.rebuild(network, move)


def make_optimizer(text: str, parameters: list[Tensor], rate: float) -> Optimizer:
    """`Adam`, or `SGD:momentum=0.9,nesterov=True`: a name in torch.optim, and its options."""
    name, _, options = text.partition(":")
    names = {
        n.lower(): n
        for n in dir(torch.optim)
        if isinstance(getattr(torch.optim, n), type) and n not in ("Optimizer", "LBFGS")
    }
    if name.lower() not in names:
        raise ValueError(
            f"the optimizer is {name!r}; it must be one of torch.optim's {', '.join(sorted(names.values()))}"
        )
    given: dict[str, Any] = {}
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        given[key] = value
        with suppress(ValueError, SyntaxError):
            given[key] = ast.literal_eval(value)
    try:
        return getattr(torch.optim, names[name.lower()])(parameters, lr=rate, **given)
    except TypeError as error:
        raise ValueError(f"--optimizer {text}: {error}") from error


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


def check(network: Network, task: Task, rule: Rule, updates: int, batch: int, rate: float) -> None:
    """Raise ValueError unless these go together."""
    for name, value in (("updates", updates), ("batch", batch)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")
    if not rate > 0:
        raise ValueError(f"the rate is {rate}; it must be positive")
    if task.input.size != network.input.size:
        raise ValueError(
            f"a step of {task.name} has {task.input.size} values, but the network takes {network.input.size}; they must agree"
        )
    if not network.parameters():
        raise ValueError("no tensor of the network requires a gradient; training needs at least one that does")
