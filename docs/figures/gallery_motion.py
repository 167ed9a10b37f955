"""What is a person doing? Features of a wrist sensor, and the two that a forest looks at most."""

import matplotlib.pyplot as plt
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sktime.datasets import load_basic_motions

from siglib.sklearn import LogSignatureTransformer

train, activities = load_basic_motions(split="train", return_type="numpy3D")
test, test_activities = load_basic_motions(split="test", return_type="numpy3D")

features = LogSignatureTransformer(2, time_aug=True, scale="std", layout="channels_first")
model = make_pipeline(features, RandomForestClassifier(300, random_state=0)).fit(train, activities)
accuracy = model.score(test, test_activities)

names = features.get_feature_names_out(["acc x", "acc y", "acc z", "gyro x", "gyro y", "gyro z"])
second, first = model[-1].feature_importances_.argsort()[-2:]
values = features.transform(test)

figure, axis = plt.subplots(figsize=(6, 3.6))
for activity in model.classes_:
    axis.plot(*values[test_activities == activity][:, [first, second]].T, "o", label=activity, alpha=0.8)
axis.set_xlabel(names[first])
axis.set_ylabel(names[second])
axis.set_title(f"{len(test)} held-out recordings, accuracy with all {len(names)} features {100 * accuracy:.1f} %")
axis.legend(frameon=False)
