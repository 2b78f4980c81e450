"""What feeds what: skip connections by addition and concatenation, loops over layers, delays; and wirings that change from step to step."""

# torch types a part of a module as Tensor | Module, and snnTorch a parameter as float: neither says what is there.
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false

import pytest
import snntorch as snn
import torch
from torch import nn
from torch.nn import functional as F

from edge_anp import network
from edge_anp.errors import Unsupported
from edge_anp.snntorch_model import read
from edge_anp.topology import INPUT

RASTER = torch.rand(9, 2, 8, generator=torch.Generator().manual_seed(0))
IMAGES = torch.rand(9, 2, 2, 6, 6, generator=torch.Generator().manual_seed(1))


class Wired(nn.Module):
    """Three hidden layers of 6, as `way(module, x, past)` wires them; `past[k]` holds the spikes of layer k, oldest first."""

    def __init__(self, way, history: int = 5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inputs = nn.ModuleList(nn.Linear(8, 6) for _ in range(3))
        self.links = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
        self.wide = nn.Linear(20, 6)
        self.lif = nn.ModuleList(snn.Leaky(beta=0.8, threshold=0.4) for _ in range(3))
        self.level = nn.Parameter(torch.ones(2, 6))
        self.way, self.history = way, history

    def fire(self, k: int, current: torch.Tensor) -> torch.Tensor:
        spikes, self.mem[k] = self.lif[k](current, self.mem[k])
        self.past[k] = [*self.past[k][1:], spikes]
        return spikes

    def forward(self, x):
        self.mem = [lif.reset_mem() for lif in self.lif]
        self.past = [[x.new_zeros(x.shape[1], 6)] * self.history for _ in self.lif]
        return torch.stack([self.way(self, x[t]) for t in range(len(x))])


def wiring(way) -> list[list[tuple[int, int, int]]]:
    """Per layer its (source, delay, number of maps)."""
    layers = read(Wired(way), RASTER).network.layers
    return [[(c.source, c.delay, len(c.path)) for c in layer.connections] for layer in layers]


def skip_addition(m, x):
    a = m.fire(0, m.inputs[0](x))
    return m.fire(1, m.links[0](a) + m.inputs[1](x))


def residual(m, x):
    a = m.fire(0, m.inputs[0](x))
    return m.fire(1, torch.add(m.links[0](a), a))


def sum_before_weights(m, x):
    a = m.fire(0, m.inputs[0](x))
    b = m.fire(1, m.links[0](a))
    return m.fire(2, m.links[1](a + b))


def python_sum(m, x):
    a = m.fire(0, m.inputs[0](x))
    b = m.fire(1, m.links[0](a))
    return m.fire(2, sum([m.links[1](a), m.links[2](b), m.inputs[2](x)]))


def in_place(m, x):
    a = m.fire(0, m.inputs[0](x))
    current = m.links[0](a)
    current += m.inputs[1](x)
    return m.fire(1, current)


def concatenation(m, x):
    a = m.fire(0, m.inputs[0](x))
    b = m.fire(1, m.links[0](a))
    return m.fire(2, m.wide(torch.cat([a, torch.cat((x, b), dim=-1)], 1)))


def loop_over_layers(m, x):
    a = m.fire(0, m.inputs[0](x) + m.links[0](m.past[1][-1]))
    return m.fire(1, m.links[1](a))


def loop_by_concatenation(m, x):
    a = m.fire(0, m.wide(torch.cat([x, m.past[0][-1], m.past[1][-1]], 1)))
    return m.fire(1, m.links[1](a))


def delay_of_three(m, x):
    late = m.past[0][-3]
    m.fire(0, m.inputs[0](x))
    return m.fire(1, m.links[0](late))


def own_delayed(m, x):
    return m.fire(0, m.inputs[0](x) + m.links[0](m.past[0][-4]) + m.links[0](m.past[0][-2]))


@pytest.mark.parametrize(
    ("way", "want"),
    [
        (skip_addition, [[(INPUT, 0, 1)], [(0, 0, 1), (INPUT, 0, 1)]]),
        (residual, [[(INPUT, 0, 1)], [(0, 0, 1), (0, 0, 1)]]),
        (sum_before_weights, [[(INPUT, 0, 1)], [(0, 0, 1)], [(0, 0, 1), (1, 0, 1)]]),
        (python_sum, [[(INPUT, 0, 1)], [(0, 0, 1)], [(0, 0, 1), (1, 0, 1), (INPUT, 0, 1)]]),
        (in_place, [[(INPUT, 0, 1)], [(0, 0, 1), (INPUT, 0, 1)]]),
        (concatenation, [[(INPUT, 0, 1)], [(0, 0, 1)], [(0, 0, 1), (INPUT, 0, 1), (1, 0, 1)]]),
        (loop_over_layers, [[(INPUT, 0, 1), (1, 1, 1)], [(0, 0, 1)]]),
        (loop_by_concatenation, [[(INPUT, 0, 1), (0, 1, 1), (1, 1, 1)], [(0, 0, 1)]]),
        (delay_of_three, [[(INPUT, 0, 1)], [(0, 3, 1)]]),
        (own_delayed, [[(INPUT, 0, 1), (0, 4, 1), (0, 2, 1)]]),
    ],
)
def test_wirings_are_read(way, want):
    assert wiring(way) == want


def test_a_concatenation_reads_columns_of_one_matrix():
    """The parts share the module's memory, so training them trains it."""
    module = Wired(concatenation)
    parts = [c.path[0].weight for c in read(module, RASTER).network.layers[2].connections]
    assert [p.shape[1] for p in parts] == [6, 8, 6]
    assert torch.equal(torch.cat(parts, 1), module.wide.weight)
    with torch.no_grad():
        parts[1].zero_()
    assert not module.wide.weight[:, 6:14].any()
    assert module.wide.weight[:, :6].any()


def test_one_bias_is_added_once():
    """The bias of a map over a sum or a concatenation comes with its first part alone."""
    for way in (sum_before_weights, concatenation):
        biases = [c.path[0].bias for c in read(Wired(way), RASTER).network.layers[2].connections]
        assert biases[0] is not None
        assert biases[1:] == [None] * (len(biases) - 1)


class Images(nn.Module):
    """Spikes and input, concatenated as channels or added as currents, pooled and normalized."""

    def __init__(self, way) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.c1, self.c2, self.c3 = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(2, 3, 1)
        self.c4, self.fc, self.grouped = nn.Conv2d(5, 2, 3), nn.Linear(5 * 36, 4), nn.Conv2d(5, 5, 3, groups=5)
        self.norm = nn.BatchNorm2d(3)
        self.norm.running_mean.normal_()
        self.norm.weight.data.normal_()
        self.norm.bias.data.normal_()
        self.lif1, self.lif2 = (snn.Leaky(beta=0.8, threshold=0.4, init_hidden=True) for _ in range(2))
        self.way = way

    def forward(self, x):
        return self.lif2(self.way(self, self.lif1(self.c1(x)), x))


@pytest.mark.parametrize(
    "way",
    [
        lambda m, s, x: m.norm(m.c2(s)) + m.c3(x),
        lambda m, s, x: m.norm(m.c2(s) + m.c3(x)),
        lambda m, s, x: F.avg_pool2d(m.c2(s) + m.c3(x), 2, padding=1),
        lambda m, s, x: F.max_pool2d(m.c2(s), 2) + F.max_pool2d(m.c3(x), 2),
        lambda m, s, x: m.c4(torch.cat([s, x], 1)),
        lambda m, s, x: m.c4(F.max_pool2d(torch.cat([x, s], 1), 2)),
        lambda m, s, x: m.c4(F.avg_pool2d(torch.cat([s, x], 1), 2, padding=1)),
        lambda m, s, x: m.fc(torch.cat([s, x], 1).flatten(1)),
        lambda m, s, x: m.fc(torch.cat([s.flatten(1), x.flatten(1)], 1)),
    ],
)
def test_images_meet(way):
    """read() compares with the module; a long run of noise does so once more."""
    module = Images(way)
    net = read(module, IMAGES).network
    assert [c.source for c in net.layers[1].connections] in ([0, INPUT], [INPUT, 0])
    noise = torch.randn(60, 2, 2, 6, 6, generator=torch.Generator().manual_seed(2))
    module.eval()
    for cell in (module.lif1, module.lif2):
        cell.reset_mem()
    with torch.no_grad():
        theirs = torch.stack([module(x) for x in noise]).flatten(2)
        ours = network.run(net, noise.flatten(2)).spikes[-1]
    assert theirs.any()
    assert (theirs != ours).float().mean() < 0.01


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        (lambda m, s, x: F.max_pool2d(m.c2(s) + m.c3(x), 2), "takes the maximum of a sum of several sources; pool each before"),
        (lambda m, s, x: m.grouped(torch.cat([s, x], 1)), r"grouped \(Conv2d\) convolves a concatenation in groups"),
        (lambda m, s, x: torch.cat([m.c2(s), m.c3(x)], 1), "a concatenation follows c2"),
        (lambda m, s, x: m.c2(s) + m.norm.bias.reshape(1, 3, 1, 1).expand(2, 3, 6, 6), "lif2"),
        (lambda m, s, x: m.c2(s) + m.c3(x).mean((2, 3), keepdim=True), "lif2"),
        (lambda m, s, x: m.c2(s) + m.c2.bias[:, None, None], r"adds shapes \(2, 3, 6, 6\) and \(3, 1, 1\); they must be equal"),
    ],
)  # fmt: skip
def test_sums_and_concatenations_without_counterpart_are_refused(way, reason):
    with pytest.raises(Unsupported, match=reason):
        read(Images(way), IMAGES)


def alternating(m, x):
    m.count = getattr(m, "count", 0) + 1
    a = m.fire(0, m.inputs[0](x))
    return m.fire(1, m.links[m.count % 2](a))


def no_feedback_at_first(m, x):
    """The feedback's bias is missing in the first step."""
    m.count = getattr(m, "count", 0) + 1
    back = m.links[0](m.past[1][-1]) if m.past[1][-1].any() else 0
    a = m.fire(0, m.inputs[0](x) + back)
    return m.fire(1, m.inputs[1](x) + m.links[1](a))


def membrane(m, x):
    m.fire(0, m.inputs[0](x))
    return m.fire(1, m.links[0](m.mem[0]))


def same_neuron_twice(m, x):
    a = m.fire(0, m.inputs[0](x))
    return m.fire(0, m.links[0](a))


def bias_by_hand(m, x):
    return m.fire(0, m.inputs[0](x) + m.inputs[0].bias)


def parameter_as_signal(m, x):
    return m.fire(0, m.level)


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        (alternating, "lif.1: what feeds it in step . differs from step 8; connections must be the same in every step"),
        (no_feedback_at_first, "lif.0: what feeds it in step 0 differs from step 8"),
        (membrane, "lif.1: it reads the membrane of lif.0; only spikes travel between layers"),
        (same_neuron_twice, "its neurons were called 18 times in 9 steps; call each once a step"),
        (bias_by_hand, "lif.0: forward: adds inputs.0.bias by hand; give it to the Linear or Conv as its bias"),
        (parameter_as_signal, "lif.0: the parameter level feeds it as a signal; make it the bias"),
    ],
)
def test_wirings_that_no_network_holds_are_refused(way, reason):
    with pytest.raises(Unsupported, match=reason):
        read(Wired(way), RASTER)


def future(m, x):
    raise NotImplementedError


class SeesTheFuture(Wired):
    def forward(self, x):
        self.mem = [lif.reset_mem() for lif in self.lif]
        self.past = [[x[0]]] * 3
        return torch.stack([self.fire(0, self.inputs[0](x[min(t + 1, len(x) - 1)])) for t in range(len(x))])


def test_a_step_that_lies_ahead_is_refused():
    with pytest.raises(Unsupported, match="in step 0 it reads step 1, which lies in the future"):
        read(SeesTheFuture(future), RASTER)
