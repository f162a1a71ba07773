import numpy as np
import pytest

from analysis.correlation import correlation
from analysis.precision import (
    answers_for_width,
    correlation_plan,
    correlation_width,
    proportion_width,
    reliability_of,
    units_for_width,
)


@pytest.mark.parametrize("width", [0.1, 0.2])
@pytest.mark.parametrize("estimate", [0.1, 0.4, 0.8])
@pytest.mark.parametrize("method", ["pearson", "spearman", "kendall"])
def test_units_are_near_bonett_and_wrights_two_stage_approximation(
    method, estimate, width
):
    lost, c = {
        "pearson": (3, 1.0),
        "spearman": (3, np.sqrt(1 + estimate**2 / 2)),
        "kendall": (4, np.sqrt(0.437)),
    }[method]
    z = 1.959963984540054
    first = np.ceil(4 * c**2 * (1 - estimate**2) ** 2 * (z / width) ** 2 + lost)
    half = c * z / np.sqrt(first - lost)
    reached = np.tanh(np.arctanh(estimate) + half)
    reached -= np.tanh(np.arctanh(estimate) - half)
    second = np.ceil((first - lost) * (reached / width) ** 2 + lost)
    assert abs(units_for_width(estimate, width, method=method) - second) <= 2


@pytest.mark.parametrize("method", ["pearson", "spearman", "kendall"])
def test_a_width_is_that_of_the_interval_that_is_printed(method, rng):
    x = rng.normal(size=50)
    found = correlation(
        x, x + rng.normal(size=50), method=method, rng=rng, n_resamples=9
    )
    assert correlation_width(found.estimate, 50, method=method) == pytest.approx(
        found.analytic_high - found.analytic_low
    )


@pytest.mark.parametrize("method", ["pearson", "spearman", "kendall"])
def test_the_number_of_units_is_enough_and_one_less_is_not(method):
    n = units_for_width(0.7, 0.15, method=method)
    assert correlation_width(0.7, n, method=method) <= 0.15
    assert correlation_width(0.7, n - 1, method=method) > 0.15


@pytest.mark.parametrize("proportion", [0.5, 0.8, 0.95, 1.0])
def test_the_number_of_answers_is_enough_and_one_less_is_not(proportion):
    n = answers_for_width(proportion, 0.2)
    assert proportion_width(proportion, n) <= 0.2
    assert proportion_width(proportion, n - 1) > 0.2


def test_a_half_takes_most_answers():
    assert answers_for_width(0.5, 0.2) > answers_for_width(0.9, 0.2)


def test_reliability_is_spearman_and_browns():
    # Borowski: halves of 5 answers agree by .476, whole scores of 10 by .645.
    assert reliability_of(10, 0.476, 5) == pytest.approx(0.645, abs=5e-4)
    assert reliability_of(5, 0.645, 10) == pytest.approx(0.476, abs=5e-4)


def test_a_plan_gives_the_correlation_and_width_that_simulated_studies_have(rng):
    true_correlation, sd, n_units, n_answers = 0.8, 0.12, 60, 20
    p = np.clip(rng.normal(0.75, sd, 200_000), 0.02, 0.98)
    noise = (p * (1 - p)).mean() / n_answers
    (row,) = correlation_plan(
        true_correlation=true_correlation,
        reliability=p.var() / (p.var() + noise),
        n_measured=n_answers,
        n_units=[n_units],
        n_answers=[n_answers],
    ).itertuples()
    estimates = []
    for _ in range(1000):
        own = rng.choice(p, n_units)
        z = (own - p.mean()) / p.std()
        mis = true_correlation * z + np.sqrt(1 - 0.8**2) * rng.normal(size=n_units)
        estimates.append(
            np.corrcoef(mis, rng.binomial(n_answers, own) / n_answers)[0, 1]
        )
    assert row.n_answers_total == 1200
    assert row.correlation == pytest.approx(np.mean(estimates), abs=0.015)
    low, high = np.quantile(estimates, [0.025, 0.975])
    assert row.width == pytest.approx(high - low, rel=0.15)


def test_too_few_units_for_any_interval_are_the_widest():
    assert correlation_width(0.5, 3) == 2.0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: units_for_width(1.0, 0.1), "'estimate' is 1.0"),
        (lambda: units_for_width(0.5, 0), "'width' is 0"),
        (lambda: answers_for_width(0.5, 1.5), "'width' is 1.5"),
        (lambda: answers_for_width(1.2, 0.5), "'proportion' is 1.2"),
        (lambda: units_for_width(0.5, 0.1, method="r"), "'method' is 'r'"),
        (lambda: units_for_width(0.5, 1e-5), "More than 1,000,000"),
    ],
)
def test_what_has_no_answer_is_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()
