"""Network: layers and connections in discrete time, in floating point.

It holds the model's own tensors, so training the network trains the model. Time runs first: a raster is [T, B, I].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from edge_anp import decode, moment, neurons, storage, topology
from edge_anp.moment import Moment
from edge_anp.neurons import LIF, CubaLIF, Neuron, Readout, Spike, Tanh, heaviside
from edge_anp.synapses import Array, AvgPool2d, Conv1d, Conv2d, Convolution, Dense, Diagonal, Map, MaxPool2d, Window
from edge_anp.topology import INPUT, InputContract

VERSION = 1


@dataclass(frozen=True)
class Connection:
    """A way from a source to a layer: the spikes of `source`, `delay` steps ago, through at most one weighted synapse."""

    source: int
    path: tuple[Map, ...]
    delay: int = 0


@dataclass(frozen=True)
class Layer:
    """Neurons of one kind. The currents of all connections add, then the neuron steps."""

    shape: tuple[int, ...]
    connections: tuple[Connection, ...]
    neuron: Neuron
    name: str = ""

    @property
    def size(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Network:
    """A list of layers joined by connections; the last layer answers, read out as `decode` says.

    feedback: matrices that a rule learned beside the weights, kept for learning on (name -> tensor).
    """

    layers: tuple[Layer, ...]
    input: InputContract
    decode: str = "count"
    feedback: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        decode.check(self.decode)
        topology.check(self.layers, self.input.size)
        for i, layer in enumerate(self.layers):
            for c in layer.connections:
                if c.source != INPUT and isinstance(self.layers[c.source].neuron, Readout):
                    raise ValueError(f"layer {i} reads layer {c.source}, a readout; a readout has no spikes")
        last = self.layers[-1].neuron
        if isinstance(last, Readout) and not self.decode.startswith("membrane"):
            raise ValueError(f"decode is {self.decode!r}, but the last layer is a readout; it must be read by membrane")

    def parameters(self) -> dict[str, Tensor]:
        """Every tensor that may be trained, by name; a tensor used twice appears once.

        `layer.connection.weight`, `.bias`, and `layer.beta`, `.alpha`, `.threshold`; a rule takes those it can train.
        """
        seen: set[int] = set()
        found: dict[str, Tensor] = {}
        for name, tensor in self._tensors():
            if id(tensor) not in seen and tensor.requires_grad:
                seen.add(id(tensor))
                found[name] = tensor
        return found

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for i, layer in enumerate(self.layers):
            for k, connection in enumerate(layer.connections):
                for op in connection.path:
                    for part in ("weight", "bias"):
                        if isinstance(getattr(op, part, None), Tensor):
                            yield f"{i}.{k}.{part}", getattr(op, part)
            for part in ("alpha", "beta", "threshold"):
                if isinstance(getattr(layer.neuron, part, None), Tensor):
                    yield f"{i}.{part}", getattr(layer.neuron, part)


@dataclass(frozen=True)
class Trace:
    """What a network did: per layer the spikes [T, B, N] and every state [T, B, N] by name."""

    spikes: tuple[Tensor, ...]
    states: tuple[dict[str, Tensor], ...]


def apply(op: Map, x: Float[Tensor, "B I"]) -> Float[Tensor, "B N"]:
    """One map of a path on a batch of flat vectors."""
    if isinstance(op, Dense):
        return F.linear(x, op.weight, op.bias)
    if isinstance(op, Diagonal):
        return x * op.weight
    assert isinstance(op, Window)
    image = x.reshape(len(x), *op.in_shape)
    if isinstance(op, Convolution):
        convolve = F.conv2d if isinstance(op, Conv2d) else F.conv1d
        y = convolve(image, op.weight, op.bias, op.stride, op.padding, 1, op.groups)
    elif isinstance(op, MaxPool2d):
        y = F.max_pool2d(image, op.kernel, op.stride, op.padding)
    else:
        y = F.avg_pool2d(image, op.kernel, op.stride, op.padding)
    return y.reshape(len(x), -1)


def current(
    connection: Connection, source: Float[Tensor, "T B I"], past: Float[Tensor, "d B I"] | None = None
) -> Float[Tensor, "T B N"]:
    """The current that a connection brings at every step, its delay included; past: what the source sent before, else silence."""
    steps, batch, _ = source.shape
    if connection.delay:
        if past is None:
            past = source.new_zeros(connection.delay, *source.shape[1:])
        source = torch.cat([past[-connection.delay :], source])[:steps]
    return follow(connection.path, source.reshape(steps * batch, -1)).reshape(steps, batch, -1)


def follow(path: tuple[Map, ...], x: Float[Tensor, "B I"]) -> Float[Tensor, "B N"]:
    """A whole path on a batch of flat vectors."""
    for op in path:
        x = apply(op, x)
    return x


def run(
    network: Network,
    raster: Float[Tensor, "T B I"],
    spike: Spike = heaviside,
    reset_spike: Spike = heaviside,
    start: Moment | None = None,
    added: Sequence[Tensor | None] | None = None,
) -> Trace:
    """Run a network over a raster, from silence or from `start`.

    Groups of layers that hold a loop step together; everything they read from outside is computed for all steps at once.
    added: currents of no connection, per layer [T, B, N] or None: what a perturbation is. A network that is run by other means, on
    integers for example, has a method `run` of its own, which is then called.
    """
    elsewhere = getattr(network, "run", None)
    if elsewhere is not None:
        return elsewhere(raster, spike, reset_spike, start, added)
    steps, layers = len(raster), network.layers
    start = begin(network, raster) if start is None else start
    spikes: list[list[Tensor]] = [[] for _ in layers]
    states: list[dict[str, list[Tensor]]] = [{n: [] for n in neurons.state_names(x.neuron)} for x in layers]
    done: dict[int, Tensor] = {INPUT: raster}
    for block in topology.blocks(layers):
        outside = {i: _outside(layers[i], block, done, start, added[i] if added else None) for i in block}
        state = {i: start.states[i] for i in block}
        inside = {i: [c for c in layers[i].connections if c.source in block] for i in block}
        steppers = {i: neurons.stepper(layers[i].neuron, layers[i].shape, spike, reset_spike, steps) for i in block}
        for t in range(steps):
            for i in block:
                currents = [outside[i][t]] if outside[i] else []
                for c in inside[i]:
                    past = spikes[c.source][t - c.delay] if t >= c.delay else start.past[c.source][t - c.delay]
                    currents.append(follow(c.path, past))
                s, state[i] = steppers[i](currents, state[i])
                spikes[i].append(s)
                for name, value in state[i].items():
                    states[i][name].append(value)
        for i in block:
            done[i] = neurons.joined(spikes[i])
    return Trace(
        tuple(done[i] for i in range(len(layers))), tuple({n: neurons.joined(v) for n, v in s.items()} for s in states)
    )


def begin(network: Network, raster: Float[Tensor, "T B I"]) -> Moment:
    """Silence, of the raster's batch, type and device."""
    return moment.silence(network.layers, [neurons.state_names(x.neuron) for x in network.layers], raster)


def end(start: Moment, raster: Float[Tensor, "T B I"], trace: Trace) -> Moment:
    """The moment after a run from `start`; a run from there goes on as if there had been no break."""
    return moment.moment_after(start, raster, trace.spikes, trace.states)


def joined(pieces: Sequence[Trace]) -> Trace:
    """The pieces of a run, one after the other."""
    spikes = tuple(torch.cat(each) for each in zip(*(p.spikes for p in pieces), strict=True))
    states = zip(*(p.states for p in pieces), strict=True)
    return Trace(spikes, tuple({n: torch.cat([s[n] for s in each]) for n in each[0]} for each in states))


def _outside(
    layer: Layer, block: range, done: Mapping[int, Tensor], start: Moment, added: Tensor | None
) -> tuple[Tensor, ...]:
    """The current from outside the block, one tensor [B, N] a step (unbound once: indexing would cost O(T^2) in backward)."""
    total = added
    for c in layer.connections:
        if c.source not in block:
            term = current(c, done[c.source], start.past.get(c.source))
            total = term if total is None else total + term
    return () if total is None else total.unbind(0)


def scores(network: Network, trace: Trace) -> Float[Tensor, "B K"]:
    """What the answer is the argmax of (ties go to the lowest index)."""
    spikes = trace.spikes[-1]
    return decode.scores(network.decode, spikes, trace.states[-1]["mem"]).to(spikes.dtype)


CLASSES = (
    *(Network, Layer, Connection, InputContract, LIF, CubaLIF, Readout, Tanh),
    *(Dense, Diagonal, Conv1d, Conv2d, AvgPool2d, MaxPool2d),
)


def save(network: Network, path: str | Path) -> None:
    """Write `network.npz`: no pickle, versioned, with a checksum."""
    storage.write(path, "network", VERSION, network)


def load(path: str | Path) -> Network:
    """Read `network.npz`; its weights are leaves that may be trained. Raise BadFile for anything else."""
    network = storage.read(path, "network", VERSION, CLASSES, leaf=lambda a: torch.from_numpy(a.copy()))
    for name, tensor in network._tensors():
        tensor.requires_grad_(name.rsplit(".", 1)[1] in ("weight", "bias"))
    return network


def copy_to_numpy(network: Network) -> Network:
    """The same network with arrays in place of tensors, for the targets: they never import torch."""
    return storage.rebuild(network, lambda t: t.detach().cpu().numpy().copy())


__all__ = ["Connection", "Layer", "Moment", "Network", "Trace", "begin", "end", "load", "run", "save", "scores"]
