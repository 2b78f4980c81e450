"""The demo's network in snnTorch: Linear - RLeaky - Linear - Leaky readout, 8 pixels of a row in, 10 digits out."""

from __future__ import annotations

import math

import snntorch as snn
import torch
from torch import nn

ROW, HIDDEN, CLASSES = 8, 128, 10


def build(seed: int = 0) -> nn.Sequential:
    """A fresh network; weights are normal, of scale 1.2 / sqrt(inputs), 0.4 / sqrt(hidden) and 1 / sqrt(hidden), biases 0."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(ROW, HIDDEN),
        snn.RLeaky(beta=0.9, linear_features=HIDDEN, init_hidden=True),
        nn.Linear(HIDDEN, CLASSES, bias=False),
        snn.Leaky(beta=0.95, reset_mechanism="none", init_hidden=True, output=True),
    )
    recurrent = net[1].recurrent
    assert isinstance(recurrent, nn.Linear)
    with torch.no_grad():
        for layer, gain in ((net[0], 1.2), (recurrent, 0.4), (net[2], 1.0)):
            assert isinstance(layer, nn.Linear)
            layer.weight.normal_(0, gain / math.sqrt(layer.in_features), generator=generator)
            if layer.bias is not None:
                layer.bias.zero_()
    return net
