"""A signature between two layers of a network: which path it is taken of is learned."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sktime.datasets import load_japanese_vowels

import siglib
from siglib.sklearn import as_series

DEGREE, CHANNELS, STEPS = 2, 8, 100


def load(split):
    """Recordings in an array (n, 30, 12), with the origin in front, their lengths, and who speaks."""
    frame, speakers = load_japanese_vowels(split=split, return_type="pd-multiindex")
    padded = np.zeros((len(speakers), 30, 12), np.float32)
    lengths = []
    for row, one in zip(padded, as_series(frame), strict=True):
        lengths.append(len(one.points) + 1)
        row[1 : lengths[-1]] = one.points
    return torch.tensor(padded), lengths, torch.tensor(speakers.astype(int) - 1)


class Network(torch.nn.Module):
    """Each point goes through a layer, a linear one reads the log-signature of their path."""

    def __init__(self):
        super().__init__()
        self.points = torch.nn.Sequential(torch.nn.Linear(12, CHANNELS), torch.nn.Tanh())
        n_features = siglib.log_sig_length(CHANNELS, DEGREE, time_aug=True)
        self.head = torch.nn.Sequential(torch.nn.BatchNorm1d(n_features), torch.nn.Linear(n_features, 9))

    def forward(self, paths, lengths):
        return self.head(siglib.log_sig(self.points(paths), DEGREE, time_aug=True, lengths=lengths))


train, lengths, speakers = load("train")
test, test_lengths, test_speakers = load("test")
torch.manual_seed(0)
network = Network()
optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
losses, accuracies = [], []
for _ in range(STEPS):
    network.train()
    loss = torch.nn.functional.cross_entropy(network(train, lengths), speakers)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    network.eval()
    with torch.no_grad():
        accuracies.append(float((network(test, test_lengths).argmax(dim=1) == test_speakers).double().mean()))
    losses.append(loss.item())

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8))
left.semilogy(losses, color="black")
left.set_title("loss", fontsize=10)
right.plot(100 * np.array(accuracies), color="#d55e00")
right.set_title(f"held-out accuracy in %; {accuracies[-1]:.1%} in the end", fontsize=10)
for axis in (left, right):
    axis.set_xlabel("step")
