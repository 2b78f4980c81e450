"""read(module, sample) -> Reading: a snnTorch module as a Network, with the meaning that the installed snnTorch gives it.

The module is run once on a sample and followed (`snntorch_trace`), what feeds each neuron becomes connections (`snntorch_terms`,
`snntorch_weights`), and the network is compared with the module on the sample and on noise (`snntorch_readback`). What cannot be
read exactly is refused by name, with all reasons at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edge_anp import decode as decodes
from edge_anp import snntorch_answer, snntorch_layers, snntorch_readback, snntorch_steps, snntorch_weights
from edge_anp import snntorch_neurons as neuron_options
from edge_anp.errors import Unsupported
from edge_anp.network import InputContract, Layer, Network
from edge_anp.snntorch_steps import Recording
from edge_anp.snntorch_trace import neurons
from edge_anp.snntorch_weights import Fold, Weights
from edge_anp.topology import INPUT

FEWEST_STEPS = 4  # fewer do not show which connection is recurrent


@dataclass(frozen=True)
class Reading:
    """A module as a network. notes: what its reader should know. The network holds the module's own parameters."""

    network: Network
    notes: tuple[str, ...]
    folds: tuple[Fold, ...] = ()

    def store(self, module: nn.Module) -> None:
        """Write trained weights that are folded (batch normalization, graded spikes) back into the module that was read.

        All others are the module's own tensors. Raises Unsupported, before writing, for trained weights that were merged at reading.
        """
        own = {id(p) for p in (*module.parameters(), *module.buffers())}
        if any(f.parameter is not None and id(f.parameter) not in own for f in self.folds):
            raise ValueError("store was given another module; it must be the one that was read")
        snntorch_weights.store(self.folds)


def read(
    module: nn.Module, sample: Float[Tensor, "T B *shape"], decode: str | None = None, num_steps: int | None = None
) -> Reading:
    """Read a snnTorch module that can be stepped with sample [T, B, *shape] (its values are free; B as the module wants it).

    decode: how the answer is read out; by default the mean membrane where the last layer never resets, else the spike count.
    num_steps: for a forward that asks for it. Raises Unsupported with every reason why the module cannot be read exactly.
    """
    if decode is not None:
        decodes.check(decode)
    if sample.ndim < 3 or len(sample) < FEWEST_STEPS:
        raise ValueError(
            f"sample has shape {tuple(sample.shape)}; it must be [T, B, ...] with at least {FEWEST_STEPS} steps"
        )
    if not bool(torch.isfinite(sample).all()):
        raise ValueError("sample holds NaN or infinity; it must hold numbers")
    reasons = [r for name, neuron in neurons(module).items() for r in neuron_options.refusals(name, neuron)]
    if not neurons(module):
        raise Unsupported("the module has no snnTorch neuron; put a snn.Leaky (or RLeaky, Synaptic, RSynaptic) into it")
    compiled = [name or "the module" for name, m in module.named_modules() if _is_compiled(m)]
    if compiled:
        raise Unsupported(
            [f"{name}: compiled code cannot be followed; give the module it was made from" for name in compiled]
        )
    try:
        recording = snntorch_steps.follow(module, sample, num_steps)
    except Unsupported as error:
        raise Unsupported([*reasons, *error.reasons]) from error
    if recording.style == "raster":
        sample = sample[: recording.steps]
    reasons += [
        f"{name} holds NaN or infinity; load or train it anew"
        for name, tensor in module.state_dict().items()
        if not bool(torch.isfinite(tensor).all())
    ]
    reasons += recording.trace.problems
    reasons += snntorch_answer.refusals(recording)
    weights = Weights()
    layers = snntorch_layers.build(recording, weights, decode, reasons)
    if reasons:
        raise Unsupported(dict.fromkeys(reasons))
    answer = decode or snntorch_answer.default_decode(recording)
    network = Network(layers, InputContract(_input_shape(tuple(sample.shape[2:]), layers)), answer)
    difference, silent = snntorch_readback.check(network, module, sample, recording)
    if difference is not None:
        raise Unsupported(str(difference))
    return Reading(network, tuple(_notes(module, recording, weights, silent)), tuple(weights.folds))


def _is_compiled(module: nn.Module) -> bool:
    return isinstance(module, torch.jit.ScriptModule) or hasattr(module, "_orig_mod")


def input_shape_of(module: nn.Module) -> tuple[int, ...] | None:
    """The shape of one time step without data: `module.input_shape`, else from the first Linear; None where only the caller knows."""
    declared = getattr(module, "input_shape", None)
    if declared is not None:
        return tuple(int(n) for n in declared)
    for m in module.modules():
        if isinstance(m, nn.Linear):
            return (m.in_features,)
        if isinstance(m, nn.Conv1d | nn.Conv2d):
            return None
    return None


def _input_shape(shown: tuple[int, ...], layers: tuple[Layer, ...]) -> tuple[int, ...]:
    """The shape of a step as it was shown; a flat one that the first layers see as an image has the image's shape."""
    if len(shown) > 1:
        return shown
    first = (c.path[0].in_shape for layer in layers for c in layer.connections if c.source == INPUT)
    return next((shape for shape in first if len(shape) > 1), shown)


def _notes(module: nn.Module, recording: Recording, weights: Weights, silent: list[str]) -> Iterator[str]:
    called = recording.trace.calls
    for name, neuron in neurons(module).items():
        if name in called:
            yield from neuron_options.remarks(name, neuron)
        else:
            yield f"{name}: never called; left out"
    owned = {id(p) for neuron in neurons(module).values() for p in neuron.parameters()}
    for name, parameter in module.named_parameters():
        if id(parameter) not in weights.used | owned:
            yield f"{name}: feeds no neuron; left out"
    for name in silent:
        yield f"{name}: never spiked in the read-back check, which so compared its membrane alone"
