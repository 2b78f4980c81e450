"""How an answer is read out of the last layer: the argmax of a score; ties go to the lowest index.

count          sum_t s[t]
first_spike    T minus the step of the first spike; 0 for a neuron that never spikes
membrane_mean  sum_t v[t] (T times the mean: the same argmax, and an integer stays one)
membrane_last  v[T-1]
"""

from __future__ import annotations

from typing import Any

DECODES = ("count", "first_spike", "membrane_mean", "membrane_last")


def check(decode: str) -> None:
    """Raise ValueError unless `decode` is one of DECODES."""
    if decode not in DECODES:
        raise ValueError(f"decode is {decode!r}; it must be one of {', '.join(DECODES)}")


def scores(decode: str, spikes: Any, membrane: Any) -> Any:
    """Scores [B, K] from the last layer's spikes and membrane [T, B, K]; torch tensors or numpy arrays alike."""
    if decode == "count":
        return spikes.sum(0)
    if decode == "first_spike":
        return (spikes.cumsum(0) > 0).sum(0)
    return membrane[-1] if decode == "membrane_last" else membrane.sum(0)
