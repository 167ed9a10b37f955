"""A share price and what the log-signatures of its windows say: how far it went, and how rough the way was."""

import matplotlib.cbook as cbook
import matplotlib.pyplot as plt
import numpy as np

import siglib

BLUE, RED, GREY = "#0072b2", "#d55e00", "#999999"
DAYS = 60

data = cbook.get_sample_data("goog.npz")["price_data"]
date, price = data["date"], data["adj_close"]
path = np.log(price)[:, None]
gain, _, area = siglib.log_sig_windows(path, 2, DAYS + 1, lead_lag=True).T

figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(9, 5), sharex=True)
top.plot(date, price, color="black", linewidth=1)
top.set_ylabel("price in USD")
top.set_title("Google, 2004 to 2008", fontsize=10)

middle.axhline(0, color=GREY, linewidth=0.8)
middle.plot(date[DAYS:], gain, color=BLUE)
middle.set_ylabel(f"log return,\n{DAYS} days")
middle.set_title("Level 1: how far", fontsize=10)

# Twice the area between lag and lead is the sum of squared steps.
bottom.plot(date[DAYS:], 100 * np.sqrt(2 * np.abs(area) * 252 / DAYS), color=RED)
bottom.set_ylabel("volatility in %\na year")
bottom.set_title("Level 2: how rough", fontsize=10)
figure.align_ylabels()
figure.tight_layout()
