"""What an update costs: time beside snnTorch's own training loop, and memory as trials grow longer.

One process, one thread, the rules taking turns. 512 inputs -> 512 LIF -> leaky readout of 10, T = 500, batch 16, cross-entropy, the
gradients of all weights, no optimizer on either side; snnTorch's loop is the one of its tutorials. Flip probes are on, at the setting of
the accuracy tables. As in a training run (learning/memory.py) the allocator keeps what is freed, for snnTorch's loop too. Memory is the
growth of the resident peak from T = 100 to T = 2000, the raster taken off; there the allocator is told to give back what is freed
(MALLOC_MMAP_THRESHOLD_), so that its holes do not count. Linux only.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from edge_anp.learning import presets
from edge_anp.learning.memory import keep_freed_memory
from edge_anp.learning.rule import Ask, Rule, Signal
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import LIF, Readout
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT, InputContract

SIZE, CLASSES, STEPS, BATCH, RATE = 512, 10, 500, 16, 0.1
SHORT, LONG = 100, 2000
TIMED: dict[str, tuple[str, dict]] = {
    "bptt": ("bptt", {}),
    "feedback-anp label D=0": ("feedback-anp", {"signal": "label", "look_back": 0}),
    "feedback-anp label D=8": ("feedback-anp", {"signal": "label", "look_back": 8}),
    "feedback-anp reward D=0": ("feedback-anp", {"signal": "reward", "look_back": 0}),
    "feedback-anp label streaming D=8": ("feedback-anp", {"signal": "label", "look_back": 8, "error": "streaming"}),
}
WEIGHED: dict[str, tuple[str, dict]] = {
    "np instant": ("np", {}),
    "np trace 0.8": ("np", {"trace": 0.8, "per_sample": True}),
    "feedback-anp label streaming D=8": TIMED["feedback-anp label streaming D=8"],
    "feedback-anp label D=0": TIMED["feedback-anp label D=0"],
    "feedback-anp label D=T": ("feedback-anp", {"signal": "label", "look_back": LONG}),
    "bptt": ("bptt", {}),
}


def build(size: int, recurrent: bool) -> Network:
    """Weights under which about a tenth of the neurons spike in a step."""
    g = torch.Generator().manual_seed(0)
    normal = lambda n, i, gain: Dense((torch.randn(n, i, generator=g) * gain / math.sqrt(i)).requires_grad_())  # noqa: E731
    into = [Connection(INPUT, (normal(size, size, 1.0),))]
    into += [Connection(0, (normal(size, size, 0.4),), 1)] if recurrent else []
    hidden = Layer((size,), tuple(into), LIF(torch.tensor(0.9), torch.tensor(1.0)))
    readout = Layer((CLASSES,), (Connection(0, (normal(CLASSES, size, 1.0),)),), Readout(torch.tensor(0.95)))
    return Network((hidden, readout), InputContract((size,)), "membrane_mean")


def textbook(net: Network) -> Callable[[Tensor, Tensor], None]:
    """snnTorch's loop on the same weights: every step through the modules, the membranes of all steps averaged, backward()."""
    import snntorch as snn

    hidden, readout = net.layers
    fc1, fc2 = nn.Linear(SIZE, SIZE, bias=False), nn.Linear(SIZE, CLASSES, bias=False)
    fc1.weight, fc2.weight = (
        nn.Parameter(c.path[0].weight.detach()) for c in (hidden.connections[0], readout.connections[0])
    )
    recurrent = len(hidden.connections) > 1
    lif1 = snn.RLeaky(beta=0.9, linear_features=SIZE) if recurrent else snn.Leaky(beta=0.9)
    if recurrent:
        lif1.recurrent = nn.Linear(SIZE, SIZE, bias=False)
        lif1.recurrent.weight = nn.Parameter(hidden.connections[1].path[0].weight.detach())
    lif2 = snn.Leaky(beta=0.95, reset_mechanism="none")
    parameters = [*fc1.parameters(), *lif1.parameters(), *fc2.parameters()]

    def update(raster: Tensor, targets: Tensor) -> None:
        mem2, answers = lif2.init_leaky(), []
        spk1, mem1 = lif1.init_rleaky() if isinstance(lif1, snn.RLeaky) else (None, lif1.init_leaky())
        for x in raster:
            spk1, mem1 = lif1(fc1(x), spk1, mem1) if recurrent else lif1(fc1(x), mem1)
            _, mem2 = lif2(fc2(spk1), mem2)
            answers.append(mem2)
        loss = F.cross_entropy(torch.stack(answers).mean(0), targets)
        for p in parameters:
            p.grad = None
        loss.backward()

    return update


def _data(steps: int, size: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    raster = torch.rand(steps, BATCH, size, generator=g).lt_(
        RATE
    )  # in place: a copy would hide as much of a rule's own memory
    return raster, torch.randint(CLASSES, (BATCH,), generator=g)


def _updater(rule: Rule, net: Network) -> Callable[[Tensor, Tensor], None]:
    state = rule.init(net, 0)

    def update(raster: Tensor, targets: Tensor) -> None:
        nonlocal state
        ask = Ask(Signal(rule.signal), targets, CLASSES, answers=getattr(rule, "answers", 1))
        state = rule.update(net, state, raster, ask, 0).state

    return update


def measure_time(rounds: int, recurrent: bool) -> dict[str, list[float]]:
    """Seconds of every update, the rules taking turns."""
    net, (raster, targets) = build(SIZE, recurrent), _data(STEPS, SIZE)
    updaters = {"snntorch": textbook(net), **{n: _updater(presets.make(r, **s), net) for n, (r, s) in TIMED.items()}}
    seconds: dict[str, list[float]] = {name: [] for name in updaters}
    for k in range(rounds + 1):
        for name, update in updaters.items():
            started = time.process_time()
            update(raster, targets)
            if k:  # the first round warms up
                seconds[name].append(time.process_time() - started)
    return seconds


def _peak(name: str, steps: int, answer: multiprocessing.Queue) -> None:
    torch.set_num_threads(1)
    rule, switches = WEIGHED[name]
    net = build(SIZE, recurrent=True)
    update = _updater(presets.make(rule, **switches), net)
    update(*_data(SHORT, SIZE))  # what every run needs
    raster, targets = _data(steps, SIZE)
    before = _resident("VmRSS")  # now, the raster included
    update(raster, targets)
    answer.put(_resident("VmHWM") - before)


def _resident(what: str) -> float:
    """MB that this process holds now (VmRSS), or held at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 2**10


def measure_memory(name: str) -> float:
    """MB by which the peak of a process grows from T = 100 to T = 2000, the raster taken off."""
    context, grown = multiprocessing.get_context("spawn"), []
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", "65536")  # glibc reads it when a process starts
    for steps in (SHORT, LONG):
        answer = context.Queue()
        process = context.Process(target=_peak, args=(name, steps, answer))
        process.start()
        grown.append(answer.get(timeout=600))
        process.join()
    return grown[1] - grown[0]


def bench_learning(out: Path, rounds: int = 15, console: Console | None = None) -> dict:
    """Measure, print, and write learning.json and learning.md into `out`."""
    console = console or Console()
    torch.set_num_threads(1)
    keep_freed_memory()
    cells: list[dict] = []
    for recurrent in (False, True):
        seconds = measure_time(rounds, recurrent)
        base = median(seconds["snntorch"])
        for name, each in seconds.items():
            cells.append({"task": "speed", "network": "recurrent" if recurrent else "feed-forward", "rule": name,
                          "seconds": median(each), "ratio": median(each) / base, "rounds": rounds})  # fmt: skip
    memory = {name: measure_memory(name) for name in WEIGHED}
    cells += [{"task": "memory", "network": "recurrent", "rule": name, "megabytes": mb} for name, mb in memory.items()]
    table = Table("network", "rule", "seconds (median)", "of snnTorch's", "MB, T 2000 - T 100", title="an update")
    for c in cells:
        time_or_not = (
            (f"{c['seconds']:.3f}", f"{c['ratio']:.2f}", "") if "seconds" in c else ("", "", f"{c['megabytes']:.1f}")
        )
        table.add_row(c["network"], c["rule"], *time_or_not)
    console.print(table)
    out.mkdir(parents=True, exist_ok=True)
    (out / "learning.json").write_text(json.dumps(cells, indent=1) + "\n")
    head = ["| network | rule | seconds (median) | of snnTorch's | MB, T 2000 - T 100 |", "|---|---|---|---|---|"]
    rows = [
        f"| {c['network']} | {c['rule']} | "
        + (f"{c['seconds']:.3f} | {c['ratio']:.2f} | |" if "seconds" in c else f" | | {c['megabytes']:.1f} |")
        for c in cells
    ]
    text = " ".join((__doc__ or "").split())
    (out / "learning.md").write_text(
        "\n".join(["# What an update costs", "", f"`edge-anp bench learning`: {text}", "", *head, *rows, ""])
    )
    return {"cells": cells}
