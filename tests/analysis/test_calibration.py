import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

from analysis.calibration import calibration, recalibration


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


def test_units_can_be_calibrated_instead_of_tasks(rng):
    table = pd.DataFrame({"unit": ["a"] * 4 + ["b"] * 4, "correct": [True, False] * 4})
    said = pd.DataFrame({"unit": ["a", "b"], "probability": [0.5, 0.8]})
    found = calibration(table, said, by="unit", n_bins=2)
    assert found.bins["probability"].tolist() == [0.5, 0.8]
    assert found.n_tasks == 2


def test_expected_error_is_the_mean_gap_of_the_bins():
    table = pd.DataFrame({"task_id": ["0"] * 4 + ["1"] * 4, "correct": [True] * 8})
    found = calibration(table, tasks(np.array([0.7, 0.9])), n_bins=2)
    assert found.expected_error == pytest.approx((0.3 + 0.1) / 2)


def unit_answers(rng, said, true, per_unit=10):
    unit = np.repeat(np.arange(len(said)), per_unit)
    correct = rng.random(len(unit)) < true[unit]
    answers = pd.DataFrame({"unit": unit.astype(str), "correct": correct})
    names = np.arange(len(said)).astype(str)
    return answers, pd.DataFrame({"unit": names, "probability": said})


def test_the_line_is_the_one_of_greatest_likelihood(rng):
    said = rng.uniform(0.3, 0.95, 40)
    answers, table = unit_answers(rng, said, said)
    x = logit(said[answers["unit"].astype(int)])
    y = answers["correct"].to_numpy()

    def loss(line):
        p = expit(line[0] + line[1] * x)
        return -np.log(np.where(y, p, 1 - p)).sum()

    best = minimize(loss, [0.1, 0.9], method="Nelder-Mead", options={"xatol": 1e-8})
    found = recalibration(answers, table, by="unit")
    assert [found.intercept, found.slope] == pytest.approx(best.x.tolist(), abs=1e-4)


def test_a_machine_that_is_too_sure_has_a_slope_below_one(rng):
    true = rng.uniform(0.2, 0.9, 300)
    said = expit(2 * logit(true) - 0.6)
    found = recalibration(*unit_answers(rng, said, true), by="unit")
    assert found.slope_low < 0.5 < found.slope_high < 0.7
    assert found.intercept_low < 0.3 < found.intercept_high


def test_intervals_of_the_line_cover_the_truth_at_their_rate(rng):
    inside = np.zeros(2)
    for _ in range(150):
        true = rng.uniform(0.4, 0.95, 60)
        found = recalibration(*unit_answers(rng, true, true), by="unit")
        inside += [
            found.intercept_low <= 0 <= found.intercept_high,
            found.slope_low <= 1 <= found.slope_high,
        ]
    assert (inside / 150 > 0.89).all()


@pytest.mark.parametrize(
    ("said", "true", "note"),
    [
        (np.full(20, 0.8), np.full(20, 0.8), "every task has the same probability"),
        (np.linspace(0.5, 0.9, 20), np.ones(20), "every answer is the same"),
        (np.linspace(0.5, 0.9, 5), np.full(5, 0.5), "at least 10 units; there are 5"),
        (
            np.linspace(0.1, 0.9, 20),
            np.repeat([0.0, 1.0], 10),
            "parted by the probability without overlap",
        ),
    ],
)
def test_a_line_that_can_not_be_drawn_is_not(said, true, note, rng):
    found = recalibration(*unit_answers(rng, said, true), by="unit")
    assert found.slope is found.intercept_low is None
    assert note in found.note
