"""Nine men say a vowel, each time for as long as it takes: who is it?"""

import matplotlib.pyplot as plt
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sktime.datasets import load_japanese_vowels

from siglib.sklearn import LogSignatureTransformer, as_series

frame, speakers = load_japanese_vowels(split="train", return_type="pd-multiindex")
test_frame, test_speakers = load_japanese_vowels(split="test", return_type="pd-multiindex")
train, test = as_series(frame), as_series(test_frame)

# Where the channels are matters, not only how they move.
features = LogSignatureTransformer(2, time_aug=True, scale="std", base_point="zero", invisibility_reset=True)
analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto", n_components=2)
model = make_pipeline(features, analysis).fit(train, speakers)
accuracy = model.score(test, test_speakers)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), width_ratios=[1, 1.6])
left.hist([len(one.points) for one in [*train, *test]], bins=range(7, 31), color="#999999")
left.set_xlabel("moments in a recording")
for speaker in model.classes_:
    right.plot(*model.transform(test[test_speakers == speaker]).T, ".", label=speaker)
right.set_title(f"{len(test)} held-out recordings by speaker, accuracy {100 * accuracy:.1f} %")
right.legend(frameon=False, fontsize=8, ncols=3)
