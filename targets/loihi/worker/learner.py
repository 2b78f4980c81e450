"""A chain of learning layers in Lava: LearningDense, a three-factor rule, perturbed neurons, and the third factor from outside."""

import numpy as np
from lava.magma.core.learning.learning_rule import Loihi3FLearningRule
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.models import PyLearningDenseModelBitApproximate
from lava.proc.dense.process import LearningDense
from lava.proc.io.sink import PyReceiveModelFixed
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import PySendModelFixed
from lava.proc.io.source import RingBuffer as Source
from lava.utils.weightutils import SignMode
from worker.processes.perturbed import Perturbed, PyPerturbed

MODELS = {
    Source: PySendModelFixed,
    Sink: PyReceiveModelFixed,
    LearningDense: PyLearningDenseModelBitApproximate,
    Perturbed: PyPerturbed,
}
MEMORY = {LearningDense: ("a_buff", "tag_1", "x1"), Perturbed: ("v", "clean")}


class Chain:
    """The processes; `layers` holds (synapses, neurons, noise, third factor, sink) of each layer."""

    def __init__(self, description, arrays):
        self.source = Source(data=np.zeros((description["inputs"], 1), np.int32))
        self.processes, self.layers, spikes = [self.source], [], self.source.s_out
        for k, layer in enumerate(description["learning"]):
            self.layers.append(self._layer(layer, arrays[f"w{k}"].astype(np.int32), spikes))
            spikes = self.layers[-1][1].s_out

    def _layer(self, layer, w, spikes):
        traces = {"x1_impulse": layer["impulse"], "x1_tau": layer["tau"], "rng_seed": layer["seed"], "t_epoch": 1}
        rule = Loihi3FLearningRule(dw=layer["dw"], dt=layer["dt"], **traces)
        shape = (len(w),)
        synapses = LearningDense(weights=w, learning_rule=rule, sign_mode=SignMode.MIXED)
        neurons = Perturbed(shape=shape, learning_rule=rule, dv=layer["dv"], vth=layer["vth"], sends=layer["sends"])
        noise, third = (Source(data=np.zeros((*shape, 1), np.int32)) for _ in range(2))
        sink = Sink(shape=shape, buffer=1)
        spikes.connect(synapses.s_in)
        synapses.a_out.connect(neurons.a_in)
        noise.s_out.connect(neurons.noise_in)
        third.s_out.connect(neurons.a_third_factor_in)
        neurons.s_out_bap.connect(synapses.s_in_bap)
        for name in ("y1", "y2", "y3"):
            getattr(neurons, f"s_out_{name}").connect(getattr(synapses, f"s_in_{name}"))
        neurons.s_out.connect(sink.a_in)
        self.processes += [synapses, neurons, noise, third, sink]
        return synapses, neurons, noise, third, sink

    def config(self):
        return Loihi2SimCfg(
            select_tag="fixed_pt", exception_proc_model_map={p: MODELS[type(p)] for p in self.processes}
        )

    def memory(self):
        return [(p, getattr(p, name)) for p in self.processes for name in MEMORY.get(type(p), ())]


def run(chain, machine, asked):
    """asked: x [T, I], noise<k>, third<k> [T, N], clear [1] -> spikes<k> [T, N], w<k> [N, I], and with watch [1] w<k> of every step."""
    if asked["clear"][0]:
        machine.clear()
    watch, kept = bool(asked["watch"][0]), {f"{n}{k}": [] for n in ("spikes", "w") for k in range(len(chain.layers))}
    for t, x in enumerate(asked["x"]):
        machine.set(chain.source, "data", x[:, None])
        for k, (_, _, noise, third, _) in enumerate(chain.layers):
            machine.set(noise, "data", asked[f"noise{k}"][t][:, None])
            machine.set(third, "data", asked[f"third{k}"][t][:, None])
        machine.step()
        for k, (synapses, _, _, _, sink) in enumerate(chain.layers):
            kept[f"spikes{k}"].append(np.array(machine.get(sink, "data"))[:, 0])
            if watch or t == len(asked["x"]) - 1:
                kept[f"w{k}"].append(np.array(machine.get(synapses, "weights")))
    return {name: np.array(rows) if watch or name[0] == "s" else rows[-1] for name, rows in kept.items()}
