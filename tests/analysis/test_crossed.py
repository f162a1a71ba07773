import numpy as np
import pandas as pd
import pytest
from scipy.stats import t
from statsmodels.api import OLS
from statsmodels.stats.sandwich_covariance import cov_cluster

from analysis.crossed import crossed_contrast

N_UNITS, N_PEOPLE = 8, 6


def answers(rng, *, groups=("a",)):
    """Every person answers every unit twice; units of groups take turns."""
    unit, person = np.divmod(np.arange(2 * N_UNITS * N_PEOPLE) // 2, N_PEOPLE)
    ease = (
        rng.uniform(0.3, 0.9, N_UNITS)[unit] + rng.uniform(-0.2, 0.2, N_PEOPLE)[person]
    )
    return pd.DataFrame(
        {
            "unit": np.char.add("u", unit.astype(str)),
            "person": np.char.add("p", person.astype(str)),
            "group": np.array(groups)[unit % len(groups)],
            "correct": rng.random(len(unit)) < ease,
        }
    )


def variance_of(table, design, contrast):
    """Sum statsmodels' three clustered variances with the corrections of small n."""
    fit = OLS(table["correct"].astype(float), design).fit()
    parts = [
        contrast
        @ cov_cluster(fit, pd.factorize(one)[0], use_correction=False)
        @ contrast
        for one in (table["unit"], table["person"], table["unit"] + table["person"])
    ]
    n_units = N_UNITS / design.shape[1]
    units, people, both = np.array(parts) * n_units / (n_units - 1)
    return max(units + people * N_PEOPLE / (N_PEOPLE - 1) - both, units)


def test_the_error_of_a_mean_is_statsmodels_clustered_in_two_ways(rng):
    table = answers(rng)
    found = crossed_contrast(table["correct"], table["unit"], table["person"])
    expected = variance_of(table, np.ones((len(table), 1)), np.ones(1))
    assert found.se**2 == pytest.approx(expected)
    half = t.ppf(0.975, N_PEOPLE - 1) * found.se
    assert found.ci_high - found.estimate == pytest.approx(half)


def test_the_error_of_a_difference_counts_that_people_met_both_groups(rng):
    table = answers(rng, groups=("a", "b"))
    found = crossed_contrast(
        table["correct"],
        table["unit"],
        table["person"],
        groups=table["group"],
        weights={"a": 1.0, "b": -1.0},
    )
    design = pd.get_dummies(table["group"]).to_numpy(dtype="float64")
    assert found.se**2 == pytest.approx(
        variance_of(table, design, np.array([1.0, -1.0]))
    )


def test_every_unit_weighs_alike_however_many_answers_it_has():
    correct = [True] * 8 + [False, False]
    units = pd.Series(["often"] * 8 + ["seldom"] * 2)
    people = pd.Series(list("abcdefgh") + list("ab"))
    assert crossed_contrast(correct, units, people).estimate == 0.5


def test_a_group_of_one_unit_gives_no_interval():
    found = crossed_contrast(
        [True, False], pd.Series(["u", "u"]), pd.Series(["a", "b"])
    )
    assert found.estimate == 0.5
    assert (found.se, found.ci_low, found.ci_high) == (None, None, None)


def test_a_group_without_answers_is_refused():
    with pytest.raises(ValueError, match="No answer is of group 'b'"):
        crossed_contrast(
            [True], pd.Series(["u"]), pd.Series(["a"]), weights={"all": 1.0, "b": -1.0}
        )
