"""A Network is the snnTorch module it was read from, step for step: every neuron, reset, recurrence and layer kind.

Two laws. Where sums and products of weights are exact in float32 (dyadic weights), every membrane is equal to the last bit, because the
update runs in snnTorch's own order. With arbitrary weights a first difference lies within 1e-5 of the threshold, relative to the
largest membrane.
"""

# torch types a part of a module as Tensor | Module, and snnTorch a parameter as float: neither says what is there.
# pyright: reportArgumentType=false, reportCallIssue=false

from collections import Counter
from dataclasses import dataclass
from math import prod
from random import Random

import pytest
import snntorch as snn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from edge_anp import network
from edge_anp.network import Connection, Layer, Network
from edge_anp.neurons import LIF, Readout, per_neuron
from edge_anp.snntorch_model import read
from edge_anp.synapses import Dense, Diagonal
from edge_anp.topology import INPUT, InputContract

STEPS, BATCH = 200, 2
CASES = [
    (kind, reset, delayed, loop)
    for kind in ("Leaky", "RLeaky", "Synaptic", "RSynaptic")
    for reset in ("subtract", "zero", "none")
    for delayed in (True, False)
    for loop in (("V", "dense", "conv") if kind[0] == "R" else ("",))
    if delayed or kind != "RSynaptic"  # a snnTorch bug: RSynaptic fails without reset delay
]
EXAMPLES = settings(max_examples=max(1, settings().max_examples // 40))  # of each case: 1, or 2 in CI
IMAGE, LINE, FLAT = (2, 7, 6), (2, 9), (6,)


@dataclass
class Numbers:
    """Weights and parameters: dyadic with few bits, so that float32 sums them exactly in any order, or arbitrary."""

    exact: bool
    random: torch.Generator

    def weight(self, *shape: int) -> Tensor:
        if self.exact:
            return torch.randint(-8, 9, shape, generator=self.random) / 8
        return torch.randn(shape, generator=self.random)

    def power(self, *shape: int) -> Tensor:
        """1/2, 1 or 2, or about that."""
        if self.exact:
            return 2.0 ** torch.randint(-1, 2, shape, generator=self.random)
        return 0.5 + torch.rand(shape, generator=self.random)

    def between(self, low: float, high: float, shape: tuple[int, ...] = ()) -> Tensor:
        """A leak or threshold: any number, since it is no part of a sum of weights."""
        return low + (high - low) * torch.rand(shape, generator=self.random)

    def raster(self, shape: tuple[int, ...], steps: int = STEPS) -> Tensor:
        full = (steps, BATCH, *shape)
        if self.exact:
            return torch.randint(-2, 5, full, generator=self.random) / 2
        return 0.5 + torch.randn(full, generator=self.random)


@dataclass
class Drawing:
    """A sequence of modules on the way: what came so far, and the shape in which it arrives."""

    random: Random
    numbers: Numbers
    shape: tuple[int, ...]
    modules: list[nn.Module]

    def add(self, module: nn.Module) -> None:
        with torch.no_grad():
            for m in module.modules():
                if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d):
                    m.weight.copy_(self.numbers.weight(*m.weight.shape))
                    if m.bias is not None:
                        m.bias.copy_(self.numbers.weight(*m.bias.shape))
            self.modules.append(module.eval())
            if not isinstance(module, snn.SpikingNeuron):
                self.shape = tuple(module(torch.zeros(1, *self.shape)).shape[1:])

    def choose(self, *options):
        return self.random.choice(options)

    def pool(self) -> None:
        sides = (1, 2, 4) if self.numbers.exact else (1, 2, 3)  # a mean of 2^k values is exact
        kernel = tuple(self.choose(*(k for k in sides if k <= n)) for n in self.shape[1:])
        stride = tuple(self.choose(1, 2) for _ in kernel)
        padding = self.choose(0, min(kernel) // 2)
        kind = self.choose(nn.AvgPool2d, nn.MaxPool2d)
        self.add(kind(kernel, stride, padding))

    def normalize(self, kind: type[nn.Module]) -> None:
        norm, n = kind(self.shape[0], eps=0 if self.numbers.exact else 1e-5), self.numbers
        with torch.no_grad():
            norm.running_mean.copy_(n.weight(self.shape[0]))
            norm.running_var.copy_(n.power(self.shape[0]) ** 2)
            norm.weight.copy_(n.power(self.shape[0]))
            norm.bias.copy_(n.weight(self.shape[0]))
        self.add(norm)

    def convolve(self) -> None:
        axes = len(self.shape) - 1
        kind, norm = ((nn.Conv1d, nn.BatchNorm1d), (nn.Conv2d, nn.BatchNorm2d))[axes - 1]
        kernel = tuple(self.choose(*(k for k in (1, 2, 3) if k <= n)) for n in self.shape[1:])
        stride = tuple(self.choose(1, 2) for _ in range(axes))
        padding = tuple(self.choose(0, 1) for _ in range(axes))
        groups = self.choose(1, self.shape[0])
        out = groups * self.choose(1, 2)
        self.add(kind(self.shape[0], out, kernel, stride, padding, groups=groups, bias=self.choose(True, False)))
        if self.choose(True, False):
            self.normalize(norm)

    def synapses(self, keep_image: bool, flatten: bool) -> None:
        """From whatever arrives to the currents of a layer: an image stays one, or is made flat, where a recurrence needs it."""
        if len(self.shape) == 3 and min(self.shape[1:]) > 1 and self.choose(True, False):
            self.pool()
        if keep_image or (len(self.shape) > 1 and not flatten and self.choose(True, False)):
            self.convolve()
            if len(self.shape) == 3 and self.choose(True, False):
                self.pool()
        else:
            if len(self.shape) > 1:
                self.add(nn.Flatten())
            self.add(nn.Linear(prod(self.shape), self.choose(3, 5), bias=self.choose(True, False)))
            if self.choose(True, False):
                self.normalize(nn.BatchNorm1d)
        if self.choose(True, False):
            self.add(nn.Dropout(0.5))

    def parameter(self, low: float, high: float) -> Tensor:
        """One value, one per neuron, or one per channel."""
        channel = (self.shape[0], *[1] * (len(self.shape) - 1))
        return self.numbers.between(low, high, self.choose((), (1,), self.shape, channel))

    def neuron(self, kind: str, reset: str, delayed: bool, loop: str) -> None:
        options = {"beta": self.parameter(-0.1, 1.1), "threshold": self.parameter(0.5, 2)}
        if "Synaptic" in kind:
            options["alpha"] = self.parameter(-0.1, 1.1)
        if loop == "V":
            v = self.numbers.weight(*self.choose((), (1,), self.shape))
            options |= {"all_to_all": False, "V": v}
        elif loop == "dense":
            options["linear_features"] = self.shape[0]
        elif loop == "conv":
            options |= {"conv2d_channels": self.shape[0], "kernel_size": self.choose(1, 3, (3, 1))}
        learned = {f"learn_{p}": self.choose(True, False) for p in ("beta", "threshold")}
        rest = {"reset_mechanism": reset, "reset_delay": delayed, "init_hidden": True}
        self.add(getattr(snn, kind)(**options, **learned, **rest))


def draw(case: tuple[str, str, bool, str], exact: bool, seed: int) -> tuple[nn.Sequential, Tensor]:
    """A module of one or two layers, the first of the kind that `case` says, and a raster for it.

    From one number, so that the simplest example of each case is already another network.
    """
    random = Random(f"{case} {exact} {seed}")
    numbers = Numbers(exact, torch.Generator().manual_seed(random.getrandbits(32)))
    loop = case[3]
    shape = IMAGE if loop == "conv" else random.choice((IMAGE, LINE, FLAT))
    d = Drawing(random, numbers, shape, [])
    d.synapses(keep_image=loop == "conv", flatten=loop == "dense")
    d.neuron(*case)
    if random.random() < 0.5:
        kind, reset, delayed, loop = random.choice([c for c in CASES if c[3] != "conv"])
        d.synapses(keep_image=False, flatten=loop == "dense")
        d.neuron(kind, reset, delayed, loop)
    return nn.Sequential(*d.modules), numbers.raster(shape)


@pytest.mark.parametrize("exact", [True, False])
def test_every_layer_kind_is_drawn(exact):
    """What the simplest examples of all cases hold together."""
    seen: Counter[str] = Counter()
    for case in CASES:
        for m in draw(case, exact, 0)[0]:
            seen[type(m).__name__] += 1
            seen["groups"] += getattr(m, "groups", 1) > 1
            seen["stride"] += isinstance(m, nn.Conv1d | nn.Conv2d) and m.stride != (1,) * len(m.stride)
            seen["padded pool"] += isinstance(m, nn.AvgPool2d | nn.MaxPool2d) and m.padding not in (0, (0, 0))
            seen["per neuron"] += isinstance(m, snn.SpikingNeuron) and m.beta.numel() > 1
    kinds = ("Linear", "Conv1d", "Conv2d", "AvgPool2d", "MaxPool2d", "Flatten", "Dropout", "BatchNorm1d", "BatchNorm2d")
    assert min(seen[k] for k in (*kinds, "groups", "stride", "padded pool", "per neuron")) >= 2, seen


@dataclass
class Watched:
    """What a neuron of snnTorch did [T, B, N]: its spikes, the membrane that it compared, and the one it kept."""

    spikes: list[Tensor]
    fired: list[Tensor]
    kept: list[Tensor]


def watch(module: nn.Sequential, raster: Tensor) -> list[Watched]:
    """Run a module of init_hidden neurons from silence."""
    cells = [m for m in module if isinstance(m, snn.SpikingNeuron)]
    watched = {m: Watched([], [], []) for m in cells}
    for m in cells:
        m.reset_mem()
        fire = m.fire
        m.fire = lambda mem, m=m, fire=fire: (watched[m].fired.append(mem.flatten(1)), fire(mem))[1]
    with torch.no_grad():
        for x in raster:
            for m in module:
                x = m(x)
                if isinstance(m, snn.SpikingNeuron):
                    watched[m].spikes.append(x.flatten(1))
                    watched[m].kept.append(m.mem.flatten(1))
    for m in cells:
        del m.fire
    return list(watched.values())


def flat(raster: Tensor) -> Tensor:
    return raster.reshape(*raster.shape[:2], -1)


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c)))
@EXAMPLES
@given(st.integers(0, 2**32))
def test_dyadic_networks_are_snntorch_to_the_last_bit(case, seed):
    module, raster = draw(case, True, seed)
    net = read(module, raster[:5]).network
    with torch.no_grad():
        trace = network.run(net, flat(raster))
    for layer, spikes, states, theirs in zip(
        net.layers, trace.spikes, trace.states, watch(module, raster), strict=True
    ):
        assert torch.equal(states["mem"], torch.stack(theirs.kept))
        if not isinstance(layer.neuron, Readout):
            assert torch.equal(spikes, torch.stack(theirs.spikes))


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c)))
@EXAMPLES
@given(st.integers(0, 2**32))
def test_other_networks_differ_first_at_the_threshold(case, seed):
    module, raster = draw(case, False, seed)
    net = read(module, raster[:5]).network
    with torch.no_grad():
        trace = network.run(net, flat(raster))
    first = torch.full((BATCH,), STEPS)
    excused = [True] * BATCH
    for i, theirs in enumerate(watch(module, raster)):
        neuron = net.layers[i].neuron
        if not isinstance(neuron, LIF):
            continue
        threshold = per_neuron(neuron.threshold, net.layers[i].shape)
        spikes, fired, kept = (torch.stack(x) for x in (theirs.spikes, theirs.fired, theirs.kept))
        flipped = spikes != trace.spikes[i]
        differs = flipped | ((kept > threshold) != (trace.states[i]["mem"] > threshold))
        near = (torch.where(flipped, fired, kept) - threshold).abs() < 1e-5 * max(1.0, float(fired.abs().max()))
        for b in range(BATCH):
            steps = differs[:, b].any(1).nonzero()[:, 0]
            if len(steps) and steps[0] < first[b]:
                first[b], excused[b] = steps[0], bool(near[steps[0], b][differs[steps[0], b]].all())
    assert all(excused)


def test_a_delay_is_silence_and_then_the_past():
    x = torch.arange(6.0).reshape(6, 1, 1)
    for delay in (0, 1, 3, 6, 9):
        got = network.current(Connection(INPUT, (), delay), x)
        assert got[:, 0, 0].tolist() == [0.0] * min(delay, 6) + list(range(max(6 - delay, 0)))


def test_a_loop_over_layers_is_stepped_by_hand():
    """Two layers that feed each other, a skip connection and a delay of 3, against a loop that is written out."""
    torch.manual_seed(0)
    w = {
        name: torch.randint(-8, 9, s) / 8
        for name, s in {"in": (4, 3), "up": (5, 4), "down": (4, 5), "skip": (5, 3)}.items()
    }
    beta, threshold = torch.tensor(0.75), torch.tensor(1.0)
    lif = LIF(beta, threshold)
    layers = (
        Layer((4,), (Connection(INPUT, (Dense(w["in"]),)), Connection(1, (Dense(w["down"]),), 1)), lif),
        Layer((5,), (Connection(0, (Dense(w["up"]),)), Connection(INPUT, (Dense(w["skip"]),), 3)), lif),
    )
    x = torch.randint(0, 3, (50, 2, 3)).float()
    trace = network.run(Network(layers, InputContract((3,))), x)
    mem, spk = [torch.zeros(2, 4), torch.zeros(2, 5)], [torch.zeros(2, 4), torch.zeros(2, 5)]
    for t in range(50):
        late = x[t - 3] if t >= 3 else torch.zeros(2, 3)
        mem[0] = beta * mem[0] + x[t] @ w["in"].T + spk[1] @ w["down"].T - (mem[0] > 1).float()
        spk[0] = (mem[0] > 1).float()
        mem[1] = beta * mem[1] + spk[0] @ w["up"].T + late @ w["skip"].T - (mem[1] > 1).float()
        spk[1] = (mem[1] > 1).float()
        assert all(torch.equal(trace.spikes[i][t], spk[i]) for i in (0, 1))
    assert all(0.01 < float(s.mean()) < 0.9 for s in trace.spikes)


def test_parameters_name_what_may_be_trained_once():
    shared = torch.zeros(2, 2, requires_grad=True)
    beta = torch.tensor(0.5, requires_grad=True)
    lif = LIF(beta, torch.tensor(1.0))
    one = Layer(
        (2,),
        (Connection(INPUT, (Dense(shared, torch.zeros(2, requires_grad=True)),)), Connection(0, (Dense(shared),), 1)),
        lif,
    )
    found = Network((one,), InputContract((2,))).parameters()
    assert list(found) == ["0.0.weight", "0.0.bias", "0.beta"]
    assert found["0.0.weight"] is shared
    assert found["0.beta"] is beta


def test_a_readout_feeds_nobody_and_is_read_by_its_membrane():
    silent = Layer((2,), (Connection(INPUT, (Diagonal(torch.ones(()), (2,)),)),), Readout(torch.tensor(0.5)))
    after = Layer((2,), (Connection(0, ()),), LIF(torch.tensor(0.5), torch.tensor(1.0)))
    with pytest.raises(ValueError, match="layer 1 reads layer 0, a readout"):
        Network((silent, after), InputContract((2,)))
    with pytest.raises(ValueError, match="it must be read by membrane"):
        Network((silent,), InputContract((2,)))
    x = torch.tensor([[[1.0, 0.0]], [[1.0, 3.0]], [[0.0, 0.0]]])
    for decode, want in (("membrane_last", [0.75, 1.5]), ("membrane_mean", [1 + 1.5 + 0.75, 3 + 1.5])):
        net = Network((silent,), InputContract((2,)), decode)
        assert network.scores(net, network.run(net, x))[0].tolist() == want
