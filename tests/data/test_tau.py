import numpy as np
import pytest
from scipy.special import expit

from data.tau import log_scores


def test_log_scores_are_those_of_each_units_mean_probability(rng):
    margins, starts = rng.normal(size=9), np.array([0, 2, 6])
    right, wrong = log_scores(margins, starts, tau=0.3)
    parts = np.split(expit(margins / 0.3), starts[1:])
    mis = np.array([one.mean() for one in parts])
    np.testing.assert_allclose(right, np.log(mis))
    np.testing.assert_allclose(wrong, np.log(1 - mis))


def test_a_score_that_is_nearly_one_keeps_its_distance_from_it():
    right, wrong = log_scores(np.array([1.0, 1.0]), np.array([0]), tau=0.01)
    assert right[0] == pytest.approx(-np.exp(-100))
    assert wrong[0] == pytest.approx(-100)


def test_no_answer_is_ever_impossible():
    right, wrong = log_scores(np.array([1.0]), np.array([0]), tau=1e-6)
    assert right[0] == 0
    assert -709 < wrong[0] < -708
