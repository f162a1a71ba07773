from math import sqrt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.his import condition_score, human_interpretability, proportions
from data.errors import DataContractError
from tests.analysis.borowski import CONDITIONS, golden_cell


def answers(n_correct, n_trials, *, unit="toy::a::0", kind="main"):
    return pd.DataFrame(
        {"unit": unit, "kind": kind, "correct": np.arange(n_trials) < n_correct}
    )


@pytest.mark.parametrize("condition", CONDITIONS)
def test_unit_scores_are_those_of_another_program(shared, condition, rng):
    own, expected = golden_cell(shared, condition)
    scores = human_interpretability(own)
    whole = condition_score(scores, rng=rng, n_resamples=99)
    assert whole.n_units == expected["n_units"]
    assert whole.n_trials == expected["n_trials"]
    assert whole.his == pytest.approx(expected["mean_of_unit_means"], abs=1e-6)
    assert whole.sd == pytest.approx(expected["sd_of_unit_means"], abs=1e-6)
    counts = scores["n_trials"].value_counts().to_dict()
    assert {str(n): units for n, units in counts.items()} == expected["trials_per_unit"]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_proportion_and_wilson_are_those_of_another_program(shared, condition):
    own, expected = golden_cell(shared, condition)
    row = proportions(own, "condition").iloc[0]
    assert row["n_correct"] == expected["n_correct"]
    assert row["proportion_correct"] == pytest.approx(
        expected["pooled_accuracy"], abs=1e-6
    )
    assert [row["ci_low"], row["ci_high"]] == pytest.approx(
        expected["wilson95"], abs=1e-6
    )


@pytest.mark.parametrize("condition", CONDITIONS)
def test_counts_by_confidence_are_those_of_another_program(shared, condition):
    own, expected = golden_cell(shared, condition)
    table = proportions(own, "confidence")
    found = {
        str(row.confidence): {"n": row.n_trials, "k": row.n_correct}
        for row in table.itertuples()
    }
    assert found == expected["accuracy_by_confidence"]


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 7), (10, 10), (1, 1)])
def test_interval_is_wilsons_formula(k, n):
    p, z = k / n, 1.959963984540054
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    row = human_interpretability(answers(k, n)).iloc[0]
    assert [row["ci_low"], row["ci_high"]] == pytest.approx(
        [centre - half, centre + half], abs=1e-9
    )


@pytest.mark.parametrize("kind", ["catch", "practice", "instructed"])
def test_only_main_trials_count(kind):
    mixed = pd.concat([answers(6, 10), answers(0, 10, kind=kind)])
    row = human_interpretability(mixed).iloc[0]
    assert row["his"] == 0.6
    assert row["n_trials"] == 10


def test_a_table_without_main_trials_is_refused():
    with pytest.raises(DataContractError, match="None of the 4 responses is to a main"):
        human_interpretability(answers(2, 4, kind="catch"))


def test_every_unit_weighs_alike_in_the_condition(rng):
    both = pd.concat([answers(1, 2), answers(90, 100, unit="toy::a::1")])
    assert condition_score(human_interpretability(both), rng=rng).his == 0.7


def test_one_unit_gives_a_mean_without_an_interval(rng):
    whole = condition_score(human_interpretability(answers(3, 4)), rng=rng)
    assert (whole.his, whole.ci_low, whole.ci_high, whole.sd) == (
        0.75,
        None,
        None,
        None,
    )


def test_equal_units_give_a_mean_without_an_interval(rng):
    same = pd.concat([answers(3, 4, unit=f"toy::a::{unit}") for unit in range(5)])
    whole = condition_score(human_interpretability(same), rng=rng)
    assert (whole.his, whole.ci_low) == (0.75, None)


@settings(max_examples=20)
@given(st.permutations(range(12)))
def test_the_order_of_answers_changes_nothing(order):
    table = pd.concat([answers(3, 5), answers(4, 7, unit="toy::a::1")])
    table = table.reset_index(drop=True)
    pd.testing.assert_frame_equal(
        human_interpretability(table.loc[order]), human_interpretability(table)
    )


def test_planted_proportions_lie_in_their_intervals_at_the_stated_rate(rng):
    planted = rng.uniform(0.5, 0.98, 3000)
    table = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(3000), 30),
            "kind": "main",
            "correct": (rng.random((3000, 30)) < planted[:, None]).ravel(),
        }
    )
    scores = human_interpretability(table)
    inside = (scores["ci_low"] <= planted) & (planted <= scores["ci_high"])
    assert 0.935 <= inside.mean() <= 0.97
    assert np.abs(scores["his"] - planted).mean() < 0.08


def test_the_interval_over_units_covers_the_mean_at_its_rate(rng):
    runs, hits = 300, 0
    for _ in range(runs):
        scores = pd.DataFrame({"his": rng.beta(8, 2, 40), "n_trials": 30})
        whole = condition_score(scores, rng=rng, n_resamples=499)
        hits += whole.ci_low <= 0.8 <= whole.ci_high
    assert 0.90 <= hits / runs <= 0.98
