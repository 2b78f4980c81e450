"""Feedback ANP: learning from forward passes and a reward, without autograd and without weight transport.

Three parts, each a file: an error at the outputs from the signal (output_error.py), feedback weights from spikes that a little noise would
flip (probes.py), credit for the currents of every layer (credit.py, slopes.py). Of a trial it keeps the input, the membranes and the
spikes; with look_back 0 the sums it makes are those of traces that run forward with the trial. With error="streaming" it keeps 2D steps
(streaming.py). Source: the rule is ours; its feedback is in the spirit of Akrout et al. 2019 (weight mirrors, arXiv 1904.05391), and its
look-back 0 with symmetric or random feedback is e-prop's (Bellec et al. 2020, doi 10.1038/s41467-020-17236-y).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from edge_anp.learning import probes, readout
from edge_anp.learning.credit import readers, sweep
from edge_anp.learning.draws import Draw
from edge_anp.learning.observed import Observed, observe
from edge_anp.learning.output_error import logits, output_error
from edge_anp.learning.rule import Ask, Signal, State, Update
from edge_anp.learning.wiring import weight_gradients
from edge_anp.network import Network
from edge_anp.noise import gaussian

Feedback = Literal["learned", "symmetric", "random"]
MEAN_REWARD, MEMORY = "mean_reward", 0.99  # REINFORCE's baseline: its name in the state, and how slowly it follows


@dataclass(frozen=True)
class FeedbackANP:
    """The switches of feedback ANP; it trains weights and biases of any network that is read by what it never feeds back.

    signal: label, score or reward (one right or wrong a trial).
    look_back: steps that credit passes back through spikes; 0 is forward-only, None the whole trial.
    feedback: learned by flip probes, symmetric (the weights themselves, read backwards) or random and fixed.
    error: once, at the end of a trial; or streaming: of the running answer, at every step, with 2 look_back steps remembered.
    readout_only: train the last layer alone, the baseline of a frozen reservoir.
    detach_reset: resets get no credit (snnTorch's own habit); only look_back > 0 can tell.
    sigma, eta, probes: the noise of a flip probe in thresholds, the longest step of the delta rule (1 follows weights that move fast
    more closely), probed steps a trial.
    explore: share of answers drawn evenly (reward). queries: antithetic pairs of scores a trial, K-1 are enough (score).
    baseline: of a reward, the network's own confidence, or the running mean of the rewards (textbook REINFORCE).
    """

    signal: Signal | str = Signal.LABEL
    look_back: int | None = 0
    feedback: Feedback | str = "learned"
    error: Literal["end", "streaming"] | str = "end"
    readout_only: bool = False
    detach_reset: bool = False
    sigma: float = 0.6
    eta: float = 0.4
    probes: int = 16
    explore: float = 0.1
    queries: int = 4
    baseline: Literal["confidence", "mean"] | str = "confidence"

    def __post_init__(self) -> None:
        choices = {
            "signal": tuple(Signal),
            "feedback": ("learned", "symmetric", "random"),
            "error": ("end", "streaming"),
            "baseline": ("confidence", "mean"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(allowed)}")
        object.__setattr__(self, "signal", Signal(self.signal))
        if self.look_back is not None and self.look_back < 0:
            raise ValueError(f"look_back is {self.look_back}; it must be at least 0, or None for the whole trial")
        if self.error == "streaming" and self.look_back is None:
            raise ValueError("look_back is the whole trial; an error that streams must look back so many steps, or 0")
        sane = (
            self.sigma > 0 and 0 < self.eta <= 1 and self.probes >= 1 and self.queries >= 1 and 0 <= self.explore <= 1
        )
        if not sane:
            got = ", ".join(f"{f.name} {getattr(self, f.name)}" for f in fields(self) if f.name in _NUMBERS)
            raise ValueError(
                f"{got}; they must be: sigma > 0, 0 < eta <= 1, probes and queries >= 1, 0 <= explore <= 1"
            )

    @property
    def answers(self) -> int | None:
        """How many answers it gives in a trial, where it learns from a reward: one, or one at every step."""
        return None if self.error == "streaming" else 1

    def init(self, network: Network, seed: int) -> State:
        """The feedback of every connection that leads on, shaped as its weight: what the network carries, else zeros or random."""
        readout.check(network, self.error == "streaming")
        state: dict[str, Tensor] = {}
        if self.baseline == "mean" and self.signal is Signal.REWARD:
            state[MEAN_REWARD] = torch.zeros(())
        if self.readout_only or self.feedback == "symmetric":
            return state
        for name, (j, k) in probes.learned_names(network).items():
            c = network.layers[j].connections[k]
            if c.delay and self.look_back == 0:
                continue  # credit does not use it
            weight = next(op.weight for op in c.path if op.weighted).detach()
            known = network.feedback.get(name)
            if self.feedback == "random":
                place = torch.arange(weight.numel(), device=weight.device)
                xi = gaussian(seed, 0, int(Draw.FEEDBACK), j, k, place).to(weight).reshape(weight.shape)
                inputs = weight[0].numel() if weight.ndim > 1 else 1
                state[name] = xi / inputs**0.5
            elif known is not None and tuple(known.shape) == tuple(weight.shape):
                state[name] = torch.as_tensor(known).detach().to(weight, copy=True)
            else:
                state[name] = torch.zeros_like(weight)
        return state

    @torch.no_grad()
    def update(self, network: Network, state: State, raster: Float[Tensor, "T B I"], ask: Ask, seed: int) -> Update:
        """One forward pass over a batch, one question, one sweep; gradients are means over the batch."""
        if self.error == "streaming":
            from edge_anp.learning.streaming import stream

            return stream(self, network, state, raster, ask, seed)
        seen = observe(network, raster)
        error, loss, state = self.ask_error(network, seen, ask, seed, state)
        at = readout.inject(network, error / raster.shape[1], seen.trace, ask.every_step)
        if self.readout_only:
            found = self._last_layer(network, seen, at)
        else:
            depth = len(raster) if self.look_back is None else self.look_back
            read_by = readers(network, self.weights(network, state))
            slopes = seen.slopes(network, at.of_spikes)
            swept = sweep(network, read_by, slopes, seen.trace.spikes, at.error, depth, self.detach_reset)
            found = [
                pair
                for i, layer in enumerate(network.layers)
                for c in layer.connections
                for pair in weight_gradients(c, *seen.pairs(c, swept.credit[i]))
            ]
            state = self.follow(network, state, [self.probe(network, state, seen, ask, seed)], ask)
        return Update(by_name(network, found), state, loss)

    def ask_error(
        self, network: Network, seen: Observed, ask: Ask, seed: int, state: State
    ) -> tuple[Tensor, float, State]:
        """The error at the outputs: at the logits [B, K], or of every step [T, B, K] where a task asks for something at every step."""
        if ask.every_step and ask.signal is not Signal.REWARD:
            error, loss = readout.step_error(seen.trace.states[-1]["mem"], ask)
            return error, loss, state
        mean = state.get(MEAN_REWARD)
        error, loss = output_error(logits(network, seen.trace), ask, self.explore, self.queries, seed, mean)
        if mean is not None:
            everywhere = ask.total(torch.tensor([loss, 1.0], dtype=torch.float64))
            state = {**state, MEAN_REWARD: MEMORY * mean + (1 - MEMORY) * (1 - float(everywhere[0] / everywhere[1]))}
        return error, loss, state

    def weights(self, network: Network, state: State) -> State:
        """The feedback of each connection, by the name of its weight."""
        if self.feedback != "symmetric":
            return state
        return {
            f"{j}.{k}.weight": op.weight
            for j, layer in enumerate(network.layers)
            for k, c in enumerate(layer.connections)
            for op in c.path
            if op.weighted
        }

    def probe(
        self, network: Network, state: State, seen: Observed, ask: Ask, seed: int, first: int = 0, steps: int = 0
    ) -> list[tuple[Tensor, Tensor] | None]:
        """Flips and what was sent, by layer [M, N], at the probed steps among those that were seen.

        first, steps: where these lie in their trial, and how long it is; else they are all of it.
        """
        length = len(seen.raster)
        chosen = probes.probed_steps(steps or length, self.probes, seed)
        chosen = chosen[(chosen >= first) & (chosen < first + length)]
        wanted = {
            network.layers[j].connections[k].source for n, (j, k) in probes.learned_names(network).items() if n in state
        }
        if self.feedback != "learned" or not len(chosen):
            return []
        at, found = chosen - first, []
        for i, layer in enumerate(network.layers):
            if i in wanted:
                ds = probes.flips(layer, i, seen.decided[i][at], chosen, ask.trials(), self.sigma, seed)
                found.append((ds.flatten(0, 1), seen.trace.spikes[i][at].flatten(0, 1)))
            else:
                found.append(None)
        return found

    def follow(
        self, network: Network, state: State, flips: Sequence[Sequence[tuple[Tensor, Tensor] | None]], ask: Ask
    ) -> State:
        """The feedback, moved by what was probed in all parts of a trial."""
        parts = [p for p in flips if p]
        if not parts:
            return state
        joined: list[list[Tensor | None]] = [[], []]
        for each in zip(*parts, strict=True):
            there = [p for p in each if p is not None]
            for k in (0, 1):
                joined[k].append(_joined([p[k] for p in there]))
        return probes.follow_flips(network, state, joined[0], joined[1], self.eta, ask.total)

    def _last_layer(self, network: Network, seen: Observed, at: readout.Injected) -> list[tuple[Tensor, Tensor]]:
        last = network.layers[-1]
        credit = at.error
        if at.of_spikes:
            slopes = [None] * (len(network.layers) - 1) + [seen.slopes(network, True)[-1]]
            nobody = {i: [] for i in range(len(network.layers))}
            credit = sweep(network, nobody, slopes, seen.trace.spikes, at.error, 0).credit[-1]
        return [pair for c in last.connections for pair in weight_gradients(c, *seen.pairs(c, credit))]


def _joined(parts: Sequence[Tensor]) -> Tensor | None:
    return torch.cat(list(parts)) if len(parts) > 1 else parts[0] if parts else None


_NUMBERS = ("sigma", "eta", "probes", "queries", "explore")


def by_name(network: Network, found: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Gradients by parameter name; those of a tensor that two connections share add."""
    names = {id(tensor): name for name, tensor in network.parameters().items()}
    gradients: dict[str, Tensor] = {}
    for tensor, gradient in found:
        name = names.get(id(tensor))
        if name is not None:
            gradients[name] = gradients[name] + gradient if name in gradients else gradient
    return gradients
