"""From a network to a folder that a machine runs: legalize, quantize, lower."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from edge_anp import target as targets
from edge_anp.integer import IntegerNetwork, quantize_input
from edge_anp.network import Network, copy_to_numpy
from edge_anp.quantization_loss import QuantizationLoss
from edge_anp.quantize import quantize
from edge_anp.target import Artifact
from edge_anp.tasks import Samples

CALIBRATION = 256  # samples of the training part
GOLDEN = 4  # samples whose whole trace travels with the artifact


@dataclass(frozen=True)
class Compiled:
    """What compile_network made; `loss` is None when the network came in integers. notes: what the target made of each layer."""

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
) -> Compiled:
    """Compile a network for a target, with that target's own `options`, into `folder`, quantized on the first `samples` of `calibration`.

    Raise Unsupported or OutOfRange, every reason at once, before any file is written.
    """
    machine = targets.find(target)
    raster, labels = calibration.batch(np.arange(min(samples, len(calibration))))
    if isinstance(network, IntegerNetwork):
        floats, net, loss, notes = None, network, None, ()
    else:
        floats, notes = machine.legalize(network)
        answers = labels.numpy() if not torch.is_floating_point(labels) and labels.ndim == 1 else None
        net, loss = quantize(floats, raster, machine.arithmetics[0], answers)
    rows = quantize_input(raster[:, :GOLDEN].numpy(), net.input)
    golden = [rows[:, b] for b in range(rows.shape[1])]
    arrays = None if floats is None else copy_to_numpy(floats)
    made = targets.compile_to(machine, net, Path(folder), arrays, golden, options)
    return Compiled(made, net, loss, notes)
