"""A training run: a model, a task and a rule in, a folder out.

The folder holds `network.npz`, `weights.safetensors` (the module's own state_dict keys), `log.jsonl` and `result.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from safetensors.torch import save_file

from edge_anp import network, sources, tasks
from edge_anp.integer import IntegerNetwork
from edge_anp.learning.bptt import BPTT
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.fit import evaluate, train
from edge_anp.learning.rule import Rule

RULES = ("feedback-anp", "bptt", "readout")


def make_rule(name: str, signal: str, look_back: str) -> Rule:
    """The rule that the command line means: one of RULES, or `file.py:rule` for the user's own object or class."""
    path, attribute = sources.split_attribute(name)
    if attribute is not None:
        found: Any = sources.load_attribute(path, attribute)
        return found() if isinstance(found, type) else found
    if name == "bptt":
        return BPTT()
    if name not in RULES:
        raise ValueError(f"the rule is {name!r}; it must be one of {', '.join(RULES)}, or file.py:rule")
    if look_back != "trial" and not look_back.isdigit():
        raise ValueError(f"--look-back is {look_back!r}; it must be a number of steps, or `trial`")
    depth = None if look_back == "trial" else int(look_back)
    return FeedbackANP(signal=signal, look_back=depth, readout_only=name == "readout")


def train_run(
    model: str,
    task_name: str,
    folder: Path,
    rule_name: str,
    signal: str,
    look_back: str,
    updates: int,
    batch: int,
    rate: float,
    weights: Path | None,
    decode: str | None,
    data: Path | None,
    seed: int,
    out: Console,
) -> None:
    """Train and write the run's folder; print where it is and how good the network became."""
    rule = make_rule(rule_name, signal, look_back)
    task = tasks.load(task_name, data)
    raster, _ = task.train.batch(np.arange(min(4, len(task.train))))
    opened = sources.open_model(model, weights, task.input.shape, raster, decode)
    if isinstance(opened.network, IntegerNetwork):
        raise ValueError(f"{model} holds integers; training starts from file.py:factory or from a network.npz")
    history = train(opened.network, task, rule, updates=updates, batch=batch, rate=rate, seed=seed, progress=True)
    folder.mkdir(parents=True, exist_ok=True)
    network.save(history.network, folder / "network.npz")
    if opened.reading is not None and opened.module is not None:
        opened.reading.store(opened.module)
        state = {k: v.detach().contiguous().clone() for k, v in opened.module.state_dict().items()}
        save_file(state, folder / "weights.safetensors")
    with (folder / "log.jsonl").open("w") as log:
        log.writelines(json.dumps({"update": k, "loss": x}) + "\n" for k, x in enumerate(history.losses))
    result = {
        "rule": rule_name,
        "signal": str(rule.signal),
        "look_back": look_back,
        "validation": evaluate(history.network, task.validation),
        "test": evaluate(history.network, task.test),
        "asked": history.asked,
        "seed": seed,
        "updates": updates,
        "rate": rate,
    }
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    out.print(f"accuracy: validation {result['validation']:.3f}, test {result['test']:.3f}; written to {folder}")
