"""Lava's own runtime: an operating-system process a model, shared memory between them. It may hang; whoever starts it sets a limit."""

import numpy as np
from lava.magma.core.run_conditions import RunSteps


class Runtime:
    """A circuit that Lava runs, one step a call."""

    def __init__(self, circuit):
        self.circuit = circuit
        config, self.steps = circuit.config(), RunSteps(num_steps=1)
        compiling = {"pypy_channel_size": 1}  # slots a channel: 64 of them fill a small /dev/shm
        circuit.source.create_runtime(run_cfg=config, compile_config=compiling)
        self.step()  # variables can be set from then on; without input and bias it leaves silence

    def clear(self):
        """Silence: nothing of the last sample is left."""
        for process, var in self.circuit.memory():
            self.set(process, var.name, np.zeros(var.shape, np.int64))

    def get(self, process, name):
        return np.asarray(getattr(process, name).get())

    def set(self, process, name, value):
        var = getattr(process, name)
        var.set(np.broadcast_to(np.asarray(value), var.shape).copy())

    def step(self):
        self.circuit.source.run(condition=self.steps)

    def close(self):
        self.circuit.source.stop()
