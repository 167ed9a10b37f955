"""Volatilities of two shares, and how they move together: three areas of one lead-lag path."""

import matplotlib.cbook as cbook
import matplotlib.pyplot as plt
import numpy as np

import siglib

with cbook.get_sample_data("Stocks.csv") as file:
    table = np.genfromtxt(file, delimiter=",", skip_header=1, names=True, dtype=None, encoding=None)
shares = np.column_stack([table["AAPL"], table["MSFT"]])
known = np.isfinite(shares).all(axis=1)
months, path = table["Date"][known].astype("datetime64[D]"), np.log(shares[known])

window = 25  # points: 24 months
levels = siglib.log_sig_windows(path, 2, window, lead_lag=True)
# Channels: both lagged, both leading. Areas between a lagged and a leading one are sums of products of steps.
column = {word: i for i, word in enumerate(siglib.lyndon_words(4, 2))}
variances = -2 * levels[:, [column[0, 2], column[1, 3]]]
covariance = -(levels[:, column[0, 3]] + levels[:, column[1, 2]])

steps = np.lib.stride_tricks.sliding_window_view(np.diff(path, axis=0), window - 1, axis=0)
np.testing.assert_allclose(variances, (steps**2).sum(axis=2), rtol=1e-9)
np.testing.assert_allclose(covariance, steps.prod(axis=1).sum(axis=1), atol=1e-12)

figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 4.2), sharex=True)
for name, variance in zip(["Apple", "Microsoft"], variances.T, strict=True):
    top.plot(months[window - 1 :], 100 * np.sqrt(variance * 12 / (window - 1)), label=name)
top.set_ylabel("volatility\nin % a year")
top.legend(frameon=False)
bottom.axhline(0, color="#999999", linewidth=0.8)
bottom.plot(months[window - 1 :], covariance / np.sqrt(variances.prod(axis=1)), color="black")
bottom.set_ylabel("correlation\nof steps")
bottom.set_title("Monthly prices, windows of two years", fontsize=10)
