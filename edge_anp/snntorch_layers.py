"""The layers of a network from a recording: for each neuron its connections, its own recurrence last, and its parameters."""

from __future__ import annotations

from typing import Any, cast

from snntorch import RLeaky, RSynaptic
from torch import Tensor, nn

from edge_anp import snntorch_neurons as options
from edge_anp.network import Layer
from edge_anp.snntorch_functions import find_map
from edge_anp.snntorch_steps import Recording
from edge_anp.snntorch_terms import Piece, Refused, Stage, Term, layer_terms
from edge_anp.snntorch_values import Constant, Parameter, Value
from edge_anp.snntorch_weights import Source, Weights
from edge_anp.synapses import Diagonal
from edge_anp.topology import INPUT

MEMBRANE = (None, "membrane_mean", "membrane_last")  # decodes that read no spikes


def build(recording: Recording, weights: Weights, decode: str | None, reasons: list[str]) -> tuple[Layer, ...]:
    """The layers in the order of their first call; what cannot be read is added to `reasons`."""
    names = list(recording.trace.calls)
    neurons = {n: recording.trace.neurons[n] for n in names}
    shapes = {n: tuple(recording.trace.calls[n][-1].spikes.shape[1:]) for n in names}
    terms = {n: _terms(recording, n, reasons) for n in names}
    heard = {t.source for ts in terms.values() for t in ts}
    layers = []
    for i, name in enumerate(names):
        neuron, connections = neurons[name], []
        if type(neuron) not in options.READ:
            continue
        reasons += options.shape_refusals(name, neuron, shapes[name])
        try:
            terms[name] = (*terms[name], *_own(i, neuron, shapes[name]))
        except Refused as refused:
            reasons += [f"{name}: {reason}" for reason in refused.args]
        for term in terms[name]:
            try:
                source = _source(term, names, neurons, shapes, shapes[name])
                connections.append(weights.connection(term, source))
            except Refused as refused:
                reasons += [f"{name}: {reason}" for reason in refused.args]
        mute = i == len(names) - 1 and i not in heard and not isinstance(neuron, RLeaky | RSynaptic)
        readout = mute and options.never_resets(neuron) and decode in MEMBRANE
        layers.append(Layer(shapes[name], tuple(connections), options.translate(neuron, readout), name))
    return tuple(layers)


def _terms(recording: Recording, name: str, reasons: list[str]) -> tuple[Term, ...]:
    try:
        return layer_terms(recording, name)
    except Refused as refused:
        reasons += [f"{name}: {reason}" for reason in refused.args]
        return ()


def _source(
    term: Term,
    names: list[str],
    neurons: dict[str, nn.Module],
    shapes: dict[str, tuple[int, ...]],
    arriving: tuple[int, ...],
) -> Source:
    """Where a term starts; the input has the shape in which its first map sees it."""
    assert term.source is not None
    if term.source == INPUT:
        first = term.path[0] if term.path else None
        size = (first.size,) if isinstance(first, Piece) else arriving if first is None else first.op.in_shape
        return Source("the input", size)
    name = names[term.source]
    factor = cast(Tensor, getattr(neurons[name], "graded_spikes_factor", None))
    graded = factor is not None and not bool((factor == 1).all()) and options.spreads(factor, shapes[name])
    return Source(name, shapes[name], factor if graded else None)


def _one_to_one(v: Tensor, shape: tuple[int, ...]) -> Tensor:
    """V as [] or [N]; a V of the layer's own shape is seen flat, in the same memory."""
    if v.numel() == 1 or tuple(v.shape) == shape == (v.numel(),):
        return v
    if tuple(v.shape) != shape:
        raise Refused(f"V has shape {tuple(v.shape)}; it must be one value or have the layer's shape {shape}")
    return v.detach().view(-1).requires_grad_(v.requires_grad)


def _own(i: int, neuron: nn.Module, shape: tuple[int, ...]) -> tuple[Term, ...]:
    """A recurrent neuron's own connection, one step late."""
    if not isinstance(neuron, RLeaky | RSynaptic):
        return ()
    m = cast(Any, neuron.recurrent)
    try:
        if isinstance(m, nn.Linear):
            op = find_map("linear", {"weight": m.weight, "bias": m.bias}, shape, _kept)
        elif isinstance(m, nn.Conv2d):
            if m.padding_mode != "zeros":
                raise ValueError(f"padding_mode is {m.padding_mode!r}; it must be 'zeros'")
            names = ("weight", "bias", "stride", "padding", "dilation", "groups")
            op = find_map("conv2d", {n: getattr(m, n) for n in names}, shape, _kept)
        elif isinstance(getattr(m, "V", None), Tensor):
            op = Diagonal(_one_to_one(m.V, shape), shape)
        else:
            return ()  # refused already, by the class of its recurrence
    except ValueError as problem:
        raise Refused(f"its own recurrence: {problem}") from problem
    return (Term(i, 1, (Stage(op, True, "its own recurrence"),)),)


def _kept(tensor: Tensor) -> Value:
    """What a weight of a recurrence is: the module's own, or computed in the forward pass."""
    return Parameter("", tensor) if isinstance(tensor, nn.Parameter) else Constant(False)
