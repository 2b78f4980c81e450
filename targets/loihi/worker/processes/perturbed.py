"""A neuron that steps twice on the same input, with noise and without, and tells its synapses what the noise did.

    v = decay(v) + 64 (a_in + noise),  clean = decay(clean) + 64 a_in;   past 64 vth a spike, and 0
    y1 = 64 + 32 (s - c),  y2 = 64 + the third factor, -63..63
Lava's own LearningLIF never sends y1..y3, and a three-factor synapse waits for them for ever.
"""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.neuron import LearningNeuronModelFixed
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.neuron import LearningNeuronProcess
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

NOUGHT = 64  # a trace is unsigned, 7 bits: what is less than nothing is less than 64


class Perturbed(LearningNeuronProcess, AbstractProcess):
    """dv of 4096; vth in weights; sends "noisy" or "clean" spikes. The noise comes in by a port: whoever makes it can make it again."""

    def __init__(self, *, shape, learning_rule, dv, vth, sends):
        super().__init__(shape=shape, learning_rule=learning_rule, sends=sends)
        self.a_in = InPort(shape=shape)
        self.noise_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.v = Var(shape=shape, init=0)
        self.clean = Var(shape=shape, init=0)
        self.dv = Var(shape=(1,), init=dv)
        self.vth = Var(shape=(1,), init=vth)


@implements(proc=Perturbed, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyPerturbed(LearningNeuronModelFixed):
    """The equations above, once a step."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    noise_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    v: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    clean: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    dv: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=12)
    vth: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=17)

    def run_spk(self):
        a, noise, third = self.a_in.recv(), self.noise_in.recv(), self.a_third_factor_in.recv()
        s, c = self._advance(self.v, a + noise), self._advance(self.clean, a)
        self.y1[:] = NOUGHT + 32 * (s - c)
        self.y2[:] = NOUGHT + np.clip(third, -63, 63)
        self.s_out.send(s if self.proc_params["sends"] == "noisy" else c)
        self.s_out_bap.send(s.astype(bool))
        self.s_out_y1.send(self.y1)
        self.s_out_y2.send(self.y2)
        self.s_out_y3.send(self.y3)

    def _advance(self, v, drive):
        product = v.astype(np.int64) * (4096 - int(self.dv[0]))
        v[:] = np.sign(product) * (np.abs(product) >> 12) + (drive.astype(np.int64) << 6)
        spikes = v > int(self.vth[0]) << 6
        v[spikes] = 0
        return spikes.astype(np.int32)
