"""One neuron, step by step: snnTorch's reset table by heart, the installed snnTorch, and an equation written a second time."""

# torch types a part of a module as Tensor | Module, and snnTorch a parameter as float: neither says what is there.
# pyright: reportArgumentType=false

import pytest
import snntorch as snn
import torch

from edge_anp import neurons
from edge_anp.neurons import LIF, CubaLIF, Readout

INPUTS = (0.6, 0.6, 0.6, 0.0, 0.0, 0.9, 0.9, 0.0)
MEMBRANES = {  # beta .8, threshold 1, reset by subtraction; with and without reset delay (snnTorch 0.9.4 and 1.0.0 agree)
    True: ([0.6, 1.08, 0.464, 0.3712, 0.297, 1.1376, 0.8101, 0.648], "01000100"),
    False: ([0.6, 0.08, 0.664, 0.5312, 0.425, 0.24, 0.092, 0.0736], "01000110"),
}


def ours(neuron: neurons.Neuron, inputs: tuple[float, ...], shape: tuple[int, ...] = (1,)) -> tuple[list[float], str]:
    """The membranes and the spikes of one neuron."""
    state = {name: torch.zeros(1, 1) for name in neurons.state_names(neuron)}
    membranes, spikes = [], ""
    for x in inputs:
        s, state = neurons.step(neuron, shape, [torch.tensor([[x]])], state)
        membranes.append(float(state["mem"]))
        spikes += str(int(s))
    return membranes, spikes


def theirs(cell: snn.SpikingNeuron, inputs: tuple[float, ...]) -> tuple[list[float], str]:
    """The same from a snnTorch neuron with init_hidden."""
    membranes, spikes = [], ""
    with torch.no_grad():
        for x in inputs:
            spikes += str(int(cell(torch.tensor([[x]]))))
            membranes.append(float(cell.mem))
    return membranes, spikes


@pytest.mark.parametrize("delayed", [True, False])
def test_the_reset_table(delayed):
    membranes, spikes = MEMBRANES[delayed]
    lif = LIF(torch.tensor(0.8), torch.tensor(1.0), "subtract", delayed)
    leaky = snn.Leaky(beta=0.8, threshold=1.0, reset_delay=delayed, init_hidden=True)
    for got in (ours(lif, INPUTS), theirs(leaky, INPUTS)):
        assert got == (pytest.approx(membranes, abs=6e-4), spikes)


CONSTANT = (1.5,) * 6


@pytest.mark.parametrize(
    ("cell", "neuron", "spikes"),
    [
        (
            snn.Leaky(beta=0.5, reset_mechanism="zero", init_hidden=True),
            LIF(torch.tensor(0.5), torch.tensor(1.0), "zero"),
            "111111",
        ),
        (
            snn.RLeaky(beta=0.5, V=0.0, all_to_all=False, reset_mechanism="zero", init_hidden=True),
            LIF(torch.tensor(0.5), torch.tensor(1.0), "zero", zero="update"),
            "101010",
        ),
        (
            snn.Synaptic(alpha=0.5, beta=0.5, reset_mechanism="zero", init_hidden=True),
            CubaLIF(torch.tensor(0.5), torch.tensor(1.0), "zero", zero="update", alpha=torch.tensor(0.5)),
            "101010",
        ),
        (
            snn.RSynaptic(alpha=0.5, beta=0.5, V=0.0, all_to_all=False, reset_mechanism="zero", init_hidden=True),
            CubaLIF(torch.tensor(0.5), torch.tensor(1.0), "zero", zero="update", alpha=torch.tensor(0.5)),
            "101010",
        ),
    ],
    ids=["Leaky", "RLeaky", "Synaptic", "RSynaptic"],
)
def test_zero_differs_by_class(cell, neuron, spikes):
    """Leaky empties the membrane and then adds the input; the others lose the input of the step after a spike."""
    assert ours(neuron, CONSTANT) == theirs(cell, CONSTANT)
    assert ours(neuron, CONSTANT)[1] == spikes


def test_an_immediate_reset_gives_back_what_was_due():
    """snnTorch's quirk: a membrane left above its threshold owes a reset; one step later it pays, and gets it back without a spike."""
    inputs = (3.5, 0.0, 0.0, 0.0, 2.25, 0.0)
    for reset in ("subtract", "zero"):
        leaky = snn.Leaky(beta=1.0, reset_mechanism=reset, reset_delay=False, init_hidden=True)
        assert ours(LIF(torch.tensor(1.0), torch.tensor(1.0), reset, False), inputs) == theirs(leaky, inputs)
    assert ours(LIF(torch.tensor(1.0), torch.tensor(1.0), "subtract", False), inputs)[0] == [
        2.5,
        1.5,
        1.5,
        1.5,
        2.75,
        1.75,
    ]


@pytest.mark.parametrize(("beta", "acts"), [(1.3, 1.0), (-0.2, 0.0)])
def test_leaks_outside_zero_and_one_act_clamped(beta, acts):
    for make in (
        lambda b: LIF(b, torch.tensor(9.0)),
        lambda b: CubaLIF(b, torch.tensor(9.0), alpha=b),
        lambda b: Readout(b, b),
    ):
        assert ours(make(torch.tensor(beta)), INPUTS) == ours(make(torch.tensor(acts)), INPUTS)


def test_a_spike_is_strictly_above_the_threshold():
    assert ours(LIF(torch.tensor(0.0), torch.tensor(1.0)), (1.0, 1.0000001, 0.9999999))[1] == "010"


@pytest.mark.parametrize(
    ("value", "shape", "want"),
    [
        (torch.tensor(0.5), (2, 3), 0.5),
        (torch.tensor([[0.5]]), (2, 3), 0.5),
        (torch.tensor([1.0, 2.0]), (2,), [1.0, 2.0]),
        (torch.arange(6.0), (2, 3), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        (torch.tensor([1.0, 2.0, 3.0]), (2, 3), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]),
        (torch.tensor([[1.0], [2.0]]), (2, 3), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]),
        (0.5, (4,), 0.5),
    ],
)
def test_a_parameter_is_one_value_or_one_per_neuron(value, shape, want):
    assert neurons.per_neuron(value, shape).tolist() == want
