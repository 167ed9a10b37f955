"""A signature between two layers of a network: which path it is taken of is learned."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sktime.datasets import load_japanese_vowels

import siglib
from siglib.sklearn import as_series

DEGREE, CHANNELS, STEPS = 2, 8, 100


def load(split):
    """Recordings as (n, 30, 13), with time as a channel, the origin in front, and last points repeated behind."""
    frame, speakers = load_japanese_vowels(split=split, return_type="pd-multiindex")
    out = np.zeros((len(speakers), 30, 13), np.float32)
    for row, one in zip(out, as_series(frame), strict=True):
        n = len(one.points)
        row[1 : n + 1] = np.column_stack([one.points, np.linspace(0, 1, n)])
        row[n + 1 :] = row[n]
    return torch.tensor(out), torch.tensor(speakers.astype(int) - 1)


class Network(torch.nn.Module):
    """Each point goes through a layer, a linear one reads the log-signature of their path."""

    def __init__(self):
        super().__init__()
        # Points that repeat stay so, and add nothing to a signature.
        self.points = torch.nn.Sequential(torch.nn.Linear(13, CHANNELS), torch.nn.Tanh())
        self.head = torch.nn.Sequential(
            torch.nn.BatchNorm1d(siglib.log_sig_length(CHANNELS, DEGREE)), torch.nn.LazyLinear(9)
        )

    def forward(self, paths):
        return self.head(siglib.log_sig(self.points(paths), DEGREE))


(train, speakers), (test, test_speakers) = load("train"), load("test")
torch.manual_seed(0)
network = Network()
optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
losses, accuracies = [], []
for _ in range(STEPS):
    network.train()
    loss = torch.nn.functional.cross_entropy(network(train), speakers)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    network.eval()
    with torch.no_grad():
        accuracies.append(float((network(test).argmax(dim=1) == test_speakers).double().mean()))
    losses.append(loss.item())

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8))
left.semilogy(losses, color="black")
left.set_title("loss", fontsize=10)
right.plot(100 * np.array(accuracies), color="#d55e00")
right.set_title(f"held-out accuracy in %; {accuracies[-1]:.1%} in the end", fontsize=10)
for axis in (left, right):
    axis.set_xlabel("step")
