"""One sample through a circuit: every layer is seen with its own lag, so that all rows of the trace are the network's steps."""

import numpy as np
from worker.circuit import BIAS


def run(circuit, machine, raster):
    """raster [T, I] -> {"spikes0", "u0", "v0", ...}: [T, N] each, in the network's own order of neurons."""
    steps, shape = len(raster), circuit.source.s_out.shape
    trace = {}
    for i, layer in enumerate(circuit.layers):
        for name in (*layer["states"], "spikes"):
            trace[f"{name}{i}"] = np.zeros((steps, layer["size"]), np.int64)
    machine.clear()
    silence = np.zeros(raster.shape[1], np.int64)
    for now in range(steps + circuit.latency):
        for some in circuit.populations:
            _set_bias(machine, some, now)
        x = raster[now] if now < steps else silence
        machine.set(circuit.source, "data", x[circuit.order].reshape(*shape, 1))
        machine.step()
        for some in circuit.populations:
            t, i = now - some.lag, some.layer
            if 0 <= t < steps:
                trace[f"spikes{i}"][t, some.order] = np.reshape(machine.get(some.sink, "data"), -1)
                for name in circuit.layers[i]["states"]:
                    trace[f"{name}{i}"][t, some.order] = np.reshape(machine.get(some.process, name), -1)
    return trace


def _set_bias(machine, some, now):
    """A bias begins with the first step of its layer; before, all is silent."""
    if some.bias is None or now not in (0, some.lag):
        return
    value = some.bias if now == some.lag else np.zeros_like(some.bias)
    machine.set(some.process, BIAS[type(some.process)], value.reshape(some.process.s_out.shape))
