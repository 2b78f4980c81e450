"""What stands between two neurons: modules and functional forms that are read, and everything else refused by name with a remedy."""

# torch types a part of a module as Tensor | Module, and snnTorch a parameter as float: neither says what is there.
# pyright: reportAttributeAccessIssue=false

import pytest
import snntorch as snn
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

from edge_anp.errors import Unsupported
from edge_anp.snntorch_model import read
from edge_anp.synapses import AvgPool2d, Conv1d, Conv2d, Dense, MaxPool2d

IMAGES = torch.rand(6, 2, 2, 10, 9, generator=torch.Generator().manual_seed(0))


class Between(nn.Module):
    """A convolution's image [B, 3, 8, 7] of spikes, whatever `way` does with it, and a last neuron."""

    def __init__(self, way, **parts: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.lif1 = nn.Conv2d(2, 3, 3), snn.Leaky(beta=0.9, threshold=0.3, init_hidden=True)
        self.lif2 = snn.Leaky(beta=0.9, threshold=0.3, init_hidden=True)
        self.way = way
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.lif2(self.way(self, self.lif1(self.conv(x))))


def path(module: nn.Module, images: torch.Tensor = IMAGES) -> list:
    """How the last layer is reached."""
    (connection,) = read(module, images).network.layers[-1].connections
    return list(connection.path)


FC = {"fc": nn.Linear(168, 4)}
POOLED = {"fc": nn.Linear(3 * 4 * 3, 4)}


@pytest.mark.parametrize(
    "way",
    [
        lambda m, s: m.fc(s.view(s.size(0), -1)),
        lambda m, s: m.fc(s.view(-1, 168)),
        lambda m, s: m.fc(s.reshape(len(s), 168)),
        lambda m, s: m.fc(s.flatten(1)),
        lambda m, s: m.fc(torch.flatten(s, start_dim=1)),
        lambda m, s: m.fc(nn.Flatten()(s)),
        lambda m, s: m.fc(s.contiguous().clone().view(s.shape[0], 3, 56).unsqueeze(1).flatten(1)),
        lambda m, s: m.fc(F.dropout(s, 0.5, training=m.training).detach().float().flatten(1)),
        lambda m, s: F.linear(s.flatten(1), m.fc.weight, bias=m.fc.bias),
        lambda m, s: nn.Identity()(
            nn.Dropout2d()(m.fc(s.flatten(1)).squeeze()).eval() if False else m.fc(s.flatten(1)).squeeze()
        ),
    ],
)
def test_views_are_nothing(way):
    module = Between(way, **FC)
    (dense,) = path(module)
    assert isinstance(dense, Dense)
    assert dense.weight is module.fc.weight
    assert dense.bias is module.fc.bias


@pytest.mark.parametrize(
    ("way", "pool"),
    [
        (lambda m, s: F.max_pool2d(s, 2), MaxPool2d((3, 8, 7), (2, 2), (2, 2), (0, 0))),
        (lambda m, s: F.max_pool2d(s, kernel_size=2, stride=2), MaxPool2d((3, 8, 7), (2, 2), (2, 2), (0, 0))),
        (lambda m, s: F.avg_pool2d(s, 2), AvgPool2d((3, 8, 7), (2, 2), (2, 2), (0, 0))),
        (lambda m, s: nn.MaxPool2d((2, 3), stride=1, padding=1)(s), MaxPool2d((3, 8, 7), (2, 3), (1, 1), (1, 1))),
        (lambda m, s: nn.AvgPool2d(3, (2, 1), padding=(1, 0))(s), AvgPool2d((3, 8, 7), (3, 3), (2, 1), (1, 0))),
        (lambda m, s: torch.max_pool2d(s, 2), MaxPool2d((3, 8, 7), (2, 2), (2, 2), (0, 0))),
    ],
)
def test_pools_are_read_in_all_their_forms(way, pool):
    got = path(Between(way))
    assert type(got[0]) is type(pool)
    assert vars(got[0]) == vars(pool)


@pytest.mark.parametrize(
    ("conv", "want"),
    [
        (nn.Conv2d(3, 4, 3), ((3, 3), (1, 1), (0, 0), 1)),
        (nn.Conv2d(3, 6, (3, 2), stride=(2, 1), padding=(1, 0), groups=3, bias=False), ((3, 2), (2, 1), (1, 0), 3)),
        (nn.Conv2d(3, 4, 3, padding="same"), ((3, 3), (1, 1), (1, 1), 1)),
        (nn.Conv2d(3, 4, 2, padding="valid"), ((2, 2), (1, 1), (0, 0), 1)),
    ],
)
def test_convolutions_are_read(conv, want):
    (op,) = path(Between(lambda m, s: m.conv2(s), conv2=conv))
    assert isinstance(op, Conv2d)
    assert (op.kernel, op.stride, op.padding, op.groups) == want
    assert op.weight is conv.weight
    assert op.bias is conv.bias


def test_a_convolution_over_time_bins_is_read():
    (op,) = path(Between(lambda m, s: m.conv1(s.flatten(2)), conv1=nn.Conv1d(3, 2, 5, stride=3, padding=2)))
    assert isinstance(op, Conv1d)
    assert (op.in_shape, op.kernel, op.stride, op.padding) == ((3, 56), (5,), (3,), (2,))


def twice_normalized() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.BatchNorm2d(2))


def upside_down() -> nn.Module:
    norm = nn.BatchNorm2d(2)
    norm.weight.data[1] = -1
    return nn.Sequential(nn.Conv2d(3, 2, 1), nn.MaxPool2d(2), norm)


def pruned() -> nn.Module:
    conv = nn.Conv2d(3, 2, 1)
    prune.l1_unstructured(conv, "weight", 0.3)
    return conv


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        (nn.ReLU(), r"part \(ReLU\) computes relu on the way to a neuron; a network holds Linear"),
        (nn.Tanh(), r"part \(Tanh\) computes tanh on the way"),
        (nn.LayerNorm(7), r"part \(LayerNorm\) computes layer_norm"),
        (nn.AdaptiveAvgPool2d(1), r"part \(AdaptiveAvgPool2d\) computes adaptive_avg_pool2d"),
        (nn.ConvTranspose2d(3, 2, 3), r"computes conv_transpose2d"),
        (nn.Upsample(scale_factor=2), "computes interpolate"),
        (nn.Conv2d(3, 2, 3, dilation=2), r"dilation is \(2, 2\); it must be 1"),
        (nn.Conv2d(3, 2, 3, padding=1, padding_mode="circular"), r"\(Conv2d\) computes pad"),
        (nn.Conv2d(3, 2, 2, padding="same"), r"padding 'same' of an even kernel \(2, 2\) is lopsided"),
        (nn.MaxPool2d(2, dilation=2), "dilation is 2; it must be 1"),
        (nn.MaxPool2d(2, ceil_mode=True), "ceil_mode is True; it must be False"),
        (nn.AvgPool2d(2, padding=1, count_include_pad=False), "must divide by its window"),
        (nn.AvgPool2d(2, divisor_override=3), "must divide by its window"),
        (nn.Linear(7, 4), r"\(Linear\): Linear on \(3, 8, 7\) per sample, which shares weights; .*flatten before it"),
        (nn.BatchNorm2d(3), r"\(BatchNorm2d\) normalizes what no weighted map made; put it after a Linear or Conv"),
        (twice_normalized(), "both normalize one synapse; keep one"),
        (nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)), "by the statistics of the batch"),
        (nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(), nn.BatchNorm1d(112)), "put it before flattening"),
        (upside_down(), r"turns a maximum around \(a weight below 0\)"),
        (nn.Sequential(nn.Conv2d(3, 2, 1), nn.AvgPool2d(2, padding=1), nn.BatchNorm2d(2)), "follows an average over padded zeros"),
        (nn.Sequential(nn.Conv2d(3, 2, 1), nn.Conv2d(2, 2, 1)), r"part.0 \(Conv2d\) and part.1 \(Conv2d\) follow each other"),
        (pruned(), r"part \(Conv2d\): the weight is computed in the forward pass; .*prune.remove"),
        (parametrizations.weight_norm(nn.Conv2d(3, 2, 1)), "the weight is computed in the forward pass"),
        (lambda s: s * 2, "forward: multiplies on the way to a neuron; put the factor into the weights"),
        (lambda s: s / 4, "multiplies on the way to a neuron"),
        (lambda s: s + 1, "adds the number 1; give it to the Linear or Conv as its bias"),
        (lambda s: s + torch.ones_like(s), "a constant that is not zero feeds it"),
        (lambda s: -s, "forward computes (neg|__neg__) on the way"),
        (lambda s: s - s, "forward computes sub on the way"),
        (lambda s: s[:, :1], "takes a part of a tensor"),
        (lambda s: s.transpose(2, 3), "forward computes transpose"),
        (lambda s: s.permute(0, 2, 3, 1), "forward computes permute"),
        (lambda s: s.reshape(1, 6, 8, 7), "reshape moves the batch axis"),
        (lambda s: s.sum(1), "forward computes sum"),
        (lambda s: F.dropout(s), "dropout stays on in evaluation mode; pass training=self.training"),
        (lambda s: F.relu_(s), "forward computes relu_"),
        (lambda s: s.flatten(1) @ torch.rand(168, 4), "forward computes (matmul|__matmul__)"),
        (lambda s: torch.cat([s, s], 2), "concatenates along axis 2; it must be the first axis after the batch"),
        (lambda s: torch.cat([s, s], 1), "a concatenation reaches it with no weights between"),
        (lambda s: torch.zeros(2, 4), "nothing but zeros arrives"),
    ],
)  # fmt: skip
def test_what_has_no_exact_counterpart_is_refused_by_name(way, reason):
    module = Between(lambda m, s: way(s), **({"part": way} if isinstance(way, nn.Module) else {}))
    with pytest.raises(Unsupported, match=f"lif2: .*{reason}|lif2: {reason}"):
        read(module, IMAGES)


def test_a_write_in_place_is_refused():
    def way(m, s):
        y = s.clone()
        y[:, 0] = 0
        return y

    with pytest.raises(Unsupported, match="writes into a tensor in place; build it with cat or stack"):
        read(Between(way), IMAGES)


def test_every_function_on_a_path_is_a_reason():
    module = Between(lambda m, s: m.fc(torch.tanh(F.layer_norm(F.relu(s), (7,))).flatten(1)), **FC)
    with pytest.raises(Unsupported) as error:
        read(module, IMAGES)
    assert [r.split(" on the way")[0] for r in error.value.reasons] == [
        f"lif2: forward computes {name}" for name in ("relu", "layer_norm", "tanh")
    ]
