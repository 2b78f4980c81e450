"""A network in the style of snnTorch's tutorials: 8 pixels of a row in, 128 recurrent neurons, 10 digits out, its own loop over time."""

import snntorch as snn
import torch
from torch import nn


class Net(nn.Module):
    """forward(x [T, B, 8]) -> membranes [T, B, 10]; the last layer never resets, so its mean membrane is the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(8, 128)
        self.lif1 = snn.RLeaky(beta=0.9, linear_features=128)
        self.fc2 = nn.Linear(128, 10, bias=False)
        self.lif2 = snn.Leaky(beta=0.95, reset_mechanism="none")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spk1, mem1 = self.lif1.init_rleaky()
        mem2 = self.lif2.init_leaky()
        answers = []
        for step in range(len(x)):
            spk1, mem1 = self.lif1(self.fc1(x[step]), spk1, mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            answers.append(mem2)
        return torch.stack(answers)


def build() -> nn.Module:
    """What `edge-anp train examples/my_net.py:build` trains; the seed makes every run the same."""
    torch.manual_seed(0)
    net = Net()
    nn.init.normal_(net.fc1.weight, std=0.4)  # louder than torch's default, so that the hidden neurons spike
    return net
