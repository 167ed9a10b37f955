"""Two signals, the path they draw, and the area it encloses as the lag between them changes."""

import matplotlib.pyplot as plt
import numpy as np

import siglib

BLUE, RED, GREY = "#0072b2", "#d55e00", "#999999"
t = np.linspace(0, 1, 200)


def pair(shift):
    """A bump, and the same bump `shift` later."""
    return np.stack([np.exp(-(((t - c) / 0.12) ** 2)) for c in (0.5 - shift / 2, 0.5 + shift / 2)], axis=-1)


figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9, 2.7))

path = pair(0.1)
left.plot(t, path[:, 0], color=BLUE, label="channel 0")
left.plot(t, path[:, 1], color=RED, label="channel 1")
left.set_xlabel("time")
left.set_yticks([])
left.legend(frameon=False, loc="upper right", handlelength=1)
left.set_xlim(0, 1.2)
left.set_xticks([0, 0.5, 1])
left.set_title("Channel 0 leads", fontsize=10)

middle.fill(path[:, 0], path[:, 1], color=GREY, alpha=0.3, linewidth=0)
middle.plot(path[:, 0], path[:, 1], color="black", linewidth=1.2)
for i in (88, 112):
    middle.annotate("", path[i + 3], path[i], arrowprops={"arrowstyle": "-|>", "color": "black"})
middle.text(0.5, 0.5, "area", ha="center", va="center")
middle.set_xlabel("channel 0")
middle.set_ylabel("channel 1")
middle.set_xticks([])
middle.set_yticks([])
middle.set_aspect("equal")
middle.set_title("The path they draw", fontsize=10)

shifts = np.linspace(-0.4, 0.4, 81)
areas = siglib.log_sig(np.stack([pair(shift) for shift in shifts]), 2)[:, 2]
right.axhline(0, color=GREY, linewidth=0.8)
right.axvline(0, color=GREY, linewidth=0.8)
right.plot(shifts, areas, color="black")
right.plot(0.1, np.interp(0.1, shifts, areas), "o", color="black", markersize=5)
right.set_xlabel("how far channel 0 leads")
right.set_title("Log-signature, word (0, 1)", fontsize=10)
