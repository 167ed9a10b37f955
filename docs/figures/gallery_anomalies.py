"""Is this the same man? Recordings of one speaker are all that is known; others are to stand out."""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import roc_auc_score
from sktime.datasets import load_japanese_vowels

from siglib.sklearn import SignatureKernelTransformer, as_series

frame, speakers = load_japanese_vowels(split="train", return_type="pd-multiindex")
test_frame, test_speakers = load_japanese_vowels(split="test", return_type="pd-multiindex")
train, test = as_series(frame), as_series(test_frame)


def scores(known):
    """How far each test recording is from the nearest known one; the kernel of a series with itself is 1."""
    kernel = SignatureKernelTransformer(dyadic_order=0, scale="std", base_point="zero", invisibility_reset=True)
    return 1 - kernel.fit(known).transform(test).max(axis=1)


def distances_of_means(known):
    """The same without signatures: means of the channels, in units of their spread."""
    spread = np.concatenate([one.points for one in known]).std(axis=0)
    first, second = (np.stack([one.points.mean(axis=0) / spread for one in sample]) for sample in (test, known))
    return np.linalg.norm(first[:, None] - second[None], axis=2).min(axis=1)


names = np.unique(speakers)
areas = {
    name: [roc_auc_score(test_speakers != one, score(train[speakers == one])) for one in names]
    for name, score in (("signature kernels", scores), ("means", distances_of_means))
}

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), width_ratios=[1.6, 1])
of_first = scores(train[speakers == "1"])
for same, label in ((True, "the same man"), (False, "eight others")):
    left.hist(of_first[(test_speakers == "1") == same], bins=np.linspace(0, 1, 41), alpha=0.7, label=label)
left.set_xlabel("anomaly score, speaker 1 known by 30 recordings")
left.legend(frameon=False)
for name, values in areas.items():
    right.plot(names.astype(int), values, "o", label=f"{name}, mean {np.mean(values):.3f}")
right.set_xlabel("speaker")
right.set_title("area under the ROC curve", fontsize=9)
right.legend(frameon=False, fontsize=8, loc="lower left")
