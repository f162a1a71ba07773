import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from analysis.response_times import KEEP_ALL, OutlierRule, outliers, response_times
from tests.analysis.borowski import CONDITIONS, golden_cell


def answers(rng, *, n_sessions=12, n_trials=40, slower_ms=600.0):
    """Answers that take longer when they are wrong, by people of different speed."""
    n = n_sessions * n_trials
    who = np.repeat(np.arange(n_sessions), n_trials)
    correct = rng.random(n) < 0.75
    rt_ms = rng.uniform(2000, 6000, n_sessions)[who] + rng.exponential(800, n)
    return pd.DataFrame(
        {
            "session_id": who.astype(str),
            "correct": correct,
            "rt_ms": rt_ms + slower_ms * ~correct,
            "interrupted": False,
        }
    )


@pytest.mark.parametrize("condition", [*CONDITIONS, "catch"])
def test_medians_are_those_of_another_program(shared, rng, condition):
    own, expected = golden_cell(shared, condition)
    found = response_times(own, rng=rng, n_resamples=50)
    assert (found.summary["median_ms"] / 1000).tolist() == pytest.approx(
        [expected[f"median_rt{name}"] for name in ("", "_correct", "_error")], abs=1e-4
    )


def test_the_difference_is_taken_within_participants(rng):
    table = answers(rng, slower_ms=0.0)
    # The slow are right, the fast wrong; each is as fast when right as when wrong.
    slow = table["session_id"].astype(int) < 6
    table = table.assign(
        rt_ms=np.where(slow, 5000.0, 1000.0),
        correct=np.where(
            slow, rng.random(len(table)) < 0.9, rng.random(len(table)) < 0.5
        ),
    )
    found = response_times(table, rng=rng)
    assert found.difference_ms == 0
    assert found.summary["median_ms"].tolist()[1] == 5000
    assert found.p_value is None


def test_a_planted_difference_lies_in_its_interval_and_is_found(rng):
    found = response_times(answers(rng, n_trials=400), rng=rng, n_resamples=500)
    assert found.difference_low_ms < 600 < found.difference_high_ms
    assert found.p_value < 0.001


def test_the_test_of_the_difference_is_wilcoxons(rng):
    table = answers(rng, slower_ms=50.0)
    own = table.groupby(["session_id", "correct"])["rt_ms"].median().unstack()
    found = response_times(table, rng=rng, n_resamples=50)
    assert found.p_value == pytest.approx(wilcoxon(own[False] - own[True]).pvalue)


@pytest.mark.parametrize(
    ("rule", "n_left_out"),
    [
        (KEEP_ALL, 0),
        (OutlierRule(min_ms=200), 2),
        (OutlierRule(max_ms=60_000), 2),
        (OutlierRule(min_ms=200, max_ms=60_000), 3),
        (OutlierRule(), 1),
    ],
)
def test_a_rule_leaves_out_what_it_says(rng, rule, n_left_out):
    table = answers(rng)
    table.loc[0, "rt_ms"], table.loc[1, "rt_ms"] = 50.0, 90_000.0
    table.loc[2, "interrupted"] = True
    found = response_times(table, rng=rng, rule=rule, n_resamples=50)
    assert found.n_left_out == n_left_out
    assert found.summary.loc[0, "n_trials"] == len(table) - n_left_out


def test_deviations_are_from_the_participants_own_median(rng):
    usual = rng.normal(0, 0.1, 50)
    table = pd.DataFrame(
        {
            "session_id": np.repeat(["fast", "slow"], 50),
            "correct": True,
            "rt_ms": np.exp(
                np.concatenate([np.log(1000) + usual, np.log(9000) + usual])
            ),
            "interrupted": False,
        }
    )
    table.loc[0, "rt_ms"] = 9000.0
    out = outliers(table, OutlierRule(n_deviations=4))
    assert out[0]
    assert out.sum() == 1


def test_rules_are_said_in_words():
    assert KEEP_ALL.words == "No response time is left out."
    rule = OutlierRule(min_ms=200, n_deviations=3, interrupted=False)
    assert "under 200 ms, or more than 3 median absolute deviations" in rule.words


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"min_ms": 500, "max_ms": 400}, "'max_ms' is 400; it must be above"),
        ({"n_deviations": 0}, "'n_deviations' is 0; it must be above 0"),
    ],
)
def test_a_rule_that_nothing_could_pass_is_refused(bounds, message):
    with pytest.raises(ValueError, match=message):
        OutlierRule(**bounds)


def test_all_right_has_no_difference_and_says_why(rng):
    found = response_times(answers(rng).assign(correct=True), rng=rng)
    assert found.difference_ms is found.difference_low_ms is None
    assert "both right and wrong" in found.note
    assert np.isnan(found.summary.loc[2, "median_ms"])


def test_few_participants_have_a_difference_without_a_test(rng):
    found = response_times(answers(rng, n_sessions=3), rng=rng, n_resamples=50)
    assert found.difference_ms is not None
    assert found.p_value is None
    assert "3 participants" in found.note


def test_the_order_of_answers_and_doubling_them_change_nothing(rng):
    table = answers(rng)
    first, shuffled, twice = (
        response_times(one, rng=np.random.default_rng(0), n_resamples=99)
        for one in (
            table,
            table.sample(frac=1, random_state=2),
            pd.concat([table, table]),
        )
    )
    assert first.difference_low_ms == shuffled.difference_low_ms
    assert first.difference_ms == pytest.approx(twice.difference_ms)
    assert first.summary["median_ms"].equals(twice.summary["median_ms"])
