"""The learning rules by name: what --rule means. Each is one record of switches; `make` takes those that a user may turn."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from edge_anp.learning.bptt import BPTT
from edge_anp.learning.feedback import FeedbackANP
from edge_anp.learning.perturbation import Perturbation
from edge_anp.learning.rule import Rule

PAPER = {"per_sample": False, "scale": "sigma"}  # the source paper's code: one loss difference a batch, 1/sigma
SPIKING = {"sigma": 0.3, "antithetic": True}  # noise that flips no spike teaches nothing

PRESETS: dict[str, tuple[type[Any], dict[str, Any], str]] = {
    "feedback-anp": (FeedbackANP, {}, "forward passes and a label, scores or a reward; feedback learned by flip probes"),
    "bptt": (BPTT, {}, "surrogate backpropagation through time"),
    "onestep": (BPTT, {"one_step": True}, "backpropagation that crosses no step: the source paper's baseline"),
    "readout": (FeedbackANP, {"readout_only": True}, "the last layer alone learns: a frozen reservoir"),
    "eprop-symmetric": (FeedbackANP, {"feedback": "symmetric"}, "e-prop: traces, the weights themselves as feedback"),
    "eprop-random": (FeedbackANP, {"feedback": "random"}, "e-prop: traces, random feedback"),
    "reinforce": (FeedbackANP, {"signal": "reward", "baseline": "mean", "explore": 0.0}, "textbook REINFORCE: a running mean of rewards"),
    "wp": (Perturbation, {"kind": "wp", **PAPER}, "weight perturbation, as the source paper has it"),
    "np": (Perturbation, {"kind": "np", **PAPER}, "node perturbation, as the source paper has it"),
    "anp": (
        Perturbation,
        {"kind": "anp", "factor": "sqrt", "inputs": True, **PAPER},
        "activity-based node perturbation, as the source paper has it",
    ),
    "np-trace": (Perturbation, {"kind": "np", "trace": 1.0, "error": "end", **SPIKING}, "node perturbation, one loss a trial, a trace"),
    "anp-trace": (
        Perturbation,
        {"kind": "anp", "trace": 0.8, "norm": "network", **SPIKING},
        "activity-based node perturbation with a decaying trace, a loss difference for each trial",
    ),
}  # fmt: skip


def make(name: str, **switches: Any) -> Rule:
    """The rule `name` with some switches turned; raise ValueError for a name or a switch that is none, with what there is."""
    if name not in PRESETS:
        raise ValueError(f"the rule is {name!r}; it must be one of {', '.join(PRESETS)}, or file.py:rule")
    cls, preset, _ = PRESETS[name]
    known = {f.name for f in fields(cls)}
    given = {k: v for k, v in switches.items() if v is not None}
    foreign = sorted(set(given) - known)
    if foreign:
        raise ValueError(f"{', '.join(foreign)}: the rule {name} has no such switch; it has {', '.join(sorted(known))}")
    return replace(cls(**preset), **given)
