"""Weight, node and activity-based node perturbation, in time: two runs, with noise and without, and the difference of their losses.

    WP    dL[t] Xi[t] / sigma                     noise on the weights
    NP    dL[t] xi[t] x[t]' / sigma               noise on the currents of every neuron, x what the clean run sent
    ANP   f dL[t] da[t] x[t]' / |da[t]|^2         da what the noise made of the currents, that of earlier steps included; f is sqrt(N) or N

summed over steps. **Credit in time** is one number, `trace`:  dL[t] is replaced by  w[t] = sum_{k >= t} trace^(k-t) dL[k].  0 is instant (a
step's noise answers for that step's loss alone, as the source paper has it), 1 is reward-to-go (then NP's mean is the gradient of
backpropagation through time), and in between it is a decaying eligibility trace. Everything else that the family differs in is a switch.

Source: Fernandez, Keemink, van Gerven 2024, doi 10.3389/fnins.2024.1439155, and their code; ANP: Dalm et al. 2023, arXiv 2310.00965.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from edge_anp.learning.draws import Draw
from edge_anp.learning.eligibility import Eligibility
from edge_anp.learning.output_error import answering, running_logits
from edge_anp.learning.rule import Ask, Signal, State, Update
from edge_anp.network import Moment, Network, Trace, begin, current, end, run
from edge_anp.noise import gaussian, noise
from edge_anp.topology import INPUT

CHUNK = 16  # steps that run at once where only the credit of a trace goes back


@dataclass(frozen=True)
class Perturbation:
    """The switches of the family. They cost forward passes and scores, and no label.

    kind: wp, np or anp. sigma: of the noise, in units of current (wp: of weight). trace: see above.
    error: a loss at every step (streaming), or once, at the end of the trial (the steps before it have none).
    per_sample: a loss difference for each trial; else one for the batch, as the source paper has it.
    norm: of anp, over each layer or the whole network. factor: of anp, sqrt (of N) or full (N). inputs: N counts the inputs too.
    scale: of wp and np, 1/sigma as in the source paper's code, or 1/sigma^2, which is on the gradient's scale.
    antithetic: +noise against -noise, instead of noise against none. draws: how often. signs: noise of +-1 instead of Gaussian.
    fresh: of wp, new noise at every step, else one a trial. average: an extra 1/B, as the source paper's online anp has it.
    """

    kind: str = "np"
    sigma: float = 1e-3
    trace: float = 0.0
    error: str = "streaming"
    per_sample: bool = True
    norm: str = "layer"
    factor: str = "full"
    inputs: bool = False
    scale: str = "sigma2"
    antithetic: bool = False
    draws: int = 1
    signs: bool = False
    fresh: bool = True
    average: bool = False
    signal: Signal = Signal.SCORE

    def __post_init__(self) -> None:
        choices = {
            "kind": ("wp", "np", "anp"), "error": ("end", "streaming"), "norm": ("layer", "network"), "factor": ("sqrt", "full"),
            "scale": ("sigma", "sigma2"), "signal": (Signal.SCORE,),
        }  # fmt: skip
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be {' or '.join(allowed)}")
        if not self.sigma > 0 or not 0 <= self.trace <= 1 or self.draws < 1:
            got = f"sigma {self.sigma}, trace {self.trace}, draws {self.draws}"
            raise ValueError(f"{got}; they must be: sigma > 0, 0 <= trace <= 1, draws >= 1")

    def init(self, network: Network, seed: int) -> State:
        """Nothing is remembered: noise is asked for again by its seed."""
        return {}

    @torch.no_grad()
    def update(self, network: Network, state: State, raster: Float[Tensor, "T B I"], ask: Ask, seed: int) -> Update:
        """Two runs a draw over a batch; gradients are of the mean loss over the batch."""
        if self.kind == "wp":
            from edge_anp.learning.weight_perturbation import perturb_weights

            return perturb_weights(self, network, raster, ask, seed)
        found: dict[str, Tensor] = {}
        losses: list[float] = []
        for q in range(self.draws):
            eligibility = Eligibility(network, self.trace, self.per_sample)
            for clean, direction, change, loss in self._pieces(network, raster, ask, seed, q):
                eligibility.take(network, clean, direction, change)
                losses.append(loss)
            for name, gradient in eligibility.gradients(network).items():
                found[name] = found.get(name, 0) + gradient
        batch, ranks = raster.shape[1], float(ask.total(torch.ones(())))
        scale = (1 / batch if self.per_sample else ranks) / self.draws  # fit takes the mean over machines
        scale = scale / (ranks * batch) if self.average else scale
        return Update({name: g * scale for name, g in found.items()}, state, sum(losses) / len(losses))

    def _pieces(
        self, network: Network, raster: Tensor, ask: Ask, seed: int, q: int
    ) -> Iterator[tuple[tuple[Tensor, Trace, Moment], list[Tensor], Tensor, float]]:
        """The trial in pieces: the clean run, the direction of every layer [n, B, N], the loss difference [n, B], the loss."""
        clean, up, down = (begin(network, raster) for _ in range(3))
        sums: list[Tensor | None] = [None, None]
        whole = self.error == "end" or (self.trace > 0 and not Eligibility.carries(network))
        size = len(raster) if whole else min(CHUNK, len(raster))
        for first in range(0, len(raster), size):
            x = raster[first : first + size]
            xi = [
                self._noise(layer.size, i, len(x), first, ask, seed, q).to(x.dtype)
                for i, layer in enumerate(network.layers)
            ]
            plain = run(network, x, start=clean)
            noisy = run(network, x, start=up, added=xi)
            other = run(network, x, start=down, added=[-a for a in xi]) if self.antithetic else plain
            gain = 0.5 if self.antithetic else 1.0
            high, sums[0] = self._losses(network, noisy, ask, len(raster), first, sums[0])
            low, sums[1] = self._losses(network, other, ask, len(raster), first, sums[1])
            change = gain * (high - low)
            if not self.per_sample:
                change = (ask.total(change.sum(1)) / ask.total(torch.tensor(float(change.shape[1]))))[
                    :, None
                ].expand_as(change)
            start_of_other = down if self.antithetic else clean
            direction = self._direction(network, x, xi, (noisy, up), (other, start_of_other), ask)
            yield (
                (x, plain, clean),
                direction,
                change,
                float(low.mean()) if self.error == "streaming" else float(low[-1].mean()),
            )
            up, clean = end(up, x, noisy), end(clean, x, plain)
            down = end(down, x, other) if self.antithetic else down

    def _noise(self, size: int, layer: int, steps: int, first: int, ask: Ask, seed: int, q: int) -> Tensor:
        """sigma times noise of variance 1, [n, B, N]: of the trial's own number, so that it does not depend on the batch."""
        t, n = torch.arange(first, first + steps)[:, None, None], torch.arange(size)
        where = (seed, ask.trials().cpu()[None, :, None], int(Draw.PERTURB) + q * int(Draw.TWIN), t, layer, n)
        drawn = 2.0 * (noise(*where) >> 31).float() - 1 if self.signs else gaussian(*where)
        return (self.sigma * drawn).to(ask.targets.device)

    def _losses(
        self, network: Network, trace: Trace, ask: Ask, steps: int, first: int, total: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The loss of every step [n, B], and the sums that the running answer goes on with."""
        if ask.every_step:
            return ask.scores(trace.states[-1]["mem"], first), trace.states[-1]["mem"][-1]
        logits = running_logits(network.decode, trace, total, first)
        sums = answering(network.decode, trace).sum(0)
        sums = sums if total is None else sums + total
        if self.error == "streaming":
            return ask.scores(logits, first), sums
        losses = logits.new_zeros(logits.shape[:2])
        if first + len(losses) == steps:
            losses[-1] = ask.score(logits[-1])
        return losses, sums

    def _direction(
        self,
        network: Network,
        x: Tensor,
        xi: Sequence[Tensor],
        noisy: tuple[Trace, Moment],
        other: tuple[Trace, Moment],
        ask: Ask,
    ) -> list[Tensor]:
        """What the loss difference is multiplied by, at every neuron."""
        if self.kind == "np":
            return [a / (self.sigma if self.scale == "sigma" else self.sigma**2) for a in xi]
        gain = 0.5 if self.antithetic else 1.0
        added = 2.0 if self.antithetic else 1.0
        da = [
            gain * (arriving(network, i, x, *noisy) - arriving(network, i, x, *other) + added * xi[i])
            for i in range(len(network.layers))
        ]
        power = [(a * a).sum(2, keepdim=True) for a in da]
        if not self.per_sample:
            power = [ask.total(p.sum(1, keepdim=True)) for p in power]
        if self.norm == "network":
            power = [torch.stack(power).sum(0)] * len(power)
        count = sum(layer.size for layer in network.layers) + (network.input.size if self.inputs else 0)
        f = count**0.5 if self.factor == "sqrt" else float(count)
        return [f * a / p.clamp(min=torch.finfo(p.dtype).tiny) for a, p in zip(da, power, strict=True)]


def arriving(network: Network, i: int, raster: Tensor, trace: Trace, start: Moment) -> Float[Tensor, "T B N"]:
    """The currents that the connections brought to a layer in a run from `start`."""
    total: Tensor | None = None
    for c in network.layers[i].connections:
        term = current(c, raster if c.source == INPUT else trace.spikes[c.source], start.past.get(c.source))
        total = term if total is None else total + term
    assert total is not None
    return total
