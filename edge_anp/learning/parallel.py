"""Learning on several machines at once: each takes its share of every batch, and the updates are averaged.

Started by torchrun, which says in the environment who is who. Noise is drawn by the number of a trial in the whole batch, so that two
machines do what one would.
"""

from __future__ import annotations

import atexit
import importlib
import os
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Ranks:
    """This machine's number, and how many there are."""

    rank: int = 0
    size: int = 1

    def share(self, batch: int) -> slice:
        """Which trials of a batch are this machine's; raise ValueError if it cannot be shared evenly."""
        if batch % self.size:
            raise ValueError(f"the batch is {batch}; it must be a multiple of the {self.size} processes that share it")
        each = batch // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def total(self, x: Tensor) -> Tensor:
        """The sum over all machines."""
        if self.size == 1:
            return x
        x = x.clone()
        distributed.all_reduce(x)
        return x

    def agree(self, x: Tensor) -> None:
        """Give every machine, in place, what the first one holds."""
        if self.size > 1:
            sent = x.detach().contiguous()
            distributed.broadcast(sent, 0)
            x.detach().copy_(sent)

    def any(self, here: bool) -> bool:
        """Whether it is so on any machine."""
        return bool(here) if self.size == 1 else bool(self.total(torch.tensor(float(here))))

    def mean(self, x: Tensor) -> Tensor:
        """The mean over all machines."""
        return x if self.size == 1 else self.total(x) / self.size


def join(device: str = "cpu") -> Ranks:
    """The machines that torchrun started; one alone where it did not. Tensors on GPUs go by NCCL, numbers on the CPU by gloo.

    A group that is entered here is left before Python ends: a thread of gloo's that lets go of its last tensor while the interpreter is
    taken down aborts the process. Its threads end with the last reference to the group, so nothing else may hold one: the functions of
    torch.distributed.nn take the group of their import as a default, and are imported (the optimizers would do it) while there is none.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Ranks()
    if not distributed.is_initialized():
        importlib.import_module("torch.distributed.nn.functional")
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo")
        atexit.register(leave)
    return Ranks(distributed.get_rank(), distributed.get_world_size())


def leave() -> None:
    """Leave the group, if there is one, and wait for its threads to end."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one. Under torchrun every process takes a GPU of its own."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"--device is {name!r}, which torch cannot use here ({str(error).splitlines()[0]}); try cpu"
        ) from error
    return device
