"""What a network costs to run, under NeuroBench's names (neurobench 2.3), and energy as a range whose ends each have a source.

Counted on an integer network's own trace, so the counts hold for every machine that runs it:

    Footprint            bytes of weights and of states
    ConnectionSparsity   share of weights that are 0
    ActivationSparsity   share of neuron-steps without a spike
    SynapticOperations   Dense (all weights), Effective_MACs (a number times a weight), Effective_ACs (a spike's weight); effective ones
                         have an input and a weight that are not 0
    MembraneUpdates      neurons that are stepped

The last two are of a step, where NeuroBench has them of a sample: multiply by its steps. NeuroBench's MembraneUpdates leaves out what a
step does not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from edge_anp import reference
from edge_anp.integer import IntegerConnection, IntegerNetwork
from edge_anp.synapses import Convolution, Map
from edge_anp.topology import INPUT


@dataclass(frozen=True)
class Constant:
    """Energy of one event in joules, from `low` to `high`, and where each end comes from."""

    what: str
    low: float
    high: float
    source: str


# Not one of these was measured by us. From a core's current, 3.3 V x A/MHz is joules a cycle, times 10^6.
SYNAPTIC = Constant(
    "synaptic operation, from its arithmetic alone to the least that one takes in a core of Loihi; a whole system takes more",
    0.03e-12,
    23.6e-12,
    "low: an 8-bit addition in 45 nm, 0.03 pJ (M. Horowitz, Computing's energy problem, ISSCC 2014); high: energy per synaptic spike "
    "operation (min), 23.6 pJ, from simulation before silicon (M. Davies et al., Loihi, IEEE Micro 38(1), 2018, table 2)",
)
INSTRUCTION = Constant(
    "instruction of a microcontroller, memory and regulator included, 1 to 2 cycles each",
    0.13e-9,
    1.6e-9,
    "low: 39 uA/MHz in run mode at 3.3 V with SMPS (ST, STM32L476xx, features), 1 cycle; high: 238 uA/MHz at 168 MHz, from flash (ST, "
    "STM32F407, product page), at 3.3 V, 2 cycles",
)


@dataclass(frozen=True)
class Cost:
    """Means over the steps of the rasters it was counted on."""

    footprint: int
    connection_sparsity: float
    activation_sparsity: float
    dense: float
    effective_macs: float
    effective_acs: float
    membrane_updates: float

    def to_json(self) -> dict[str, object]:
        """NeuroBench's names, and the energy of a step as ranges in joules."""
        operations = {"Dense": self.dense, "Effective_MACs": self.effective_macs, "Effective_ACs": self.effective_acs}
        return {
            "Footprint": self.footprint,
            "ConnectionSparsity": self.connection_sparsity,
            "ActivationSparsity": self.activation_sparsity,
            "SynapticOperations": operations,
            "MembraneUpdates": self.membrane_updates,
            "Energy of a step": energy(SYNAPTIC, self.effective_macs + self.effective_acs),
        }


def energy(constant: Constant, count: float) -> dict[str, object]:
    """`count` events as a range; never one number."""
    return {
        "joules": [count * constant.low, count * constant.high],
        "of": constant.what,
        "source": constant.source,
        "measured": False,
    }


def measure(net: IntegerNetwork, rasters: Sequence[np.ndarray]) -> Cost:
    """Count on rasters [T, I] of integers, from silence each."""
    steps = sum(len(r) for r in rasters)
    weights = [op.weight for layer in net.layers for c in layer.connections for op in c.path if op.weighted]
    states = sum(layer.size * len(layer.neuron.state_names) for layer in net.layers)
    spikes, dense, macs, acs = 0, 0, 0, 0
    for raster in rasters:
        trace = reference.run(net, raster)
        spikes += sum(int(s.sum()) for s in trace.spikes)
        numbers = int(np.abs(raster.astype(np.int64)).max(initial=0)) > 1
        for layer in net.layers:
            for c in layer.connections:
                sent = np.abs(raster.astype(np.int64)) if c.source == INPUT else trace.spikes[c.source].astype(np.int64)
                sent = np.concatenate(
                    [np.zeros((min(c.delay, len(sent)), sent.shape[1]), np.int64), sent[: max(len(sent) - c.delay, 0)]]
                )
                every, effective = _operations(c, sent)
                dense += every
                if c.source == INPUT and numbers:
                    macs += effective
                else:
                    acs += effective
    neurons = sum(layer.size for layer in net.layers if layer.neuron.vth is not None)
    return Cost(
        footprint=sum(w.size for w in weights) * net.arithmetic.weights.bits // 8
        + states * net.arithmetic.membrane.bits // 8,
        connection_sparsity=1 - sum(int(np.count_nonzero(w)) for w in weights) / max(1, sum(w.size for w in weights)),
        activation_sparsity=1 - spikes / max(1, neurons * steps),
        dense=dense / steps,
        effective_macs=macs / steps,
        effective_acs=acs / steps,
        membrane_updates=float(sum(layer.size for layer in net.layers)),
    )


def _operations(c: IntegerConnection, sent: np.ndarray) -> tuple[int, int]:
    """(all, effective) synaptic operations of a connection, whose source sent |x| [T, I]: products of the maps' own 0/1 shadows."""
    x = (sent > 0).astype(np.int64)
    for op in c.path:
        if op.weighted:
            shadow = _shadow(op)
            effective = sum(int(reference.apply(shadow, row).sum()) for row in x)
            return len(x) * _size(op), effective
        x = np.array([reference.apply(op, row) for row in x]).reshape(len(x), op.out_size)
        x = (x > 0).astype(np.int64)
    return 0, 0


def _shadow(op: Map) -> Map:
    """The same map with a weight of 1 wherever it has one that is not 0."""
    return replace(op, weight=(np.asarray(op.weight) != 0).astype(np.int8))  # type: ignore[type-var]


def _size(op: Map) -> int:
    """Multiplications of a dense step."""
    if isinstance(op, Convolution):
        return op.out_size * prod(op.weight.shape[1:])
    return op.out_size if np.asarray(op.weight).ndim < 2 else int(np.asarray(op.weight).size)
