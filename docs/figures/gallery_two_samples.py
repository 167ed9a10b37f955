"""Does a day's demand for electric power have the same shape in the cold and in the warm half of the year?"""

import matplotlib.pyplot as plt
import numpy as np
from sktime.datasets import load_italy_power_demand

import siglib

BLUE, RED, GREY = "#0072b2", "#d55e00", "#999999"
series, halves = load_italy_power_demand(return_type="numpy3D")
days = np.random.default_rng(0).permutation(len(series))
cold, warm = (series[days][halves[days] == half].swapaxes(1, 2) for half in ("1", "2"))

options = {"static_kernel": siglib.RBFKernel(1.0), "dyadic_order": 0, "time_aug": True, "rng": 0}
tests = {
    "10 cold days against 10 warm ones": siglib.two_sample_test(cold[:10], warm[:10], **options),
    "10 warm days against 10 others": siglib.two_sample_test(warm[10:20], warm[:10], **options),
}

figure, axes = plt.subplots(1, 3, figsize=(9, 3), width_ratios=[1.2, 1, 1])
for sample, colour in ((cold[:10], BLUE), (warm[:10], RED)):
    axes[0].plot(sample[:, :, 0].T, color=colour, linewidth=0.7)
axes[0].set_xlabel("hour")
axes[0].set_title("demand: cold days blue, warm ones red", fontsize=9)
for axis, (name, test) in zip(axes[1:], tests.items(), strict=True):
    axis.hist(test.permuted, bins=30, color=GREY)
    axis.axvline(test.statistic, color="black")
    axis.set_title(f"{name}\np-value {test.p_value:.3f}", fontsize=9)
    axis.set_xlabel("squared MMD")
    axis.set_yticks([])
