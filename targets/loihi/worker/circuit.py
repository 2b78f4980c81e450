"""lava.npz as Lava processes: a source, a synapse process a connection, a neuron process a layer, and a sink that shows its spikes."""

import json
from dataclasses import dataclass, field

import numpy as np
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.conv.models import PyConvModelFixed
from lava.proc.conv.process import Conv
from lava.proc.dense.models import PyDenseModelBitAcc
from lava.proc.dense.process import Dense
from lava.proc.io.sink import PyReceiveModelFixed
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import PySendModelFixed
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.models import PyLifModelBitAcc
from lava.proc.lif.process import LIF
from lava.utils.weightutils import SignMode
from worker.processes.delay import Delay, PyDelay
from worker.processes.neuron import Neuron, PyNeuron

MODELS = {
    Source: PySendModelFixed,
    Sink: PyReceiveModelFixed,
    Dense: PyDenseModelBitAcc,
    Conv: PyConvModelFixed,
    LIF: PyLifModelBitAcc,
    Neuron: PyNeuron,
    Delay: PyDelay,
}
MEMORY = {Dense: ("a_buff",), Conv: ("a_buf",), LIF: ("u", "v"), Neuron: ("u", "v"), Delay: ("past",)}
BIAS = {LIF: "bias_mant", Neuron: "bias"}


@dataclass
class Population:
    """Neurons of one layer in one process, mostly all of them. order: where they stand in it; lag: steps behind the input."""

    layer: int
    process: object
    sink: object
    lag: int
    order: np.ndarray
    bias: object  # an array in Lava's order; None for none


@dataclass
class Circuit:
    """All processes of a network. order: where the source's values stand in the input."""

    source: object
    order: np.ndarray
    layers: list
    populations: list
    processes: list = field(default_factory=list)

    @property
    def latency(self):
        """The largest lag."""
        return max(p.lag for p in self.populations)

    def config(self):
        """Lava's fixed-point models, process by process, so that it need not search for them."""
        return Loihi2SimCfg(
            select_tag="fixed_pt", exception_proc_model_map={p: MODELS[type(p)] for p in self.processes}
        )

    def memory(self):
        """Every variable that a sample leaves behind."""
        return [(p, getattr(p, name)) for p in self.processes for name in MEMORY.get(type(p), ())]


def read(path):
    """(description, arrays) of lava.npz."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(bytes(arrays.pop("header")).decode()), arrays


def build(description, arrays):
    """The circuit that a lava.npz describes."""
    shape = tuple(description["input"]["shape"])
    source = Source(data=np.zeros((*shape, 1), np.int32))
    circuit = Circuit(source, arrays["input_order"], description["layers"], [], [source])
    for p, people in enumerate(description["populations"]):
        process = _neuron(people, arrays, p)
        sink = Sink(shape=process.s_out.shape, buffer=1)
        process.s_out.connect(sink.a_in)
        circuit.processes += [process, sink]
        place = (people["layer"], process, sink, people["lag"], arrays[f"order{p}"], arrays.get(f"bias{p}"))
        circuit.populations.append(Population(*place))
    for k, synapse in enumerate(description["synapses"]):
        spikes = source.s_out if synapse["source"] < 0 else circuit.populations[synapse["source"]].process.s_out
        if synapse["late"]:
            delay = Delay(shape=spikes.shape, steps=synapse["late"])
            spikes.connect(delay.s_in)
            spikes = delay.s_out
            circuit.processes.append(delay)
        process = _synapse(synapse, arrays[f"weight{k}"])
        circuit.processes.append(process)
        _join(spikes, process.s_in)
        _join(process.a_out, circuit.populations[synapse["target"]].process.a_in)
    return circuit


def _join(out, into):
    """Connect two ports; an image is read as a flat vector, or a flat vector as an image."""
    (out if out.shape == into.shape else out.reshape(into.shape)).connect(into)


def _neuron(people, arrays, p):
    shape = tuple(people["shape"])
    silent = np.zeros(shape, np.int32)
    if people["process"] == "LIF":
        exponent = arrays[f"exponent{p}"].reshape(shape) if f"exponent{p}" in arrays else silent
        return LIF(
            shape=shape, du=people["du"], dv=people["dv"], vth=people["vth"], bias_mant=silent, bias_exp=exponent
        )
    current = arrays.get(f"current_keep{p}")
    return Neuron(
        shape=shape,
        keep=arrays[f"keep{p}"].reshape(shape),
        current_keep=None if current is None else current.reshape(shape),
        vth=arrays[f"vth{p}"].reshape(shape) if f"vth{p}" in arrays else 0,
        bias=silent,
        bias_into=people["bias_into"],
        reset=people["reset"],
        zero=people["zero"],
        reset_delay=people["reset_delay"],
    )


def _synapse(synapse, weight):
    if synapse["process"] == "Conv":
        return Conv(
            weight=weight.astype(np.int32) << synapse["exponent"],  # Lava's fixed-point Conv ignores weight_exp
            input_shape=tuple(synapse["input_shape"]),
            padding=tuple(synapse["padding"]),
            stride=tuple(synapse["stride"]),
            groups=synapse["groups"],
            num_message_bits=synapse["message_bits"],
        )
    return Dense(
        weights=weight.astype(np.int32),
        weight_exp=synapse["exponent"],
        sign_mode=SignMode[synapse["sign"]],
        num_message_bits=synapse["message_bits"],
    )
