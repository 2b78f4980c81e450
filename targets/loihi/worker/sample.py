"""One sample through a circuit: every layer is seen with its own lag, so that all rows of the trace are the network's steps."""

import numpy as np
from worker.circuit import BIAS


def run(circuit, machine, raster):
    """raster [T, I] -> {"spikes0", "u0", "v0", ...}: [T, N] each, in the network's own order of neurons."""
    steps, shape = len(raster), circuit.source.s_out.shape
    trace = {}
    for i, layer in enumerate(circuit.layers):
        for name in (*layer.states, "spikes"):
            trace[f"{name}{i}"] = np.zeros((steps, layer.size), np.int64)
    machine.clear()
    silence = np.zeros(raster.shape[1], np.int64)
    for now in range(steps + circuit.latency):
        for layer in circuit.layers:
            _set_bias(machine, layer, now)
        x = raster[now] if now < steps else silence
        machine.set(circuit.source, "data", x[circuit.order].reshape(*shape, 1))
        machine.step()
        for i, layer in enumerate(circuit.layers):
            t = now - layer.lag
            if 0 <= t < steps:
                trace[f"spikes{i}"][t, layer.order] = np.reshape(machine.get(layer.sink, "data"), -1)
                for name in layer.states:
                    trace[f"{name}{i}"][t, layer.order] = np.reshape(machine.get(layer.process, name), -1)
    return trace


def _set_bias(machine, layer, now):
    """A layer's bias begins with the layer's own first step; before, all is silent."""
    if layer.bias is None or now not in (0, layer.lag):
        return
    value = layer.bias if now == layer.lag else np.zeros_like(layer.bias)
    machine.set(layer.process, BIAS[type(layer.process)], value.reshape(layer.process.s_out.shape))
