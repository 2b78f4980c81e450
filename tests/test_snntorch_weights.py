"""Which tensors a network holds: the module's own where it can, folded leaves that `store` writes back where it must."""

# torch types a part of a module as Tensor | Module, and snnTorch a parameter as float: neither says what is there.
# pyright: reportArgumentType=false, reportIndexIssue=false

import copy

import pytest
import snntorch as snn
import torch
from torch import nn

from edge_anp import network
from edge_anp.errors import Unsupported
from edge_anp.network import Network
from edge_anp.snntorch_model import Reading, read

RASTER = torch.rand(6, 2, 8, generator=torch.Generator().manual_seed(0))


def leaky(**options) -> snn.Leaky:
    return snn.Leaky(beta=0.8, threshold=0.3, init_hidden=True, **options)


def norm(kind: type = nn.BatchNorm1d, n: int = 6, **options) -> nn.Module:
    module = kind(n, **options)
    module.running_mean.normal_()
    module.running_var.uniform_(0.5, 2)
    if module.affine:
        module.weight.data.normal_()
        module.bias.data.normal_()
    return module


def normalized(bias: bool = True, **options) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 6, bias), norm(**options), leaky(), nn.Linear(6, 3), leaky())


def graded(factor, synapse: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 6), leaky(graded_spikes_factor=factor), synapse or nn.Linear(6, 3), leaky())


def behavior(net: Network) -> torch.Tensor:
    noise = torch.randn(40, 3, 8, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return network.run(net, noise).states[-1]["mem"]


def train(net: Network) -> None:
    """Move every parameter that may be trained."""
    g = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for p in net.parameters().values():
            p += 0.3 * torch.randn(p.shape, generator=g)


def test_parameters_are_the_modules_own():
    module = nn.Sequential(
        *(nn.Linear(8, 6), snn.RLeaky(beta=torch.rand(6), learn_beta=True, linear_features=6, init_hidden=True)),
        *(nn.Linear(6, 3), snn.Synaptic(alpha=0.5, beta=0.9, learn_alpha=True, learn_threshold=True, init_hidden=True)),
    )
    names = {"0.weight": "0.0.weight", "0.bias": "0.0.bias", "1.beta": "0.beta", "1.recurrent.weight": "0.1.weight",
             "1.recurrent.bias": "0.1.bias", "2.weight": "1.0.weight", "2.bias": "1.0.bias", "3.threshold": "1.threshold",
             "3.alpha": "1.alpha"}  # fmt: skip
    reading = read(module, RASTER)
    found = reading.network.parameters()
    assert set(found) == set(names.values())
    for theirs, ours in names.items():
        assert found[ours] is module.get_parameter(theirs)
    assert reading.folds == ()


@pytest.mark.parametrize(
    "make",
    [
        lambda: normalized(),
        lambda: normalized(bias=False),
        lambda: normalized(affine=False),
        lambda: graded(2.5),
        lambda: graded(-1.5),
        lambda: graded(torch.tensor([0.5, 1.0, -2.0, 3.0, 0.25, 1.5])),
        lambda: nn.Sequential(graded(0.5)[:2], nn.Linear(6, 5), norm(n=5), leaky()),
    ],
    ids=["norm", "no bias", "no affine", "graded", "negative", "graded each", "graded then norm"],
)
def test_training_folded_weights_trains_the_module(make):
    """After `store` the module is the network that was trained: reading it anew gives the same behavior."""
    module = make()
    reading = read(module, RASTER)
    assert reading.folds
    before = behavior(reading.network)
    train(reading.network)
    reading.store(module)
    again = read(module, RASTER).network
    assert not torch.allclose(behavior(again), before, atol=1e-2)
    assert torch.allclose(behavior(again), behavior(reading.network), atol=1e-4)


def test_store_without_training_changes_nothing():
    for module in (normalized(), graded(2.5)):
        before = copy.deepcopy(module.state_dict())
        read(module, RASTER).store(module)
        assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())


def test_a_factor_of_zero_keeps_its_weight():
    """A channel that normalization silences gives no way back for its weights; they stay as they are."""
    module = normalized()
    module[1].weight.data[2] = 0
    kept = module[0].weight[2].clone()
    reading = read(module, RASTER)
    train(reading.network)
    reading.store(module)
    assert torch.equal(module[0].weight[2], kept)
    assert torch.isfinite(module[0].weight).all()


def test_store_takes_the_module_that_was_read():
    reading = read(normalized(), RASTER)
    with pytest.raises(ValueError, match="store was given another module; it must be the one that was read"):
        reading.store(normalized())


def merged() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 5), nn.Linear(5, 7, bias=False), nn.Linear(7, 6), leaky(), nn.Linear(6, 3), leaky()
    )


def test_linear_maps_in_a_row_are_one():
    module = merged()
    (connection,) = read(module, RASTER).network.layers[0].connections
    (dense,) = connection.path
    x = torch.randn(4, 8)
    with torch.no_grad():
        assert torch.allclose(nn.functional.linear(x, dense.weight, dense.bias), module[:3](x), atol=1e-5)


def test_merged_weights_have_no_way_back():
    module = merged()
    reading = read(module, RASTER)
    reading.store(module)
    train(reading.network)
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(
        Unsupported, match=r"0 \(Linear\) and 1 \(Linear\) and 2 \(Linear\) were merged into one .* save the network"
    ):
        reading.store(module)
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())


class TwoFactors(nn.Module):
    """One matrix behind spikes of two sizes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.fc2 = nn.Linear(8, 6), nn.Linear(6, 6)
        self.lif1, self.lif2, self.lif3 = leaky(graded_spikes_factor=2.0), leaky(graded_spikes_factor=3.0), leaky()

    def forward(self, x):
        a = self.lif1(self.fc1(x))
        return self.lif3(self.fc2(self.lif2(self.fc2(a))))


def test_one_parameter_with_two_factors_has_no_way_back():
    module = TwoFactors()
    reading = read(module, RASTER)
    train(reading.network)
    with pytest.raises(Unsupported, match=r"fc2 \(Linear\) acts with different factors"):
        reading.store(module)


def images() -> torch.Tensor:
    return torch.rand(6, 2, 2, 8, 8, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    "between",
    [
        lambda: [nn.Conv2d(3, 4, 3)],
        lambda: [nn.MaxPool2d(2), nn.Conv2d(3, 4, 2, groups=1)],
        lambda: [nn.AvgPool2d(2, padding=1), nn.Flatten(), nn.Linear(48, 4)],
        lambda: [nn.Flatten(), nn.Linear(108, 4)],
        lambda: [nn.Conv2d(3, 4, 3), norm(nn.BatchNorm2d, 4), nn.MaxPool2d(2)],
        lambda: [nn.Conv2d(3, 4, 3), nn.AvgPool2d(2), norm(nn.BatchNorm2d, 4)],
    ],
)
@pytest.mark.parametrize("factor", [2.0, [0.5, 1.0, 2.0]])
def test_graded_spikes_pass_pools_and_convolutions(between, factor):
    """The factor, one or one a channel, ends in the weights of the next synapse; read() compares with snnTorch."""
    torch.manual_seed(0)
    each = torch.tensor(factor) if isinstance(factor, float) else torch.tensor(factor)[:, None, None]
    module = nn.Sequential(nn.Conv2d(2, 3, 3), leaky(graded_spikes_factor=each), *between(), leaky())
    reading = read(module, images())
    assert reading.folds
    train(reading.network)
    reading.store(module)
    read(module, images())


@pytest.mark.parametrize(
    ("factor", "between", "reason"),
    [
        (
            -1.0,
            [nn.MaxPool2d(2), nn.Conv2d(3, 4, 2)],
            "below 0 turns a maximum around; make it positive or pool averages",
        ),
        (
            torch.tensor([1.0, 2.0, -3.0])[:, None, None],
            [nn.MaxPool2d(2), nn.Conv2d(3, 4, 2)],
            "turns a maximum around",
        ),
        (torch.tensor([1.0, 2.0, 3.0])[:, None, None], [nn.Conv2d(3, 6, 2, groups=3)], "shares weights between spikes"),
        (
            torch.rand(3, 6, 6) + 0.5,
            [nn.Conv2d(3, 4, 2)],
            "shares weights between spikes of different graded_spikes_factor",
        ),
        (torch.rand(3, 6, 6) + 0.5, [nn.AvgPool2d(2), nn.Conv2d(3, 4, 2)], "differs inside a pooled channel"),
    ],
)
def test_graded_spikes_that_cannot_be_folded_are_refused(factor, between, reason):
    module = nn.Sequential(nn.Conv2d(2, 3, 3), leaky(graded_spikes_factor=factor), *between, leaky())
    with pytest.raises(Unsupported, match=reason):
        read(module, images())


def test_frozen_weights_stay_frozen():
    module = normalized()
    for p in module.parameters():
        p.requires_grad_(False)
    module[3].weight.requires_grad_(True)
    assert list(read(module, RASTER).network.parameters()) == ["1.0.weight"]


def test_a_trained_leaf_of_a_shared_tensor_reaches_both_readers():
    reading: Reading = read(TwoFactors(), RASTER)
    assert len(reading.folds) == len({id(f.leaf) for f in reading.folds})
