"""lava-dl's own networks and recorded traces come out of our integers, and files of ours go into lava-dl's netx."""

import gzip
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edge_anp import netx, reference, simulate, sources
from edge_anp.errors import BadFile, Unsupported
from edge_anp.integer import LOIHI2, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.synapses import Conv2d, Dense, Map
from edge_anp.topology import INPUT, InputContract

DATA = Path(os.environ.get("EDGE_ANP_DATA", "absent"))
NETX = DATA / "lava_dl_netx"
needs_netx = pytest.mark.skipif(not NETX.is_dir(), reason="EDGE_ANP_DATA has no lava_dl_netx")
needs_mnist = pytest.mark.skipif(not (DATA / "mnist").is_dir(), reason="EDGE_ANP_DATA has no mnist")


def arrays(name):
    with np.load(NETX / "gts" / name, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def lava_steps(raster):
    """[I, T] of a recording as [T, I]: what goes in at a step arrives at the next."""
    return np.pad(raster.T, ((1, 0), (0, 0)))[:-1]


def layer(sources, shape, vth, decay=410, current=None, bias=None):
    size = int(np.prod(shape))
    ways = tuple(IntegerConnection(s, (op,), 6, d) for s, op, d in sources)
    u = None if current is None else Leak(np.full(size, 4096 - current), 12)
    neuron = IntegerNeuron(Leak(np.full(size, 4096 - decay), 12), u, np.full(size, vth << 6), "zero", False)
    b = np.zeros(size, np.int64) if bias is None else bias
    return IntegerLayer(shape, ways, b, neuron, np.ones(size), "", "membrane")


@needs_netx
def test_the_recorded_dense_layer():
    truth = arrays("dense.npz")
    (one,) = (layer([(INPUT, Dense(truth["weight"]), 0)], (256,), 6, 415),)
    net = IntegerNetwork(LOIHI2, (one,), InputContract((200,), high=1))
    spikes = simulate.run(net, lava_steps(truth["in"])[:, None]).spikes[0][:, 0]
    assert truth["out"].sum() == 1826
    assert int((spikes != truth["out"].T).sum()) == 0


@needs_netx
def test_the_recorded_oxford_layer_through_its_file():
    truth = arrays("oxford.npz")
    net = netx.read(NETX / "nets/tut__slayer__oxford__Trained__network.net")
    spikes = simulate.run(net, lava_steps(truth["gts_in"])[:, None]).spikes[0][:, 0]
    assert truth["gts_out"].any()
    assert int((spikes != truth["gts_out"].T).sum()) == 0


def mnist_answers(net, images):
    """32 steps of Lava: a neuron a pixel, v += pixel / 255, a spike and v = 0 past 1; its spikes arrive a step later."""
    v, raster = np.zeros(images.shape), np.zeros((32, *images.shape), np.int8)
    for t in range(31):
        v += images / 255
        raster[t + 1] = v > 1
        v[v > 1] = 0
    return simulate.run(net, raster).spikes[-1].sum(0).argmax(1)


@needs_netx
@needs_mnist
@pytest.mark.slow
def test_the_mnist_tutorial_network():
    net = sources.open_model(str(NETX / "nets/tut__netx__mnist__trained_mnist_network.net")).network
    images = np.frombuffer(gzip.decompress((DATA / "mnist/t10k-images-idx3-ubyte.gz").read_bytes())[16:], np.uint8)
    labels = np.frombuffer(gzip.decompress((DATA / "mnist/t10k-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8)
    images = images.reshape(-1, 784).astype(np.float64)
    answers = np.concatenate([mnist_answers(net, images[k : k + 1000]) for k in range(0, 10_000, 1000)])
    assert (answers[:25] == labels[:25]).all()
    assert int((answers == labels).sum()) == 9524


@needs_netx
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("test__netx__tiny.net", "layer 0: an input layer with neurons of its own"),
        ("tut__netx__recurrent_example__recurrent_example__hist_d894f4f.net", "layer 0 has no type: it is empty"),
    ],
)
def test_what_is_not_known_is_refused_by_name(name, words):
    with pytest.raises(Unsupported, match=words):
        netx.read(NETX / "nets" / name)


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
    flattened = layer([(0, Dense(even(6, 30)), 0)], (6,), 80)
    return {
        "dense": IntegerNetwork(LOIHI2, (first, last), flat),
        "odd weights of both signs": IntegerNetwork(LOIHI2, (layer(split, (16,), 150), last), flat),
        "dense_rec": IntegerNetwork(LOIHI2, (back, last), flat),
        "conv and flatten": IntegerNetwork(LOIHI2, (maps, flattened), image),
    }


@pytest.mark.parametrize("name", networks())
def test_what_is_written_is_read_back(name, tmp_path):
    net = networks()[name]
    netx.write(net, tmp_path / "a.net")
    back = netx.read(tmp_path / "a.net")
    assert back.input == net.input
    x = (np.random.default_rng(1).random((60, 2, net.input.size)) < 0.3).astype(np.int8)
    want, got = simulate.run(net, x), simulate.run(back, x)
    assert want.spikes[-1].any()
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
raster, layers = np.load(sys.argv[3]), int(sys.argv[4])
steps = len(raster)
net = netx.hdf5.Network(net_config=sys.argv[2], reset_interval=steps + layers, reset_offset=1)
data = np.zeros((*net.inp.shape, steps + layers), int)
x = raster.reshape(steps, *reversed(net.inp.shape))
data[..., :steps] = np.moveaxis(x.transpose(0, *range(x.ndim - 1, 0, -1)), 0, -1)
source, sink = Source(data=data), Sink(shape=net.out.shape, buffer=steps + layers)
source.s_out.connect(net.inp); net.out.connect(sink.a_in)
net.run(condition=RunSteps(steps + layers), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
np.save(sys.argv[5], sink.data.get()[..., layers:].astype(int).T); net.stop()
"""


@pytest.mark.parametrize("name", networks())
def test_lava_dls_netx_gives_the_same_spikes(name, tmp_path):
    """Each layer lags a step behind what it reads; reset_interval and reset_offset start its bias when its own time starts."""
    from targets.loihi import run

    net = networks()[name]
    netx.write(net, tmp_path / "a.net")
    x = (np.random.default_rng(1).random((40, net.input.size)) < 0.3).astype(np.int8)
    np.save(tmp_path / "x.npy", x)
    files = [str(tmp_path / n) for n in ("a.net", "x.npy")]
    command = [str(run.find_python()), "-c", SCRIPT, str(run.WORKER.parent), *files, str(len(net.layers))]
    done = subprocess.run(
        [*command, str(tmp_path / "out.npy")], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    want = reference.run(net, x).spikes[-1]
    assert want.any()
    assert np.array_equal(np.load(tmp_path / "out.npy").reshape(want.shape), want)


def test_why_a_network_is_no_net_file():
    net = networks()["dense"]
    a, b = net.layers
    from dataclasses import replace

    wrong = replace(a, neuron=replace(a.neuron, reset="subtract"), bias=np.ones(16, np.int64))
    skip = replace(b, connections=(*b.connections, IntegerConnection(INPUT, (Dense(even(5, 20)),), 7, 2)))
    reasons = netx.refusals(replace(net, layers=(wrong, skip)))
    words = ("no reset to zero", "multiple of 64", "neither from the layer before", "a weight exponent, 1")
    assert [sum(word in r for r in reasons) for word in words] == [1, 1, 1, 1]
    with pytest.raises(Unsupported, match="multiple of 64"):
        netx.write(replace(net, layers=(wrong, b)), "never.net")


@pytest.mark.parametrize("content", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n" + bytes(200)])
def test_a_file_that_is_none_is_one_clear_error(content, tmp_path):
    (tmp_path / "a.net").write_bytes(content)
    with pytest.raises(BadFile, match="netx reads it"):
        netx.read(tmp_path / "a.net")
    with pytest.raises(BadFile, match="no such file"):
        netx.read(tmp_path / "b.net")
