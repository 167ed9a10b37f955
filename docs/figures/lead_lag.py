"""One series as a path in the plane of itself and its own past."""

import matplotlib.pyplot as plt
import numpy as np

import siglib

x = np.array([0.0, 1.0, 0.4, 1.5, 1.1, 2.0])
path = siglib.transform_path(x[:, None], lead_lag=True)

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.7))
left.plot(x, "o-", color="black", markersize=4)
left.set_xlabel("time")
left.set_title("A series", fontsize=10)

lag, lead = path.T
for i in range(len(x) - 1):
    a, b = x[i], x[i + 1]
    right.fill([a, a, b], [a, b, b], color="#0072b2", alpha=0.2, linewidth=0)
right.plot([0, 2.1], [0, 2.1], color="#999999", linewidth=0.8, linestyle=":")
right.plot(lag, lead, "o-", color="#0072b2", markersize=4)
right.set_xlabel("lag")
right.set_ylabel("lead")
right.set_aspect("equal")
right.set_title("Its lead-lag path", fontsize=10)
