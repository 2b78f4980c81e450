"""lava-dl's own networks and recorded traces come out of our integers; what is no such file is refused by name."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from edge_anp import netx, simulate, sources
from edge_anp.errors import BadFile, Unsupported
from edge_anp.integer import LOIHI2, IntegerConnection, IntegerLayer, IntegerNetwork, IntegerNeuron, Leak
from edge_anp.synapses import Dense
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


@pytest.mark.parametrize("content", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n" + bytes(200)])
def test_a_file_that_is_none_is_one_clear_error(content, tmp_path):
    (tmp_path / "a.net").write_bytes(content)
    with pytest.raises(BadFile, match="netx reads it"):
        netx.read(tmp_path / "a.net")
    with pytest.raises(BadFile, match="no such file"):
        netx.read(tmp_path / "b.net")
