import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from analysis.confidence import (
    confidence_calibration,
    score_given_confidence,
    stated_probabilities,
)
from tests.analysis.borowski import CONDITIONS, golden_cell


def answers(rng, *, n_sessions=15, n_trials=60, n_units=10):
    """Answers that are right as often as their confidence states."""
    n = n_sessions * n_trials
    confidence = rng.integers(1, 4, n)
    stated = np.array([0, 7 / 12, 9 / 12, 11 / 12])
    return pd.DataFrame(
        {
            "unit": rng.integers(0, n_units, n),
            "session_id": np.repeat(np.arange(n_sessions), n_trials).astype(str),
            "kind": "main",
            "confidence": confidence,
            "correct": rng.random(n) < stated[confidence],
        }
    )


@pytest.mark.parametrize("condition", [*CONDITIONS, "catch"])
def test_scores_given_confidence_are_those_of_another_program(shared, rng, condition):
    own, expected = golden_cell(shared, condition)
    own = own.assign(kind="main")
    found = score_given_confidence(own, rng=rng, n_resamples=50)
    counts = {
        str(row.confidence): {"n": row.n_trials, "k": row.n_correct}
        for row in found.itertuples()
    }
    assert counts == expected["accuracy_by_confidence"]
    assert found["share"].sum() == pytest.approx(1)


def test_a_units_score_given_confidence_is_the_mean_over_units_with_such_answers(rng):
    table = pd.DataFrame(
        {
            "unit": ["a", "a", "a", "b", "b"],
            "kind": "main",
            "confidence": [1, 1, 3, 1, 1],
            "correct": [True, True, False, True, False],
        }
    )
    found = score_given_confidence(table, rng=rng).set_index("confidence")
    assert found.loc[1, "his"] == 0.75
    assert found["n_units"].tolist() == [2, 1]
    assert np.isnan(found.loc[3, "unit_low"])


def test_levels_are_the_middles_of_equal_steps_from_chance():
    assert stated_probabilities(3) == pytest.approx({1: 7 / 12, 2: 9 / 12, 3: 11 / 12})


def test_people_who_mean_what_they_state_are_calibrated(rng):
    found = confidence_calibration(
        answers(rng, n_sessions=200), rng=rng, n_resamples=200
    )
    assert found.overconfidence == pytest.approx(0, abs=0.01)
    assert found.calibration_error < 0.02
    assert found.overconfidence_low < 0 < found.overconfidence_high


def test_always_sure_people_are_overconfident_by_what_they_miss(rng):
    table = answers(rng).assign(confidence=3)
    found = confidence_calibration(table, rng=rng, n_resamples=50)
    assert found.overconfidence == pytest.approx(11 / 12 - table["correct"].mean())
    assert found.auroc == 0.5


def test_the_auroc_of_one_participant_is_scikit_learns(rng):
    table = answers(rng, n_sessions=1)
    found = confidence_calibration(table, rng=rng)
    assert found.auroc == pytest.approx(
        roc_auc_score(table["correct"], table["confidence"])
    )
    assert found.auroc_low is None
    assert "one participant" in found.note


def test_the_auroc_never_compares_two_participants(rng):
    table = answers(rng, n_sessions=2)
    # One is sure and always right, the other never sure and always wrong.
    first = table["session_id"] == "0"
    apart = table.assign(confidence=first.map({True: 3, False: 1}), correct=first)
    found = confidence_calibration(apart, rng=rng)
    assert found.auroc is None
    assert "both right and wrong" in found.note


def test_the_auroc_interval_covers_its_value(rng):
    runs, hits = 150, 0
    many = answers(rng, n_sessions=3000)
    truth = roc_auc_score(many["correct"], many["confidence"])
    for _ in range(runs):
        found = confidence_calibration(answers(rng), rng=rng, n_resamples=300)
        hits += found.auroc_low <= truth <= found.auroc_high
    assert 0.89 <= hits / runs <= 0.99


def test_a_stated_meaning_is_used_as_given(rng):
    table = answers(rng)
    found = confidence_calibration(
        table, rng=rng, stated={1: 0.5, 2: 0.5, 3: 0.5}, n_resamples=50
    )
    assert found.overconfidence == pytest.approx(0.5 - table["correct"].mean())
    assert found.note == ""


def test_a_level_without_a_meaning_is_refused(rng):
    with pytest.raises(ValueError, match="Confidence 3 has no entry in 'stated'"):
        confidence_calibration(answers(rng), rng=rng, n_levels=2)


def test_the_order_of_answers_changes_nothing(rng):
    table = answers(rng)
    first, second = (
        confidence_calibration(one, rng=np.random.default_rng(0), n_resamples=99)
        for one in (table, table.sample(frac=1, random_state=3))
    )
    assert first.auroc == second.auroc
    assert first.overconfidence_low == pytest.approx(second.overconfidence_low)


def test_every_answer_twice_moves_nothing(rng):
    table = answers(rng)
    once, twice = (
        confidence_calibration(one, rng=rng, n_resamples=50)
        for one in (table, pd.concat([table, table]))
    )
    assert once.auroc == pytest.approx(twice.auroc)
    assert once.calibration_error == pytest.approx(twice.calibration_error)
