import json
import math

import numpy as np
import pandas as pd
import pingouin
import pytest
from pingouin import compute_esci
from scipy.stats import bootstrap, kendalltau, norm, pearsonr, spearmanr, t

from analysis.correlation import (
    METHODS,
    correlation,
    correlation_by_model,
    correlation_of_models,
    model_means,
)
from data.published import read_borowski2021


def scores(rng, n=40, rho=0.6):
    return rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], n).T


@pytest.mark.parametrize(
    ("method", "explanation_method", "released"),
    [
        ("pearson", "natural", "I|natural_9"),
        ("spearman", "natural", "I|natural_9"),
        ("pearson", "synthetic", "I|optimized_9"),
        ("spearman", "synthetic", "I|optimized_9"),
    ],
)
def test_agreement_is_that_of_another_program(
    shared, method, explanation_method, released, rng
):
    path = shared / "data/borowski2021_experiment1/his_mis_correlations.json"
    golden = json.loads(path.read_text())[released]
    table = read_borowski2021().table.query("explanation_method == @explanation_method")
    his = table["n_correct"] / table["n_trials"]
    found = correlation(table["mis"], his, method=method, rng=rng, n_resamples=999)
    assert found.estimate == pytest.approx(golden[method], abs=5e-5)
    assert found.n_units == golden["n_units"]


@pytest.mark.parametrize("method", METHODS)
def test_estimate_and_p_are_pingouins(method, rng):
    x, y = scores(rng)
    found = correlation(x, y, method=method, rng=rng, n_resamples=99)
    theirs = pingouin.corr(x, y, method=method).iloc[0]
    assert found.estimate == pytest.approx(theirs["r"], abs=1e-9)
    p_value = theirs.filter(regex=r"^p.?val").iloc[0]
    assert found.p_value == pytest.approx(p_value, rel=1e-6)


def test_analytic_interval_of_pearson_is_pingouins(rng):
    x, y = scores(rng)
    found = correlation(x, y, method="pearson", rng=rng, n_resamples=99)
    theirs = compute_esci(found.estimate, nx=len(x), ny=len(y), eftype="r", decimals=9)
    assert [found.analytic_low, found.analytic_high] == pytest.approx(
        list(theirs), abs=1e-8
    )


def test_analytic_interval_of_spearman_is_bonett_and_wrights(rng):
    x, y = scores(rng, n=28)
    rho = spearmanr(x, y).statistic
    half = 1.959963984540054 * math.sqrt((1 + rho**2 / 2) / 25)
    found = correlation(x, y, method="spearman", rng=rng, n_resamples=99)
    assert found.analytic_low == pytest.approx(math.tanh(math.atanh(rho) - half))
    assert found.analytic_high == pytest.approx(math.tanh(math.atanh(rho) + half))


def test_analytic_interval_of_kendall_is_bonett_and_wrights(rng):
    x, y = scores(rng, n=28)
    tau = kendalltau(x, y).statistic
    half = 1.959963984540054 * math.sqrt(0.437 / 24)
    found = correlation(x, y, method="kendall", rng=rng, n_resamples=99)
    assert found.analytic_low == pytest.approx(math.tanh(math.atanh(tau) - half))
    assert found.analytic_high == pytest.approx(math.tanh(math.atanh(tau) + half))


@pytest.mark.parametrize(
    ("method", "other"),
    [("pearson", pearsonr), ("spearman", spearmanr), ("kendall", kendalltau)],
)
def test_bootstrap_interval_is_scipys_expanded_for_the_number_of_units(
    method, other, rng
):
    x, y = scores(rng, n=25)
    # Ties, as proportions of few answers have them.
    x, y = x.round(1), y.round(1)
    order = np.lexsort((y, x))
    x, y = x[order], y[order]
    theirs = bootstrap(
        (x, y),
        lambda a, b: other(a, b).statistic,
        paired=True,
        vectorized=False,
        n_resamples=200,
        # Hesterberg 2015: Student's end, and n - 1 where a bootstrap has n.
        confidence_level=2 * norm.cdf((25 / 24) ** 0.5 * t.ppf(0.975, 24)) - 1,
        rng=np.random.default_rng(3),
    ).confidence_interval
    ours = correlation(
        x, y, method=method, rng=np.random.default_rng(3), n_resamples=200
    )
    shown = [ours.bootstrap_low, ours.bootstrap_high]
    assert shown == pytest.approx(list(theirs), abs=1e-9)


@pytest.mark.parametrize(
    ("method", "other"),
    [("pearson", pearsonr), ("spearman", spearmanr), ("kendall", kendalltau)],
)
def test_the_interval_is_the_jackknifes_on_fishers_z(method, other, rng):
    x, y = scores(rng, n=25)
    x, y = x.round(1), y.round(1)
    left_out = [
        math.atanh(other(np.delete(x, one), np.delete(y, one)).statistic)
        for one in range(25)
    ]
    error = math.sqrt(24 / 25 * np.square(left_out - np.mean(left_out)).sum())
    z = math.atanh(other(x, y).statistic)
    half = t.ppf(0.975, 24) * error
    found = correlation(x, y, method=method, rng=rng, n_resamples=99)
    shown = [found.ci_low, found.ci_high]
    assert shown == pytest.approx([math.tanh(z - half), math.tanh(z + half)])


def test_kendalls_interval_needs_five_units(rng):
    found = correlation([1, 2, 3, 4], [1, 2, 4, 3], method="kendall", rng=rng)
    assert found.estimate is None
    assert "at least 5 units; there are 4" in found.note


def units_of_models(rng, means, n=20):
    rows = [
        (f"{model}::layer::{channel}", mean + rng.normal(0, 0.02), mean)
        for model, mean in means.items()
        for channel in range(n)
    ]
    table = pd.DataFrame(rows, columns=["unit", "his", "mis"])
    return table.assign(mis=table["mis"] + rng.normal(0, 0.02, len(table)))


def test_models_are_correlated_by_the_means_of_their_units(rng):
    means = dict(zip("abcdef", (0.5, 0.58, 0.66, 0.74, 0.82, 0.9), strict=True))
    units = units_of_models(rng, means)
    found = correlation_of_models(units, method="pearson", rng=rng, n_resamples=99)
    table = model_means(units)
    assert table["model"].tolist() == list("abcdef")
    assert table["n_units"].tolist() == [20] * 6
    assert found.n_units == 6
    assert found.estimate == pytest.approx(pearsonr(table["mis"], table["his"])[0])
    assert found.estimate > 0.99


def test_units_of_each_model_are_correlated_apart(rng):
    units = units_of_models(rng, {"a": 0.6, "b": 0.9})
    found = correlation_by_model(units, method="spearman", rng=rng, n_resamples=99)
    own = units[units["unit"].str.startswith("b::")]
    assert found["model"].tolist() == ["a", "b"]
    assert found["estimate"][1] == pytest.approx(spearmanr(own["mis"], own["his"])[0])


def test_a_single_model_is_no_correlation_of_models(rng):
    units = units_of_models(rng, {"a": 0.6})
    found = correlation_of_models(units, method="pearson", rng=rng)
    assert found.estimate is None
    assert found.note == (
        "a correlation of models needs at least 4 of them; there is 1"
    )


def test_units_without_both_scores_count_for_no_model(rng):
    units = units_of_models(rng, {"a": 0.6, "b": 0.7})
    units.loc[0, "mis"] = np.nan
    assert model_means(units)["n_units"].tolist() == [19, 20]


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_units_changes_nothing(method, rng):
    x, y = scores(rng)
    shuffled = rng.permutation(len(x))
    first, second = (
        correlation(*pair, method=method, rng=np.random.default_rng(2), n_resamples=99)
        for pair in ((x, y), (x[shuffled], y[shuffled]))
    )
    assert first == second


def test_perfect_ranks_keep_spearman_at_one(rng):
    x = np.arange(10.0)
    found = correlation(x, x**3, method="spearman", rng=rng, n_resamples=99)
    assert found.estimate == pytest.approx(1)
    assert found.analytic_low == found.analytic_high == found.estimate


def test_a_monotone_change_of_scale_leaves_spearman_as_it_was(rng):
    x, y = scores(rng)
    first = correlation(x, y, method="spearman", rng=np.random.default_rng(3))
    second = correlation(np.exp(x), y, method="spearman", rng=np.random.default_rng(3))
    assert first == second


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_the_same_seed_gives_the_same_interval(method, rng):
    x, y = scores(rng)
    first, second = (
        correlation(x, y, method=method, rng=np.random.default_rng(5), n_resamples=200)
        for _ in range(2)
    )
    other = correlation(
        x, y, method=method, rng=np.random.default_rng(6), n_resamples=200
    )
    assert first == second
    assert first.bootstrap_low != other.bootstrap_low


@pytest.mark.parametrize(
    ("x", "y", "note"),
    [
        ([0.5, 0.6, 0.7], [0.1, 0.4, 0.2], "at least 4 units; there are 3"),
        ([0.5] * 6, [0.1, 0.4, 0.2, 0.3, 0.5, 0.6], "the same for every unit"),
        ([0.1, 0.4, 0.2, 0.3, 0.5, 0.6], [1.0] * 6, "the same for every unit"),
    ],
)
def test_what_is_not_defined_is_not_printed(x, y, note, rng):
    found = correlation(x, y, method="pearson", rng=rng)
    assert found.estimate is found.ci_low is found.analytic_high is None
    assert note in found.note


def test_too_few_distinct_scores_give_an_estimate_without_an_interval(rng):
    found = correlation(
        [0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.5, 1.0], method="pearson", rng=rng
    )
    assert found.estimate == pytest.approx(0.7745967)
    assert found.ci_low is found.bootstrap_low is None
    assert "no interval" in found.note


def test_a_unit_without_a_score_is_refused(rng):
    with pytest.raises(ValueError, match="A score is not finite"):
        correlation([0.1, np.nan, 0.3, 0.2], [1, 2, 3, 4], method="pearson", rng=rng)


def test_scores_of_different_length_are_refused(rng):
    with pytest.raises(
        ValueError, match=r"'first' has shape \(3,\) and 'second' \(4,\)"
    ):
        correlation([1, 2, 3], [1, 2, 3, 4], method="pearson", rng=rng)


def test_an_unknown_method_is_refused(rng):
    with pytest.raises(ValueError, match="'method' is 'tau'"):
        correlation([1, 2, 3, 4], [1, 2, 4, 3], method="tau", rng=rng)


@pytest.mark.parametrize("method", METHODS)
def test_intervals_cover_the_truth_at_their_rate(method, rng):
    truth = {
        "pearson": 0.6,
        "spearman": 6 / math.pi * math.asin(0.3),
        "kendall": 2 / math.pi * math.asin(0.6),
    }[method]
    runs, own, boot, analytic = 300, 0, 0, 0
    for _ in range(runs):
        found = correlation(*scores(rng), method=method, rng=rng, n_resamples=499)
        own += found.ci_low <= truth <= found.ci_high
        boot += found.bootstrap_low <= truth <= found.bootstrap_high
        analytic += found.analytic_low <= truth <= found.analytic_high
    assert 0.91 <= own / runs <= 0.985
    assert 0.89 <= boot / runs <= 0.98
    assert 0.91 <= analytic / runs <= 0.985


def test_guessed_answers_correlate_only_at_the_nominal_rate(rng):
    mis = rng.uniform(0.5, 1, 30)
    p_values = [
        correlation(
            mis,
            rng.binomial(50, 0.5, 30) / 50,
            method="spearman",
            rng=rng,
            n_resamples=9,
        ).p_value
        for _ in range(300)
    ]
    assert 0.025 <= np.mean(np.array(p_values) < 0.05) <= 0.085
