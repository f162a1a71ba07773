import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from analysis.signal_detection import sensitivity
from tests.analysis.borowski import CONDITIONS, golden_cell


def answers(n_trials, dprime, criterion, rng, *, n_sessions=20):
    """Choices of an observer who compares upper and lower, with a shifted cut."""
    upper_right = rng.random(n_trials) < 0.5
    # Upper minus lower evidence has the mean ±d' and the variance 2.
    seen = np.where(upper_right, dprime, -dprime) / np.sqrt(2) + rng.normal(
        size=n_trials
    )
    upper = seen > criterion
    upper_query = np.where(rng.random(n_trials) < 0.5, "positive", "negative")
    other = np.where(upper_query == "positive", "negative", "positive")
    return pd.DataFrame(
        {
            "session_id": (np.arange(n_trials) % n_sessions).astype(str),
            "upper_query": upper_query,
            "chosen_query": np.where(upper, upper_query, other),
            "correct": upper == upper_right,
        }
    )


def swapped(table):
    """The same answers with the rows swapped on the screen."""
    other = table["upper_query"].map({"positive": "negative", "negative": "positive"})
    return table.assign(upper_query=other)


@pytest.mark.parametrize("condition", [*CONDITIONS, "catch"])
def test_dprime_and_criterion_are_those_of_another_program(shared, condition, rng):
    own, expected = golden_cell(shared, condition)
    found = sensitivity(own, rng=rng, n_resamples=99)
    assert expected["response_counts"] == {
        "a_when_a": found.upper_when_upper,
        "b_when_a": found.lower_when_upper,
        "a_when_b": found.upper_when_lower,
        "b_when_b": found.lower_when_lower,
    }
    assert found.dprime.estimate == pytest.approx(
        expected["dprime_2afc_loglinear"], abs=1e-5
    )
    assert found.criterion.estimate == pytest.approx(expected["criterion_c"], abs=1e-5)


def test_a_planted_observer_comes_out(rng):
    found = sensitivity(answers(60_000, 1.2, 0.3, rng), rng=rng, n_resamples=99)
    assert found.dprime.estimate == pytest.approx(1.2, abs=0.03)
    assert found.criterion.estimate == pytest.approx(0.3, abs=0.03)
    assert found.unbiased_proportion == pytest.approx(norm.cdf(1.2 / 2**0.5), abs=0.01)


def test_swapping_the_rows_flips_the_criterion_and_keeps_dprime(rng):
    table = answers(300, 1.0, 0.4, rng)
    first = sensitivity(table, rng=rng, n_resamples=99)
    second = sensitivity(swapped(table), rng=rng, n_resamples=99)
    assert second.dprime.estimate == pytest.approx(first.dprime.estimate)
    assert second.criterion.estimate == pytest.approx(-first.criterion.estimate)
    assert second.criterion.analytic_low == pytest.approx(
        -first.criterion.analytic_high
    )


def test_both_intervals_cover_a_planted_observer(rng):
    runs, hits = 200, np.zeros(4)
    for _ in range(runs):
        found = sensitivity(answers(400, 1.0, 0.2, rng), rng=rng, n_resamples=400)
        for place, (one, truth) in enumerate(
            [(found.dprime, 1.0), (found.criterion, 0.2)]
        ):
            hits[2 * place] += one.ci_low <= truth <= one.ci_high
            hits[2 * place + 1] += one.analytic_low <= truth <= one.analytic_high
    assert (hits / runs >= 0.90).all()
    assert (hits / runs <= 0.99).all()


def test_all_right_has_a_dprime_only_with_the_correction(rng):
    table = answers(50, 1.0, 0, rng)
    wrong = ~table["correct"]
    other = {"positive": "negative", "negative": "positive"}
    mended = table["chosen_query"].mask(wrong, table["chosen_query"].map(other))
    right = table.assign(chosen_query=mended, correct=True)
    corrected = sensitivity(right, rng=rng, n_resamples=50)
    plain = sensitivity(right, rng=rng, correction="none", n_resamples=50)
    assert corrected.dprime.estimate > 2
    assert plain.dprime.estimate is plain.unbiased_proportion is None
    assert "a rate is 0 or 1" in plain.note


def test_a_row_that_never_was_right_gives_no_dprime(rng):
    table = answers(50, 1.0, 0, rng)
    upper = table["chosen_query"] == table["upper_query"]
    only_upper = table[upper == table["correct"]]
    found = sensitivity(only_upper, rng=rng)
    assert found.dprime.estimate is None
    assert "lower never was" in found.note


def test_one_participant_has_a_dprime_with_the_analytic_interval_only(rng):
    found = sensitivity(answers(90, 1.0, 0, rng, n_sessions=1), rng=rng)
    assert found.dprime.ci_low is None
    assert found.dprime.analytic_low < found.dprime.estimate
    assert "no interval over participants" in found.note


def test_every_answer_twice_moves_nothing_and_narrows_the_analytic_interval(rng):
    table = answers(300, 1.0, 0.2, rng)
    once, twice = (
        sensitivity(one, rng=rng, correction="none", n_resamples=50).dprime
        for one in (table, pd.concat([table, table]))
    )
    assert once.estimate == pytest.approx(twice.estimate)
    width = once.analytic_high - once.analytic_low
    assert twice.analytic_high - twice.analytic_low == pytest.approx(width / 2**0.5)


def test_the_order_of_answers_changes_nothing(rng):
    table = answers(200, 1.0, 0.2, rng)
    first, second = (
        sensitivity(one, rng=np.random.default_rng(0), n_resamples=99)
        for one in (table, table.sample(frac=1, random_state=1))
    )
    assert first == second


def test_another_correction_is_refused(rng):
    with pytest.raises(ValueError, match="'correction' is 'hautus'; it must be one"):
        sensitivity(answers(9, 1, 0, rng), rng=rng, correction="hautus")
