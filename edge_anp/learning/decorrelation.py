"""Decorrelation: a matrix D before every dense synapse, learned so that what arrives, x^ = D x, has no correlations left.

    C = mean x^ x^', its diagonal 0         multiplicative  D <- D - eta C D         additive  D <- D - eta C

Any rule learns better from inputs that are not alike. D is folded into the weights: the network runs with W D, a gradient of W D becomes
one of W by D', and after training W <- W D, so that a deployed network pays nothing. Source: Ahmad et al. 2022, arXiv 2212.06042; the
multiplicative form and the schedule: the code of Fernandez et al. 2024, of which both forms were published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edge_anp import storage
from edge_anp.errors import Unsupported
from edge_anp.learning.observed import Observed
from edge_anp.learning.rule import Ask, Rule, State, Update
from edge_anp.network import Connection, Network, begin, run
from edge_anp.synapses import Dense
from edge_anp.topology import INPUT

PREFIX, COUNT = "decorrelate.", "decorrelate.updates"


@dataclass(frozen=True)
class Decorrelated:
    """`rule`, on decorrelated activity. rate: eta. inputs, hidden: what is decorrelated. form: see above. every: of D, in updates."""

    rule: Rule
    rate: float = 1e-3
    inputs: bool = True
    hidden: bool = True
    form: str = "multiplicative"
    every: int = 1

    def __post_init__(self) -> None:
        if self.form not in ("multiplicative", "additive"):
            raise ValueError(f"form is {self.form!r}; it must be multiplicative or additive")
        if not self.rate > 0 or self.every < 1 or not (self.inputs or self.hidden):
            raise ValueError(
                f"rate {self.rate}, every {self.every}; they must be: rate > 0, every >= 1, and inputs or hidden"
            )

    @property
    def signal(self) -> str:
        return self.rule.signal

    @property
    def answers(self) -> int | None:
        return getattr(self.rule, "answers", 1)

    def init(self, network: Network, seed: int) -> State:
        """D = 1 for every source, beside what the rule itself remembers."""
        state = dict(self.rule.init(network, seed))
        reasons = [
            f"layer {i} does not read {'the input' if c.source == INPUT else f'layer {c.source}'} through one dense synapse, "
            "the only one that decorrelation is folded into"
            for i, c in self._connections(network)
            if len(c.path) != 1 or not isinstance(c.path[0], Dense)
        ]
        if reasons:
            raise Unsupported(reasons, who="decorrelation")
        for _, c in self._connections(network):
            weight = c.path[0].weight
            state[f"{PREFIX}{c.source}"] = torch.eye(weight.shape[1], dtype=weight.dtype, device=weight.device)
        state[COUNT] = torch.zeros((), dtype=torch.int64)
        return state

    def update(self, network: Network, state: State, raster: Tensor, ask: Ask, seed: int) -> Update:
        """The rule's update on the folded network, its gradients brought back; and every so often one of D."""
        folded = self._fold(network, state)
        inner = {k: v for k, v in state.items() if not k.startswith(PREFIX)}
        update = self.rule.update(folded, inner, raster, ask, seed)
        gradients = dict(update.gradients)
        for name, d in self._by_weight(network, state).items():
            if name in gradients:
                gradients[name] = gradients[name] @ d.T
        new = {**update.state, **{k: v for k, v in state.items() if k.startswith(PREFIX)}}
        if int(state[COUNT]) % self.every == 0:
            new |= self._decorrelate(folded, state, raster, ask)
        new[COUNT] = state[COUNT] + 1
        return Update(gradients, new, update.loss)

    @torch.no_grad()
    def finish(self, network: Network, state: State) -> None:
        """Fold D into the weights, in place."""
        by_weight, parameters = self._by_weight(network, state), network.parameters()
        for name, d in by_weight.items():
            parameters[name].copy_(parameters[name] @ d)

    def _connections(self, network: Network) -> list[tuple[int, Connection]]:
        return [
            (i, c)
            for i, layer in enumerate(network.layers)
            for c in layer.connections
            if (self.inputs if c.source == INPUT else self.hidden)
        ]

    def _by_weight(self, network: Network, state: State) -> dict[str, Tensor]:
        """D by the name of the weight that it stands before."""
        names = {id(p): name for name, p in network.parameters().items()}
        pairs = [(names.get(id(c.path[0].weight)), state[f"{PREFIX}{c.source}"]) for _, c in self._connections(network)]
        return {name: d for name, d in pairs if name is not None}

    def _fold(self, network: Network, state: State) -> Network:
        parameters = network.parameters()
        changed = {
            id(parameters[name]): (parameters[name].detach() @ d).requires_grad_()
            for name, d in self._by_weight(network, state).items()
        }
        return storage.rebuild(network, lambda x: changed.get(id(x), x))

    @torch.no_grad()
    def _decorrelate(self, network: Network, state: State, raster: Tensor, ask: Ask) -> dict[str, Tensor]:
        """D of every source, moved by the correlations of a run."""
        seen: Any = Observed(raster, run(network, raster), (), begin(network, raster))
        moved = {}
        for name in {f"{PREFIX}{c.source}" for _, c in self._connections(network)}:
            source, d = int(name.removeprefix(PREFIX)), state[name]
            x = (seen.raster if source == INPUT else seen.trace.spikes[source]).flatten(0, 1) @ d.T
            c = ask.total(x.T @ x) / ask.total(torch.tensor(float(len(x)), device=x.device))
            c.fill_diagonal_(0)
            moved[name] = d - self.rate * (c @ d if self.form == "multiplicative" else c)
        return moved
