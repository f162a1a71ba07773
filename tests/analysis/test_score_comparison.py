import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from analysis.score_comparison import (
    compare_all_scores,
    compare_scores,
    steiger_test,
    williams_test,
    zou_interval,
)

GOLDEN = json.loads(
    (Path(__file__).parents[1] / "golden/dependent_correlations.json").read_text()
)
CASES = [pytest.param(case, id=case["name"]) for case in GOLDEN["cases"]]


def correlations(case):
    return case["r_a"], case["r_b"], case["r_ab"], case["n"]


@pytest.mark.parametrize("case", CASES)
def test_statistics_are_those_of_another_program(case):
    if case["williams_t"] is not None:
        t, _ = williams_test(*correlations(case))
        assert t == pytest.approx(case["williams_t"], rel=3e-4)
    if case["steiger_z"] is not None:
        z, _ = steiger_test(*correlations(case))
        assert z == pytest.approx(case["steiger_z"], rel=3e-4)
    if case["zou"] is not None:
        assert zou_interval(*correlations(case)) == pytest.approx(
            case["zou"], abs=1.5e-4
        )


def test_williams_t_is_its_formula_in_determinants():
    r_a, r_b, r_ab, n = 0.7, 0.5, 0.6, 45
    matrix = np.array([[1, r_a, r_b], [r_a, 1, r_ab], [r_b, r_ab, 1]])
    mean = (r_a + r_b) / 2
    below = 2 * (n - 1) / (n - 3) * np.linalg.det(matrix) + mean**2 * (1 - r_ab) ** 3
    expected = (r_a - r_b) * math.sqrt((n - 1) * (1 + r_ab) / below)
    t, p = williams_test(r_a, r_b, r_ab, n)
    assert t == pytest.approx(expected)
    # t with 42 degrees of freedom, by its integral over the density.
    grid = np.linspace(0, t, 200001)
    density = (1 + grid**2 / 42) ** -21.5 * math.gamma(21.5)
    density /= math.sqrt(42 * math.pi) * math.gamma(21)
    assert p == pytest.approx(1 - 2 * np.trapezoid(density, grid), abs=1e-8)


def scores(rng, n, r_a, r_b, r_ab):
    covariance = [[1, r_a, r_b], [r_a, 1, r_ab], [r_b, r_ab, 1]]
    drawn = rng.multivariate_normal([0, 0, 0], covariance, n)
    return pd.DataFrame(drawn, columns=["his", "a", "b"])


def compared(table, rng, **more):
    return compare_scores(table, "a", "b", rng=rng, **({"n_resamples": 99} | more))


@pytest.mark.parametrize(
    ("method", "other"), [("pearson", pearsonr), ("spearman", spearmanr)]
)
def test_correlations_are_those_of_scipy(method, other, rng):
    table = scores(rng, 40, 0.6, 0.4, 0.5)
    found = compared(table, rng, method=method)
    assert found.correlation_a == pytest.approx(other(table["his"], table["a"])[0])
    assert found.correlation_b == pytest.approx(other(table["his"], table["b"])[0])
    assert found.correlation_between == pytest.approx(other(table["a"], table["b"])[0])
    assert found.difference == found.correlation_a - found.correlation_b


def test_scores_that_agree_alike_differ_at_the_nominal_rate(rng):
    runs = 2000
    williams, steiger = [], []
    for _ in range(runs):
        r = np.corrcoef(scores(rng, 40, 0.6, 0.6, 0.5), rowvar=False)
        used = (r[0, 1], r[0, 2], r[1, 2], 40)
        williams.append(williams_test(*used)[1] < 0.05)
        steiger.append(steiger_test(*used)[1] < 0.05)
    assert 0.035 <= np.mean(williams) <= 0.065
    assert 0.035 <= np.mean(steiger) <= 0.065


def test_intervals_cover_the_true_difference_at_their_rate(rng):
    runs, boot, zou = 200, 0, 0
    for _ in range(runs):
        found = compared(scores(rng, 60, 0.7, 0.4, 0.5), rng, n_resamples=299)
        boot += found.ci_low <= 0.3 <= found.ci_high
        zou += found.analytic_low <= 0.3 <= found.analytic_high
    assert 0.89 <= boot / runs <= 0.985
    assert 0.9 <= zou / runs <= 0.99


def test_swapping_the_scores_flips_all_that_must_flip(rng):
    table = scores(rng, 40, 0.7, 0.4, 0.5)
    one = compare_scores(table, "a", "b", rng=np.random.default_rng(1), n_resamples=99)
    two = compare_scores(table, "b", "a", rng=np.random.default_rng(1), n_resamples=99)
    assert two.difference == -one.difference
    assert two.williams_t == pytest.approx(-one.williams_t)
    assert two.steiger_z == pytest.approx(-one.steiger_z)
    assert two.williams_p == pytest.approx(one.williams_p)
    assert two.analytic_low == pytest.approx(-one.analytic_high)


def test_the_order_of_units_changes_nothing(rng):
    table = scores(rng, 40, 0.7, 0.4, 0.5)
    first, second = (
        compared(one, np.random.default_rng(1))
        for one in (table, table.sample(frac=1, random_state=3))
    )
    assert first == second


def test_units_without_one_of_the_scores_take_no_part(rng):
    table = scores(rng, 40, 0.7, 0.4, 0.5)
    table.loc[:4, "b"] = np.nan
    found = compared(table, rng)
    assert (found.n_units, found.n_left_out) == (35, 5)
    assert found.correlation_a == pytest.approx(
        pearsonr(table["his"][5:], table["a"][5:])[0]
    )


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda t: t.head(4), "at least 5 units with both scores; there are 4"),
        (lambda t: t.assign(b=0.5), "b is the same for every unit"),
        (lambda t: t.assign(his=1.0), "HIS is the same for every unit"),
    ],
)
def test_what_is_not_defined_is_not_printed(change, note, rng):
    found = compared(change(scores(rng, 20, 0.7, 0.4, 0.5)), rng)
    assert found.difference is found.williams_p is found.ci_low is None
    assert note in found.note


def test_a_score_against_itself_is_not_tested(rng):
    table = scores(rng, 20, 0.7, 0.4, 0.5)
    found = compared(table.assign(b=2 * table["a"] + 1), rng)
    assert found.difference == pytest.approx(0)
    assert found.williams_t is found.steiger_z is found.analytic_low is None
    assert "the same up to scale" in found.note


def test_all_pairs_of_scores_are_one_family(rng):
    table = scores(rng, 40, 0.8, 0.3, 0.4).assign(unit=np.arange(40).astype(str))
    named = {
        name: table[["unit"]].assign(mis=values)
        for name, values in {
            "dreamsim": table["a"],
            "lpips": table["b"],
            "noise": rng.normal(size=40),
        }.items()
    }
    found, family = compare_all_scores(table, named, rng=rng, n_resamples=99)
    assert [(one.score_a, one.score_b) for one in found] == [
        ("dreamsim", "lpips"),
        ("dreamsim", "noise"),
        ("lpips", "noise"),
    ]
    assert family.table["test"].tolist()[0] == "dreamsim against lpips"
    assert family.table["p_raw"].tolist() == [one.williams_p for one in found]


def test_an_unknown_method_is_refused(rng):
    with pytest.raises(ValueError, match="'method' is 'kendall'"):
        compared(scores(rng, 20, 0.7, 0.4, 0.5), rng, method="kendall")
