"""Compare a trained model with scikit-learn and LightGBM on the same feature matrix and the same folds.

    selfsame train --input data.jsonl --output /tmp/m.json --export-matrix /tmp/matrix
    pip install numpy scikit-learn lightgbm
    python benches/python/compare.py /tmp/matrix

Prints mean average precision over the grouped folds, average precision on the hold-out, and fitting time on all development rows.
Absent values (-1) are missing values to LightGBM; the logistic regression gets them as zeros with an indicator, standardised.
"""

import sys
import time
from pathlib import Path

import numpy as np
from lightgbm import LGBMClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def with_indicators(x):
    absent = x < 0
    present = np.where(absent, 0.0, np.log1p(np.where(absent, 0.0, x)))
    return np.hstack([present, absent.astype(float)])


def as_missing(x):
    return np.where(x < 0, np.nan, x)


MODELS = {
    "scikit-learn logistic regression": (
        with_indicators,
        lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    ),
    "scikit-learn random forest (300 trees)": (
        lambda x: x,
        lambda: RandomForestClassifier(300, min_samples_leaf=3, n_jobs=2, random_state=1),
    ),
    "LightGBM (defaults)": (as_missing, lambda: LGBMClassifier(random_state=1, n_jobs=2, verbose=-1)),
    "LightGBM (300 trees, rate 0.05, 15 leaves)": (
        as_missing,
        lambda: LGBMClassifier(
            n_estimators=300, learning_rate=0.05, num_leaves=15, subsample=0.8, subsample_freq=1, colsample_bytree=0.6,
            random_state=1, n_jobs=2, verbose=-1,
        ),
    ),
}


def main():
    folder = Path(sys.argv[1])
    x = np.load(folder / "features.npy")
    rows = np.genfromtxt(folder / "rows.csv", delimiter=",", names=True)
    y, fold = rows["abusive"].astype(int), rows["fold"].astype(int)
    held_out = fold < 0
    print(f"{len(y)} rows, {y.sum()} abusive, {held_out.sum()} held out; rules alone on the hold-out: "
          f"{average_precision_score(y[held_out], rows['rule_score'][held_out]):.4f}")
    print("| model | grouped folds | hold-out | seconds to fit |\n|---|---|---|---|")
    for name, (prepare, make) in MODELS.items():
        inputs = prepare(x)
        by_fold = []
        for test in sorted(set(fold[~held_out])):
            fit = ~held_out & (fold != test)
            model = make().fit(inputs[fit], y[fit])
            by_fold.append(average_precision_score(y[fold == test], model.predict_proba(inputs[fold == test])[:, 1]))
        begun = time.perf_counter()
        model = make().fit(inputs[~held_out], y[~held_out])
        seconds = time.perf_counter() - begun
        on_hold_out = average_precision_score(y[held_out], model.predict_proba(inputs[held_out])[:, 1])
        print(f"| {name} | {np.mean(by_fold):.4f} | {on_hold_out:.4f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
