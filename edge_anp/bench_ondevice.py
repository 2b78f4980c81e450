"""Learning on the device, measured: networks trained on the host, 40 % of their input channels rewired, then 4000 trials of the C learner.

No rate is chosen on these networks: rates come from ondevice_rates.py, whose constants were chosen on networks of other seeds.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import torch
from rich.console import Console

from edge_anp import continual, device_learning, tasks
from edge_anp import target as targets
from edge_anp.compilation import compile_network
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.trainer import train
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import LIF, Readout
from edge_anp.synapses import Dense
from edge_anp.tasks import Task
from edge_anp.topology import INPUT, InputContract

HIDDEN, UPDATES, TRIALS, DRIFT = 128, 600, 4000, 0.4
MODES = {"one answer": 1, "two answers": 2, "label": 0}
LEARN = ("all", "input,readout", "readout")
LEARNERS = [
    *((mode, learn, 16, True) for mode in MODES for learn in LEARN),
    *((mode, "all", 8, True) for mode in MODES),
    *((mode, "all", 16, False) for mode in MODES),
]


@dataclass(frozen=True)
class Outcome:
    """One network's course of learning."""

    task: str
    mode: str
    learn: str
    bits: int
    guarded: bool
    seed: int
    before: float
    drifted: float
    after: float
    asked: float
    curve: list[tuple[int, float]]


def build(inputs: int, classes: int, seed: int) -> Network:
    """Inputs -> 128 recurrent LIF (beta 0.9) -> readouts (beta 0.95) read by the mean membrane; normal weights."""
    generator = torch.Generator().manual_seed(seed)

    def dense(rows: int, columns: int, gain: float, bias: bool) -> Dense:
        weight = torch.randn(rows, columns, generator=generator) * (gain / math.sqrt(columns))
        return Dense(weight.requires_grad_(), torch.zeros(rows, requires_grad=True) if bias else None)

    into = Connection(INPUT, (dense(HIDDEN, inputs, 1.2, True),))
    back = Connection(0, (dense(HIDDEN, HIDDEN, 0.4, True),), delay=1)
    out = Connection(0, (dense(classes, HIDDEN, 1.0, False),))
    hidden = Layer((HIDDEN,), (into, back), LIF(torch.tensor(0.9), torch.tensor(1.0)), "hidden")
    readout = Layer((classes,), (out,), Readout(torch.tensor(0.95)), "readout")
    return Network((hidden, readout), InputContract((inputs,)), "membrane_mean")


def pretrain(task: Task, seed: int, batch: int) -> Network:
    """The network that ships: feedback ANP with labels, forward-only."""
    network = build(task.input.size, task.classes, seed)
    train(network, task, FeedbackANP("label", look_back=0), UPDATES, batch, 4e-3, seed, progress=False)
    return network


def measure(
    network: Network,
    task: Task,
    seed: int,
    mode: str,
    learn: str,
    bits: int,
    guarded: bool,
    trials: int = TRIALS,
    points: int = 8,
) -> Outcome:
    """Compile, drift, learn on this machine's build of the C learner."""
    guesses = MODES[mode]
    with tempfile.TemporaryDirectory() as place:
        done = compile_network(
            network,
            "mcu",
            Path(place) / "a",
            task.train,
            learn=learn,
            guesses=max(guesses, 1),
            bits=bits,
            budget=trials,
        )
        parts = continual.stream(f"rewire:{DRIFT}", task, seed)
        with targets.find("mcu").open_learner(done.artifact.folder, "host") as session:  # type: ignore[attr-defined]
            course = device_learning.follow(
                session, done.network.input, task, parts, trials, guesses, seed, guarded, points=points
            )
    return Outcome(
        task.name, mode, learn, bits, guarded, seed, course.accuracy_before, course.accuracy_after_drift, course.accuracy_after,
        course.answers_asked / course.trials, course.curve,
    )  # fmt: skip


def regained(outcomes: Sequence[Outcome]) -> float:
    """Of what the drift took, the share that came back: of the means over networks."""
    before, drifted, after = (mean(getattr(o, name) for o in outcomes) for name in ("before", "drifted", "after"))
    return (after - drifted) / (before - drifted)


def table(outcomes: Sequence[Outcome]) -> str:
    """Markdown: a row per task, mode, learner."""
    rows = [
        (
            "| task | the world gives | learns | masters | guard | networks | before | drifted "
            "| after | regained | worst after - drifted | answers a trial |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    keys = list(dict.fromkeys((o.task, o.mode, o.learn, o.bits, o.guarded) for o in outcomes))
    for key in keys:
        some = [o for o in outcomes if (o.task, o.mode, o.learn, o.bits, o.guarded) == key]
        name, mode, learn, bits, guarded = key
        values = [mean(getattr(o, n) for o in some) for n in ("before", "drifted", "after")]
        worst = min(o.after - o.drifted for o in some)
        rows.append(
            f"| {name} | {mode} | {learn} | int{bits} | {'on' if guarded else 'off'} | {len(some)} | "
            + " | ".join(f"{v:.3f}" for v in values)
            + f" | {regained(some):.0%} | {worst:+.3f} | {mean(o.asked for o in some):.2f} |"
        )
    return "\n".join(rows) + "\n"


def write(outcomes: Sequence[Outcome], out: Path) -> None:
    """ondevice.md and ondevice.json."""
    out.mkdir(parents=True, exist_ok=True)
    head = (
        "# Learning on the device\n\nWritten by `edge-anp bench ondevice`. Inputs -> 128 recurrent LIF -> readout, trained with labels on "
        f"the host (600 updates), quantized;\n{DRIFT:.0%} of the input channels rewired; {TRIALS} trials of the C learner on this machine, "
        "equal bit by bit to `ondevice.py` and every emulated core.\nTrials come from the training split, accuracies from the untouched "
        "test split. Regained: (after - drifted) / (before - drifted), of means.\nRates follow from calibration; their three constants "
        "were chosen on networks of seeds 100 to 105, which no row shows.\n\n"
    )
    (out / "ondevice.md").write_text(head + table(outcomes))
    (out / "ondevice.json").write_text(json.dumps([asdict(o) for o in outcomes]) + "\n")


def bench(seeds: int, out: Path, names: Sequence[str] = ("digits",)) -> None:
    """Every learner on every network; the table is written as it grows."""
    torch.set_num_threads(1)
    outcomes: list[Outcome] = []
    for name in names:
        task = tasks.load(name)
        networks = [pretrain(task, seed, 128 if name == "digits" else 64) for seed in range(seeds)]
        for learner in LEARNERS:
            outcomes += [measure(n, task, seed, *learner) for seed, n in enumerate(networks)]
            write(outcomes, out)
    Console(width=200).print(table(outcomes), markup=False)
