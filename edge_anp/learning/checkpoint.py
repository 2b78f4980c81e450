"""A run as a file: everything that the next update depends on, so that a run that was cut off goes on to the same last bit.

Written by torch.save and read with weights_only=True: tensors, numbers and names, nothing that executes. It appears whole or not at all.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
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
from edge_anp.tasks import Samples

VERSION, NAME = 1, "checkpoint/run.pt"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """done: updates made. scheme: the weights that a run on integers chose its units by. settings: what the run was started with.

    began_with: digests of what whoever goes on must bring along (`origins`).
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
    began_with: dict[str, str] = field(default_factory=dict)


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


def origins(network: Network, samples: Samples) -> dict[str, str]:
    """Digests of what a run does not train: the samples, and the network without its trained numbers and learned feedback."""
    fixed = storage.digest(replace(network, feedback={}), without=network.parameters().values())
    return {"network (its constants, frozen weights or wiring)": fixed, "training samples": storage.digest(samples)}


def restore(
    found: Checkpoint,
    parameters: Mapping[str, Tensor],
    began_with: Mapping[str, str],
    optimizer: Optimizer,
    scheduler: Any,
) -> None:
    """Put weights, optimizer and schedule back; raise ValueError for those of another network, or of other data."""
    shapes = {name: tuple(p.shape) for name, p in parameters.items()}
    there = {name: tuple(p.shape) for name, p in found.parameters.items()}
    if shapes != there:
        raise ValueError(
            f"the run holds weights of the shapes {there}, but the network has {shapes}; they must be the same"
        )
    for what, digest in began_with.items():
        if found.began_with.get(what, digest) != digest:
            raise ValueError(f"the {what} changed since the run began; a run must go on with what it began with")
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


__all__ = ["Checkpoint", "interrupts_wait", "load", "origins", "restore", "save"]
