"""Which of snnTorch's options are read, which are refused and how it is said; every reason at once."""

# torch types a part of a module as Tensor | Module, and snnTorch a parameter as float: neither says what is there.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

import pytest
import snntorch as snn
import torch
from snntorch import surrogate
from torch import nn
from torch.nn.utils import prune

from edge_anp.errors import Unsupported
from edge_anp.neurons import LIF, CubaLIF, Readout
from edge_anp.snntorch_model import read

RASTER = torch.rand(6, 2, 8, generator=torch.Generator().manual_seed(0))
IMAGES = torch.rand(6, 2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
KINDS = (
    (snn.Leaky, {}),
    (snn.RLeaky, {"linear_features": 6}),
    (snn.Synaptic, {"alpha": 0.7}),
    (snn.RSynaptic, {"alpha": 0.7, "linear_features": 6}),
)


def before(neuron: nn.Module, image: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3) if image else nn.Linear(8, 6), neuron)


def read_one(neuron: nn.Module, image: bool = False):
    return read(before(neuron, image), IMAGES if image else RASTER)


@pytest.mark.parametrize(("kind", "extra"), KINDS)
def test_a_neuron_becomes_its_equation(kind, extra):
    cell = kind(beta=0.9, threshold=0.5, reset_mechanism="zero", init_hidden=True, **extra)
    (layer,) = read_one(cell).network.layers
    neuron = layer.neuron
    assert type(neuron) is (CubaLIF if "alpha" in extra else LIF)
    assert isinstance(neuron, LIF)
    assert neuron.beta is cell.beta
    assert neuron.threshold is cell.threshold
    assert (neuron.reset, neuron.reset_delay) == ("zero", True)
    assert neuron.zero == ("leak" if kind is snn.Leaky else "update")
    assert len(layer.connections) == (2 if "linear_features" in extra else 1)


@pytest.mark.parametrize(("kind", "extra"), KINDS)
def test_all_reasons_of_a_neuron_at_once(kind, extra):
    with pytest.warns(UserWarning, match="Inhibition"):
        cell = kind(
            beta=0.9, inhibition=True, state_quant=lambda x: x, spike_grad=torch.sigmoid, init_hidden=True, **extra
        )
    with pytest.raises(Unsupported) as error:
        read_one(cell)
    words = ("inhibition=True lets neurons of a layer silence each other; set it to False", "state_quant rounds the membrane",
             "spike_grad fires something else than 0 or 1")  # fmt: skip
    assert len(error.value.reasons) == 3
    for reason, word in zip(error.value.reasons, words, strict=True):
        assert reason.startswith(f"1: {word}")


def test_a_network_is_refused_with_every_reason_of_every_layer():
    """Also behind a RSynaptic without reset delay, which snnTorch itself cannot run."""
    torch.manual_seed(0)
    module = nn.Sequential(
        *(nn.Linear(8, 6), snn.RSynaptic(alpha=0.5, beta=0.9, linear_features=6, reset_delay=False, init_hidden=True)),
        *(nn.ReLU(), nn.Linear(6, 6), snn.Lapicque(beta=0.9, init_hidden=True)),
        *(nn.GELU(), nn.Linear(6, 4), snn.Leaky(beta=torch.rand(2, 4), init_hidden=True), nn.Linear(4, 2)),
    )
    with pytest.raises(Unsupported) as error:
        read(module, RASTER)
    wanted = (
        "1: RSynaptic with reset_delay=False resets by stale states in snnTorch (a bug); use True",
        "4: Lapicque has no counterpart; use one of Leaky, RLeaky, Synaptic, RSynaptic",
        "8 (Linear) (Dense) comes after the last neuron",
        "7: 5 (GELU) computes gelu on the way to a neuron",
        "7: beta has shape (2, 4); it must be one value or spread over (4,), without a batch axis",
    )
    for word in wanted:
        assert [r for r in error.value.reasons if r.startswith(word)], (word, error.value.reasons)
    assert module[1].reset_delay is False


class MyLeaky(snn.Leaky):
    pass


@pytest.mark.parametrize(
    "cell",
    [
        MyLeaky(beta=0.9, init_hidden=True),
        snn.Lapicque(beta=0.9, init_hidden=True),
        snn.Alpha(alpha=0.9, beta=0.8, init_hidden=True),
        snn.SLSTM(6, 6, init_hidden=True),
        snn.LeakyParallel(6, 6),
    ],
    ids=lambda c: type(c).__name__,
)
def test_other_classes_are_refused_by_name(cell):
    with pytest.raises(Unsupported, match=f"1: {type(cell).__name__} has no counterpart; use one of Leaky"):
        read_one(cell)


@pytest.mark.parametrize(
    "name",
    ["atan", "fast_sigmoid", "sigmoid", "spike_rate_escape", "straight_through_estimator", "triangular", "SSO", "SFS"],
)
def test_surrogates_that_fire_zero_or_one_are_read(name):
    assert read_one(snn.Leaky(beta=0.9, spike_grad=getattr(surrogate, name)(), init_hidden=True)).network.layers


def test_a_step_of_the_users_own_is_read():
    def hard(x):
        return x - x.detach() + (x > 0).float()

    assert read_one(snn.Leaky(beta=0.9, spike_grad=hard, init_hidden=True)).network.layers
    assert read_one(snn.Leaky(beta=0.9, surrogate_disable=True, init_hidden=True)).network.layers


def test_a_surrogate_that_fires_at_the_threshold_is_refused():
    with pytest.raises(Unsupported, match="1: spike_grad fires something else than 0 or 1 at the threshold; use atan"):
        read_one(snn.Leaky(beta=0.9, spike_grad=lambda x: (x >= 0).float(), init_hidden=True))


@pytest.mark.parametrize("delayed", [True, False])
def test_a_reset_changed_after_construction(delayed):
    """snnTorch keeps the mechanism of the constructor, and uses the new one for the immediate reset alone."""
    cell = snn.Leaky(beta=0.9, reset_delay=delayed, init_hidden=True)
    cell.reset_mechanism = "zero"
    if delayed:
        reading = read_one(cell)
        assert reading.network.layers[0].neuron.reset == "subtract"
        assert reading.notes == ("1: reset_mechanism says 'zero', but the neuron was made with 'subtract', which acts",)
    else:
        with pytest.raises(Unsupported, match="reset_mechanism was changed after construction and acts in half"):
            read_one(cell)


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"beta": 1.25}, "1: beta 1.25 acts as 1 (snnTorch clamps it)"),
        ({"beta": -0.5}, "1: beta -0.5 acts as 0 (snnTorch clamps it)"),
        ({"beta": torch.tensor([0.5, 1.5, 0.5, 0.5, 0.5, -0.25])}, "1: beta of -0.25 to 1.5 acts within 0 to 1 (snnTorch clamps it)"),
        ({"beta": 0.5, "alpha": 1.5}, "1: alpha 1.5 acts as 1 (snnTorch clamps it)"),
    ],
)  # fmt: skip
def test_clamped_leaks_are_read_with_a_note(options, note):
    cell = (snn.Synaptic if "alpha" in options else snn.Leaky)(**options, init_hidden=True)
    assert note in read_one(cell).notes


V_READ = [(0.5, False), (torch.tensor(0.5), False), (torch.rand(1), False), (torch.rand(6), False)]
V_READ += [(torch.rand(1), True), (torch.rand(2, 6, 6), True)]


@pytest.mark.parametrize(("v", "image"), V_READ)
@pytest.mark.parametrize("kind", [snn.RLeaky, snn.RSynaptic])
@pytest.mark.parametrize("learned", [True, False])
def test_every_documented_v_is_read(v, image, kind, learned):
    alpha = {"alpha": 0.5} if kind is snn.RSynaptic else {}
    v = v.clone() if isinstance(v, torch.Tensor) else v
    cell = kind(beta=0.9, V=v, all_to_all=False, learn_recurrent=learned, init_hidden=True, **alpha)
    net = read_one(cell, image).network
    own = net.layers[0].connections[1]
    assert (own.source, own.delay) == (0, 1)
    assert ("0.1.weight" in net.parameters()) == learned
    with torch.no_grad():
        own.path[0].weight.fill_(0.125)
    assert (cell.V == 0.125).all()


@pytest.mark.parametrize(
    ("v", "image"), [(torch.rand(2, 6), False), (torch.rand(1, 6), False), (torch.rand(2, 1, 1), True)]
)
def test_another_v_is_refused(v, image):
    with pytest.raises(Unsupported, match=r"1: V has shape \(.*\); it must be one value or have the layer's shape"):
        read_one(snn.RLeaky(beta=0.9, V=v, all_to_all=False, init_hidden=True), image)


@pytest.mark.parametrize("kernel", [1, 3, (3, 5)])
def test_convolutional_recurrence_is_read(kernel):
    cell = snn.RLeaky(beta=0.9, conv2d_channels=2, kernel_size=kernel, init_hidden=True)
    own = read_one(cell, image=True).network.layers[0].connections[1]
    assert own.path[0].weight is cell.recurrent.weight
    assert own.path[0].bias is cell.recurrent.bias
    assert own.path[0].out_shape == (2, 6, 6)


def pruned() -> nn.Linear:
    linear = nn.Linear(6, 6)
    prune.l1_unstructured(linear, "weight", 0.3)
    return linear


@pytest.mark.parametrize(
    ("recurrent", "reason"),
    [
        (
            nn.Sequential(nn.Linear(6, 6), nn.Tanh()),
            "its recurrence is a Sequential; use linear_features, conv2d_channels or V",
        ),
        (pruned(), "its own recurrence: the weight is computed in the forward pass; make it a parameter"),
        (nn.Conv2d(2, 2, 3, padding=2, dilation=2), r"its own recurrence: dilation is \(2, 2\); it must be 1"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), "its own recurrence: padding_mode is 'circular'"),
    ],
)
def test_a_recurrence_of_another_kind_is_refused(recurrent, reason):
    cell = snn.RLeaky(beta=0.9, linear_features=6, init_hidden=True)
    cell.recurrent = recurrent
    with pytest.raises(Unsupported, match=f"1: {reason}"):
        read_one(cell, image=isinstance(recurrent, nn.Conv2d))


def test_a_recurrence_put_in_by_hand_is_read():
    for recurrent, image in (
        (nn.Linear(6, 6, bias=False), False),
        (nn.Conv2d(2, 2, 3, padding="same", groups=2), True),
    ):
        cell = snn.RLeaky(beta=0.9, linear_features=6, init_hidden=True)
        cell.recurrent = recurrent
        assert read_one(cell, image).network.layers[0].connections[1].path[0].weight is recurrent.weight


@pytest.mark.parametrize("shape", [(), (1,), (2, 1, 1), (6,), (2, 6, 6), (1, 6, 6)])
def test_parameters_spread_over_an_image(shape):
    cell = snn.Leaky(beta=torch.rand(shape), threshold=torch.rand(shape) + 0.1, init_hidden=True)
    assert read_one(cell, image=True).network.layers[0].neuron.beta is cell.beta


@pytest.mark.parametrize("part", ["beta", "threshold", "graded_spikes_factor"])
def test_parameters_with_a_batch_axis_are_refused(part):
    options = {"beta": 0.9} | {part: torch.rand(2, 6) + 0.1}
    with pytest.raises(Unsupported, match=rf"1: {part} has shape \(2, 6\); it must be one value or spread over \(6,\)"):
        read_one(snn.Leaky(**options, init_hidden=True))


@pytest.mark.parametrize("factor", [0.0, float("nan"), torch.tensor([1.0, 1, 1, 1, 1, 0])])
def test_a_graded_factor_must_be_a_number(factor):
    with pytest.raises(Unsupported, match="1: graded_spikes_factor holds 0 or no number"):
        read_one(snn.Leaky(beta=0.9, graded_spikes_factor=factor, init_hidden=True))


@pytest.mark.parametrize(
    ("cell", "decode", "kind", "answer"),
    [
        (snn.Leaky(beta=0.9, reset_mechanism="none", init_hidden=True), None, Readout, "membrane_mean"),
        (snn.Leaky(beta=0.9, reset_mechanism="none", init_hidden=True), "membrane_last", Readout, "membrane_last"),
        (snn.Leaky(beta=0.9, reset_mechanism="none", init_hidden=True), "count", LIF, "count"),
        (snn.Synaptic(alpha=0.5, beta=0.9, reset_mechanism="none", init_hidden=True), None, Readout, "membrane_mean"),
        (snn.RLeaky(beta=0.9, linear_features=6, reset_mechanism="none", init_hidden=True), None, LIF, "membrane_mean"),
        (snn.Leaky(beta=0.9, init_hidden=True), None, LIF, "count"),
        (snn.Leaky(beta=0.9, init_hidden=True), "membrane_last", LIF, "membrane_last"),
        (snn.Leaky(beta=0.9, init_hidden=True), "first_spike", LIF, "first_spike"),
    ],
)
def test_how_the_answer_is_read_out(cell, decode, kind, answer):
    net = read(before(cell), RASTER, decode).network
    assert type(net.layers[0].neuron) is kind
    assert net.decode == answer
