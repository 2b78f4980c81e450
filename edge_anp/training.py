"""A training run: a model, a task and a rule in, a folder out.

The folder holds `network.npz`, `weights.safetensors` (the module's own state_dict keys), `log.jsonl`, `result.json`, `curve.png` where
matplotlib is installed, `integer.npz` of a run on integers, and `checkpoint/`, which the run can be resumed from.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from safetensors.torch import save_file

from edge_anp import integer, network, sources, tasks
from edge_anp.integer import IntegerNetwork
from edge_anp.learning import checkpoint, parallel, presets
from edge_anp.learning.decorrelation import Decorrelated
from edge_anp.learning.fit import History, evaluate, measured
from edge_anp.learning.memory import keep_freed_memory
from edge_anp.learning.rule import Rule
from edge_anp.learning.trainer import train

RULES = tuple(presets.PRESETS)
CREDITS = {"instant": 0.0, "trace": 0.8, "to-go": 1.0}


@dataclass(frozen=True)
class Choices:
    """What the command line says of a run; it lies in the checkpoint, so that `--resume` needs nothing else."""

    model: str
    task: str
    rule: str = "feedback-anp"
    signal: str | None = None
    look_back: str | None = None
    updates: int = 600
    batch: int = 128
    rate: float = 4e-3
    weights: str | None = None
    decode: str | None = None
    data: str | None = None
    seed: int = 0
    optimizer: str = "Adam"
    device: str = "cpu"
    on: str = "float"
    reward: str | None = None
    error: str | None = None
    credit: str | None = None
    sigma: float | None = None
    draws: int | None = None
    queries: int | None = None
    feedback: str | None = None
    decorrelate: bool = False
    decorrelation_rate: float = 1e-3


def make_rule(name: str, **switches: Any) -> Rule:
    """The rule that the command line means: one of RULES with its switches, or `file.py:rule` for the user's own object or class."""
    path, attribute = sources.split_attribute(name)
    if attribute is None:
        return presets.make(name, **switches)
    given = sorted(k for k, v in switches.items() if v is not None)
    if given:
        raise ValueError(f"{', '.join(given)}: {name} is a rule of your own, which has its switches inside")
    found: Any = sources.load_attribute(path, attribute)
    rule = found() if isinstance(found, type) else found
    if not isinstance(rule, Rule):
        raise ValueError(
            f"{name} is a {type(rule).__name__}; a rule has `signal`, `init` and `update` (edge_anp/learning/rule.py)"
        )
    return rule


def chosen_rule(c: Choices) -> Rule:
    """The rule of a run, decorrelated if it is to be."""
    switches: dict[str, Any] = {
        name: getattr(c, name) for name in ("signal", "error", "sigma", "draws", "queries", "feedback")
    }
    if c.look_back is not None:
        if c.look_back != "trial" and not c.look_back.isdigit():
            raise ValueError(f"--look-back is {c.look_back!r}; it must be a number of steps, or `trial`")
        whole = c.look_back == "trial"
        switches["look_back"] = None if whole else int(c.look_back)
    if c.credit is not None:
        switches["trace"] = _credit(c.credit)
    rule = make_rule(c.rule, **switches)
    if c.look_back == "trial":
        if not hasattr(rule, "look_back"):
            raise ValueError(f"--look-back: the rule {c.rule} has no such switch")
        rule = replace(rule, look_back=None)  # type: ignore[type-var]
    return Decorrelated(rule, rate=c.decorrelation_rate) if c.decorrelate else rule


def _credit(text: str) -> float:
    try:
        value = CREDITS.get(text)
        value = float(text) if value is None else value
    except ValueError:
        raise ValueError(
            f"--credit is {text!r}; it must be {', '.join(CREDITS)}, or the trace's decay in 0..1"
        ) from None
    return value


def resume_run(model: str, folder: Path, out: Console) -> None:
    """Go on with a run, exactly where it stopped."""
    settings = dict(checkpoint.load(folder).settings)
    every = settings.pop("every", 100)
    known = Choices(**settings)
    if known.model != model:
        raise ValueError(f"the run in {folder} trains {known.model}, not {model}; it must go on with what it began")
    train_run(known, folder, every, out, resume=True)


def train_run(c: Choices, folder: Path, every: int, out: Console, resume: bool = False) -> None:
    """Train and write the run's folder; print where it is and how good the network became."""
    if c.on not in ("float", "integer"):
        raise ValueError(f"--on is {c.on!r}; it must be float or integer")
    keep_freed_memory()
    rule = chosen_rule(c)
    reward = None if c.reward is None else sources.load_attribute(*_attribute(c.reward))
    _seed(c.seed)
    task = tasks.load(c.task, c.data)
    raster, _ = task.train.batch(np.arange(min(4, len(task.train))))
    weights = None if c.weights is None else Path(c.weights)
    _seed(c.seed)
    opened = sources.open_model(c.model, weights, task.input.shape, raster, c.decode)
    if isinstance(opened.network, IntegerNetwork):
        raise ValueError(f"{c.model} holds integers; training starts from file.py:factory or from a network.npz")
    history = train(
        opened.network, task, rule, c.updates, c.batch, c.rate, c.seed, True, c.optimizer, reward, c.device, c.on == "integer",
        folder, every, resume, {**c.__dict__, "every": every},
    )  # fmt: skip
    if parallel.join(c.device).rank:
        return
    folder.mkdir(parents=True, exist_ok=True)
    network.save(history.network, folder / "network.npz")
    if opened.reading is not None and opened.module is not None:
        opened.reading.store(opened.module)
        state = {k: v.detach().contiguous().clone() for k, v in opened.module.state_dict().items()}
        save_file(state, folder / "weights.safetensors")
    result = _judge(c, rule, task, history)
    if c.on == "integer":
        result |= _ship_integers(history, task, folder)
    _write(folder, history, result)
    what = result["measure"]
    out.print(f"{what}: validation {result['validation']:.4g}, test {result['test']:.4g}; written to {folder}")


def _seed(seed: int) -> None:
    """Make what a factory or a task of the user's own draws the same in every process, and again when a run goes on."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - what others draw from
    torch.manual_seed(seed)


def _attribute(spec: str) -> tuple[Path, str]:
    path, name = sources.split_attribute(spec)
    if name is None:
        raise ValueError(f"--reward is {spec!r}; it must be file.py:function")
    return path, name


def _judge(c: Choices, rule: Rule, task: tasks.Task, history: History) -> dict[str, Any]:
    """What result.json says of a run."""
    parts = {"validation": task.validation, "test": task.test}
    return {
        "rule": c.rule,
        "signal": str(rule.signal),
        "look_back": c.look_back or "0",
        "measure": measured(task.train),
        **{name: evaluate(history.network, part) if len(part) else float("nan") for name, part in parts.items()},
        "asked": history.asked,
        "seed": c.seed,
        "updates": c.updates,
        "rate": c.rate,
        "on": c.on,
    }


def _ship_integers(history: History, task: tasks.Task, folder: Path) -> dict[str, Any]:
    """Write the integers that were trained on, and say how good they are."""
    from edge_anp.learning.on_integers import OnIntegers

    final = history.forward
    assert isinstance(final, OnIntegers)
    integer.save(final.integers(), folder / "integer.npz")
    return {"integer_test": evaluate(final, task.test)}


def _write(folder: Path, history: History, result: dict[str, Any]) -> None:
    with (folder / "log.jsonl").open("w") as log:
        log.writelines(json.dumps({"update": k, "loss": x}) + "\n" for k, x in enumerate(history.losses))
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    from edge_anp.learning import curve

    curve.draw(folder / "curve.png", {f"{result['rule']}, {result['signal']}": history.losses})


__all__ = ["RULES", "Choices", "chosen_rule", "make_rule", "resume_run", "train_run"]
