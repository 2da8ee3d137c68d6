"""Compare a trained model with scikit-learn and LightGBM on the same feature matrix and the same folds.

    selfsame train --input data.jsonl --write /tmp/m.json --export-matrix /tmp/matrix
    pip install numpy scikit-learn lightgbm
    python benches/python/compare.py /tmp/matrix

Prints mean average precision over the grouped folds, average precision on the hold-out, and fitting time on all development rows, by the
clock and in processor seconds. `--threads 1` holds everything to one thread, as `cargo bench --bench learning` does; `--models` takes those
whose name contains one of the words; `--hold-out-only` leaves the folds out.
Absent values (-1) are missing values to the boosting libraries; the logistic regression gets them as zeros with an indicator, standardised.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from lightgbm import LGBMClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits


def with_indicators(x):
    absent = x < 0
    present = np.where(absent, 0.0, np.log1p(np.where(absent, 0.0, x)))
    return np.hstack([present, absent.astype(float)])


def as_missing(x):
    return np.where(x < 0, np.nan, x)


def as_missing_where_seen(x):
    """A column without a single value cannot be binned by scikit-learn."""
    return np.where((x < 0) & (x >= 0).any(axis=0), np.nan, x)


# Each with its input and a maker that takes the number of threads.
MODELS = {
    "scikit-learn logistic regression": (
        with_indicators,
        lambda threads: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    ),
    "scikit-learn random forest (300 trees)": (
        lambda x: x,
        lambda threads: RandomForestClassifier(300, min_samples_leaf=3, n_jobs=threads, random_state=1),
    ),
    "scikit-learn boosting (HistGradientBoosting, defaults)": (
        as_missing_where_seen,
        lambda threads: HistGradientBoostingClassifier(random_state=1),
    ),
    "scikit-learn boosting (300 trees, rate 0.05, 15 leaves)": (
        as_missing_where_seen,
        lambda threads: HistGradientBoostingClassifier(
            max_iter=300, learning_rate=0.05, max_leaf_nodes=15, early_stopping=False, random_state=1,
        ),
    ),
    "LightGBM (defaults)": (as_missing, lambda threads: LGBMClassifier(random_state=1, n_jobs=threads, verbose=-1)),
    "LightGBM (300 trees, rate 0.05, 15 leaves)": (
        as_missing,
        lambda threads: LGBMClassifier(
            n_estimators=300, learning_rate=0.05, num_leaves=15, subsample=0.8, subsample_freq=1, colsample_bytree=0.6,
            random_state=1, n_jobs=threads, verbose=-1,
        ),
    ),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, help="what `selfsame train --export-matrix` wrote")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", default="", help="words, separated by commas")
    parser.add_argument("--hold-out-only", action="store_true")
    return parser.parse_args()


def main():
    given = arguments()
    x = np.load(given.folder / "features.npy")
    rows = np.genfromtxt(given.folder / "rows.csv", delimiter=",", names=True)
    y, fold = rows["abusive"].astype(int), rows["fold"].astype(int)
    held_out = fold < 0
    print(f"{len(y)} rows, {y.sum()} abusive, {held_out.sum()} held out; rules alone on the hold-out: "
          f"{average_precision_score(y[held_out], rows['rule_score'][held_out]):.4f}")
    print("| model | grouped folds | hold-out | seconds to fit | processor seconds |\n|---|---|---|---|---|")
    for name, (prepare, make) in MODELS.items():
        if not any(word in name for word in given.models.split(",")):
            continue
        inputs = prepare(x)
        by_fold = []
        for test in [] if given.hold_out_only else sorted(set(fold[~held_out])):
            fit = ~held_out & (fold != test)
            model = make(given.threads).fit(inputs[fit], y[fit])
            by_fold.append(average_precision_score(y[fold == test], model.predict_proba(inputs[fold == test])[:, 1]))
        development = inputs[~held_out]
        begun, worked = time.perf_counter(), time.process_time()
        model = make(given.threads).fit(development, y[~held_out])
        seconds, worked = time.perf_counter() - begun, time.process_time() - worked
        on_hold_out = average_precision_score(y[held_out], model.predict_proba(inputs[held_out])[:, 1])
        mean = f"{np.mean(by_fold):.4f}" if by_fold else "–"
        print(f"| {name} | {mean} | {on_hold_out:.4f} | {seconds:.2f} | {worked:.2f} |", flush=True)


if __name__ == "__main__":
    with threadpool_limits(arguments().threads):
        main()
