import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import bootstrap, norm, t, ttest_1samp

from analysis.his import (
    human_interpretability,
    participant_mean,
    participant_scores,
    score_table,
    with_layers,
)
from analysis.resampling import (
    AnswerCounts,
    bca_limits,
    count_answers,
    draw_weights,
    expanded_level,
    unit_score_resamples,
)
from analysis.score_intervals import score_interval, two_way_variance
from data.errors import DataContractError
from tests.analysis.borowski import CONDITIONS, borowski_answers, golden_cell


def study(rng, *, n_participants=20, n_units=12, per_session=8, sd=0.1):
    """Answers of participants who each meet some of the units once."""
    planted = np.clip(rng.normal(0.75, sd, n_units), 0, 1)
    rows = [
        (f"toy::a::{unit}", f"s{person:02d}", rng.random() < planted[unit])
        for person in range(n_participants)
        for unit in rng.choice(n_units, per_session, replace=False)
    ]
    table = pd.DataFrame(rows, columns=["unit", "session_id", "correct"])
    return table.assign(kind="main", condition="toy")


def counts_of(correct, asked=None):
    asked = np.ones_like(correct) if asked is None else asked
    return AnswerCounts(
        participants=np.arange(len(correct)).astype(object),
        units=np.arange(correct.shape[1]).astype(object),
        n_correct=csr_array(correct.astype("float64")),
        n_trials=csr_array(asked.astype("float64")),
    )


@pytest.mark.parametrize("condition", [*CONDITIONS, "catch"])
def test_the_mean_participant_is_that_of_another_program(shared, condition):
    own, expected = golden_cell(shared, condition)
    found = participant_mean(own)
    assert found.n_participants == expected["n_subjects"]
    assert [found.mean, found.sd, found.two_se] == pytest.approx(
        [
            expected["mean_of_subject_means"],
            expected["sd_of_subject_means"],
            expected["two_SE_subjects"],
        ],
        abs=1e-6,
    )


def test_published_intervals_over_participants_come_out(shared):
    main = borowski_answers(shared).query("kind == 'main'")
    named = {"natural": (92.2, 1.8), "optimized": (82.0, 4.3)}
    for condition, (mean, two_se) in named.items():
        found = participant_mean(main[main["condition"] == condition])
        assert round(100 * found.mean, 1) == mean
        assert round(100 * found.two_se, 1) == two_se
    none = participant_mean(main[main["condition"].str.startswith("none")])
    assert round(100 * none.mean, 1) == 43.1
    assert round(100 * none.two_se, 1) == 6.1


def test_the_mean_participants_interval_is_scipys(rng):
    table = study(rng)
    own = participant_scores(table)["proportion_correct"]
    expected = ttest_1samp(own, 0).confidence_interval(0.9)
    found = participant_mean(table, level=0.9)
    assert [found.ci_low, found.ci_high] == pytest.approx(list(expected))


def test_one_participant_gives_a_mean_without_an_interval(rng):
    found = participant_mean(study(rng, n_participants=1))
    assert (found.n_participants, found.sd, found.ci_low) == (1, None, None)


@pytest.mark.parametrize("statistic", [np.mean, np.var])
def test_bca_limits_are_scipys_for_its_resamples(rng, statistic):
    sample = rng.exponential(size=25)
    theirs = bootstrap((sample,), statistic, n_resamples=999, method="BCa", rng=rng)
    left_out = [statistic(np.delete(sample, i)) for i in range(25)]
    found = bca_limits(theirs.bootstrap_distribution, statistic(sample), left_out)
    assert found == pytest.approx(tuple(theirs.confidence_interval), rel=1e-12)


@pytest.mark.parametrize(
    ("draws", "left_out"),
    [
        ([0.5, 0.5], [0.4, 0.6]),
        ([0.4, 0.6], [0.5, 0.5]),
        ([0.4, np.nan], [0.4, 0.6]),
        ([0.4, 0.6], [0.4, np.nan]),
        ([0.4, 0.6], [0.5]),
    ],
)
def test_bca_limits_are_none_where_nothing_varies_or_is_defined(draws, left_out):
    assert bca_limits(draws, 0.5, left_out) is None


def test_the_level_is_expanded_most_for_few():
    few, many = expanded_level(0.95, 5), expanded_level(0.95, 100_000)
    assert few > expanded_level(0.95, 10) > many
    assert many == pytest.approx(0.95, abs=1e-4)


@pytest.mark.parametrize("n", [3, 5, 100])
def test_at_the_expanded_level_a_bootstrap_of_a_mean_has_students_interval(n):
    z = norm.ppf((1 + expanded_level(0.95, n)) / 2)
    # Resampled means vary by the variance that divides by n.
    assert z * np.sqrt((n - 1) / n) == pytest.approx(t.ppf(0.975, n - 1))


def test_weights_are_counts_of_as_many_draws(rng):
    weights = draw_weights(7, 500, rng)
    assert weights.shape == (500, 7)
    assert (weights.sum(axis=1) == 7).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.2)


def test_a_resample_of_people_scores_their_answers_only(rng):
    correct = np.array([[1, 0, 1], [0, 0, 1]])
    asked = np.array([[1, 1, 1], [1, 1, 1]])
    seen = set()
    for scores, weights in unit_score_resamples(
        counts_of(correct, asked), resample="participant", rng=rng, n_resamples=60
    ):
        assert (weights == 1).all()
        seen |= {tuple(row) for row in scores}
    assert seen == {(1, 0, 1), (0, 0, 1), (0.5, 0, 1)}


def test_a_unit_that_nobody_drawn_met_has_no_weight(rng):
    asked = np.array([[1, 0], [0, 1]])
    pairs = [
        (scores.copy(), weights)
        for scores, weights in unit_score_resamples(
            counts_of(asked.copy(), asked),
            resample="participant",
            rng=rng,
            n_resamples=50,
        )
    ]
    found = {tuple(row) for _, weights in pairs for row in weights}
    assert found == {(1, 1), (1, 0), (0, 1)}


def test_a_unit_that_is_drawn_but_that_nobody_drawn_met_has_no_weight(rng):
    asked = np.eye(5)
    for scores, weights in unit_score_resamples(
        counts_of(asked, asked), resample="both", rng=rng, n_resamples=50
    ):
        # All answers are right: only units without an answer have the score 0.
        assert weights[scores == 1].any()
        assert not weights[scores == 0].any()


def test_another_word_for_what_is_drawn_is_refused(rng):
    with pytest.raises(ValueError, match="'resample' is 'people'; it must be one of"):
        next(unit_score_resamples(counts_of(np.eye(2)), resample="people", rng=rng))


def test_the_two_way_variance_is_the_sum_over_clusters_without_the_answers(rng):
    correct = rng.random((6, 4)) < 0.6
    found = two_way_variance(counts_of(correct))
    scores = correct.mean(axis=0)
    rest = (correct - scores) / (6 * 4)
    assert found.units == pytest.approx(scores.var(ddof=1) / 4)
    assert found.participants == pytest.approx((rest.sum(axis=1) ** 2).sum() * 6 / 5)
    assert found.answers == pytest.approx((rest**2).sum() * 6 / 5)
    beyond = max(found.participants - found.answers, 0)
    assert found.total == pytest.approx(found.units + beyond)


def test_people_who_all_answer_alike_add_nothing_to_the_two_way_variance():
    found = two_way_variance(counts_of(np.tile([1, 0, 1, 1], (5, 1))))
    assert found.total == found.units > 0


def covers(rng, resample, truth, make, runs):
    hits = 0
    for _ in range(runs):
        found = score_interval(make(), resample=resample, rng=rng, n_resamples=400)
        hits += found.low <= truth <= found.high
    return hits / runs


def test_the_two_way_interval_covers_with_other_people_and_units(rng):
    def make():
        units = rng.uniform(0.6, 0.9, 30)
        people = rng.uniform(-0.1, 0.1, (20, 1))
        return counts_of(rng.random((20, 30)) < units + people)

    assert 0.91 <= covers(rng, "both", 0.75, make, 250) <= 0.985


def test_the_interval_over_ten_people_covers_for_the_same_units(rng):
    units = rng.uniform(0.6, 0.9, 30)

    def make():
        people = rng.uniform(-0.1, 0.1, (10, 1))
        return counts_of(rng.random((10, 30)) < units + people)

    assert 0.90 <= covers(rng, "participant", units.mean(), make, 250) <= 0.985


@pytest.mark.parametrize(
    ("resample", "shape", "note"),
    [
        ("unit", (5, 1), "only one unit"),
        ("participant", (1, 5), "only one participant"),
        ("both", (1, 5), "only one participant"),
        ("both", (5, 1), "only one unit"),
    ],
)
def test_nothing_is_drawn_from_one(rng, resample, shape, note):
    correct = rng.random(shape) < 0.5
    found = score_interval(counts_of(correct), resample=resample, rng=rng)
    assert (found.low, found.high) == (None, None)
    assert note in found.note


@pytest.mark.parametrize("resample", ["unit", "participant", "both"])
def test_all_right_gives_no_interval_and_says_so(rng, resample):
    found = score_interval(
        counts_of(np.ones((9, 5))), resample=resample, rng=rng, n_resamples=50
    )
    assert (found.low, found.note) == (None, "no interval: the scores do not vary")


def test_few_units_are_named_beside_the_interval(rng):
    found = score_interval(
        counts_of(rng.random((30, 6)) < 0.7), resample="unit", rng=rng, n_resamples=99
    )
    assert "6 units; with fewer than 20" in found.note


def test_a_table_has_a_row_for_each_value_with_its_own_numbers(rng):
    table = pd.concat([study(rng), study(rng).assign(condition="other", correct=True)])
    found = score_table(table, "condition", rng=rng, n_resamples=99)
    other, toy = found.to_dict("records")
    assert (other["condition"], other["his"], toy["condition"]) == ("other", 1, "toy")
    assert np.isnan(other["unit_low"])
    assert "do not vary" in other["note"]
    scores = table.query("condition == 'toy'").groupby("unit")["correct"].mean()
    assert toy["his"] == pytest.approx(scores.mean())
    assert toy["sd"] == pytest.approx(scores.std())
    assert toy["unit_low"] < toy["his"] < toy["unit_high"]
    assert toy["participant_low"] < toy["his"] < toy["both_high"]


def test_layers_and_models_come_from_the_units_name():
    table = pd.DataFrame({"unit": ["resnet50::layer1.0::3", "vit::blocks.2::0"]})
    found = with_layers(table)
    assert found["model"].tolist() == ["resnet50", "vit"]
    assert found["layer"].tolist() == ["layer1.0", "blocks.2"]


def test_a_unit_without_a_layer_is_refused():
    with pytest.raises(DataContractError, match="'3a, 1x1' is not 'model::layer"):
        with_layers(pd.DataFrame({"unit": ["3a, 1x1"]}))


def test_a_participant_with_two_sessions_is_drawn_as_one(rng):
    table = study(rng, n_participants=6)
    people = {name: "ann" for name in ("s00", "s01")}
    named = table.assign(participant_id=table["session_id"].map(people))
    assert len(count_answers(table).participants) == 6
    assert len(count_answers(named).participants) == 5


NUMBERS = ["his", "sd", "unit_low", "participant_low", "both_high"]


@settings(max_examples=10)
@given(st.randoms(use_true_random=False))
def test_the_order_of_answers_changes_no_interval(shuffler):
    table = study(np.random.default_rng(3)).reset_index(drop=True)
    order = list(range(len(table)))
    shuffler.shuffle(order)
    first, second = (
        score_table(one, "condition", rng=np.random.default_rng(0), n_resamples=50)
        for one in (table, table.loc[order])
    )
    pd.testing.assert_frame_equal(first, second)


def test_names_of_people_and_units_change_intervals_by_chance_alone(rng):
    table = study(rng)
    renamed = table.assign(
        session_id=table["session_id"].str[::-1], unit=table["unit"].str[::-1]
    )
    first, second = (
        score_table(one, "condition", rng=np.random.default_rng(0), n_resamples=4000)
        for one in (table, renamed)
    )
    assert first.loc[0, "unit_low"] == second.loc[0, "unit_low"]
    for number in NUMBERS:
        assert first.loc[0, number] == pytest.approx(second.loc[0, number], abs=0.01)


def test_every_answer_twice_narrows_the_interval_of_a_unit_and_moves_nothing(rng):
    table = study(rng)
    once, twice = (
        human_interpretability(one) for one in (table, pd.concat([table, table]))
    )
    assert once["his"].tolist() == twice["his"].tolist()
    width = once["ci_high"] - once["ci_low"]
    assert (twice["ci_high"] - twice["ci_low"] < width).all()


def test_every_participant_twice_narrows_the_interval_over_them(rng):
    table = study(rng)
    again = table.assign(session_id=table["session_id"] + "b")
    once, twice = (
        score_table(
            one, "condition", rng=np.random.default_rng(0), n_resamples=2000
        ).loc[0]
        for one in (table, pd.concat([table, again]))
    )
    assert once["his"] == pytest.approx(twice["his"])
    assert once["unit_low"] == pytest.approx(twice["unit_low"])
    width = once["participant_high"] - once["participant_low"]
    assert twice["participant_high"] - twice["participant_low"] < 0.85 * width
