"""Recognise what a person is doing from a wrist sensor, with a support vector machine and the signature kernel.

    pip install ".[examples]" && python examples/kernel_svm.py

The data are those of `motion_recognition.py`: 80 recordings of four activities, six channels. A support vector machine
needs no features, only a matrix of kernels between recordings: scikit-learn takes it with `kernel="precomputed"`. The
signature kernel compares recordings by all iterated integrals at once, without a degree to choose. What there is to
choose, the static kernel's width and the machine's regularisation, is chosen by cross-validation on the recordings to
learn from.
"""

import time
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import SVC
from sktime.datasets import load_basic_motions

import siglib

# Widths of the static kernel, in units of the median squared distance between points of the recordings.
WIDTHS = [0.3, 1.0, 3.0, 10.0, 30.0]
REGULARISATION = {"C": [0.1, 1.0, 10.0, 100.0]}


class Choice(NamedTuple):
    """A trained machine, the width it was trained with, and its accuracy in cross-validation."""

    machine: SVC
    width: float
    accuracy: float


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training and test paths of shape (recording, moment, channel), and their labels."""
    train, train_labels = load_basic_motions(split="train", return_type="numpy3D")
    test, test_labels = load_basic_motions(split="test", return_type="numpy3D")
    # Channels in units of their own spread (in the training set), so that none drowns the others in their distances.
    scale = train.std(axis=(0, 2), keepdims=True)
    return (train / scale).swapaxes(1, 2), train_labels, (test / scale).swapaxes(1, 2), test_labels


def median_squared_distance(paths: np.ndarray, n: int = 1000) -> float:
    """Of `n` random pairs of points, whenever and in whatever recording they are."""
    points = paths.reshape(-1, paths.shape[-1])
    first, second = np.random.default_rng(0).integers(len(points), size=(2, n))
    return float(np.median(np.sum((points[first] - points[second]) ** 2, axis=1)))


def kernels(first: np.ndarray, second: np.ndarray, sigma: float) -> np.ndarray:
    """Normalised: every recording has kernel 1 with itself, however much happens in it."""
    return siglib.sig_kernel_gram(
        first, second, static_kernel=siglib.RBFKernel(sigma), dyadic_order=0, time_aug=True, normalize=True, n_jobs=-1
    )


def choose(paths: np.ndarray, labels: np.ndarray, unit: float) -> Choice:
    """The best width and regularisation in cross-validation, and a machine trained with them on all recordings."""
    choices = []
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for width in WIDTHS:
        search = GridSearchCV(SVC(kernel="precomputed"), REGULARISATION, cv=folds)
        search.fit(kernels(paths, paths, width * unit), labels)
        print(f"  width {width:4.1f}: accuracy {100 * search.best_score_:5.1f} % with C = {search.best_params_['C']:g}")
        choices.append(Choice(search.best_estimator_, width, search.best_score_))
    return max(choices, key=lambda choice: choice.accuracy)


def main() -> None:
    train, train_labels, test, test_labels = load()
    print(f"data: {len(train)} recordings to learn from, {len(test)} held out, of shape {train.shape[1:]}")

    unit = median_squared_distance(train)
    start = time.perf_counter()
    kernels(train, train, unit)
    seconds = time.perf_counter() - start
    print(f"kernels: {1000 * seconds:.0f} ms for all {len(train) ** 2} pairs of recordings")

    print("cross-validation on the recordings to learn from:")
    chosen = choose(train, train_labels, unit)
    accuracy = chosen.machine.score(kernels(test, train, chosen.width * unit), test_labels)
    print(f"chosen: width {chosen.width:g}, C = {chosen.machine.C:g}")
    print(f"held-out accuracy {100 * accuracy:.1f} %")


if __name__ == "__main__":
    main()
