import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats

from analysis.within import compare_paired, compare_within, participant_scores
from data.errors import DataContractError
from tests.analysis.borowski import borowski_answers

# Conover 1999, section 5.8, example 1: 12 homeowners rank 4 grasses.
GRASSES = pd.DataFrame(
    [
        [4, 3, 2, 1], [4, 2, 3, 1], [3, 1.5, 1.5, 4], [3, 1, 2, 4],
        [4, 2, 1, 3], [2, 2, 2, 4], [1, 3, 2, 4], [2, 4, 1, 3],
        [3.5, 1, 2, 3.5], [4, 1, 3, 2], [4, 2, 3, 1], [3.5, 1, 2, 3.5],
    ],
    columns=list("abcd"),
    dtype=float,
)  # fmt: skip


def compared(blocks, rng, **more):
    return compare_within(blocks, rng=rng, **({"n_resamples": 99} | more))


def blocks_of(rng, effects=(0.0, 0.1, 0.3), n=12):
    person = rng.normal(0, 0.3, n)[:, None]
    values = 0.6 + person + np.array(effects) + rng.normal(0, 0.1, (n, len(effects)))
    return pd.DataFrame(values, columns=list("abcdef")[: len(effects)])


def test_the_textbook_example_has_its_chi_squared(rng):
    found = compared(GRASSES, rng)
    # The book prints 8.097 with 3 degrees of freedom.
    assert found.statistic == pytest.approx(8.097, abs=5e-4)
    assert (found.df, found.n_blocks) == (3, 12)


def test_friedman_and_w_are_pingouins(rng):
    blocks = blocks_of(rng)
    long = blocks.reset_index().melt(id_vars="index")
    theirs = pingouin.friedman(long, "value", "variable", "index").iloc[0]
    found = compared(blocks, rng)
    assert found.statistic == pytest.approx(theirs["Q"])
    assert found.kendall_w == pytest.approx(theirs["W"])
    assert found.p_value == pytest.approx(theirs.filter(regex="^p").iloc[0])


def test_raw_p_values_are_conovers_formula(rng):
    """Conover 1999, eq. 5 of section 5.8."""
    values = GRASSES.to_numpy()
    ranks = stats.rankdata(values, axis=1)
    b, k = values.shape
    sums, squares = ranks.sum(axis=0), (ranks**2).sum()
    df = (b - 1) * (k - 1)
    error = np.sqrt(2 * (b * squares - (sums**2).sum()) / df)
    pairs = compared(GRASSES, rng).pairs
    for row in pairs.itertuples():
        one, two = "abcd".index(row.condition_a), "abcd".index(row.condition_b)
        t = abs(sums[one] - sums[two]) / error
        assert row.p_raw == pytest.approx(2 * stats.t.sf(t, df), rel=1e-9)


def test_holm_is_its_step_down_rule(rng):
    pairs = compared(GRASSES, rng).pairs.sort_values("p_raw")
    stepped = [min(1, (6 - i) * p) for i, p in enumerate(pairs["p_raw"])]
    assert pairs["p_holm"].tolist() == pytest.approx(
        np.maximum.accumulate(stepped).tolist()
    )


def test_differences_are_within_blocks_so_that_persons_cancel_out(rng):
    blocks = blocks_of(rng)
    row = compared(blocks, rng, n_resamples=999).pairs.iloc[1]
    assert row["difference"] == pytest.approx((blocks["a"] - blocks["c"]).mean())
    # Persons spread by 0.3; differences of one person by 0.14.
    assert row["ci_high"] - row["ci_low"] < 0.25


def test_blocks_without_every_condition_take_no_part(rng):
    blocks = blocks_of(rng)
    blocks.loc[[0, 3], "b"] = np.nan
    found = compared(blocks, rng)
    assert (found.n_blocks, found.n_left_out) == (10, 2)


def test_the_order_of_blocks_changes_nothing(rng):
    blocks = blocks_of(rng)
    first, second = (
        compared(one, np.random.default_rng(1))
        for one in (blocks, blocks.sample(frac=1, random_state=3))
    )
    pd.testing.assert_frame_equal(first.pairs, second.pairs)
    assert first.p_value == pytest.approx(second.p_value)


def test_two_conditions_have_a_pair_but_no_friedman(rng):
    found = compared(blocks_of(rng, effects=(0, 0.5)), rng)
    assert found.statistic is None
    assert "needs three conditions" in found.note
    assert found.pairs["p_raw"][0] < 0.05


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda b: b.head(2), "at least 3 participants who met every condition"),
        (lambda b: b * 0 + 1, "the same score under every condition"),
    ],
)
def test_what_is_not_defined_is_not_printed(change, note, rng):
    found = compared(change(blocks_of(rng)), rng)
    assert found.statistic is found.kendall_w is None
    assert found.pairs["p_holm"].isna().all()
    assert note in found.note


def test_no_effect_is_found_at_the_nominal_rate(rng):
    p_values = [
        compared(blocks_of(rng, effects=(0, 0, 0), n=20), rng, n_resamples=9).p_value
        for _ in range(60)
    ]
    assert np.mean(np.array(p_values) < 0.05) <= 0.15
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_a_single_condition_is_refused(rng):
    with pytest.raises(DataContractError, match=r"There is 1 condition, \['a'\]"):
        compared(blocks_of(rng, effects=(0,)), rng)


def test_borowskis_participants_score_as_published(shared, rng):
    answers = borowski_answers(shared)
    main = answers[answers["kind"] == "main"]
    main = main.assign(condition=main["condition"].replace({"optimized": "synthetic"}))
    main = main.assign(
        condition=main["condition"].str.replace("_p(re|ost)", "", regex=True)
    )
    blocks = participant_scores(main, "condition")
    means, errors = blocks.mean(), 2 * blocks.std(ddof=1) / np.sqrt(10)
    for condition, mean, two_se in (
        ("natural", 0.922, 0.018),
        ("synthetic", 0.820, 0.043),
        ("none", 0.431, 0.061),
    ):
        assert means[condition] == pytest.approx(mean, abs=5e-4)
        assert errors[condition] == pytest.approx(two_se, abs=5e-4)
    found = compared(blocks, rng)
    assert found.n_blocks == 10
    assert (found.pairs["p_holm"] < 0.05).all()


def unit_scores(rng, n=30, shift=0.15):
    natural = rng.uniform(0.6, 1, n).round(2)
    synthetic = (natural - shift + rng.normal(0, 0.05, n)).round(2)
    units = [f"net::l::{i}" for i in range(n)]
    return pd.concat(
        pd.DataFrame({"unit": units, "explanation_method": name, "his": values})
        for name, values in (("natural", natural), ("synthetic", synthetic))
    )


def paired(scores, rng):
    return compare_paired(scores, "natural", "synthetic", rng=rng, n_resamples=199)


def test_paired_conditions_are_scipys_tests(rng):
    scores = unit_scores(rng)
    a, b = (
        scores[scores["explanation_method"] == name]["his"].to_numpy()
        for name in ("natural", "synthetic")
    )
    found = paired(scores, rng)
    assert found.wilcoxon_p == stats.wilcoxon(a, b).pvalue
    assert found.correlation.estimate == pytest.approx(stats.spearmanr(a, b).statistic)
    assert found.difference == pytest.approx((a - b).mean())
    assert found.ci_low < 0.15 < found.ci_high
    assert found.share_higher == pytest.approx((a > b).mean() + (a == b).mean() / 2)


def test_units_with_one_condition_take_no_part(rng):
    scores = unit_scores(rng).iloc[:-4]
    found = paired(scores, rng)
    assert (found.n_units, found.n_left_out) == (26, 4)


def test_few_pairs_are_not_compared(rng):
    found = paired(unit_scores(rng, n=5), rng)
    assert found.difference is found.wilcoxon_p is found.ci_low is None
    assert "at least 6 units with both; there are 5" in found.note


def test_equal_scores_have_no_wilcoxon(rng):
    scores = unit_scores(rng).assign(his=0.8)
    found = paired(scores, rng)
    assert found.difference == 0
    assert found.wilcoxon_p is None


def test_a_condition_that_is_not_there_is_refused(rng):
    with pytest.raises(DataContractError, match="explanation method 'mixed'"):
        compare_paired(unit_scores(rng), "natural", "mixed", rng=rng)
