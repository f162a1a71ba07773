from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, mannwhitneyu, norm

from analysis.ordered import ordered_contrast
from data.errors import DataContractError

# Hollander and Wolfe's example: motivation by knowledge of performance.
KNOWLEDGE = {
    "none": [40, 35, 38, 43, 44, 41],
    "rough": [38, 40, 47, 44, 40, 42],
    "accurate": [48, 40, 45, 43, 46, 44],
}


def table(groups):
    rows = [(name, value) for name, values in groups.items() for value in values]
    return pd.DataFrame(rows, columns=["group", "his"])


def contrast(groups, rng, **more):
    few = {"n_resamples": 99, "n_permutations": 99, "order": tuple(groups)}
    return ordered_contrast(table(groups), rng=rng, **(few | more))


def units(rng, means=(0.6, 0.75, 0.9), sizes=(14, 9, 12)):
    names = ("hardest", "random", "easiest")
    return {
        name: rng.binomial(20, mean, size) / 20
        for name, mean, size in zip(names, means, sizes, strict=True)
    }


def test_the_textbook_example_has_its_statistic_and_p(rng):
    found = contrast(KNOWLEDGE, rng, n_permutations=4000)
    assert found.statistic == 79
    assert found.p_increasing == pytest.approx(0.0207, abs=5e-5)
    assert found.p_permutation == pytest.approx(0.0207, abs=0.008)


def test_the_normal_p_is_that_of_kendalls_test_of_score_and_order(rng):
    groups = units(rng, means=(0.7, 0.75, 0.78))
    place = np.repeat([0, 1, 2], [len(one) for one in groups.values()])
    theirs = kendalltau(np.concatenate(list(groups.values())), place)
    found = contrast(groups, rng)
    assert found.p_two_sided == pytest.approx(theirs.pvalue, rel=1e-9)
    assert found.p_increasing == pytest.approx(norm.sf(found.z), rel=1e-9)


def test_the_statistic_is_the_sum_of_mann_whitneys_counts(rng):
    groups = units(rng)
    pairs = combinations(groups.values(), 2)
    expected = sum(mannwhitneyu(b, a).statistic for a, b in pairs)
    assert contrast(groups, rng).statistic == pytest.approx(expected)


def test_turning_the_order_round_turns_the_concordance_round(rng):
    groups = units(rng)
    up = contrast(groups, rng)
    down = contrast(dict(reversed(groups.items())), rng)
    assert down.concordance == pytest.approx(1 - up.concordance)
    assert down.z == pytest.approx(-up.z)
    assert up.concordance > 0.7


def test_steps_are_differences_of_neighbouring_means(rng):
    groups = units(rng)
    steps = contrast(groups, rng).steps
    assert steps[["lower", "higher"]].to_numpy().tolist() == [
        ["hardest", "random"],
        ["random", "easiest"],
    ]
    expected = groups["random"].mean() - groups["hardest"].mean()
    assert steps["difference"][0] == pytest.approx(expected)
    assert (steps["ci_low"] < steps["difference"]).all()
    assert (steps["ci_high"] > steps["difference"]).all()


def test_the_order_of_units_changes_nothing(rng):
    units_of = table(units(rng))
    first, second = (
        ordered_contrast(
            one, rng=np.random.default_rng(1), n_resamples=99, n_permutations=99
        )
        for one in (units_of, units_of.sample(frac=1, random_state=3))
    )
    assert (first.ci_low, first.p_permutation) == (second.ci_low, second.p_permutation)
    pd.testing.assert_frame_equal(first.steps, second.steps)


def test_other_groups_take_no_part(rng):
    groups = units(rng)
    more = table(groups | {"development": [0.1] * 5})
    found = ordered_contrast(more, rng=rng, n_resamples=99, n_permutations=9)
    assert found.n_units == 35
    assert found.groups["group"].tolist() == ["hardest", "random", "easiest"]


def test_the_same_scores_everywhere_rise_at_the_nominal_rate(rng):
    p_values = []
    for _ in range(150):
        groups = units(rng, means=(0.7, 0.7, 0.7))
        found = contrast(groups, rng, n_resamples=9, n_permutations=1)
        p_values.append(found.p_increasing)
    assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.11


def test_the_interval_covers_the_true_concordance_at_its_rate(rng):
    # Normal scores one standard deviation apart: Φ(1/√2) twice and Φ(2/√2) once.
    truth = (2 * norm.cdf(1 / np.sqrt(2)) + norm.cdf(np.sqrt(2))) / 3
    runs, inside = 150, 0
    for _ in range(runs):
        groups = {str(shift): rng.normal(shift, 1, 25) for shift in range(3)}
        found = contrast(groups, rng, n_resamples=299, n_permutations=1)
        inside += found.ci_low <= truth <= found.ci_high
    assert 0.88 <= inside / runs <= 0.985


def test_a_group_that_is_not_there_is_refused(rng):
    with pytest.raises(DataContractError, match="No unit is in the group 'easiest'"):
        ordered_contrast(table({"hardest": [0.5], "random": [0.6]}), rng=rng)


@pytest.mark.parametrize(
    ("groups", "note"),
    [
        ({"a": [0.5], "b": [0.1, 0.2]}, "too few in a"),
        ({"a": [1.0] * 3, "b": [1.0] * 4}, "the same HIS"),
        ({"a": [0.1, 0.2]}, "at least two groups"),
    ],
)
def test_what_is_not_defined_is_not_printed(groups, note, rng):
    found = contrast(groups, rng)
    assert found.statistic is found.p_two_sided is found.concordance is None
    assert note in found.note
