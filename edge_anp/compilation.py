"""From a network to a folder that a machine runs: legalize, quantize, lower."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_anp import target as targets
from edge_anp.integer import IntegerNetwork, quantize_input
from edge_anp.network import Network, copy_to_numpy
from edge_anp.ondevice_rates import make_plan
from edge_anp.quantization_loss import QuantizationLoss, price
from edge_anp.quantize import quantize
from edge_anp.target import Artifact
from edge_anp.tasks import Samples
from edge_anp.topology import INPUT

CALIBRATION = 256  # samples of the training part
GOLDEN = 4  # samples whose whole trace travels with the artifact


@dataclass(frozen=True)
class Compiled:
    """What compile_network made; `loss` is None when the network came in integers. notes: what the target made of it, at what cost."""

    artifact: Artifact
    network: IntegerNetwork
    loss: QuantizationLoss | None
    notes: tuple[str, ...] = ()


def compile_network(
    network: Network | IntegerNetwork,
    target: str,
    folder: str | Path,
    calibration: Samples,
    samples: int = CALIBRATION,
    options: Mapping[str, str] | None = None,
    learn: str | None = None,
    **learning: Any,
) -> Compiled:
    """Compile a network for a target, with that target's own `options`, into `folder`, quantized on the first `samples` of `calibration`.

    learn: what goes on learning there (all, readout, or input,readout), as `learning` says (ondevice_rates.make_plan).

    Raise Unsupported or OutOfRange, every reason at once, before any file is written.
    """
    machine, options = targets.configure(targets.find(target), options or {})
    raster, labels = calibration.batch(np.arange(min(samples, len(calibration))))
    if isinstance(network, IntegerNetwork):
        floats, net, loss, notes = None, network, None, ()
    else:
        floats, notes = machine.legalize(network)
        answers = labels.numpy() if not torch.is_floating_point(labels) and labels.ndim == 1 else None
        if floats is not network:
            notes = (*notes, f"as {machine.name} runs it: {price(network, floats, raster, answers)}")
        for what, other in targets.alternatives(machine, floats):
            notes = (*notes, f"{what}: {price(floats, other, raster, answers)}")
        net, loss = quantize(floats, raster, machine.arithmetics[0], answers, learning_layers(floats, learn))
    rows = quantize_input(raster[:, :GOLDEN].numpy(), net.input)
    golden = [rows[:, b] for b in range(rows.shape[1])]
    plan = None if learn is None else make_plan(net, learn, quantize_input(raster.numpy(), net.input), **learning)
    arrays = None if floats is None else copy_to_numpy(floats)
    made = targets.compile_to(machine, net, Path(folder), arrays, golden, options, plan)
    return Compiled(made, net, loss, notes)


def learning_layers(network: Network, learn: str | None) -> frozenset[int]:
    """The layers that `learn` names, and those they feed."""
    if learn is None:
        return frozenset()
    last = len(network.layers) - 1
    reads = {
        i
        for i, layer in enumerate(network.layers)
        if learn == "all" or any(c.source == INPUT for c in layer.connections)
    }
    learns = {last} if learn == "readout" else reads | {last}
    fed = {i for i, layer in enumerate(network.layers) if any(c.source in learns for c in layer.connections)}
    return frozenset(learns | fed)
