"""How many lynxes next year? Forecasts from log-signatures of the last twelve years, and from their numbers."""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sktime.datasets import load_lynx

from siglib.sklearn import LogSignatureTransformer

WINDOW, FIRST = 12, 50
lynx = load_lynx()
size = np.log10(lynx.to_numpy())
windows = np.lib.stride_tricks.sliding_window_view(size, WINDOW)[:-1]
last, target = windows[:, -1], size[WINDOW:]


def forecasts(features):
    """Of every year from FIRST on, by a model of all years before it. What is learned is the change."""
    features = np.column_stack([last, features])
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-4, 3, 15)))
    changes = [
        model.fit(features[:i], (target - last)[:i]).predict(features[i : i + 1])[0] for i in range(FIRST, len(target))
    ]
    return last[FIRST:] + changes


# A row of a table is a series of one channel.
by_shape = LogSignatureTransformer(3, time_aug=True)
methods = {
    f"log-signature of degree 3, {by_shape.fit_transform(windows).shape[1]} numbers": by_shape.transform(windows),
    f"the last {WINDOW} years": windows,
}

figure, axis = plt.subplots(figsize=(9, 3.4))
years = lynx.index.year[WINDOW + FIRST :]
axis.plot(years, target[FIRST:], color="black", label="lynxes trapped")
for (name, features), style in zip(methods.items(), ["o-", "s:"], strict=True):
    forecast = forecasts(features)
    error = np.sqrt(np.mean((forecast - target[FIRST:]) ** 2))
    axis.plot(years, forecast, style, markersize=3, linewidth=1, label=f"{name}: error {error:.3f}")
error = np.sqrt(np.mean((last - target)[FIRST:] ** 2))
axis.set_title(f"log10 of their number, forecasts of one year; error of last year's number {error:.3f}", fontsize=10)
axis.set_ylim(1.5, 4.8)
axis.legend(frameon=False, ncols=3, fontsize=8, loc="upper left")
