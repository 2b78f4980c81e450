"""Feedback ANP: learning from forward passes and a reward, without autograd and without weight transport.

Three parts, each a file: an error at the outputs from the signal (output_error.py), feedback weights from spikes that a little noise would
flip (probes.py), credit for the hidden currents (credit.py). Of a trial it keeps the input, the hidden membranes and the spikes; with
look_back 0 the sums it makes are those of traces that run forward with the trial. Source: the rule is ours; its feedback is in the spirit
of Akrout et al. 2019 (weight mirrors, arXiv 1904.05391) and its look-back 0 with symmetric or random feedback is e-prop's (Bellec et al.
2020, doi 10.1038/s41467-020-17236-y).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from edge_anp.learning import probes
from edge_anp.learning.circuit import Circuit, matrix, take_apart, weight_gradients
from edge_anp.learning.credit import slopes, sweep
from edge_anp.learning.draws import Draw
from edge_anp.learning.output_error import logits, output_error, spread
from edge_anp.learning.rule import Ask, Signal, State, Update
from edge_anp.network import Network, run
from edge_anp.neurons import heaviside
from edge_anp.noise import gaussian

Feedback = Literal["learned", "symmetric", "random"]
OUTPUTS, LATERAL = "B", "R"  # the names of the two feedback matrices, in the rule's state and in Network.feedback


@dataclass(frozen=True, init=False)
class FeedbackANP:
    """The switches of feedback ANP; it takes networks of one hidden LIF layer and trains weights and biases.

    signal: label, score or reward (one right or wrong a trial).
    look_back: steps that credit passes back through spikes; 0 is forward-only, None the whole trial.
    feedback: learned by flip probes, symmetric (the weights themselves, read backwards) or random and fixed.
    readout_only: train the last layer alone, the baseline of a frozen reservoir.
    detach_reset: resets get no credit (snnTorch's own habit); only look_back > 0 can tell.
    sigma, eta, probes: the noise of a flip probe in thresholds, the step of the delta rule, probed steps a trial.
    explore: share of answers drawn evenly (reward). queries: antithetic pairs of scores a trial, K-1 are enough (score).
    """

    signal: Signal
    look_back: int | None
    feedback: Feedback
    readout_only: bool
    detach_reset: bool
    sigma: float
    eta: float
    probes: int
    explore: float
    queries: int

    def __init__(
        self,
        signal: Signal | str = Signal.LABEL,
        look_back: int | None = 0,
        feedback: Feedback | str = "learned",
        readout_only: bool = False,
        detach_reset: bool = False,
        sigma: float = 0.6,
        eta: float = 0.4,
        probes: int = 16,
        explore: float = 0.1,
        queries: int = 4,
    ) -> None:
        if signal not in list(Signal):
            raise ValueError(f"signal is {signal!r}; it must be one of {', '.join(Signal)}")
        if feedback not in ("learned", "symmetric", "random"):
            raise ValueError(f"feedback is {feedback!r}; it must be 'learned', 'symmetric' or 'random'")
        if look_back is not None and look_back < 0:
            raise ValueError(f"look_back is {look_back}; it must be at least 0, or None for the whole trial")
        if not sigma > 0 or not 0 < eta <= 1 or probes < 1 or queries < 1 or not 0 <= explore <= 1:
            got = f"sigma {sigma}, eta {eta}, probes {probes}, queries {queries}, explore {explore}"
            raise ValueError(
                f"{got}; they must be: sigma > 0, 0 < eta <= 1, probes and queries >= 1, 0 <= explore <= 1"
            )
        fields = (
            "signal",
            "look_back",
            "feedback",
            "readout_only",
            "detach_reset",
            "sigma",
            "eta",
            "probes",
            "explore",
            "queries",
        )
        values = (Signal(signal), look_back, feedback, readout_only, detach_reset, sigma, eta, probes, explore, queries)
        for name, value in zip(fields, values, strict=True):
            object.__setattr__(self, name, value)

    def init(self, network: Network, seed: int) -> State:
        """The feedback matrices B [K, N] and, where credit uses it, R [N, N]: those the network carries, else zeros or random."""
        circuit = take_apart(network)
        if self.readout_only or self.feedback == "symmetric":
            return {}
        hidden, outputs = circuit.hidden.size, circuit.readout.size
        shapes = {OUTPUTS: (outputs, hidden, Draw.FEEDBACK)}
        if circuit.r is not None and self.look_back != 0:
            shapes[LATERAL] = (hidden, hidden, Draw.LATERAL)
        state, like = {}, circuit.w.path[0].weight.detach()
        for name, (rows, columns, draw) in shapes.items():
            known = network.feedback.get(name)
            if self.feedback == "random":
                places = torch.arange(rows)[:, None], torch.arange(columns)
                state[name] = gaussian(seed, 0, int(draw), 0, *places).to(like) / hidden**0.5
            elif known is not None and tuple(known.shape) == (rows, columns):
                state[name] = torch.as_tensor(known).detach().to(like, copy=True)
            else:
                state[name] = like.new_zeros(rows, columns)
        return state

    @torch.no_grad()
    def update(self, network: Network, state: State, raster: Float[Tensor, "T B I"], ask: Ask, seed: int) -> Update:
        """One forward pass over a batch, one question, one sweep; gradients are means over the batch."""
        circuit, batch = take_apart(network), raster.shape[1]
        decided: list[Tensor] = []  # the membrane that decides on a spike, step by step, the hidden layer's first

        def watch(mem: Tensor, threshold: Tensor) -> Tensor:
            decided.append(mem)
            return heaviside(mem, threshold)

        trace = run(network, raster, spike=watch)
        spikes = trace.spikes[0]
        error, loss = output_error(logits(network, trace), ask, self.explore, self.queries, seed)
        ebar = spread(error / batch, len(raster), network.decode, circuit.readout_leaks)
        found = weight_gradients(circuit.o, ebar.flatten(0, 1), spikes.flatten(0, 1))
        if not self.readout_only:
            u = torch.stack(decided[: len(raster)])
            back, lateral = self._matrices(circuit, state)
            depth = len(raster) if self.look_back is None else self.look_back
            steps = slopes(circuit, raster, u, trace.states[0]["mem"], spikes)
            credit = sweep(steps, ebar @ back, lateral, depth, self.detach_reset).flatten(0, 1)
            found += weight_gradients(circuit.w, credit, raster.flatten(0, 1))
            if circuit.r is not None:
                past = torch.cat([torch.zeros_like(spikes[:1]), spikes[:-1]])
                found += weight_gradients(circuit.r, credit, past.flatten(0, 1))
            state = self._learn_feedback(circuit, state, u, seed)
        return Update(_by_name(network, found), state, loss)

    def _matrices(self, circuit: Circuit, state: State) -> tuple[Tensor, Tensor | None]:
        """B [K, N] and R^ [N, N], the latter None where credit does not use it."""
        if self.feedback != "symmetric":
            return state[OUTPUTS], state.get(LATERAL)
        return matrix(circuit.o), None if circuit.r is None else matrix(circuit.r)

    def _learn_feedback(self, circuit: Circuit, state: State, u: Tensor, seed: int) -> State:
        if self.feedback != "learned":
            return state
        ds = probes.flips(circuit, u, self.sigma, self.probes, seed)
        new = {OUTPUTS: probes.follow_flips(state[OUTPUTS], circuit.o, ds, self.eta)}
        if LATERAL in state:
            assert circuit.r is not None
            new[LATERAL] = probes.follow_flips(state[LATERAL], circuit.r, ds, self.eta)
        return new


def _by_name(network: Network, found: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Gradients by parameter name; those of a tensor that two connections share add."""
    names = {id(tensor): name for name, tensor in network.parameters().items()}
    gradients: dict[str, Tensor] = {}
    for tensor, gradient in found:
        name = names.get(id(tensor))
        if name is not None:
            gradients[name] = gradients[name] + gradient if name in gradients else gradient
    return gradients
