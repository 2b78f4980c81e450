"""Lava's own runtime: an operating-system process a model, shared memory between them. It may hang; whoever starts it sets a limit.

Lava waits for ever for a process that failed or died, and keeps what it said to itself; a thread that looks tells.
"""

import threading
import time

import numpy as np
from lava.magma.core.run_conditions import RunSteps


class Runtime:
    """A circuit that Lava runs, one step a call."""

    def __init__(self, circuit, tell):
        """tell: called once with what went wrong in one of Lava's processes."""
        self.circuit, self.tell, self.open = circuit, tell, True
        config, self.steps = circuit.config(), RunSteps(num_steps=1)
        compiling = {"pypy_channel_size": 1}  # slots a channel: 64 of them fill a small /dev/shm
        circuit.source.create_runtime(run_cfg=config, compile_config=compiling)
        threading.Thread(target=self._watch, daemon=True).start()
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

    def step(self, count=1):
        self.circuit.source.run(condition=self.steps if count == 1 else RunSteps(num_steps=count))

    def _watch(self):
        while self.open:
            for actor in self.circuit.source.runtime._messaging_infrastructure.actors:
                if actor.exception is not None:
                    error, _ = actor.exception
                    return self.tell(f"{type(error).__name__}: {error}, in one of Lava's processes")
                if not actor.is_alive() and self.open:
                    return self.tell(f"one of Lava's processes ended with exit code {actor.exitcode}")
            time.sleep(0.2)
        return None

    def close(self):
        self.open = False
        self.circuit.source.stop()
