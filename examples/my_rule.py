"""A learning rule of your own: edge-anp train examples/my_net.py:build --task digits --rule examples/my_rule.py:rule --out runs/m

REINFORCE with a baseline for every answer: of each answer it remembers how often it was right. Only the last layer learns.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from edge_anp.learning.output_error import draw_action, logits
from edge_anp.learning.rule import Update
from edge_anp.network import run


@dataclass(frozen=True)
class MyRule:
    """explore: the share of answers that are drawn evenly. memory: of the baselines."""

    explore: float = 0.1
    memory: float = 0.9
    signal: str = "reward"  # what `ask` will answer: right or wrong, once a trial

    def init(self, network, seed):
        """What is remembered between updates; it is checkpointed as it is."""
        return {"baseline": torch.zeros(network.layers[-1].size)}

    @torch.no_grad()
    def update(self, network, state, raster, ask, seed):
        """A batch of trials, raster [T, B, I] -> a gradient for any of network.parameters(), the new state, a loss."""
        trace = run(network, raster)
        outputs = logits(network, trace)  # [B, K]
        pi = torch.softmax(outputs, 1)
        action = draw_action(pi, self.explore, seed, ask.trials())
        reward = ask.reward(action, outputs)
        error = (state["baseline"][action] - reward)[:, None] * (F.one_hot(action, pi.shape[1]) - pi)
        name = f"{len(network.layers) - 1}.0.weight"
        gradient = error.T @ trace.spikes[-2].mean(0) / len(reward)
        chosen = F.one_hot(action, pi.shape[1]).float()
        count = chosen.sum(0).clamp(min=1)
        mean = (chosen * reward[:, None]).sum(0) / count
        seen = chosen.any(0)
        baseline = torch.where(seen, self.memory * state["baseline"] + (1 - self.memory) * mean, state["baseline"])
        return Update({name: gradient}, {"baseline": baseline}, float(1 - reward.mean()))


rule = MyRule()
if __name__ == "__main__":
    import edge_anp
    from edge_anp.bench_digits import build_network

    digits = edge_anp.load_task("digits")
    history = edge_anp.train(build_network(0), digits, rule, updates=150, rate=1e-2)
    print(f"accuracy {edge_anp.evaluate(history.network, digits.test):.3f}, asked {history.asked}")
