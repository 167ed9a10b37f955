"""Error of low-rank and random features against their number, on recordings of vowels."""

import matplotlib.pyplot as plt
import numpy as np
from sktime.datasets import load_japanese_vowels

from siglib.sklearn import RandomSignatureFeatures, SignatureKernelTransformer, SignatureNystroem, as_series

BLUE, RED, GREY = "#0072b2", "#d55e00", "#999999"
DRAWS = 5

series = as_series(load_japanese_vowels(split="train", return_type="pd-multiindex")[0])[::3]
options = {"scale": "std", "time_aug": True}
gram = SignatureKernelTransformer(dyadic_order=2, **options).fit_transform(series)


def error(estimator, **settings):
    """Root mean square over all entries and draws."""
    squares = []
    for seed in range(DRAWS):
        features = estimator(random_state=seed, **settings, **options).fit_transform(series)
        squares.append(np.mean((features @ features.T - gram) ** 2))
    return np.sqrt(np.mean(squares))


landmarks = np.array([5, 10, 20, 40, 80])
waves = np.array([10, 30, 100, 300, 1000])
figure, axis = plt.subplots(figsize=(6, 3.4))
for degree, style in ((2, "s:"), (6, "o-")):
    random = [error(RandomSignatureFeatures, n_components=n, degree=degree) for n in waves]
    axis.loglog(degree * waves, random, style, color=RED, label=f"RandomSignatureFeatures, degree={degree}")
axis.loglog(degree * waves, random[0] * np.sqrt(waves[0] / waves), "--", color=GREY, label="one over the root")
nystroem = [error(SignatureNystroem, n_components=n, dyadic_order=2) for n in landmarks]
axis.loglog(landmarks, nystroem, "o-", color=BLUE, label="SignatureNystroem, landmarks")
axis.set_xlabel("number of features")
axis.set_ylabel("error of the kernel")
axis.legend(frameon=False, fontsize=8, loc="upper right")
