import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from analysis.position import main_positions, position_effect
from tests.analysis.borowski import borowski_answers


def answers(rng, *, n_sessions=30, n_trials=40, slope=0.0, base=1.0):
    """Answers whose log odds change by ``slope`` along the session."""
    position = np.tile(np.arange(n_trials), n_sessions)
    odds = base + slope * position / (n_trials - 1)
    return pd.DataFrame(
        {
            "session_id": np.repeat(np.arange(n_sessions), n_trials).astype(str),
            # Practice comes before and catch trials between, so main indices skip.
            "trial_index": 5 + position + position // 8,
            "correct": rng.random(len(odds)) < 1 / (1 + np.exp(-odds)),
        }
    )


def test_main_trials_are_numbered_from_1_in_the_order_shown(rng):
    table = answers(rng, n_sessions=2, n_trials=10)
    shuffled = table.sample(frac=1, random_state=1)
    found = main_positions(shuffled).sort_index()
    assert found.tolist() == [*range(1, 11)] * 2


def test_a_planted_slope_lies_in_its_interval(rng):
    found = position_effect(
        answers(rng, n_sessions=400, slope=0.8), rng=rng, n_resamples=200
    )
    assert found.slope_low < 0.8 < found.slope_high
    assert found.slope == pytest.approx(0.8, abs=0.2)
    assert found.p_value < 0.001
    assert found.halves_low > 0


def test_the_slope_is_that_of_statsmodels_formula(rng):
    table = answers(rng, slope=0.3)
    place = table.groupby("session_id").cumcount() / 39
    frame = table.assign(place=place, y=table["correct"].astype(float))
    fit = smf.logit("y ~ place", frame).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": frame["session_id"].astype(int)}
    )
    found = position_effect(table, rng=rng, n_resamples=50)
    low, high = fit.conf_int().loc["place"]
    assert [found.slope, found.p_value] == pytest.approx(
        [fit.params["place"], fit.pvalues["place"]], rel=1e-2
    )
    assert [found.slope_low, found.slope_high] == pytest.approx([low, high], abs=0.02)


def test_no_slope_is_found_at_the_nominal_rate(rng):
    found = [
        position_effect(answers(rng), rng=rng, n_resamples=50).p_value < 0.05
        for _ in range(200)
    ]
    assert 0.01 <= np.mean(found) <= 0.11


def test_the_halves_are_the_first_and_the_last_trials(rng):
    table = answers(rng, n_sessions=10, n_trials=5)
    number = table.groupby("session_id").cumcount()
    table = table.assign(correct=number.isin([3, 4]) | (number == 2))
    found = position_effect(table, rng=rng, n_resamples=50)
    # The middle trial belongs to neither half.
    assert found.halves_difference == 1


def test_bins_hold_every_answer_once(rng):
    table = answers(rng)
    found = position_effect(table, rng=rng, n_bins=7, n_resamples=50).bins
    assert len(found) == 7
    assert found["n_trials"].sum() == len(table)
    assert found["first_position"].iloc[0] == 1
    assert found["last_position"].iloc[-1] == 40
    assert found["last_position"].lt(found["first_position"].shift(-1)).iloc[:-1].all()


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"correct": True}, "all answers are right"),
        ({"session_id": "one"}, "1 participants; errors clustered"),
    ],
)
def test_no_slope_is_told_where_there_is_none(rng, change, note):
    found = position_effect(answers(rng).assign(**change), rng=rng, n_resamples=50)
    assert found.slope is found.p_value is None
    assert note in found.note


def test_sessions_of_one_trial_have_no_slope(rng):
    table = answers(rng, n_trials=2, n_sessions=60).drop_duplicates("session_id")
    found = position_effect(table, rng=rng)
    assert found.slope is found.halves_difference is None
    assert "one main trial each" in found.note


def test_the_order_of_rows_changes_nothing(rng):
    table = answers(rng)
    first, second = (
        position_effect(one, rng=np.random.default_rng(0), n_resamples=99)
        for one in (table, table.sample(frac=1, random_state=2))
    )
    assert first.slope == pytest.approx(second.slope)
    assert first.halves_low == second.halves_low
    pd.testing.assert_frame_equal(first.bins, second.bins)


def test_the_laboratory_study_has_its_45_positions(shared, rng):
    own = borowski_answers(shared).query("kind == 'main' and condition == 'natural'")
    found = position_effect(own, rng=rng, n_bins=9, n_resamples=99)
    assert found.bins["n_trials"].tolist() == [50] * 9
    assert found.n_participants == 10
