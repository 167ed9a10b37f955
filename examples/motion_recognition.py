"""Recognise what a person is doing from a wrist sensor, with log-signatures as features.

    pip install ".[examples]" && python examples/motion_recognition.py

The data set BasicMotions comes with the package sktime: 80 recordings of four activities, 10 seconds each, six
channels (acceleration and rotation along three axes). Every recording is a path in six dimensions, seven with time. Its
log-signature of degree 3 describes it by 140 numbers, each of which belongs to a word of channels. Degree 1 is how far
a channel moved in all, degree 2 which of two channels leads the other (the area that the two draw together), degree 3
asks finer questions of order. A random forest needs no more than that.
"""

import argparse
import time

import matplotlib
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sktime.datasets import load_basic_motions

import siglib

CHANNELS = ["acc x", "acc y", "acc z", "gyro x", "gyro y", "gyro z", "time"]
DEGREE = 3


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training and test paths of shape (recording, moment, channel), and their labels."""
    train, train_labels = load_basic_motions(split="train", return_type="numpy3D")
    test, test_labels = load_basic_motions(split="test", return_type="numpy3D")
    # Channels in units of their own spread (in the training set), so that none drowns the others in their products.
    scale = train.std(axis=(0, 2), keepdims=True)
    return (train / scale).swapaxes(1, 2), train_labels, (test / scale).swapaxes(1, 2), test_labels


def features(paths: np.ndarray) -> np.ndarray:
    """Log-signature features, one row per recording; time counts as a seventh channel."""
    return siglib.log_sig(paths, DEGREE, time_aug=True, method=1)


def picture(file, paths, labels, values, names, forest):
    """What goes in (one recording of each activity) and what comes out (the features that decide)."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    activities = list(forest.classes_)
    colours = dict(zip(activities, ["#0072b2", "#d55e00", "#009e73", "#cc79a7"], strict=True))
    order = np.argsort(forest.feature_importances_)[::-1]

    figure = plt.figure(figsize=(12, 4.2), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)
    left, middle, right = figure.subfigures(1, 3, width_ratios=[1, 1.15, 1.15])

    axes = left.subplots(len(activities), 1, sharex=True, sharey=True)
    for axis, activity in zip(axes, activities, strict=True):
        path = paths[np.flatnonzero(labels == activity)[0]]
        axis.plot(np.arange(len(path)) / 10, path[:, 0], color=colours[activity], linewidth=1)
        axis.set_title(activity, loc="left", fontsize=9, color=colours[activity], pad=2)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_yticks([])
    axes[-1].set_xlabel("seconds")
    left.suptitle(f"One recording each: {CHANNELS[0]}", fontsize=11)

    axis = middle.subplots()
    first, second = order[:2]
    for activity in activities:
        mine = labels == activity
        axis.scatter(values[mine, first], values[mine, second], color=colours[activity], label=activity, s=28)
    # The features' sizes differ by orders of magnitude between activities: linear near zero, logarithmic beyond.
    small = 10 ** np.ceil(np.log10(np.quantile(np.abs(values[:, [first, second]]), 0.25, axis=0)))
    axis.set_xscale("symlog", linthresh=small[0])
    axis.set_yscale("symlog", linthresh=small[1])
    axis.set_xlabel(names[first])
    axis.set_ylabel(names[second])
    axis.legend(frameon=False, fontsize=8)
    middle.suptitle("Held-out recordings, the two best features", fontsize=11)

    axis = right.subplots()
    best = order[:10][::-1]
    axis.barh([names[i] for i in best], forest.feature_importances_[best], color="#555555")
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel("importance in the forest")
    right.suptitle("Words of channels that matter most", fontsize=11)
    figure.savefig(file, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description="Motion recognition with log-signature features.")
    parser.add_argument("--picture", default="motion_recognition.png", help="file to save (default: %(default)s)")
    options = parser.parse_args()

    train, train_labels, test, test_labels = load()
    print(f"data: {len(train)} recordings to learn from, {len(test)} held out, of shape {train.shape[1:]}")

    start = time.perf_counter()
    train_features, test_features = features(train), features(test)
    seconds = time.perf_counter() - start
    words = siglib.lyndon_words(len(CHANNELS), DEGREE)
    names = [" · ".join(CHANNELS[letter] for letter in word) for word in words]
    print(f"features: {len(names)} a recording, {1000 * seconds:.1f} ms for all {len(train) + len(test)} recordings")

    start = time.perf_counter()
    forest = RandomForestClassifier(n_estimators=300, random_state=0).fit(train_features, train_labels)
    accuracy = forest.score(test_features, test_labels)
    print(f"random forest: {time.perf_counter() - start:.1f} s to train and test")
    print(f"held-out accuracy {100 * accuracy:.1f} %")

    print("most important features:")
    for i in np.argsort(forest.feature_importances_)[:-11:-1]:
        print(f"  {forest.feature_importances_[i]:.3f}  {names[i]}")
    picture(options.picture, test, test_labels, test_features, names, forest)
    print(f"picture: {options.picture}")


if __name__ == "__main__":
    main()
