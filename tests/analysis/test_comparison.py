import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from scipy import stats

from analysis.comparison import compare_groups, group_order
from analysis.wording import omnibus, pair_sentences

GOLDEN = json.loads(
    (Path(__file__).parents[1] / "golden/group_comparison.json").read_text()
)
CASES = [
    pytest.param(case["groups"], case, id=case["name"]) for case in GOLDEN["cases"]
]


def table(groups):
    rows = [(name, value) for name, values in groups.items() for value in values]
    return pd.DataFrame(rows, columns=["group", "his"])


def compared(groups, rng, **more):
    return compare_groups(table(groups), rng=rng, n_resamples=99, **more)


def conover_p(groups, a, b):
    """Conover 1999, eq. 5 of section 5.2: a t-test on ranks, variance pooled."""
    values = np.concatenate([np.asarray(one, dtype=float) for one in groups.values()])
    ranks = stats.rankdata(values)
    names = np.repeat(list(groups), [len(one) for one in groups.values()])
    n, k = len(values), len(groups)
    variance = (np.sum(ranks**2) - n * (n + 1) ** 2 / 4) / (n - 1)
    total = sum(ranks[names == g].sum() ** 2 / (names == g).sum() for g in groups)
    h = (total - n * (n + 1) ** 2 / 4) / variance
    pooled = variance * (n - 1 - h) / (n - k)
    n_a, n_b = (names == a).sum(), (names == b).sum()
    distance = abs(ranks[names == a].mean() - ranks[names == b].mean())
    t = distance / math.sqrt(pooled * (1 / n_a + 1 / n_b))
    return 2 * stats.t.sf(t, n - k)


@pytest.mark.parametrize(("groups", "golden"), CASES)
def test_kruskal_wallis_is_that_of_another_program(groups, golden, rng):
    found = compared(groups, rng)
    assert found.statistic == pytest.approx(golden["kruskal_h"], rel=1e-9)
    assert found.p_value == pytest.approx(golden["kruskal_p"], rel=1e-9)
    assert found.df == golden["kruskal_df"]


@pytest.mark.parametrize(("groups", "golden"), CASES)
def test_raw_p_values_are_conovers_formula(groups, golden, rng):
    pairs = compared(groups, rng).pairs
    expected = [
        conover_p(groups, row.group_a, row.group_b) for row in pairs.itertuples()
    ]
    assert pairs["p_raw"].tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("groups", "golden"), CASES)
def test_holm_is_its_step_down_rule(groups, golden, rng):
    pairs = compared(groups, rng).pairs.sort_values("p_raw")
    m = len(pairs)
    stepped = [min(1, (m - i) * p) for i, p in enumerate(pairs["p_raw"])]
    assert pairs["p_holm"].tolist() == pytest.approx(
        np.maximum.accumulate(stepped).tolist(), rel=1e-9
    )


@pytest.mark.parametrize(("groups", "golden"), CASES)
def test_pairs_are_those_of_imis_own_call(groups, golden, rng):
    frame = table(groups).rename(columns={"group": "model", "his": "correct"})
    theirs = scikit_posthocs.posthoc_conover(
        frame, val_col="correct", group_col="model", p_adjust="holm"
    )
    pairs = compared(groups, rng).pairs
    assert len(pairs) == len(groups) * (len(groups) - 1) / 2
    for row in pairs.itertuples():
        expected = theirs.loc[row.group_a, row.group_b]
        assert row.p_holm == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("groups", "golden"), CASES)
def test_epsilon_squared_is_its_long_formula(groups, golden, rng):
    found = compared(groups, rng)
    n = sum(map(len, groups.values()))
    expected = golden["kruskal_h"] / ((n**2 - 1) / (n + 1))
    assert found.epsilon_squared == pytest.approx(expected)
    assert found.n_units == n


def test_differences_are_of_means_and_lie_in_their_intervals(rng):
    groups = GOLDEN["cases"][0]["groups"]
    found = compare_groups(table(groups), rng=rng)
    for row in found.pairs.itertuples():
        expected = np.mean(groups[row.group_a]) - np.mean(groups[row.group_b])
        assert row.difference == pytest.approx(expected)
        assert row.ci_low < row.difference < row.ci_high


def test_the_order_of_units_changes_nothing(rng):
    units = table(GOLDEN["cases"][0]["groups"])
    first, second = (
        compare_groups(one, rng=np.random.default_rng(1), n_resamples=99)
        for one in (units, units.sample(frac=1, random_state=3))
    )
    pd.testing.assert_frame_equal(first.pairs, second.pairs)
    pd.testing.assert_frame_equal(first.groups, second.groups)


def test_groups_stand_in_their_usual_order_and_others_by_name():
    assert group_order(["random", "b", "easiest", "a", "hardest", "a"]) == [
        "hardest",
        "random",
        "easiest",
        "a",
        "b",
    ]


def test_units_without_a_group_do_not_take_part(rng):
    groups = {"a": [0.1, 0.2, 0.3], "b": [0.5, 0.6, 0.8]}
    more = pd.concat([table(groups), pd.DataFrame({"group": [None], "his": [0.9]})])
    found = compare_groups(more, rng=rng, n_resamples=99)
    assert found.n_units == 6
    assert found.groups["group"].tolist() == ["a", "b"]


def test_a_group_of_one_unit_is_shown_but_not_tested(rng):
    found = compared({"a": [0.1, 0.2, 0.3], "b": [0.5, 0.6, 0.8], "c": [0.4]}, rng)
    assert found.groups["group"].tolist() == ["a", "b", "c"]
    assert found.pairs[["group_a", "group_b"]].to_numpy().tolist() == [["a", "b"]]
    assert found.note == "left out for having a single unit: c"
    assert found.note in omnibus(found)


def test_a_single_group_is_not_compared(rng):
    found = compared({"a": [0.1, 0.2, 0.3]}, rng)
    assert found.statistic is found.p_value is None
    assert found.pairs.empty
    assert omnibus(found) == (
        "Groups were not tested: a comparison needs two groups of at least 2 units;"
        " there are 1."
    )


def test_equal_scores_everywhere_are_not_ranked(rng):
    found = compared({"a": [1.0] * 4, "b": [1.0] * 5}, rng)
    assert found.statistic is None
    assert found.pairs["p_holm"].isna().all()
    assert "every unit has the same HIS" in found.note
    (sentence,) = pair_sentences(found)
    assert sentence.startswith("a and b: no difference shown, 0.000 (no interval; Holm")


def test_groups_without_any_spread_inside_differ_with_certainty(rng):
    found = compared({"a": [0.5] * 4, "b": [1.0] * 4}, rng)
    assert found.pairs["p_holm"].tolist() == pytest.approx([0])


def test_a_difference_is_told_with_its_direction(rng):
    low, high = [0.5, 0.52, 0.54, 0.56, 0.58], [0.9, 0.92, 0.94, 0.96, 0.98]
    (sentence,) = pair_sentences(compared({"hardest": low, "easiest": high}, rng))
    assert sentence.startswith("hardest is below easiest by 0.400 (0.3")
    (sentence,) = pair_sentences(compared({"a": high, "b": low}, rng))
    assert sentence.startswith("a is above b by 0.400 (0.3")


def test_a_difference_that_is_not_shown_is_not_claimed(rng):
    same = [0.5, 0.6, 0.7, 0.8, 0.9]
    (sentence,) = pair_sentences(compared({"a": same, "b": same}, rng))
    assert sentence.startswith("a and b: no difference shown, 0.000 (−0.")
    assert "Holm p = 1.000" in sentence


def test_guessed_answers_differ_between_groups_only_at_the_nominal_rate(rng):
    omnibus_p, any_pair = [], []
    for _ in range(60):
        his = rng.binomial(50, 0.5, (3, 10)) / 50
        groups = dict(zip(("hardest", "random", "easiest"), his.tolist(), strict=True))
        found = compare_groups(table(groups), rng=rng, n_resamples=9)
        omnibus_p.append(found.p_value)
        any_pair.append(found.pairs["p_holm"].min() < 0.05)
    assert np.mean(np.array(omnibus_p) < 0.05) <= 0.15
    assert np.mean(any_pair) <= 0.15
    assert stats.kstest(omnibus_p, "uniform").pvalue > 0.001
