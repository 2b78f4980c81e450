"""What a module makes of its last spikes. A Network answers by its `decode`, so sums, means and stacks are ignored here;
a weighted map or a nonlinearity would change the answer and is refused."""

from __future__ import annotations

from typing import Any, cast

from edge_anp.snntorch_neurons import never_resets
from edge_anp.snntorch_steps import Recording
from edge_anp.snntorch_values import Applied, At, Concat, Spikes, Stack, State, Sum, Unknown, Value

_SUMS = (
    "stack",
    "cat",
    "sum",
    "mean",
    "add",
    "add_",
    "div",
    "div_",
    "mul",
    "mul_",
    "argmax",
    "max",
    "softmax",
    "log_softmax",
)
_VIEWS = (
    "__setitem__",
    "__getitem__",
    "select",
    "permute",
    "transpose",
    "squeeze",
    "unsqueeze",
    "view",
    "reshape",
    "flatten",
)
IGNORED = frozenset((*_SUMS, *_VIEWS))


def refusals(recording: Recording) -> list[str]:
    """Why the module's answer is not that of its last neurons."""
    heard = _reached([c.current for calls in recording.trace.calls.values() for c in calls])
    last, reasons, answering = list(recording.trace.calls)[-1], [], set()
    for value in _reached(list(recording.results)).values():
        if isinstance(value, Spikes | State):
            answering.add(value.neuron)
        elif isinstance(value, Applied) and id(value) not in heard:
            what = type(value.op).__name__
            reasons.append(
                f"{value.where} ({what}) comes after the last neuron; end with a neuron, e.g. snn.Leaky(reset_mechanism='none')"
            )
        elif isinstance(value, Unknown) and value.function not in IGNORED and id(value) not in heard:
            reasons.append(
                f"{value.function} comes after the last neuron; leave it to the loss, the network ends with its neurons"
            )
    if answering and last not in answering:
        given = ", ".join(sorted(answering))
        reasons.append(
            f"the module returns {given}, but {last} is stepped after it; return what {last} does, or call it earlier"
        )
    feeding = {v.neuron for v in heard.values() if isinstance(v, Spikes)}
    heads = [name for name in recording.trace.calls if name in answering - feeding]
    if len(heads) > 1:
        reasons.append(
            f"the module returns {' and '.join(heads)}, which feed nothing else; a network has one answer: return the last"
            " one only, or make them one layer"
        )
    factor = cast(Any, recording.trace.neurons[last]).graded_spikes_factor
    if factor.numel() > 1 or bool(factor < 0):
        reasons.append(f"{last}: graded_spikes_factor weighs the answers; the last layer must have one positive factor")
    return list(dict.fromkeys(reasons))


def default_decode(recording: Recording) -> str:
    """The mean membrane where the last layer never resets, else the spike count."""
    last = recording.trace.neurons[list(recording.trace.calls)[-1]]
    return "membrane_mean" if never_resets(last) else "count"


def _reached(values: list[Value]) -> dict[int, Value]:
    """Every value that these were made of, down to spikes, by identity."""
    found: dict[int, Value] = {}
    while values:
        value = values.pop()
        if id(value) in found:
            continue
        found[id(value)] = value
        if isinstance(value, Applied | At):
            values.append(value.value)
        elif isinstance(value, Sum | Stack | Concat | Unknown):
            values.extend(value.values)
    return found
