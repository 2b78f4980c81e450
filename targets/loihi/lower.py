"""Write a network for Lava: lava.npz, which says every process, the runner beside it, and what a chip would make of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from edge_anp.artifact import Artifact, describe
from edge_anp.errors import Unsupported
from edge_anp.integer import IntegerLayer, IntegerNetwork
from edge_anp.topology import INPUT
from targets.loihi import schedule, stock, synapses

NAME = "loihi"
VERSION = 1  # of lava.npz
RUNNERS = ("lava-fixed", "lava-runtime")
WORKER = Path(__file__).with_name("worker")


def refusals(net: Any) -> list[str]:
    """What no process of Lava and none of ours can do, for a network of floats or of integers."""
    reasons = [r for i, layer in enumerate(net.layers) for c in layer.connections for r in synapses.refusals(net, i, c)]
    return [*reasons, *schedule.plan(net.layers).reasons]


def populations(net: IntegerNetwork, i: int) -> list[np.ndarray]:
    """The neurons of layer i, grouped into one process each: one group, or one per leak where that makes it the stock LIF."""
    layer = net.layers[i]
    if synapses.touches_image(net, i):
        return [np.arange(layer.size)]
    return stock.groups(layer, stock.largest_drive(net, layer))


def obstacles(net: IntegerNetwork, i: int) -> list[str]:
    """Why layer i is not the stock LIF, or several of them."""
    layer = net.layers[i]
    some = populations(net, i)
    return stock.obstacles(stock.part(layer, some[0]) if len(some) > 1 else layer, stock.largest_drive(net, layer))


def lower(net: IntegerNetwork, folder: Path, golden: str) -> Artifact:
    """Write lava.npz and the worker. Raise Unsupported, all reasons at once, before any file is written."""
    reasons = refusals(net)
    if reasons:
        raise Unsupported(reasons, NAME)
    description, arrays = circuit(net)
    header = np.frombuffer(json.dumps(description).encode(), np.uint8)
    entries: dict[str, Any] = {"header": header} | arrays
    np.savez_compressed(folder / "lava.npz", **entries)
    shutil.copytree(WORKER, folder / "worker", ignore=shutil.ignore_patterns("__pycache__"))
    return describe(folder, NAME, RUNNERS, net, golden)


def circuit(net: IntegerNetwork) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What worker/circuit.py builds from: every process by name and number, and the arrays beside."""
    plan = schedule.plan(net.layers)
    arrays: dict[str, np.ndarray] = {"input_order": synapses.order(net.input.shape)}
    people: list[dict[str, Any]] = []
    homes: dict[int, list[tuple[int, np.ndarray]]] = {INPUT: [(INPUT, arrays["input_order"])]}
    for i, layer in enumerate(net.layers):
        groups, own = populations(net, i), bool(obstacles(net, i))
        homes[i] = []
        for some in groups:
            whole, p = len(groups) == 1, len(people)
            arrays[f"order{p}"] = order = synapses.order(layer.shape) if whole else some
            homes[i].append((p, order))
            shape = synapses.image(layer.shape) if whole else (len(order),)
            members = stock.part(layer, order)
            kind = _own(members, p, arrays) if own else _stock(members, p, arrays)
            people.append({"layer": i, "shape": shape, "lag": plan.lags[i], **kind})
    ways = []
    for i, layer in enumerate(net.layers):
        for c in layer.connections:
            for target, rows in homes[i]:
                for source, columns in homes[c.source]:
                    for synapse in synapses.write(net, i, c, rows, columns):
                        arrays[f"weight{len(ways)}"] = synapse.weight
                        place = {"process": synapse.process, "source": source, "target": target}
                        ways.append({**place, "late": plan.late(i, c), **synapse.options})
    layers = [{"name": x.name, "size": x.size, "states": x.neuron.state_names} for x in net.layers]
    parts = {"layers": layers, "populations": people, "synapses": ways}
    return {"version": VERSION, "input": {"shape": synapses.image(net.input.shape)}, **parts}, arrays


def _stock(layer: IntegerLayer, p: int, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Lava's LIF: u[t] = u[t-1] (4096 - (du + 1)) / 4096 + ..., v[t] = v[t-1] (4096 - dv) / 4096 + ..., threshold vth 2^6."""
    n = layer.neuron
    if layer.bias.any():
        arrays[f"bias{p}"], arrays[f"exponent{p}"] = mantissas(layer.bias)
    du = 4095 if n.current_leak is None else 4095 - int(n.current_leak.keep[0])
    vth = 2**17 - 1 if n.vth is None else int(n.vth[0]) >> 6
    return {"process": "LIF", "du": du, "dv": 4096 - int(n.leak.keep[0]), "vth": vth}


def mantissas(bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mantissa, exponent) of biases that an IntegerNetwork has proven to have them: mantissa 2^exponent, the smallest exponent."""
    exponent = np.zeros(bias.shape, np.int64)
    while np.any(large := np.abs(bias >> exponent) > 4095):
        exponent[large] += 1
    return bias >> exponent, exponent


def _own(layer: IntegerLayer, p: int, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Our process: whatever an IntegerLayer may be."""
    n = layer.neuron
    if layer.bias.any():
        arrays[f"bias{p}"] = layer.bias
    arrays[f"keep{p}"] = n.leak.keep
    if n.current_leak is not None:
        arrays[f"current_keep{p}"] = n.current_leak.keep
    reset = "readout" if n.vth is None else n.reset
    if n.vth is not None:
        arrays[f"vth{p}"] = n.vth
    rule = {"reset": reset, "zero": n.zero, "reset_delay": n.reset_delay, "bias_into": layer.bias_into}
    return {"process": "Neuron", **rule}
