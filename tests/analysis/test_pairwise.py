import numpy as np
import pandas as pd
import pytest
from scipy.stats import brunnermunzel, mannwhitneyu

from analysis.comparison import compare_groups
from analysis.pairwise import (
    compact_letters,
    compare_pairs,
    compare_two,
    sign_table,
)


def table(groups):
    rows = [(name, value) for name, values in groups.items() for value in values]
    return pd.DataFrame(rows, columns=["group", "his"])


def two(a, b, **more):
    return compare_two(a, b, group_a="a", group_b="b", **more)


@pytest.fixture
def samples(rng):
    return rng.binomial(20, 0.8, 30) / 20, rng.binomial(20, 0.6, 12) / 20


def test_mann_whitney_is_scipys(samples):
    found, theirs = two(*samples), mannwhitneyu(*samples)
    assert found.mann_whitney_u == theirs.statistic
    assert found.mann_whitney_p == theirs.pvalue


def test_brunner_munzel_is_scipys(samples):
    found, theirs = two(*samples), brunnermunzel(*samples)
    # scipy's sign says that the second sample is higher.
    assert found.brunner_munzel_w == pytest.approx(-theirs.statistic)
    assert found.brunner_munzel_p == pytest.approx(theirs.pvalue)


def test_superiority_is_the_share_of_pairs_that_the_first_group_wins(samples):
    a, b = samples
    wins = (a[:, None] > b).mean() + (a[:, None] == b).mean() / 2
    assert two(a, b).superiority == pytest.approx(wins)


def test_swapping_the_groups_turns_superiority_round(samples):
    a, b = samples
    one, other = two(a, b), two(b, a)
    assert other.superiority == pytest.approx(1 - one.superiority)
    assert other.superiority_low == pytest.approx(1 - one.superiority_high)
    assert other.brunner_munzel_w == pytest.approx(-one.brunner_munzel_w)


def test_the_interval_covers_the_true_superiority_where_spreads_differ(rng):
    # P(A > B) of N(0.5, 1) and N(0, 2²).
    truth, runs, inside = 0.588453, 500, 0
    for _ in range(runs):
        found = two(rng.normal(0.5, 1, 30), rng.normal(0, 2, 20))
        inside += found.superiority_low <= truth <= found.superiority_high
    assert 0.925 <= inside / runs <= 0.975


def test_groups_apart_have_no_brunner_munzel_but_a_mann_whitney():
    found = two([0.1, 0.2, 0.3], [0.7, 0.8, 0.9])
    assert found.superiority == 0
    assert found.brunner_munzel_p is found.superiority_low is None
    assert found.mann_whitney_p == pytest.approx(0.1)
    assert "do not overlap" in found.note


@pytest.mark.parametrize(
    ("a", "b", "note"),
    [([0.5], [0.1, 0.2], "at least 2 units"), ([1.0] * 3, [1.0] * 4, "the same score")],
)
def test_what_is_not_defined_is_not_printed(a, b, note):
    found = two(a, b)
    assert found.superiority is found.mann_whitney_p is None
    assert note in found.note


def test_all_pairs_make_one_family_each_test(rng):
    groups = {name: rng.normal(size=8) for name in ("easiest", "hardest", "random")}
    found = compare_pairs(table(groups))
    assert [(one.group_a, one.group_b) for one in found.pairs] == [
        ("hardest", "random"),
        ("hardest", "easiest"),
        ("random", "easiest"),
    ]
    assert found.mann_whitney.n_tests == found.brunner_munzel.n_tests == 3
    assert "Mann–Whitney" in str(found.mann_whitney)


def compared(groups, rng):
    return compare_groups(table(groups), rng=rng, n_resamples=9)


def test_groups_share_a_letter_exactly_where_they_were_not_shown_to_differ(rng):
    means = (0.5, 0.55, 0.62, 0.7, 0.72, 0.9)
    for _ in range(8):
        groups = {
            name: rng.normal(mean, 0.1, 12)
            for name, mean in zip("bdface", means, strict=True)
        }
        found = compared(groups, rng)
        letters = compact_letters(found)
        for row in found.pairs.itertuples():
            shared = set(letters[row.group_a]) & set(letters[row.group_b])
            assert bool(shared) == (row.p_holm >= 0.05)


def test_the_highest_mean_has_the_first_letter(rng):
    groups = {"low": rng.normal(0, 1, 20), "high": rng.normal(9, 1, 20)}
    assert compact_letters(compared(groups, rng)).to_dict() == {"high": "a", "low": "b"}


def test_a_group_that_was_not_tested_has_no_letter(rng):
    groups = {"a": [0.1, 0.2, 0.3], "b": [0.5, 0.6, 0.8], "c": [0.4]}
    letters = compact_letters(compared(groups, rng))
    assert letters["c"] == ""
    assert letters["a"] != ""


def test_signs_are_the_classes_of_the_corrected_p_values(rng):
    groups = {
        "a": np.arange(20) / 100,
        "b": np.arange(20) / 100 + 0.005,
        "c": np.arange(20) / 100 + 5,
    }
    signs = sign_table(compared(groups, rng))
    assert signs.loc["a", "b"] == signs.loc["b", "a"] == "not significant"
    assert signs.loc["a", "c"] == "p < 0.001"
    assert signs.loc["a", "a"] == ""
