"""Files of ours are read back as they were written, and lava-dl's netx computes what the reference does."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_anp import netx, reference, simulate
from edge_anp.errors import Unsupported
from edge_anp.integer import LOIHI2, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.synapses import Conv2d, Dense, Map
from edge_anp.topology import INPUT, InputContract
from targets.loihi import net_file, run


def layer(sources, shape, vth, decay=410, current=None, bias=None):
    size = int(np.prod(shape))
    ways = tuple(IntegerConnection(s, (op,), 6, d) for s, op, d in sources)
    u = None if current is None else Leak(np.full(size, 4096 - current), 12)
    neuron = IntegerNeuron(Leak(np.full(size, 4096 - decay), 12), u, np.full(size, vth << 6), "zero", False)
    b = np.zeros(size, np.int64) if bias is None else bias
    return IntegerLayer(shape, ways, b, neuron, np.ones(size), "", "membrane")


RNG = np.random.default_rng(0)


def even(*shape):
    return (2 * RNG.integers(-50, 60, shape)).astype(np.int16)


def networks():
    """By name: every kind of layer that a .net file has."""
    flat = InputContract((20,), high=1)
    odd = RNG.integers(-50, 60, (16, 20)).astype(np.int16)
    split: list[tuple[int, Map, int]] = [(INPUT, Dense(np.maximum(odd, 0)), 0), (INPUT, Dense(np.minimum(odd, 0)), 0)]
    first = layer([(INPUT, Dense(even(16, 20)), 0)], (16,), 150)
    back = layer([(INPUT, Dense(even(16, 20)), 0), (0, Dense(even(16, 16)), 1)], (16,), 150, current=1024)
    last = layer([(0, Dense(even(5, 16)), 0)], (5,), 150, bias=64 * RNG.integers(0, 60, 5))
    image = InputContract((2, 5, 4), high=1)
    conv = Conv2d((2, 5, 4), (3, 2), (1, 2), (1, 0), even(3, 2, 3, 2))
    maps = layer([(INPUT, conv, 0)], (3, 5, 2), 100, bias=np.repeat(64 * RNG.integers(0, 40, 3), 10))
    graded_maps = replace(maps.neuron, vth=np.full(30, 500 << 6))
    flattened = layer([(0, Dense(even(6, 30)), 0)], (6,), 80)
    slow = Leak(np.full(4, 3500), 12)
    read = IntegerLayer(
        (4,), (IntegerConnection(0, (Dense(even(4, 16)),), 6),), np.full(4, 640), IntegerNeuron(slow), np.ones(4)
    )
    graded = layer([(INPUT, Dense(even(16, 20)), 0), (0, Dense(even(16, 16)), 1)], (16,), 900)
    return {
        "graded input": IntegerNetwork(LOIHI2, (graded, last), InputContract((20,), 0.01, 0.5, 9), "first_spike"),
        "graded image": IntegerNetwork(
            LOIHI2, (replace(maps, neuron=graded_maps), flattened), InputContract((2, 5, 4), high=5)
        ),
        "a readout": IntegerNetwork(LOIHI2, (first, read), flat, "membrane_last"),
        "dense": IntegerNetwork(LOIHI2, (first, last), flat),
        "odd weights of both signs": IntegerNetwork(LOIHI2, (layer(split, (16,), 150), last), flat),
        "dense_rec": IntegerNetwork(LOIHI2, (back, last), flat),
        "conv and flatten": IntegerNetwork(LOIHI2, (maps, flattened), image),
    }


def raster(net, *shape):
    """[*shape, I] of what the input may be."""
    rng = np.random.default_rng(1)
    there = rng.random((*shape, net.input.size)) < 0.3
    low = -net.input.high if net.input.high > 1 else 1
    return (there * rng.integers(low, net.input.high + 1, there.shape)).astype(np.int8)


@pytest.mark.parametrize("name", networks())
def test_what_is_written_is_read_back(name, tmp_path):
    net = networks()[name]
    net_file.write(net, tmp_path / "a.net")
    back = netx.read(tmp_path / "a.net")
    assert back.input == net.input
    assert back.decode == net.decode
    x = raster(net, 60, 2)
    want, got = simulate.run(net, x), simulate.run(back, x)
    assert want.spikes[0].any()
    assert want.spikes[-1].any() == (net.layers[-1].neuron.vth is not None)
    assert all(np.array_equal(a, b) for a, b in zip(want.spikes, got.spikes, strict=True))
    assert all(np.array_equal(a["v"], b["v"]) for a, b in zip(want.states, got.states, strict=True))


SCRIPT = """
import sys, types, numpy as np
for name in ("", ".neuron", ".neuron.rf", ".utils"):   # the training half of lava-dl, which needs torch; netx reads without it
    module = types.ModuleType("lava.lib.dl.slayer" + name); module.__path__ = []
    sys.modules[module.__name__] = module
sys.modules["lava.lib.dl.slayer.neuron.rf"].neuron_params = None
torch = types.ModuleType("torch"); torch.Tensor, torch.tensor, torch.nn = object, None, types.SimpleNamespace(Module=object)
sys.modules["torch"] = torch
sys.path.insert(0, sys.argv[1]); import worker.importfix
from lava.lib.dl import netx
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
raster, layers, bits = np.load(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
steps = len(raster)
net = netx.hdf5.Network(net_config=sys.argv[2], reset_interval=steps + layers, reset_offset=1, input_message_bits=bits)
data = np.zeros((*net.inp.shape, steps + layers), int)
x = raster.reshape(steps, *reversed(net.inp.shape))
data[..., :steps] = np.moveaxis(x.transpose(0, *range(x.ndim - 1, 0, -1)), 0, -1)
source, sink = Source(data=data), Sink(shape=net.out.shape, buffer=steps + layers)
source.s_out.connect(net.inp); net.out.connect(sink.a_in)
net.run(condition=RunSteps(steps + layers), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
spikes, v = sink.data.get()[..., layers:].astype(int).T, net.out_layer.neuron.v.get()
net.stop()
np.savez(sys.argv[6], spikes=spikes, v=v)
"""


@pytest.mark.parametrize("name", networks())
def test_lava_dls_netx_gives_the_same_spikes(name, tmp_path):
    """And the same membranes in the end. Each layer lags a step behind what it reads; resets start its bias with its own time."""
    net = networks()[name]
    net_file.write(net, tmp_path / "a.net")
    x = raster(net, 40)
    np.save(tmp_path / "x.npy", x)
    files = [str(tmp_path / n) for n in ("a.net", "x.npy")]
    command = [str(run.find_python()), "-c", SCRIPT, str(run.WORKER.parent), *files, str(len(net.layers))]
    command += ["8" if net.input.high > 1 else "0", str(tmp_path / "out.npz")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    want = reference.run(net, x)
    with np.load(tmp_path / "out.npz") as got:
        assert np.array_equal(got["spikes"].reshape(want.spikes[-1].shape), want.spikes[-1])
        assert np.array_equal(got["v"].reshape(-1), want.states[-1]["v"][-1])


WEIGHTS = """
import contextlib, io, json, sys, warnings
sys.path += sys.argv[1:]; import worker.importfix
warnings.simplefilter("ignore")
import numpy as np
from lava.utils.weightutils import clip_weights, determine_sign_mode, truncate_weights
from netx_weights import is_held
from utils import optimize_weight_bits                  # netx's own, without the rest of netx

def loaded(weight, back):
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            shifted, bits, exponent, _ = optimize_weight_bits(np.hstack((weight, back)) if back is not None else weight.copy())
        except OverflowError:
            return False
    for part, given in ((shifted[:, :3], weight), (shifted[:, 3:], back)):
        if given is not None:
            signs = determine_sign_mode(part)
            got = truncate_weights(clip_weights(part, signs, num_bits=8), signs, int(bits))
            if exponent > 0 or np.any(got * 2.0**exponent != given):
                return False
    return True

rng, ends = np.random.default_rng(0), [0, 1, 2, 63, 64, 127, 128, 129, 200, 254, 255, 256, 257]
def draw():
    low, high, step = -int(rng.choice(ends)), int(rng.choice(ends)), int(rng.choice([1, 2, 64]))
    w = step * (rng.integers(low, high + 1, (2, 3)) // step)
    w[0, rng.integers(0, 3)] = rng.choice([low, high, w[0, 0]])
    return rng.choice([1, 1, 0]) * [w, np.abs(w), -np.abs(w)][rng.integers(3)]
seen = []
for _ in range(4000):
    weight, back = draw(), draw() if rng.random() < 0.5 else None
    held = loaded(weight, back)
    assert held == is_held(weight, back), (held, weight, back)
    seen.append(held)
print(sum(seen), len(seen) - sum(seen))
"""


def test_which_weights_netx_changes():
    """Random matrices at every edge: is_held says what netx's own function and Lava's make of them."""
    (netx_folder,) = run.find_python().parents[1].glob("lib/*/site-packages/lava/lib/dl/netx")
    folders = (run.WORKER.parent, netx_folder, Path(netx.__file__).parent)
    command = [str(run.find_python()), "-c", WEIGHTS, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    held, changed = map(int, done.stdout.split())
    assert min(held, changed) > 500


def test_why_a_network_is_no_net_file():
    net = networks()["dense"]
    a, b = net.layers
    wrong = replace(a, neuron=replace(a.neuron, reset="subtract"), bias=np.ones(16, np.int64))
    skip = replace(b, connections=(*b.connections, IntegerConnection(INPUT, (Dense(even(5, 20)),), 7, 2)))
    reasons = net_file.refusals(replace(net, layers=(wrong, skip)))
    words = ("reset subtract", "multiple of 64", "neither from the layer before", "a weight exponent, 1")
    assert [sum(word in r for r in reasons) for word in words] == [1, 1, 1, 1]
    with pytest.raises(Unsupported, match="multiple of 64"):
        net_file.write(replace(net, layers=(wrong, b)), "never.net")
