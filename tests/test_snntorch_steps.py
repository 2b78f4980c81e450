"""However a module is stepped (its own loop, a step a call, a static input, states as arguments), the same network is read."""

# torch types a part of a module as Tensor | Module, and snnTorch a parameter as float: neither says what is there.
# pyright: reportArgumentType=false

import pytest
import snntorch as snn
import torch
from snntorch import utils
from torch import nn

from edge_anp import snntorch_steps
from edge_anp.errors import Unsupported
from edge_anp.snntorch_model import read
from edge_anp.topology import INPUT

RASTER = torch.rand(6, 2, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """The tutorials' four parts; subclasses step them."""

    def __init__(self, hidden: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1 = nn.Linear(8, 6)
        self.lif1 = snn.Leaky(beta=0.9, init_hidden=hidden)
        self.fc2 = nn.Linear(6, 4)
        self.lif2 = snn.RLeaky(beta=0.8, linear_features=4, init_hidden=hidden)

    def step(self, x, mem1, spk2, mem2):
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        return mem1, *self.lif2(self.fc2(spk1), spk2, mem2)

    def loop(self, rows):
        state, out = (self.lif1.reset_mem(), *self.lif2.reset_mem()), []
        for x in rows:
            state = self.step(x, *state)
            out.append(state[1])
        return torch.stack(out)


class OwnLoop(Net):
    def forward(self, x):
        return self.loop([x[t] for t in range(x.size(0))])


class Iterated(Net):
    def forward(self, x):
        return {"spikes": self.loop(x)}


class Unbound(Net):
    def forward(self, x):
        return self.loop(x.unbind(0))


class HoistedLinear(Net):
    def forward(self, x):
        currents = self.fc1(x)
        mem1, (spk2, mem2), out = self.lif1.init_leaky(), self.lif2.init_rleaky(), []
        for t in range(len(x)):
            spk1, mem1 = self.lif1(currents[t, :], mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), spk2, mem2)
            out += [(spk2, mem2)]
        return torch.stack([s for s, _ in out]), torch.stack([m for _, m in out])


class Zeros(Net):
    def forward(self, x):
        zeros = lambda n: torch.zeros(x.shape[1], n)  # noqa: E731
        mem1, spk2, mem2, out = zeros(6), zeros(4), zeros(4), []
        for t in range(len(x)):
            mem1, spk2, mem2 = self.step(x[t, ...], mem1.detach(), spk2, mem2=mem2)
            out.append(spk2)
        return torch.stack(out).sum(0)


class Static(Net):
    def forward(self, x):
        return self.loop([x] * 25)


class StaticCount(Net):
    def forward(self, x, num_steps):
        return self.loop([x] * num_steps)


class Hidden(Net):
    def __init__(self):
        super().__init__(hidden=True)

    def forward(self, x):
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))


class HiddenLoop(Hidden):
    def forward(self, x):
        utils.reset(self)
        return torch.stack([super(HiddenLoop, self).forward(x[t]) for t in range(len(x))])


class States(Net):
    def forward(self, x, mem1, spk2, mem2):
        mem1, spk2, mem2 = self.step(x, mem1, spk2, mem2)
        return spk2, {"mem1": mem1, "mem2": mem2}


class OptionalStates(Net):
    def forward(self, x, mem1=None, spk2=None, mem2=None):
        return self.step(x, mem1, spk2, mem2)


def sequential() -> nn.Sequential:
    net = Hidden()
    return nn.Sequential(net.fc1, net.lif1, nn.Sequential(net.fc2, net.lif2))


STYLES = {
    "raster": (OwnLoop, Iterated, Unbound, HoistedLinear, Zeros, HiddenLoop),
    "step": (Hidden, sequential, OptionalStates),
    "static": (Static, StaticCount),
    "states": (States,),
}


@pytest.mark.parametrize(("style", "make"), [(s, m) for s, ms in STYLES.items() for m in ms])
def test_every_style_is_the_same_network(style, make):
    module = make()
    assert snntorch_steps.follow(module, RASTER).style == style
    reading = read(module, RASTER)
    hidden, out = reading.network.layers
    assert [(c.source, c.delay, len(c.path)) for c in hidden.connections] == [(INPUT, 0, 1)]
    assert [(c.source, c.delay, len(c.path)) for c in out.connections] == [(0, 0, 1), (1, 1, 1)]
    net = Net()
    for mine, connection in zip(
        (net.fc1, net.fc2, net.lif2.recurrent), (*hidden.connections, *out.connections), strict=True
    ):
        assert torch.equal(connection.path[0].weight, mine.weight)
        assert torch.equal(connection.path[0].bias, mine.bias)
    assert (reading.network.input.shape, reading.network.decode, reading.notes) == ((8,), "count", ())


@pytest.mark.parametrize("num_steps", [None, 9])
def test_num_steps_goes_to_a_forward_that_asks_for_it(num_steps):
    assert snntorch_steps.follow(StaticCount(), RASTER, num_steps).steps == (num_steps or len(RASTER))


class FourSteps(Net):
    def forward(self, x):
        return self.loop([x[t] for t in range(4)])


def test_a_loop_over_fewer_steps_than_shown_is_read_with_those():
    assert snntorch_steps.follow(FourSteps(), RASTER).steps == 4
    assert len(read(FourSteps(), RASTER).network.layers) == 2


class Forgetful(Net):
    def forward(self, x):
        return self.step(x, self.lif1.init_leaky(), *self.lif2.init_rleaky())


class Clamped(Net):
    def forward(self, x):
        state, out = (self.lif1.reset_mem(), *self.lif2.reset_mem()), []
        for t in range(len(x)):
            mem1, spk2, mem2 = self.step(x[t], *state)
            state = (mem1, spk2, mem2.clamp(-1, 1))
            out.append(spk2)
        return torch.stack(out)


class Loud(Net):
    def forward(self, x):
        state, out = (torch.ones(x.shape[1], 6), *self.lif2.reset_mem()), []
        for t in range(len(x)):
            state = self.step(x[t], *state)
            out.append(state[1])
        return torch.stack(out)


class Swapped(Net):
    """The membrane of a recurrent neuron in place of its spikes."""

    def forward(self, x):
        mem1, (spk2, mem2), out = self.lif1.reset_mem(), self.lif2.reset_mem(), []
        for t in range(len(x)):
            mem1, spk2, mem2 = self.step(x[t], mem1, mem2, mem2)
            out.append(spk2)
        return torch.stack(out)


class Keeps(Net):
    def forward(self, x, mem1, spk2, mem2):
        mem1, spk2, mem2 = self.step(x, mem1, spk2, mem2)
        return spk2, mem2


class Extra(Net):
    def forward(self, x, gain, mem1, spk2, mem2):
        mem1, spk2, mem2 = self.step(x, mem1, spk2, mem2)
        return spk2, mem1, mem2


class Twice(Net):
    def forward(self, x):
        state, out = (self.lif1.reset_mem(), *self.lif2.reset_mem()), []
        for t in range(len(x)):
            for _ in range(2 if t else 1):
                spk1, mem1 = self.lif1(self.fc1(x[t]), state[0])
                state = (mem1, *state[1:])
            spk2, mem2 = self.lif2(self.fc2(spk1), *state[1:])
            state = (mem1, spk2, mem2)
            out.append(spk2)
        return torch.stack(out)


class BatchFirst(Net):
    def forward(self, x):
        return self.loop([x[:, t] for t in range(x.size(1))])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Forgetful, "lif1: mem is not what the neuron left there one step before; .*loop over the steps inside it"),
        (Clamped, "lif2: mem is not what the neuron left there one step before"),
        (Loud, "lif1: mem does not start at zero; start every sample from silence"),
        (Swapped, "lif2: spk is not what the neuron left there one step before"),
        (Keeps, "forward takes mem1 as lif1.mem but does not return the new one; return it"),
        (Extra, "forward takes gain, but it became no neuron's state; take x alone"),
        (Twice, "its neurons were called unequal numbers of times: lif1 11, lif2 6"),
        (BatchFirst, r"takes a part of a tensor; only one step of a raster can be picked \(time first: x\[step\]\)"),
        (
            lambda: nn.Sequential(nn.Linear(8, 6), snn.Leaky(beta=0.9), nn.Linear(6, 4), snn.Leaky(beta=0.9)),
            "could not be stepped.*as one step per call: TypeError: linear.*must be Tensor, not tuple",
        ),
        (
            lambda: nn.Sequential(nn.Linear(7, 6), snn.Leaky(beta=0.9, init_hidden=True)),
            "as a loop over the raster: .*8 and 7x6",
        ),
    ],
)
def test_a_module_that_keeps_no_time_is_refused(make, reason):
    with pytest.raises(Unsupported, match=f"(?s){reason}"):
        read(make(), RASTER)
