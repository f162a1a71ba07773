import numpy as np
import pandas as pd
import pytest

from analysis.calibration import calibration


def answers(probabilities, per_task, rng):
    task = np.repeat(np.arange(len(probabilities)), per_task).astype(str)
    correct = rng.random(len(task)) < np.repeat(probabilities, per_task)
    return pd.DataFrame({"task_id": task, "correct": correct})


def tasks(probabilities):
    names = np.arange(len(probabilities)).astype(str)
    return pd.DataFrame({"task_id": names, "probability": probabilities})


def test_true_probabilities_lie_in_the_bins_intervals(rng):
    true = rng.uniform(0.5, 1, 800)
    found = calibration(answers(true, 5, rng), tasks(true), n_bins=8)
    bins = found.bins
    inside = (bins["ci_low"] <= bins["probability"]) & (
        bins["probability"] <= bins["ci_high"]
    )
    assert inside.sum() >= 7
    assert bins["probability"].is_monotonic_increasing
    assert bins["n_trials"].sum() == found.n_trials == 4000
    assert bins["n_trials"].min() > 400


def test_brier_scores_are_their_formulas(rng):
    said = np.array([0.9, 0.6])
    table = pd.DataFrame({"task_id": ["0", "0", "1"], "correct": [True, False, True]})
    found = calibration(table, tasks(said), n_bins=2)
    assert found.brier_score == pytest.approx((0.01 + 0.81 + 0.16) / 3)
    assert found.brier_of_mean == pytest.approx(2 / 9)


def test_true_probabilities_beat_the_mean(rng):
    true = rng.uniform(0.5, 1, 800)
    found = calibration(answers(true, 5, rng), tasks(true))
    assert found.brier_score < found.brier_of_mean


def test_answers_of_one_task_stay_in_one_bin(rng):
    said = np.repeat([0.6, 0.9], 10)
    found = calibration(answers(said, 3, rng), tasks(said), n_bins=8)
    assert found.bins["n_tasks"].tolist() == [10, 10]


def test_scores_of_other_tasks_give_no_calibration(rng):
    assert calibration(answers([0.7], 4, rng), tasks([0.7]).assign(task_id="x")) is None
