import warnings

import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy.stats import beta, f_oneway, ttest_1samp
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from analysis.disattenuation import disattenuated_correlation
from analysis.participant_agreement import participant_agreement
from analysis.reliability import unit_reliability
from tests.analysis.borowski import borowski_answers


def answers(rng, *, n_units=40, n_participants=12, low=0.5, keep=1.0, people=0.0):
    """Answers of people who each met every unit, or a share of them."""
    planted = rng.uniform(low, 1, n_units)
    skill = rng.uniform(-people, people, (n_participants, 1))
    correct = rng.random((n_participants, n_units)) < planted + skill
    table = pd.DataFrame(
        {
            "unit": np.tile(np.arange(n_units), n_participants),
            "session_id": np.repeat(np.arange(n_participants), n_units).astype(str),
            "correct": correct.ravel(),
        }
    )
    return table[rng.random(len(table)) < keep]


def true_icc(low=0.5):
    """Return ICC(1) of answers to units that are uniform between low and 1."""
    between = (1 - low) ** 2 / 12
    mean = (1 + low) / 2
    return between / (mean * (1 - mean))


def test_the_icc_of_a_complete_design_is_pingouins(rng):
    table = answers(rng)
    found = unit_reliability(table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pingouin uses what pandas will drop
        theirs = pingouin.intraclass_corr(
            table.astype({"correct": float}),
            targets="unit",
            raters="session_id",
            ratings="correct",
        ).set_index("Type")
    one, mean = theirs.iloc[0], theirs.iloc[3]
    interval = next(name for name in theirs.columns if name.startswith("CI95"))
    assert found.single == pytest.approx(one["ICC"])
    assert found.mean == pytest.approx(mean["ICC"])
    # Pingouin rounds its intervals to two places.
    assert [found.single_analytic_low, found.single_analytic_high] == pytest.approx(
        list(one[interval]), abs=0.006
    )
    assert [found.mean_analytic_low, found.mean_analytic_high] == pytest.approx(
        list(mean[interval]), abs=0.006
    )
    assert found.two_way["ICC"].tolist() == pytest.approx(theirs["ICC"].tolist())
    assert found.k == pytest.approx(12)


def test_an_incomplete_design_has_no_two_way_table(rng):
    found = unit_reliability(answers(rng, keep=0.8))
    assert found.two_way is None


@pytest.mark.parametrize("keep", [1.0, 0.5])
def test_planted_iccs_come_out(rng, keep):
    table = answers(rng, n_units=3000, n_participants=20, keep=keep)
    found = unit_reliability(table)
    truth, k = true_icc(), found.k
    assert found.single == pytest.approx(truth, abs=0.02)
    assert found.mean == pytest.approx(k * truth / (1 + (k - 1) * truth), abs=0.02)


def test_unequal_numbers_of_answers_count_as_shrout_and_fleiss_have_it(rng):
    table = answers(rng, n_units=10, n_participants=40)
    seen = table["session_id"].astype(int) < 4 * (table["unit"] + 1)
    table = table[seen]
    sizes = table.groupby("unit").size().to_numpy()
    k = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / 9
    samples = [own["correct"].astype(float) for _, own in table.groupby("unit")]
    signal = f_oneway(*samples).statistic - 1
    found = unit_reliability(table)
    assert found.k == pytest.approx(k)
    assert found.single == pytest.approx(signal / (signal + k))


def test_the_icc_of_means_is_the_squared_correlation_with_the_truth(rng):
    planted = rng.uniform(0.5, 1, 4000)
    correct = rng.random((15, 4000)) < planted
    table = pd.DataFrame(
        {
            "unit": np.tile(np.arange(4000), 15),
            "session_id": np.repeat(np.arange(15), 4000).astype(str),
            "correct": correct.ravel(),
        }
    )
    reached = np.corrcoef(planted, correct.mean(axis=0))[0, 1]
    found = unit_reliability(table)
    assert found.mean == pytest.approx(reached**2, abs=0.02)


def test_the_interval_covers_the_planted_icc(rng):
    runs, hits = 200, 0
    for _ in range(runs):
        found = unit_reliability(answers(rng, n_units=84, n_participants=20))
        hits += found.single_low <= true_icc() <= found.single_high
    assert 0.91 <= hits / runs <= 0.985


def test_skewed_units_are_covered_where_the_f_interval_falls_short(rng):
    mean, variance = beta.stats(6, 1)
    truth = variance / (mean * (1 - mean))
    runs, hits, of_f = 300, 0, 0
    for _ in range(runs):
        planted = rng.beta(6, 1, 60)
        correct = rng.random((20, 60)) < planted
        table = answers(rng, n_units=60, n_participants=20)
        found = unit_reliability(table.assign(correct=correct.ravel()))
        hits += found.single_low <= truth <= found.single_high
        of_f += found.single_analytic_low <= truth <= found.single_analytic_high
    assert 0.91 <= hits / runs <= 0.985
    assert of_f < hits


def test_one_interval_is_that_of_both_coefficients(rng):
    found = unit_reliability(answers(rng))
    for single, mean in (
        (found.single, found.mean),
        (found.single_low, found.mean_low),
        (found.single_high, found.mean_high),
    ):
        assert mean == pytest.approx(found.k * single / (1 + (found.k - 1) * single))


def test_the_interval_is_students_over_pseudo_values_of_log_signal_to_noise(rng):
    table = answers(rng, n_units=15)

    def log_signal(units):
        samples = [own["correct"].astype(float) for _, own in units.groupby("unit")]
        return np.log(0.25 + f_oneway(*samples).statistic - 1)

    whole = log_signal(table)
    pseudo = [
        15 * whole - 14 * log_signal(table[table["unit"] != unit]) for unit in range(15)
    ]
    ends = ttest_1samp(pseudo, 0).confidence_interval(0.95)
    low, high = np.exp(ends) - 0.25
    found = unit_reliability(table)
    assert (found.mean_low, found.mean_high) == pytest.approx(
        (low / (1 + low), high / (1 + high))
    )


def test_people_who_guess_have_an_icc_whose_interval_holds_0(rng):
    table = answers(rng, n_units=400)
    found = unit_reliability(table.assign(correct=rng.random(len(table)) < 0.5))
    assert found.single_low < 0 < found.single_high
    assert -1 / (found.k - 1) < found.single_low


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"correct": True}, "all units have the same score"),
        ({"unit": 1}, "at least 4 units; there are 1"),
    ],
)
def test_no_icc_is_told_where_there_is_none(rng, change, note):
    found = unit_reliability(answers(rng).assign(**change))
    assert found.single is found.mean is found.single_low is None
    assert note in found.note


def test_units_with_one_answer_have_no_icc(rng):
    found = unit_reliability(answers(rng, n_participants=1))
    assert "several answers; each has one" in found.note


def test_units_that_are_all_right_or_all_wrong_have_no_noise_to_compare(rng):
    table = answers(rng)
    found = unit_reliability(table.assign(correct=table["unit"] < 9))
    assert found.single is None
    assert "no noise to compare" in found.note


def test_alpha_is_krippendorffs_formula_over_pairs(rng):
    table = answers(rng, n_units=9, n_participants=6, keep=0.7)
    unlike, n_answers, right, pairs = 0.0, 0, 0, 0
    for _, own in table.groupby("unit"):
        n, k = len(own), own["correct"].sum()
        if n > 1:
            unlike += 2 * k * (n - k) / (n - 1)
            n_answers, right, pairs = n_answers + n, right + k, pairs + n * (n - 1) // 2
    by_chance = 2 * right * (n_answers - right) / (n_answers - 1)
    found = participant_agreement(table, rng=rng, n_resamples=50)
    assert found.alpha == pytest.approx(1 - unlike / by_chance)
    assert found.n_pairs == pairs


def test_alpha_of_many_complete_answers_is_fleiss_kappa(rng):
    table = answers(rng, n_units=200, n_participants=10)
    matrix = table.pivot(index="unit", columns="session_id", values="correct")
    theirs = fleiss_kappa(aggregate_raters(matrix.to_numpy(dtype=int))[0])
    found = participant_agreement(table, rng=rng, n_resamples=50)
    assert found.alpha == pytest.approx(theirs, abs=1e-3)


def test_two_answers_of_one_person_are_no_pair(rng):
    table = answers(rng, n_units=20, n_participants=2)
    once, twice = (
        participant_agreement(one, rng=rng, n_resamples=50)
        for one in (table, pd.concat([table, table]))
    )
    assert twice.observed == pytest.approx(once.observed)
    assert twice.n_pairs == 4 * once.n_pairs == 80
    alone = participant_agreement(answers(rng, n_participants=1), rng=rng)
    assert (alone.observed, alone.n_pairs) == (None, 0)
    assert "no unit was answered by two" in alone.note


def test_people_who_guess_agree_by_chance_alone(rng):
    table = answers(rng, n_units=400).assign(correct=lambda own: own["unit"] < 0)
    table["correct"] = rng.random(len(table)) < 0.5
    found = participant_agreement(table, rng=rng, n_resamples=200)
    assert found.alpha == pytest.approx(0, abs=0.03)
    assert found.alpha_low < 0 < found.alpha_high
    assert found.rest_correlation == pytest.approx(0, abs=0.05)


def test_people_are_correlated_with_the_others_alone(rng):
    table = answers(rng, n_units=30, n_participants=5)
    matrix = table.pivot(index="session_id", columns="unit", values="correct")
    scores = matrix.to_numpy(dtype=float)
    expected = [
        np.corrcoef(scores[one], np.delete(scores, one, 0).mean(0))[0, 1]
        for one in range(5)
    ]
    found = participant_agreement(table, rng=rng, n_resamples=50)
    assert found.n_rest == 5
    assert found.rest_correlation == pytest.approx(np.mean(expected))


def test_all_right_has_no_agreement_beyond_chance(rng):
    found = participant_agreement(answers(rng).assign(correct=True), rng=rng)
    assert (found.observed, found.alpha) == (1, None)
    assert "beyond chance" in found.note


def noisy(rng, n_units, *, n_trials=20, spread=0.1):
    planted = rng.uniform(0.5, 1, n_units)
    machine = planted + rng.normal(0, spread, n_units)
    return machine, rng.binomial(n_trials, planted), np.full(n_units, n_trials)


def test_the_correlation_without_noise_is_that_of_the_true_scores(rng):
    spread = 0.1
    truth = np.sqrt((0.25 / 12) / (0.25 / 12 + spread**2))
    found = disattenuated_correlation(*noisy(rng, 5000), rng=rng, n_resamples=50)
    assert found.estimate == pytest.approx(truth, abs=0.015)
    assert found.raw < truth - 0.03
    assert "never in its place" in found.caveat


def test_its_interval_covers_the_true_correlation(rng):
    truth = np.sqrt((0.25 / 12) / (0.25 / 12 + 0.1**2))
    runs, hits = 200, 0
    for _ in range(runs):
        found = disattenuated_correlation(*noisy(rng, 80), rng=rng, n_resamples=300)
        hits += found.ci_low <= truth <= found.ci_high
    assert 0.91 <= hits / runs <= 0.985


def test_units_with_one_answer_are_left_out(rng):
    machine, right, asked = noisy(rng, 30)
    first = disattenuated_correlation(machine, right, asked, rng=rng, n_resamples=50)
    more = [np.append(machine, 0.2), np.append(right, 1), np.append(asked, 1)]
    second = disattenuated_correlation(*more, rng=rng, n_resamples=50)
    assert (second.n_units, second.raw) == (30, pytest.approx(first.raw))


@pytest.mark.parametrize(
    ("right", "note"),
    [
        ([5, 5, 5, 5, 5], "the same for every unit"),
        ([5, 5, 5, 5, 6], "no more than the noise"),
        ([5, 6, 9], "at least 4 units; there are 3"),
    ],
)
def test_no_correlation_without_noise_is_told_where_there_is_none(rng, right, note):
    found = disattenuated_correlation(
        np.arange(len(right)), right, np.full(len(right), 10), rng=rng
    )
    assert found.estimate is found.ci_low is None
    assert note in found.note


def test_the_laboratory_study_stands_with_its_raw_value_and_caveat(shared, rng):
    units = pd.read_csv(shared / "data/borowski2021_experiment1/unit_his_mis.csv")
    own = units.query("condition == 'natural_9'")
    found = disattenuated_correlation(
        own["mis"], own["n_correct"], own["n_trials"], rng=rng, n_resamples=500
    )
    assert found.raw == pytest.approx(0.6293, abs=1e-4)
    assert found.raw < found.estimate < 1.05


def test_the_order_of_answers_changes_nothing(rng):
    table = answers(rng)
    first, second = (
        unit_reliability(one) for one in (table, table.sample(frac=1, random_state=1))
    )
    assert first.single == pytest.approx(second.single)
    assert first.mean_low == pytest.approx(second.mean_low)


def test_people_of_the_laboratory_study_agree_on_units(shared, rng):
    own = borowski_answers(shared).query("kind == 'main' and condition == 'natural'")
    icc = unit_reliability(own)
    alike = participant_agreement(own, rng=rng, n_resamples=200)
    assert icc.two_way is not None
    # Of the same answers: an ICC and alpha differ by the small-sample terms alone.
    assert alike.alpha == pytest.approx(icc.single, abs=0.03)
    # Spearman-Brown of halves estimates the two-way reliability of the mean.
    assert icc.two_way["ICC"].iloc[5] == pytest.approx(0.645, abs=0.05)
