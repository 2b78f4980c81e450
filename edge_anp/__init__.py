"""edge-anp: define a spiking network in snnTorch, train it without backpropagation, run it bit for bit elsewhere.

The names below are the public ones. They are imported when first used, so that `import edge_anp` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_anp.compilation import compile_network
    from edge_anp.integer import MCU16, Arithmetic, IntegerNetwork
    from edge_anp.learning.bptt import BPTT
    from edge_anp.learning.feedback import FeedbackANP
    from edge_anp.learning.fit import evaluate
    from edge_anp.learning.trainer import train
    from edge_anp.network import Network
    from edge_anp.quantize import quantize as quantize_network
    from edge_anp.snntorch_model import read
    from edge_anp.tasks import load as load_task
    from edge_anp.verify import verify as verify_artifact

_HOME = {
    "Arithmetic": "integer",
    "BPTT": "learning.bptt",
    "FeedbackANP": "learning.feedback",
    "IntegerNetwork": "integer",
    "MCU16": "integer",
    "Network": "network",
    "compile_network": "compilation",
    "evaluate": "learning.fit",
    "load_task": "tasks:load",
    "quantize_network": "quantize:quantize",
    "read": "snntorch_model",
    "train": "learning.trainer",
    "verify_artifact": "verify:verify",
}

try:
    __version__ = version("edge-anp")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0.1.0"

__all__ = [
    "BPTT",
    "MCU16",
    "Arithmetic",
    "FeedbackANP",
    "IntegerNetwork",
    "Network",
    "compile_network",
    "evaluate",
    "load_task",
    "quantize_network",
    "read",
    "train",
    "verify_artifact",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'edge_anp' has no attribute {name!r}")
    module, _, attribute = _HOME[name].partition(":")
    value = getattr(import_module(f"edge_anp.{module}"), attribute or name)
    globals()[name] = value
    return value
