"""What a module returns: its last neurons, in whatever arrangement; a map or a second answer after them is refused."""

import pytest
import snntorch as snn
import torch
from torch import nn
from torch.nn import functional as F

from edge_anp.errors import Unsupported
from edge_anp.snntorch_model import read

RASTER = torch.rand(6, 2, 8, generator=torch.Generator().manual_seed(0))


class Answers(nn.Module):
    """Two layers over a raster; `answer(module, hidden, spikes, membranes)` [T, B, ...] is what forward returns."""

    def __init__(self, answer, last: snn.Leaky | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.lif1 = nn.Linear(8, 6), snn.Leaky(beta=0.9, threshold=0.3)
        self.fc2, self.lif2 = nn.Linear(6, 4), last or snn.Leaky(beta=0.9, threshold=0.3)
        self.fc3, self.lif3 = nn.Linear(6, 2), snn.Leaky(beta=0.9, threshold=0.3)
        self.answer = answer

    def forward(self, x):
        mem1, mem2, hidden, spikes, membranes = self.lif1.reset_mem(), self.lif2.reset_mem(), [], [], []
        for t in range(len(x)):
            spk1, mem1 = self.lif1(self.fc1(x[t]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            hidden.append(spk1)
            spikes.append(spk2)
            membranes.append(mem2)
        return self.answer(self, *(torch.stack(v) for v in (hidden, spikes, membranes)))


@pytest.mark.parametrize(
    "answer",
    [
        lambda m, h, s, v: s,
        lambda m, h, s, v: (s, v),
        lambda m, h, s, v: {"spikes": s, "recorded": [h, v]},
        lambda m, h, s, v: s.sum(0),
        lambda m, h, s, v: s.mean(dim=0),
        lambda m, h, s, v: v.max(0)[0],
        lambda m, h, s, v: F.log_softmax(s.sum(0) / len(s), dim=-1),
        lambda m, h, s, v: s.permute(1, 2, 0),
        lambda m, h, s, v: s[-1],
        lambda m, h, s, v: v[-1].argmax(1),
        lambda m, h, s, v: torch.cat([s, v], -1).flatten(1),
        lambda m, h, s, v: None,
    ],
)
def test_sums_and_views_of_the_last_neurons_are_an_answer(answer):
    assert [x.name for x in read(Answers(answer), RASTER).network.layers] == ["lif1", "lif2"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda m, h, s, v: m.fc3(h), r"fc3 \(Linear\) \(Dense\) comes after the last neuron; end with a neuron"),
        (lambda m, h, s, v: F.linear(s, torch.rand(3, 4)), "comes after the last neuron"),
        (lambda m, h, s, v: torch.relu(v), "relu comes after the last neuron; leave it to the loss"),
        (lambda m, h, s, v: s @ torch.rand(4, 2), "matmul__ comes after the last neuron|matmul comes after"),
        (lambda m, h, s, v: h, "the module returns lif1, but lif2 is stepped after it; return what lif2 does"),
    ],
)
def test_what_follows_the_last_neurons_is_refused(answer, reason):
    with pytest.raises(Unsupported, match=reason):
        read(Answers(answer), RASTER)


@pytest.mark.parametrize("factor", [-2.0, torch.tensor([1.0, 2.0, 3.0, 4.0])])
def test_weighed_answers_are_refused(factor):
    last = snn.Leaky(beta=0.9, threshold=0.3, graded_spikes_factor=factor)
    with pytest.raises(Unsupported, match=r"lif2: graded_spikes_factor weighs the answers; .* one positive factor"):
        read(Answers(lambda m, h, s, v: s, last), RASTER)


def test_one_positive_factor_changes_no_answer():
    last = snn.Leaky(beta=0.9, threshold=0.3, graded_spikes_factor=2.5)
    assert read(Answers(lambda m, h, s, v: s, last), RASTER).network.decode == "count"


class TwoHeads(Answers):
    def forward(self, x):
        mem1, mem2, mem3, out = self.lif1.reset_mem(), self.lif2.reset_mem(), self.lif3.reset_mem(), []
        for t in range(len(x)):
            spk1, mem1 = self.lif1(self.fc1(x[t]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spk3, mem3 = self.lif3(self.fc3(spk1), mem3)
            out.append((spk2, spk3))
        return [torch.stack(s) for s in zip(*out, strict=True)]


def test_two_answers_are_refused():
    with pytest.raises(Unsupported, match=r"the module returns lif2 and lif3, which feed nothing else; .* one answer"):
        read(TwoHeads(None), RASTER)
