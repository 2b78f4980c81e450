"""A run as a file: everything that the next update depends on, so that a run that was cut off goes on to the same last bit.

Written by torch.save and read with weights_only=True: tensors, numbers and names, nothing that executes. It appears whole or not at all.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from edge_anp import storage
from edge_anp.errors import BadFile
from edge_anp.network import Network

VERSION, NAME = 1, "checkpoint/run.pt"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """done: updates made. scheme: the weights that a run on integers chose its units by. settings: what the run was started with.

    fixed, data: digests of all that the run does not train (`digest_of_fixed`) and of its samples, which whoever goes on must bring along.
    """

    done: int
    parameters: dict[str, Tensor]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    state: dict[str, Tensor]
    losses: list[float]
    asked: dict[str, int]
    scheme: dict[str, Tensor] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    fixed: str = ""
    data: str = ""


def save(found: Checkpoint, folder: Path) -> None:
    """Write it; the last one stays until this one is whole."""
    path = folder / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"version": VERSION, **{name: getattr(found, name) for name in Checkpoint.__dataclass_fields__}}
    content["state"] = {name: x.detach().cpu() for name, x in found.state.items()}
    content["parameters"] = {name: x.detach().cpu() for name, x in found.parameters.items()}
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load(folder: Path) -> Checkpoint:
    """Read it; raise BadFile for anything else."""
    path = folder / NAME
    should_be = "the folder of a run that `edge-anp train` began"
    if not path.is_file():
        raise BadFile(path, "there is no checkpoint", should_be=should_be)
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        if content.pop("version") != VERSION:
            raise BadFile(path, "it is of another version of edge-anp", should_be=should_be)
        return Checkpoint(**content)
    except BadFile:
        raise
    except Exception as error:  # torch raises a dozen kinds for a file that is not its own
        raise BadFile(path, f"it cannot be read ({type(error).__name__})", should_be=should_be) from error


def digest_of_fixed(network: Network) -> str:
    """Of a network without the numbers that are trained and the feedback that is learned."""
    return storage.digest(replace(network, feedback={}), without=network.parameters().values())


def restore(found: Checkpoint, network: Network, data: str, optimizer: Optimizer, scheduler: Any) -> None:
    """Put weights, optimizer and schedule back; raise ValueError for those of another network, or of other data."""
    parameters = network.parameters()
    shapes = {name: tuple(p.shape) for name, p in parameters.items()}
    there = {name: tuple(p.shape) for name, p in found.parameters.items()}
    if shapes != there:
        raise ValueError(
            f"the run holds weights of the shapes {there}, but the network has {shapes}; they must be the same"
        )
    if found.fixed not in ("", digest_of_fixed(network)):
        raise ValueError(
            "the network is not the one that the run began with: a constant, a frozen weight or the wiring has changed; a run must "
            "go on with the network that it began with"
        )
    if found.data not in ("", data):
        raise ValueError(
            "the training samples are not those that the run began with; a run must go on with the data that it began with"
        )
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(found.parameters[name])
    optimizer.load_state_dict(found.optimizer)
    if scheduler is not None:
        scheduler.load_state_dict(found.scheduler)


@contextmanager
def interrupts_wait() -> Iterator[list[bool]]:
    """Ctrl-C waits for the end of an update: the list that is yielded is filled, and whoever looks at it stops."""
    asked: list[bool] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGINT, lambda *_: asked.append(True))
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


__all__ = ["Checkpoint", "digest_of_fixed", "interrupts_wait", "load", "restore", "save"]
