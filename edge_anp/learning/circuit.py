"""A network of one hidden layer, taken apart: input -> hidden spikes, recurrent or not -> a readout that never resets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from edge_anp.errors import Unsupported
from edge_anp.network import Connection, Layer, Network, follow
from edge_anp.neurons import LIF, Readout, per_neuron
from edge_anp.synapses import Dense, Diagonal
from edge_anp.topology import INPUT

REMEDY = "train it with bptt, which takes any network"


@dataclass(frozen=True, eq=False)
class Circuit:
    """The parts of a network, in the rule's own words: W into the hidden layer, R back into it, O out of it."""

    hidden: Layer
    readout: Layer
    lif: LIF
    w: Connection
    r: Connection | None
    o: Connection

    @property
    def beta(self) -> Tensor:
        """The hidden leak, [] or [N], as it acts."""
        return per_neuron(self.lif.beta, self.hidden.shape).clamp(0, 1)

    @property
    def threshold(self) -> Tensor:
        """The hidden threshold, [] or [N]."""
        return per_neuron(self.lif.threshold, self.hidden.shape)

    @property
    def readout_leaks(self) -> tuple[Tensor, ...]:
        """The leaks between the output currents and what is read, [] or [K] each: the membrane's, then the current's if it has one."""
        neuron = self.readout.neuron
        alpha = getattr(neuron, "alpha", None)
        leaks = (neuron.beta,) if alpha is None else (neuron.beta, alpha)
        return tuple(per_neuron(leak, self.readout.shape).clamp(0, 1) for leak in leaks)


def take_apart(network: Network) -> Circuit:
    """The circuit that a network is; raise Unsupported with every reason why it is none."""
    if len(network.layers) != 2:
        what = f"it has {len(network.layers)} layers; it must have one hidden layer and a readout, or {REMEDY}"
        raise Unsupported(what, who="feedback ANP")
    hidden, readout = network.layers
    reasons = []
    if type(hidden.neuron) is not LIF:
        reasons.append(f"layer 0 is a {type(hidden.neuron).__name__}; it must be a LIF (snnTorch's Leaky or RLeaky)")
    last = readout.neuron
    if not (isinstance(last, Readout) or last.reset == "none"):
        reasons.append(f"layer 1 resets ({last.reset}); it must never reset: reset_mechanism='none'")
    if not network.decode.startswith("membrane"):
        reasons.append(f"its decode is {network.decode}; it must be membrane_mean or membrane_last")
    w = _only(network, 0, INPUT, (Dense,), 0, reasons)
    o = _only(network, 1, 0, (Dense,), 0, reasons)
    loops = [c for c in hidden.connections if c.source == 0]
    r = _only(network, 0, 0, (Dense, Diagonal), 1, reasons) if loops else None
    reasons += [
        f"layer 0 reads layer {c.source}; it must read the input and itself" for c in hidden.connections if c.source > 0
    ]
    reasons += [
        f"layer 1 reads {_call(c.source)}; it must read layer 0 alone" for c in readout.connections if c.source != 0
    ]
    if reasons:
        raise Unsupported([*reasons, f"or {REMEDY}"], who="feedback ANP")
    assert isinstance(hidden.neuron, LIF)
    assert w is not None
    assert o is not None
    return Circuit(hidden, readout, hidden.neuron, w, r, o)


def _only(
    network: Network, layer: int, source: int, maps: tuple[type, ...], delay: int, reasons: list[str]
) -> Connection | None:
    """The one connection from `source`, through one of `maps` and `delay` steps; None, and the reasons grow, if it is not so."""
    found = [c for c in network.layers[layer].connections if c.source == source]
    want = f"one {' or '.join(m.__name__ for m in maps)} connection of delay {delay} from {_call(source)}"
    if len(found) != 1:
        reasons.append(f"layer {layer} has {len(found)} connections from {_call(source)}; it must have {want}")
        return None
    connection = found[0]
    if len(connection.path) != 1 or not isinstance(connection.path[0], maps) or connection.delay != delay:
        path = ", ".join(op.describe() for op in connection.path) or "nothing"
        reasons.append(
            f"layer {layer} reads {_call(source)} through {path}, delay {connection.delay}; it must have {want}"
        )
    return connection


def _call(source: int) -> str:
    return "the input" if source == INPUT else f"layer {source}"


def respond(connection: Connection, change: Float[Tensor, "M N"]) -> Float[Tensor, "M J"]:
    """How the currents of a connection change with its source's spikes: a forward pass, its bias taken off."""
    return follow(connection.path, change) - follow(connection.path, torch.zeros_like(change[:1]))


def matrix(connection: Connection) -> Float[Tensor, "J N"]:
    """The weights of a connection, read as a matrix: what only symmetric feedback does."""
    op = connection.path[0]
    if isinstance(op, Diagonal):
        return torch.diag(op.weight.expand(op.in_size))
    assert isinstance(op, Dense)
    return op.weight


def weight_gradients(
    connection: Connection, credit: Float[Tensor, "M J"], source: Float[Tensor, "M N"]
) -> list[tuple[Tensor, Tensor]]:
    """(tensor, gradient) of a connection's weight and bias, from dL/dcurrent and the source's activity, one row a trial and step.

    dW = sum credit source';  db = sum credit;  one to one: dw = sum credit source, over the neurons too where w is one number.
    """
    op = connection.path[0]
    if isinstance(op, Diagonal):
        each = (credit * source).sum(0)
        found = [(op.weight, each if op.weight.numel() > 1 else each.sum().reshape(op.weight.shape))]
    else:
        assert isinstance(op, Dense)
        found = [(op.weight, credit.T @ source)]
        if op.bias is not None:
            found.append((op.bias, credit.sum(0)))
    return found
