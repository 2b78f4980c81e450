"""The learning rules on handwritten digits, each at its best rate from one grid, on one network, with the same number of updates.

A rate is chosen by the mean accuracy over all seeds on the validation part, after training on the training part. Then the network is
trained anew on both, and judged once on the test part. Nothing else is tuned for any rule. Each of these networks is then quantized,
compiled to ONNX, and verified on the whole test part.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from edge_anp import quantization_loss, tasks
from edge_anp.bench_digits_report import Row, markdown, table
from edge_anp.compilation import compile_network
from edge_anp.integer import quantize_input
from edge_anp.learning.bptt import BPTT
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.fit import evaluate
from edge_anp.learning.rule import Rule
from edge_anp.learning.trainer import train
from edge_anp.network import Connection, Layer, Network, run
from edge_anp.neurons import LIF, Readout
from edge_anp.synapses import Dense
from edge_anp.tasks import Samples
from edge_anp.topology import INPUT, InputContract
from edge_anp.verify import verify

RATES = (1e-3, 2e-3, 4e-3, 8e-3, 16e-3, 32e-3)
UPDATES, BATCH = 600, 128
ROW, HIDDEN, CLASSES = 8, 128, 10
RULES: dict[str, tuple[Rule, str]] = {  # name -> rule, its look-back in words
    "bptt": (BPTT(), "whole trial"),
    "feedback_label": (FeedbackANP("label", look_back=None), "whole trial"),
    "feedback_label_forward": (FeedbackANP("label", look_back=0), "0: forward-only"),
    "feedback_reward_look_back": (FeedbackANP("reward", look_back=None), "whole trial"),
    "feedback_reward": (FeedbackANP("reward", look_back=0), "0: forward-only"),
    "readout": (FeedbackANP("label", readout_only=True), "none: reservoir"),
}


def build_network(seed: int) -> Network:
    """8 pixels of a row -> 128 recurrent LIF (beta 0.9, threshold 1, subtract) -> 10 readouts (beta 0.95), read by the mean membrane.

    Weights are normal, of scale 1.2 / sqrt(inputs), 0.4 / sqrt(hidden) and 1 / sqrt(hidden); biases are 0.
    """
    generator = torch.Generator().manual_seed(seed)

    def dense(rows: int, columns: int, gain: float, bias: bool = True) -> Dense:
        weight = torch.randn(rows, columns, generator=generator) * (gain / math.sqrt(columns))
        return Dense(weight.requires_grad_(), torch.zeros(rows, requires_grad=True) if bias else None)

    into = Connection(INPUT, (dense(HIDDEN, ROW, 1.2),))
    back = Connection(0, (dense(HIDDEN, HIDDEN, 0.4),), delay=1)
    out = Connection(0, (dense(CLASSES, HIDDEN, 1.0, bias=False),))
    hidden = Layer((HIDDEN,), (into, back), LIF(torch.tensor(0.9), torch.tensor(1.0)), "hidden")
    readout = Layer((CLASSES,), (out,), Readout(torch.tensor(0.95)), "readout")
    return Network((hidden, readout), InputContract((ROW,)), "membrane_mean")


@dataclass(frozen=True)
class Run:
    """One training. final: on training and validation part, judged on the test part; else on the one, judged on the other."""

    rule: str
    rate: float
    seed: int
    final: bool
    updates: int
    batch: int


@dataclass(frozen=True)
class Integers:
    """What became of a trained network: in integers, and compiled to ONNX, both exact flavors together."""

    accuracy: float
    agreement: float
    mismatches: int
    neuron_steps: int


@dataclass(frozen=True)
class Outcome:
    accuracy: float
    seconds: float
    asked: dict[str, int]
    integers: Integers | None


def measure(plan: Run) -> Outcome:
    """Train and judge once, on one thread."""
    torch.set_num_threads(1)
    task = tasks.load("digits")
    judge = task.validation
    if plan.final:
        both = (task.train, task.validation)
        known = Samples(np.concatenate([s.rasters for s in both]), np.concatenate([s.targets for s in both]))
        task, judge = dataclasses.replace(task, train=known), task.test
    net, started = build_network(plan.seed), time.perf_counter()
    rule = RULES[plan.rule][0]
    history = train(net, task, rule, plan.updates, plan.batch, plan.rate, plan.seed, progress=False)
    seconds = time.perf_counter() - started
    integers = deploy(history.network, task.train, judge) if plan.final else None
    return Outcome(evaluate(history.network, judge), seconds, history.asked, integers)


def deploy(network: Network, calibration: Samples, judge: Samples) -> Integers:
    """Quantize, compile and verify a network; judged on the same samples as the floats."""
    raster, targets = judge.batch(range(len(judge)))
    with tempfile.TemporaryDirectory() as folder:
        compiled = compile_network(network, "onnx", folder, calibration)
        rows = quantize_input(raster.numpy(), compiled.network.input)
        checked = verify(folder, [rows[:, b] for b in range(rows.shape[1])]).runners
    loss = quantization_loss.measure(network, compiled.network, raster, run(network, raster), targets.numpy())
    exact = [c for c in checked.values() if c.exact]
    differ = sum(c.spike_mismatches + (c.state_mismatches or 0) for c in exact)
    assert loss.integer_accuracy is not None
    return Integers(loss.integer_accuracy, loss.agreement[0] or 0.0, differ, sum(c.neuron_steps for c in exact))


def bench_digits(
    seeds: int = 3,
    jobs: int = 2,
    out: str | Path | None = None,
    updates: int = UPDATES,
    batch: int = BATCH,
    rates: tuple[float, ...] = RATES,
    console: Console | None = None,
) -> list[Row]:
    """Measure every rule with `seeds` seeds in `jobs` processes; print the table, and write digits.md and digits.json into `out`."""
    for name, value in (("seeds", seeds), ("jobs", jobs)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")
    console = console or Console()
    plan = [Run(rule, rate, s, False, updates, batch) for rule in RULES for rate in rates for s in range(seeds)]
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool, Progress(console=console) as progress:
        bar = progress.add_task("trainings", total=len(plan) + seeds * len(RULES))

        def measure_all(runs: list[Run]) -> dict[Run, Outcome]:
            waiting, found = {pool.submit(measure, run): run for run in runs}, {}
            for done in as_completed(waiting):
                found[waiting[done]] = done.result()
                progress.advance(bar)
            return found

        tried = measure_all(plan)
        chosen: dict[str, tuple[float, float]] = {}
        for rule in RULES:
            by_rate = {
                r: mean(o.accuracy for run, o in tried.items() if (run.rule, run.rate) == (rule, r)) for r in rates
            }
            best = max(rates, key=lambda r, by_rate=by_rate: by_rate[r])
            chosen[rule] = best, by_rate[best]
        final = measure_all(
            [Run(rule, chosen[rule][0], s, True, updates, batch) for rule in RULES for s in range(seeds)]
        )
    rows = _rows(chosen, final)
    settings = {"seeds": seeds, "updates": updates, "batch": batch, "rates": list(rates)}
    console.print(table(rows, settings))
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        runs = [{**dataclasses.asdict(r), **dataclasses.asdict(o)} for r, o in {**tried, **final}.items()]
        content = {"settings": settings, "rows": [dataclasses.asdict(r) for r in rows], "runs": runs}
        (folder / "digits.json").write_text(json.dumps(content, indent=1) + "\n")
        (folder / "digits.md").write_text(markdown(rows, settings))
    return rows


def _rows(chosen: dict[str, tuple[float, float]], final: dict[Run, Outcome]) -> list[Row]:
    of: Callable[[str], list[Outcome]] = lambda rule: [o for run, o in final.items() if run.rule == rule]  # noqa: E731
    yardstick = mean(o.accuracy for o in of("bptt"))
    rows = []
    for name, (rule, look_back) in RULES.items():
        done = sorted(of(name), key=lambda o: o.accuracy)
        test = tuple(o.accuracy for o in done)
        shipped = [o.integers for o in done if o.integers]
        rate, validation = chosen[name]
        rows.append(
            Row(
                *(name, str(rule.signal), look_back, rate, validation, test, 100 * (yardstick - mean(test))),
                tuple(i.accuracy for i in shipped),
                mean(i.agreement for i in shipped),
                sum(i.mismatches for i in shipped),
                sum(i.neuron_steps for i in shipped),
                *(done[0].asked, mean(o.seconds for o in done)),
            )
        )
    return rows
