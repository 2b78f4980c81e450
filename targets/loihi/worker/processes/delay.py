"""Spikes some steps late: out[t] = in[t - steps], where a connection of the network is slower than Lava's one step a synapse."""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Delay(AbstractProcess):
    """steps: at least 1."""

    def __init__(self, *, shape, steps):
        super().__init__(shape=shape, steps=steps)
        self.s_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.past = Var(shape=(steps, *shape), init=0)


@implements(proc=Delay, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyDelay(PyLoihiProcessModel):
    """Sends before it receives, so that a loop through it never waits for itself."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    past: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)

    def run_spk(self):
        self.s_out.send(self.past[-1].copy())
        self.past[1:] = self.past[:-1].copy()
        self.past[0] = self.s_in.recv()
