"""Write a network for Lava: lava.npz, which says every process, the runner beside it, and what a chip would make of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from edge_anp.artifact import Artifact, describe
from edge_anp.errors import Unsupported
from edge_anp.integer import IntegerLayer, IntegerNetwork, path_bounds, source_max
from targets.loihi import schedule, stock, synapses

NAME = "loihi"
VERSION = 1
RUNNERS = ("lava-fixed", "lava-runtime")
WORKER = Path(__file__).with_name("worker")
LATE_MAX = 62  # steps a synapse can delay: 6 bits (lava/proc/dense/process.py: DelayDense)


def refusals(net: Any) -> list[str]:
    """What no process of Lava and none of ours can do, for a network of floats or of integers."""
    reasons = [r for i, layer in enumerate(net.layers) for c in layer.connections for r in synapses.refusals(net, i, c)]
    return [*reasons, *schedule.plan(net.layers).reasons]


def largest_drive(net: IntegerNetwork, layer: IntegerLayer) -> int:
    """The largest |sum of weights times inputs| of a layer."""
    return sum(path_bounds(c.path, source_max(net, c))[1] << c.shift for c in layer.connections)


def obstacles(net: IntegerNetwork) -> list[list[str]]:
    """Per layer, why it is not the stock LIF."""
    return [stock.obstacles(layer, largest_drive(net, layer)) for layer in net.layers]


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
    layers, ways = [], []
    for i, (layer, why) in enumerate(zip(net.layers, obstacles(net), strict=True)):
        order = synapses.order(layer.shape)
        arrays[f"order{i}"] = order
        shared = {"size": layer.size, "shape": synapses.image(layer.shape), "lag": plan.lags[i]}
        shared |= {"states": layer.neuron.state_names, "name": layer.name}
        layers.append(shared | (_own(layer, i, order, arrays) if why else _stock(layer, i, order, arrays)))
        for c in layer.connections:
            for synapse in synapses.write(net, i, c):
                arrays[f"weight{len(ways)}"] = synapse.weight
                place = {"process": synapse.process, "source": c.source, "target": i, "late": plan.late(i, c)}
                ways.append(place | synapse.options)
    shape = synapses.image(net.input.shape)
    return {"version": VERSION, "input": {"shape": shape}, "layers": layers, "synapses": ways}, arrays


def _stock(layer: IntegerLayer, i: int, order: np.ndarray, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Lava's LIF: u[t] = u[t-1] (4096 - (du + 1)) / 4096 + ..., v[t] = v[t-1] (4096 - dv) / 4096 + ..., threshold vth 2^6."""
    n = layer.neuron
    if layer.bias.any():
        mantissa, exponent = mantissas(layer.bias[order])
        arrays[f"bias{i}"], arrays[f"exponent{i}"] = mantissa, exponent
    du = 4095 if n.current_leak is None else 4095 - int(n.current_leak.keep[0])
    vth = 2**17 - 1 if n.vth is None else int(n.vth[0]) >> 6
    return {"process": "LIF", "du": du, "dv": 4096 - int(n.leak.keep[0]), "vth": vth}


def mantissas(bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mantissa, exponent) of biases that an IntegerNetwork has proven to have them: mantissa 2^exponent, the smallest exponent."""
    exponent = np.zeros(bias.shape, np.int64)
    while np.any(large := np.abs(bias >> exponent) > 4095):
        exponent[large] += 1
    return bias >> exponent, exponent


def _own(layer: IntegerLayer, i: int, order: np.ndarray, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Our process: whatever an IntegerLayer may be."""
    n = layer.neuron
    if layer.bias.any():
        arrays[f"bias{i}"] = layer.bias[order]
    arrays[f"keep{i}"] = n.leak.keep[order]
    if n.current_leak is not None:
        arrays[f"current_keep{i}"] = n.current_leak.keep[order]
    reset = "readout" if n.vth is None else n.reset
    vth = 0 if n.vth is None else int(n.vth[0]) >> 6
    rule = {"reset": reset, "zero": n.zero, "reset_delay": n.reset_delay, "bias_into": layer.bias_into}
    return {"process": "Neuron", "vth": vth, **rule}
