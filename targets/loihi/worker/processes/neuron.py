"""A neuron with every reset that snnTorch has, in the numbers of a Loihi neuron: where the stock LIF has another meaning.

decay(x, k) = sign(x) floor(|x| k / 2^12)
u = wrap(decay(u, current_keep) + 64 a_in [+ bias]),  c = u;    without a current of its own  u = c = 64 a_in + bias
r = v > vth
subtract        v1 = clip(decay(v, keep) + c - r vth)
none            v1 = clip(decay(v, keep) + c)
zero by leak    v1 = clip(decay(v if not r else 0, keep) + c)
zero by update  v1 = 0 if r else clip(decay(v, keep) + c)
s = v1 > vth;   delayed reset: v = v1
at once         subtract: v = clip(v1 - (s - r) vth);  zero: v = clip(v1 - (s - r) v1)
readout         v = clip(decay(v, keep) + c), no spikes
"""

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

HIGH = 2**23 - 1  # lava/proc/lif/models.py: v is clipped to -HIGH..HIGH, u wraps to -HIGH..HIGH + 1


class Neuron(AbstractProcess):
    """keep, current_keep, vth: per neuron; leaks of 2^12. bias_into: "current" or "membrane". reset: as above, or "readout"."""

    def __init__(self, *, shape, keep, current_keep, vth, bias, bias_into, reset, zero, reset_delay):
        rule = {"current": current_keep is not None, "late": bias_into == "membrane"}
        rule.update(reset=reset, zero=zero, reset_delay=reset_delay)
        super().__init__(shape=shape, rule=rule)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.u = Var(shape=shape, init=0)
        self.v = Var(shape=shape, init=0)
        self.keep = Var(shape=shape, init=keep)
        self.current_keep = Var(shape=shape, init=keep if current_keep is None else current_keep)
        self.vth = Var(shape=shape, init=vth)
        self.bias = Var(shape=shape, init=bias)


def decay(x, keep):
    product = x.astype(np.int64) * keep
    return np.sign(product) * (np.abs(product) >> 12)


def clip(x):
    return np.clip(x, -HIGH, HIGH)


def wrap(x):
    return (x + HIGH) % 2**24 - HIGH


@implements(proc=Neuron, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyNeuron(PyLoihiProcessModel):
    """The equations above, once a step."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    u: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    v: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    keep: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=13)
    current_keep: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=13)
    vth: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    bias: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)

    def run_spk(self):
        rule = self.proc_params["rule"]
        reset, zero = rule["reset"], rule["zero"]
        c = (self.a_in.recv().astype(np.int64) << 6) + (0 if rule["current"] and rule["late"] else self.bias)
        if rule["current"]:
            c = wrap(decay(self.u, self.current_keep) + c)
        self.u[:] = c
        if rule["current"] and rule["late"]:
            c = c + self.bias
        if reset == "readout":
            self.v[:] = clip(decay(self.v, self.keep) + c)
            self.s_out.send(np.zeros(self.v.shape, np.int32))
            return
        vth = self.vth.astype(np.int64)
        r = (self.v > vth).astype(np.int64)
        if reset == "subtract":
            v1 = clip(decay(self.v, self.keep) + c - r * vth)
        elif reset == "zero" and zero == "leak":
            v1 = clip(decay((1 - r) * self.v, self.keep) + c)
        elif reset == "zero":
            v1 = (1 - r) * clip(decay(self.v, self.keep) + c)
        else:
            v1 = clip(decay(self.v, self.keep) + c)
        s = (v1 > vth).astype(np.int64)
        if not rule["reset_delay"] and reset == "subtract":
            v1 = clip(v1 - (s - r) * vth)
        elif not rule["reset_delay"] and reset == "zero":
            v1 = clip(v1 - (s - r) * v1)
        self.v[:] = v1
        self.s_out.send(s.astype(np.int32))
