"""A run in pieces is the run: states, delays and spikes of earlier pieces are remembered."""

import pytest
import torch

from edge_anp.network import Connection, Layer, Network, begin, end, run
from edge_anp.neurons import LIF, CubaLIF, Readout, Tanh
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT, InputContract


def dense(n, i):
    return Dense((torch.randn(n, i) * 1.5 / i**0.5 * 256).round() / 256)


def rasters():
    """Of dyadic numbers, like the weights: a sum is exact in any order, and how a matrix product orders it depends on the machine."""
    return (torch.randn(13, 4, 3) * 256).round() / 256


def lif(cls=LIF, **more):
    return cls(torch.tensor(0.9), torch.tensor(1.0), **more)


def networks():
    torch.manual_seed(0)
    for neuron in (lif(), lif(reset="zero"), lif(reset_delay=False), lif(CubaLIF, alpha=torch.tensor(0.5)), Tanh()):
        first = Layer(
            (6,),
            (Connection(INPUT, (dense(6, 3),), 2), Connection(0, (dense(6, 6),), 3), Connection(1, (dense(6, 5),), 1)),
            neuron,
        )
        second = Layer((5,), (Connection(0, (dense(5, 6),)), Connection(INPUT, (dense(5, 3),), 5)), neuron)
        last = Layer(
            (2,), (Connection(1, (dense(2, 5),)), Connection(0, (dense(2, 6),), 4)), Readout(torch.tensor(0.9))
        )
        yield Network((first, second, last), InputContract((3,)), "membrane_mean")


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("cuts", [[1] * 13, [5, 8], [2, 1, 10], [13]])
def test_a_run_in_pieces_is_the_run(cuts, grad):
    for net in networks():
        raster = rasters()
        with torch.set_grad_enabled(grad):
            whole, moment, pieces = run(net, raster), begin(net, raster), []
            for piece in raster.split(cuts):
                pieces.append(run(net, piece, start=moment))
                moment = end(moment, piece, pieces[-1])
        tolerance = 1e-5 if isinstance(net.layers[0].neuron, Tanh) else 0  # sums of tanhs are rounded
        for i in range(3):
            together = [(torch.cat([p.spikes[i] for p in pieces]), whole.spikes[i])]
            together += [(torch.cat([p.states[i][name] for p in pieces]), x) for name, x in whole.states[i].items()]
            for got, want in together:
                torch.testing.assert_close(got, want, rtol=0, atol=tolerance)


def test_with_and_without_gradients_the_numbers_are_the_same():
    for net in networks():
        raster = rasters()
        trace = run(net, raster)
        with torch.no_grad():
            other = run(net, raster)
        assert all(torch.equal(a, b) for a, b in zip(trace.spikes, other.spikes, strict=True))
        assert all(torch.equal(a["mem"], b["mem"]) for a, b in zip(trace.states, other.states, strict=True))


def test_added_currents_add():
    """A current into a layer is what a connection would bring."""
    for net in networks():
        raster = rasters()
        xi = [torch.randn(13, 4, layer.size) for layer in net.layers]
        extra = torch.cat([raster, xi[2]], 2)
        last = net.layers[2]
        eye = Connection(INPUT, (Dense(torch.cat([torch.zeros(2, 3), torch.eye(2)], 1)),))
        wide = []
        for layer in net.layers[:2]:
            padded = tuple(
                Connection(c.source, (Dense(torch.cat([c.path[0].weight, torch.zeros(layer.size, 2)], 1)),), c.delay)
                if c.source == INPUT
                else c
                for c in layer.connections
            )
            wide.append(Layer(layer.shape, padded, layer.neuron))
        other = Network(
            (*wide, Layer(last.shape, (*last.connections, eye), last.neuron)), InputContract((5,)), net.decode
        )
        got = run(net, raster, added=[None, None, xi[2]])
        torch.testing.assert_close(got.states[2]["mem"], run(other, extra).states[2]["mem"])
