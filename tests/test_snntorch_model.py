"""read: a module goes in, a network comes out that holds its parameters, and the module is as it was."""

# torch types a part of a module as Tensor | Module, and snnTorch a parameter as float: neither says what is there.
# pyright: reportArgumentType=false, reportCallIssue=false

import copy

import pytest
import snntorch as snn
import torch
from torch import nn

from edge_anp import network
from edge_anp.errors import Unsupported
from edge_anp.snntorch_model import input_shape_of, read

RASTER = torch.rand(8, 3, 8, generator=torch.Generator().manual_seed(0))


def surrogate(mem: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """A step whose gradient is a sigmoid's."""
    soft = torch.sigmoid(4 * (mem - threshold))
    return soft - soft.detach() + (mem > threshold).float()


def hidden() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 6),
        nn.BatchNorm1d(6),
        snn.RLeaky(beta=0.9, linear_features=6, threshold=0.5, init_hidden=True),
        nn.Dropout(0.5),
        nn.Linear(6, 3),
        snn.Synaptic(alpha=0.8, beta=0.9, init_hidden=True, output=True),
    )


def snapshot(module: nn.Module) -> list:
    """Everything a module is, hidden states included."""
    return [
        (
            m.training,
            {k: v for k, v in vars(m).items() if isinstance(v, bool | int | float | str)},
            {n: (id(b), b.clone()) for n, b in m.named_buffers(recurse=False)},
            {n: (id(p), p.clone(), p.requires_grad, p.grad) for n, p in m.named_parameters(recurse=False)},
            (list(m._forward_hooks), list(m._forward_pre_hooks)),
            sorted(vars(m)),
        )
        for m in module.modules()
    ]


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("broken", [False, True])
def test_reading_leaves_the_module_as_it_was(training, broken):
    """Mode, hidden states, running statistics, hooks and random numbers; also when the module is refused or cannot run."""
    module = hidden()
    if broken:
        module.append(nn.Tanh())
        module.append(nn.Linear(1, 1))
    with torch.no_grad():
        module[:6](torch.rand(3, 8))  # states of an earlier sample
    module.train(training)
    module[4].eval()
    handle = module[0].register_forward_hook(lambda *_: None)
    before, noise = snapshot(module), torch.get_rng_state()
    if broken:
        with pytest.raises(Unsupported):
            read(module, RASTER)
    else:
        read(module, RASTER)
    assert same(snapshot(module), before)
    assert torch.equal(torch.get_rng_state(), noise)
    handle.remove()


def test_the_same_module_is_read_twice_alike():
    module = hidden()
    first, second = read(module, RASTER), read(module, RASTER)
    assert (
        [layer.name for layer in first.network.layers] == [layer.name for layer in second.network.layers] == ["2", "5"]
    )
    for a, b in zip(first.network._tensors(), second.network._tensors(), strict=True):
        assert a[0] == b[0]
        assert torch.equal(a[1], b[1])


def test_training_the_network_trains_the_module():
    """The gradient of the network is the module's own, and a step of the network's parameters is a step of the module's."""
    torch.manual_seed(0)
    module = nn.Sequential(
        *(
            nn.Linear(8, 6),
            snn.Leaky(beta=torch.full((6,), 0.8), learn_beta=True, learn_threshold=True, init_hidden=True),
        ),
        *(nn.Linear(6, 3), snn.Leaky(beta=0.9, reset_mechanism="none", init_hidden=True, output=True)),
    )
    net = read(module, RASTER).network
    untrained = copy.deepcopy(module)
    optimizer = torch.optim.SGD(net.parameters().values(), lr=0.1)
    trace = network.run(net, RASTER, surrogate)
    network.scores(net, trace).square().sum().backward()
    assert set(net.parameters()) == {"0.0.weight", "0.0.bias", "0.beta", "0.threshold", "1.0.weight", "1.0.bias"}
    for name, p in module.named_parameters():
        assert p.grad is not None, name
        assert p.grad.any(), name
    optimizer.step()
    for (name, p), old in zip(module.named_parameters(), untrained.parameters(), strict=True):
        assert not torch.equal(p, old), name
    for cell in (module[1], module[3]):
        cell.reset_mem()
    with torch.no_grad():
        theirs = torch.stack([module(x)[1] for x in RASTER])
        ours = network.run(net, RASTER).states[-1]["mem"]
    assert torch.allclose(theirs, ours, atol=1e-5)


def test_loading_weights_into_the_module_changes_the_network():
    module, other = hidden(), hidden()
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(2)
    net = read(module, RASTER).network
    module.load_state_dict(other.state_dict())
    assert torch.equal(net.parameters()["1.0.weight"], other[4].weight)


def test_what_feeds_nothing_is_noted():
    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(8, 6), snn.Leaky(beta=0.9, init_hidden=True)
            self.old, self.spare = nn.Linear(2, 2), snn.RLeaky(beta=0.9, linear_features=2, init_hidden=True)

        def forward(self, x):
            return self.lif(self.fc(x))

    notes = read(Spare(), RASTER).notes
    assert notes == (
        "spare: never called; left out",
        "old.weight: feeds no neuron; left out",
        "old.bias: feeds no neuron; left out",
    )


def test_a_layer_that_no_noise_wakes_is_noted():
    module = nn.Sequential(nn.Linear(8, 6), snn.Leaky(beta=0.9, threshold=1e9, init_hidden=True))
    assert read(module, RASTER).notes == (
        "1: never spiked in the read-back check, which so compared its membrane alone",
    )


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Sequential(nn.Linear(8, 6)), (8,)),
        (nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 9))), (3,)),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(8, 6)), None),
        (nn.Sequential(snn.Leaky(beta=0.5)), None),
    ],
)
def test_the_shape_of_a_step_without_data(module, shape):
    assert input_shape_of(module) == shape
    module.input_shape = [2, 3, 4]
    assert input_shape_of(module) == (2, 3, 4)


def test_a_flat_raster_of_images_keeps_the_image():
    class Unflattened(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.lif = nn.Conv2d(1, 2, 3), snn.Leaky(beta=0.9, init_hidden=True)

        def forward(self, x):
            return self.lif(self.conv(x.view(-1, 1, 6, 5)))

    assert read(Unflattened(), torch.rand(5, 2, 30)).network.input.shape == (1, 6, 5)
    assert read(Unflattened(), torch.rand(5, 2, 1, 6, 5)).network.input.shape == (1, 6, 5)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"sample has shape \(8, 8\); it must be \[T, B, ...\] with at least 4 steps"):
        read(hidden(), torch.rand(8, 8))
    with pytest.raises(ValueError, match="at least 4 steps"):
        read(hidden(), RASTER[:3])
    with pytest.raises(ValueError, match="decode is 'loudest'; it must be one of count, "):
        read(hidden(), RASTER, decode="loudest")
    with pytest.raises(Unsupported, match=r"the module has no snnTorch neuron; put a snn.Leaky"):
        read(nn.Sequential(nn.Linear(8, 6), nn.ReLU()), RASTER)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_any_batch_and_precision(dtype, batch):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 6), snn.Leaky(beta=0.9, init_hidden=True)).to(dtype)
    assert read(module, torch.rand(5, batch, 8, dtype=dtype)).network.layers[0].size == 6


@pytest.mark.parametrize(
    ("part", "value"), [("0.weight", float("nan")), ("2.bias", float("inf")), ("1.threshold", float("inf"))]
)
def test_numbers_that_are_none_are_refused_by_name(part, value):
    module = nn.Sequential(
        nn.Linear(8, 6), snn.Leaky(beta=0.9, init_hidden=True), nn.Linear(6, 3), snn.Leaky(beta=0.9, init_hidden=True)
    )
    module.state_dict()[part].view(-1)[0] = value
    with pytest.raises(Unsupported) as error:
        read(module, RASTER)
    assert error.value.reasons == (f"{part} holds NaN or infinity; load or train it anew",)
    with pytest.raises(ValueError, match="sample holds NaN or infinity"):
        read(hidden(), RASTER * value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_code_is_refused_before_it_runs():
    module = nn.Sequential(torch.jit.trace(nn.Linear(8, 6), RASTER[0]), snn.Leaky(beta=0.9, init_hidden=True))
    with pytest.raises(Unsupported, match="0: compiled code cannot be followed; give the module it was made from"):
        read(module, RASTER)
    with pytest.raises(Unsupported, match="the module: compiled code cannot be followed"):
        read(torch.compile(hidden()), RASTER)


@pytest.mark.parametrize("wrap", [copy.deepcopy, nn.DataParallel, nn.Sequential])
def test_a_module_inside_another_is_read_alike(wrap):
    with torch.no_grad():
        module = hidden().eval()
        module(torch.rand(7, 8))  # states of another batch size
    assert [x.size for x in read(wrap(module), RASTER).network.layers] == [6, 3]
