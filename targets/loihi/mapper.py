"""What a network would take of a Loihi 2 chip: cores, axons and synaptic memory per layer, held against limits with their sources.

An estimate, not a placement: Intel's own mapper is not public. A layer is split evenly, an image by rows, over as few cores as its neurons,
synapses and axons allow. A core needs an input axon for every source that it hears: all that a matrix reads, and of what a convolution
reads the rows around its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from edge_anp.integer import IntegerNetwork
from edge_anp.synapses import Conv2d
from targets.loihi import schedule, synapses


@dataclass(frozen=True)
class Limit:
    """A named limit of the chip."""

    name: str
    value: int
    source: str


BRIEF = "Intel, Taking Neuromorphic Computing to the Next Level with Loihi 2, technology brief, 2021"
OF_LOIHI_1 = "of Loihi 1: Davies et al., Loihi, IEEE Micro 38(1), 2018, p. 89, constraint {}; Loihi 2's is not public"
CORES = Limit("cores a chip", 128, BRIEF)
NEURONS = Limit("neurons a core", 8192, "the Loihi 2 brief: up to, as their states allow")
MEMORY = Limit(
    "synaptic memory a core, bytes", 128 * 1024, "the Loihi 2 brief: up to, of 192 KB that a core divides as it needs"
)
AXONS_IN = Limit("input axons a core", 4096, OF_LOIHI_1.format(4))
AXONS_OUT = Limit("output axons a core", 4096, OF_LOIHI_1.format(3))
DELAY = Limit("steps of delay", 62, "lava-dl 0.6.0, lava/lib/dl/netx/utils.py: num_delay_bits")
EXPONENT = Limit("weight exponent", 7, "of Loihi 1: nengo-loihi, nengo_loihi/builder/validate.py; lava-nc checks none")
LIMITS = (CORES, NEURONS, AXONS_IN, AXONS_OUT, MEMORY, DELAY, EXPONENT)


@dataclass(frozen=True)
class Use:
    """What a layer takes. memory: bytes of all its synapses, a byte each; a convolution's kernel once a core."""

    cores: int
    axons_in: int
    axons_out: int
    memory: int
    broken: tuple[str, ...]


def measure(net: IntegerNetwork) -> list[Use]:
    """Each layer's use; `broken` says which limit, by how much, and what would help."""
    sizes = [layer.size for layer in net.layers]
    reads = [{c.source for c in x.connections} for x in net.layers]
    hearing = [
        next((k for k in range(1, x.shape[-2] + 1) if _heard(net, i, k) <= AXONS_IN.value), 1)
        if len(x.shape) == 3
        else 1
        for i, x in enumerate(net.layers)
    ]
    dense, shared, ways = zip(*(_bytes(net, i) for i in range(len(sizes))), strict=True)
    cores = [1] * len(sizes)
    for _ in range(2 * len(sizes) + 2):  # cores of a layer depend on those that read it
        fan = [sum(n for n, sources in zip(cores, reads, strict=True) if i in sources) for i in range(len(sizes))]
        need = [
            max(ceil(n / NEURONS.value), ceil(d / max(MEMORY.value - s, 1)), ceil(n * f / AXONS_OUT.value), h)
            for n, d, s, f, h in zip(sizes, dense, shared, fan, hearing, strict=True)
        ]
        need = [min(k, n) for k, n in zip(need, sizes, strict=True)]
        if need == cores:
            break
        cores = need
    uses = []
    for i, size in enumerate(sizes):
        share = ceil(size / cores[i])
        into = _heard(net, i, cores[i])
        out, held = share * fan[i], ceil(dense[i] / cores[i]) + shared[i]
        broken = [*past(AXONS_IN, into, "fewer inputs: pool or split the source"), *ways[i]]
        broken += past(AXONS_OUT, out, "fewer layers, or fewer cores of them, that read this one")
        broken += past(MEMORY, held, "fewer inputs a neuron")
        uses.append(Use(cores[i], into, out, dense[i] + shared[i], tuple(broken)))
    return uses


def _heard(net: IntegerNetwork, i: int, cores: int) -> int:
    """The sources that one of so many cores of layer i hears."""
    heard: dict[int, int] = {}
    for c in net.layers[i].connections:
        shape = synapses.source_shape(net, c)
        count = prod(shape)
        if synapses.is_convolution(net, i, c):
            (op,) = c.path
            assert isinstance(op, Conv2d)
            rows = (ceil(net.layers[i].shape[1] / cores) - 1) * op.stride[0] + op.kernel[0]
            count = count // shape[1] * min(shape[1], rows)
        heard[c.source] = max(heard.get(c.source, 0), count)
    return sum(heard.values())


def past(limit: Limit, value: int, remedy: str) -> list[str]:
    """A value beyond its limit, in words; nothing for one within."""
    return [f"{value} {limit.name}, the limit is {limit.value}; {remedy}"] if value > limit.value else []


def _bytes(net: IntegerNetwork, i: int) -> tuple[int, int, list[str]]:
    """(bytes that are divided among a layer's cores, bytes that each core holds, limits that a synapse breaks)."""
    layer, dense, shared, broken = net.layers[i], 0, 0, []
    plan = schedule.plan(net.layers)
    for c in layer.connections:
        source = synapses.source_shape(net, c)
        if plan.lags:
            broken += past(DELAY, plan.late(i, c), "a shorter delay")
        for s in synapses.write(net, i, c, synapses.order(layer.shape), synapses.order(source)):
            broken += past(EXPONENT, s.options["exponent"], "pool before the synapse, where weights need not add up")
            if s.process == "Conv":
                shared += s.weight.size
            else:
                dense += int(np.count_nonzero(s.weight))
    return dense, shared, broken
