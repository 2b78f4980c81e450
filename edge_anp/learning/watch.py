"""Watching a run, so that it stops with advice where it would go on for nothing."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from edge_anp.errors import EdgeAnpError
from edge_anp.learning.rule import Update
from edge_anp.network import Network, run
from edge_anp.neurons import Readout

EVERY, TRIALS = 20, 16  # the network is listened to at every 20th update, in 16 trials of its batch
PATIENCE = 3  # silent times in a row, 60 updates
EXPLOSION = 1e3  # a cross-entropy of chance is ln K, a few units


class Watch:
    """The health of a run: finite, not exploding, not silent. spike_rate: of the hidden layers, a neuron and step; of a rate
    network the mean size of what is sent."""

    def __init__(self, network: Network) -> None:
        self.network, self.spike_rate, self.silent = network, math.nan, 0
        hidden = [i for i, layer in enumerate(network.layers[:-1]) if not isinstance(layer.neuron, Readout)]
        self.hidden = hidden or [i for i, layer in enumerate(network.layers) if not isinstance(layer.neuron, Readout)]

    def check(self, k: int, raster: Float[Tensor, "T B I"], update: Update) -> None:
        """Raise EdgeAnpError, before the update is made, if the run should stop."""
        loss = float(update.loss)
        wrong = [name for name, gradient in update.gradients.items() if not bool(torch.isfinite(gradient).all())]
        if not math.isfinite(loss) or wrong:
            where = f"the gradient of {', '.join(wrong)}" if wrong else "the loss"
            raise EdgeAnpError(
                f"update {k}: {where} is no number any more; take a smaller rate, or check the data's scale"
            )
        if abs(loss) > EXPLOSION:
            raise EdgeAnpError(
                f"update {k}: the loss is {loss:.3g}, and explodes; take a smaller rate, or scale the data down"
            )
        if k % EVERY == 0 and self.hidden:
            self._listen(k, raster[:, :TRIALS])

    @torch.no_grad()
    def _listen(self, k: int, raster: Tensor) -> None:
        sent = run(self.network, raster).spikes
        self.spike_rate = sum(float(sent[i].abs().sum()) for i in self.hidden) / sum(
            sent[i].numel() for i in self.hidden
        )
        self.silent = self.silent + 1 if self.spike_rate == 0 else 0
        if self.silent >= PATIENCE:
            raise EdgeAnpError(
                f"update {k}: no hidden neuron has spiked for {EVERY * (PATIENCE - 1)} updates, so nothing can be learned; "
                "lower the thresholds, scale the weights or the data up, or take a smaller rate"
            )
