"""read(module, sample) -> Reading: a snnTorch module as a Network, with the meaning that the installed snnTorch gives it.

The module is run once on a sample and followed (`snntorch_trace`), what feeds each neuron becomes connections (`snntorch_terms`,
`snntorch_weights`), and the network is compared with the module on the sample and on noise (`snntorch_readback`). What cannot be
read exactly is refused by name, with all reasons at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edge_anp import decode as decodes
from edge_anp import snntorch_neurons as neuron_options
from edge_anp import snntorch_readback, snntorch_steps, snntorch_weights
from edge_anp.errors import Unsupported
from edge_anp.network import Connection, InputContract, Layer, Network
from edge_anp.snntorch_functions import Applied, At, Concat, Spikes, Stack, State, Sum, Unknown, Value
from edge_anp.snntorch_steps import Recording
from edge_anp.snntorch_terms import Refused, Stage, Term, layer_terms
from edge_anp.snntorch_trace import neurons
from edge_anp.snntorch_weights import Fold, Source, Weights
from edge_anp.synapses import Conv2d, Dense, Diagonal
from edge_anp.topology import INPUT

FEWEST_STEPS = 4  # fewer do not show which connection is recurrent
AFTERWARDS = frozenset(  # what a module may do with its last spikes: a Network answers by its `decode` instead
    ("stack", "cat", "sum", "mean", "add", "add_", "div", "mul", "__truediv__", "__mul__", "softmax", "log_softmax", "argmax", "max")
    + ("__setitem__", "__getitem__", "permute", "transpose", "size", "squeeze", "unsqueeze", "view", "reshape", "flatten")
)


@dataclass(frozen=True)
class Reading:
    """A module as a network. notes: what its reader should know. The network holds the module's own parameters."""

    network: Network
    notes: tuple[str, ...]
    folds: tuple[Fold, ...] = ()

    def store(self, module: nn.Module) -> None:
        """Write trained weights that are folded (batch normalization, graded spikes) back into the module that was read.

        All others are the module's own tensors. Raises Unsupported, before writing, for trained weights that were merged at reading.
        """
        own = {id(p) for p in (*module.parameters(), *module.buffers())}
        if any(f.parameter is not None and id(f.parameter) not in own for f in self.folds):
            raise ValueError("store was given another module; it must be the one that was read")
        snntorch_weights.store(self.folds)


def read(
    module: nn.Module, sample: Float[Tensor, "T B *shape"], decode: str | None = None, num_steps: int | None = None
) -> Reading:
    """Read a snnTorch module that can be stepped with sample [T, B, *shape] (its values are free; B as the module wants it).

    decode: how the answer is read out; by default the mean membrane where the last layer never resets, else the spike count.
    num_steps: for a forward that asks for it. Raises Unsupported with every reason why the module cannot be read exactly.
    """
    if decode is not None:
        decodes.check(decode)
    if sample.ndim < 3 or len(sample) < FEWEST_STEPS:
        raise ValueError(f"sample has shape {tuple(sample.shape)}; it must be [T, B, ...] with at least {FEWEST_STEPS} steps")
    reasons = [r for name, neuron in neurons(module).items() for r in neuron_options.refusals(name, neuron)]
    if not neurons(module):
        raise Unsupported("the module has no snnTorch neuron; put a snn.Leaky (or RLeaky, Synaptic, RSynaptic) into it")
    try:
        recording = snntorch_steps.follow(module, sample, num_steps)
    except Unsupported as error:
        raise Unsupported([*reasons, *error.reasons]) from error
    if recording.style == "raster":
        sample = sample[: recording.steps]
    reasons += recording.trace.problems
    found = _terms(recording, reasons)
    reasons += _output_refusals(recording, found)
    weights = Weights()
    if not reasons:
        layers = _layers(recording, found, weights, decode, reasons)
    if reasons:
        raise Unsupported(dict.fromkeys(reasons))
    never = neuron_options.never_resets(recording.trace.neurons[list(recording.trace.calls)[-1]])
    answer = decode or ("membrane_mean" if never else "count")
    network = Network(layers, InputContract(_input_shape(tuple(sample.shape[2:]), layers)), answer)
    difference, silent = snntorch_readback.check(network, module, sample, recording)
    if difference is not None:
        raise Unsupported(str(difference))
    return Reading(network, tuple(_notes(module, recording, weights, silent)), tuple(weights.folds))


def input_shape_of(module: nn.Module) -> tuple[int, ...] | None:
    """The shape of one time step without data: `module.input_shape`, else from the first Linear; None where only the caller knows."""
    declared = getattr(module, "input_shape", None)
    if declared is not None:
        return tuple(int(n) for n in declared)
    for m in module.modules():
        if isinstance(m, nn.Linear):
            return (m.in_features,)
        if isinstance(m, nn.Conv1d | nn.Conv2d):
            return None
    return None


def _terms(recording: Recording, reasons: list[str]) -> dict[str, tuple[Term, ...]]:
    found: dict[str, tuple[Term, ...]] = {}
    for name in recording.trace.calls:
        try:
            found[name] = layer_terms(recording, name)
        except Refused as refused:
            reasons.append(f"{name}: {refused}")
    return found


def _layers(
    recording: Recording, found: dict[str, tuple[Term, ...]], weights: Weights, decode: str | None, reasons: list[str]
) -> tuple[Layer, ...]:
    calls, names, layers = recording.trace.calls, list(recording.trace.calls), []
    shapes = {name: tuple(calls[name][-1].spikes.shape[1:]) for name in names}
    for name in names:
        reasons += neuron_options.shape_refusals(name, recording.trace.neurons[name], shapes[name])
    sources = {i: Source(n, shapes[n], _factor(recording.trace.neurons[n])) for i, n in enumerate(names)}
    for i, name in enumerate(names):
        neuron, connections = recording.trace.neurons[name], []
        for term in found[name]:
            try:
                source = sources.get(term.source or 0) if term.source != INPUT else Source("the input", _arriving(term, shapes[name]))
                assert source is not None
                connections.append(weights.connection(term, source))
            except Refused as refused:
                reasons.append(f"{name}: {refused}")
        if neuron_options.is_recurrent(neuron):
            try:
                connections.append(_recurrence(i, neuron, sources[i], weights))
            except Refused as refused:
                reasons.append(f"{name}: {refused}")
        heard = neuron_options.is_recurrent(neuron) or any(t.source == i for terms in found.values() for t in terms)
        last = i == len(names) - 1
        readout = last and not heard and neuron_options.never_resets(neuron) and decode in (None, "membrane_mean", "membrane_last")
        layers.append(Layer(shapes[name], tuple(connections), neuron_options.translate(neuron, readout), name))
    return tuple(layers)
