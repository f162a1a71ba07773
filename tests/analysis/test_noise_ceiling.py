import numpy as np
import pandas as pd
import pytest

from analysis.noise_ceiling import disattenuated, split_half_ceiling
from tests.analysis.borowski import borowski_answers


def answers(planted, n_sessions, rng):
    """Answers of units to planted proportions, by so many sessions each."""
    counts = np.broadcast_to(n_sessions, len(planted))
    unit = np.repeat(np.arange(len(planted)), counts)
    number = np.concatenate([np.arange(count) for count in counts])
    return pd.DataFrame(
        {
            "unit": unit,
            "session_id": number.astype(str),
            "correct": rng.random(len(unit)) < np.asarray(planted)[unit],
        }
    )


def correlation_with_truth(planted, table):
    his = table.groupby("unit")["correct"].mean()
    return np.corrcoef(planted, his)[0, 1]


@pytest.mark.parametrize("counts", ["equal", "unequal"])
def test_ceiling_is_the_correlation_with_the_true_scores(rng, counts):
    planted = rng.uniform(0.5, 1, 500)
    n_sessions = 30 if counts == "equal" else rng.integers(20, 41, 500)
    table = answers(planted, n_sessions, rng)
    ceiling = split_half_ceiling(table, n_splits=60, rng=rng)
    reached = correlation_with_truth(planted, table)
    assert ceiling.correlation == pytest.approx(reached, abs=0.03)
    assert ceiling.reliability == pytest.approx(ceiling.correlation**2)


def test_split_halves_of_real_answers_are_near_those_of_another_program(shared, rng):
    # The other program split the people once for all units; here each unit's are.
    own = borowski_answers(shared).query("condition == 'natural' and kind == 'main'")
    ceiling = split_half_ceiling(own, n_splits=4000, rng=rng)
    assert ceiling.half_correlation == pytest.approx(0.476, abs=0.02)
    assert ceiling.reliability == pytest.approx(0.645, abs=0.02)


def test_a_correlation_without_noise_is_that_of_the_true_scores(rng):
    planted = rng.uniform(0.5, 1, 600)
    machine = planted + rng.normal(0, 0.1, 600)
    table = answers(planted, 20, rng)
    his = table.groupby("unit")["correct"].mean()
    ceiling = split_half_ceiling(table, n_splits=60, rng=rng)
    raw = np.corrcoef(machine, his)[0, 1]
    assert disattenuated(raw, ceiling) == pytest.approx(
        np.corrcoef(machine, planted)[0, 1], abs=0.04
    )


def test_answers_of_a_session_stay_in_one_half():
    rng = np.random.default_rng(0)
    table = answers(rng.uniform(0.5, 1, 30), 10, rng)
    repeated = pd.concat([table] * 5)
    once, often = (
        split_half_ceiling(one, n_splits=20, rng=np.random.default_rng(1))
        for one in (table, repeated)
    )
    assert often.half_correlation == pytest.approx(once.half_correlation, abs=1e-12)


def test_a_sessions_right_and_wrong_answers_are_never_parted():
    table = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(8), 20),
            "session_id": np.tile(np.repeat(np.arange(10).astype(str), 2), 8),
            "correct": [True, False] * 80,
        }
    )
    ceiling = split_half_ceiling(table, n_splits=20, rng=np.random.default_rng(0))
    assert "20 of 20 splits all units of a half had the same score" in ceiling.note


def test_halves_hold_half_of_an_odd_number_of_sessions_and_nothing_twice():
    # With every answer the same per session number, an uneven cut would show.
    rng = np.random.default_rng(2)
    table = answers(rng.uniform(0.4, 1, 400), 3, rng)
    odd = split_half_ceiling(table, n_splits=200, rng=rng)
    # Halves of one and two answers: reliabilities r1 and r2 by Spearman–Brown.
    variance = table.groupby("unit")["correct"].mean().var()
    mean = table["correct"].mean()
    signal = (3 * variance - mean * (1 - mean)) / 2
    noise = mean * (1 - mean) - signal
    expected = signal / np.sqrt((signal + noise) * (signal + noise / 2))
    assert odd.half_correlation == pytest.approx(expected, abs=0.03)


def test_units_of_a_single_session_are_left_out_and_counted(rng):
    n_sessions = np.array([10] * 8 + [1] * 3)
    ceiling = split_half_ceiling(
        answers(rng.uniform(0.4, 1, 11), n_sessions, rng), n_splits=20, rng=rng
    )
    assert (ceiling.n_units, ceiling.n_left_out) == (8, 3)


def test_too_few_units_give_no_ceiling(rng):
    ceiling = split_half_ceiling(answers([0.5, 0.7, 0.9], 10, rng), rng=rng)
    assert ceiling.correlation is ceiling.half_correlation is None
    assert "at least 4 units" in ceiling.note
    assert disattenuated(0.5, ceiling) is None


def test_halves_of_equal_units_agree_by_chance_alone(rng):
    table = answers(np.full(400, 0.7), 30, rng)
    ceiling = split_half_ceiling(table, n_splits=50, rng=rng)
    assert abs(ceiling.half_correlation) < 0.15


def test_all_right_gives_no_ceiling_and_says_why(rng):
    ceiling = split_half_ceiling(answers(np.ones(10), 8, rng), n_splits=20, rng=rng)
    assert ceiling.correlation is None
    assert "20 of 20 splits" in ceiling.note


def test_halves_that_contradict_each_other_give_no_ceiling():
    table = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(8), 2),
            "session_id": ["a", "b"] * 8,
            "correct": [True, False] * 8,
        }
    )
    ceiling = split_half_ceiling(table, n_splits=50, rng=np.random.default_rng(0))
    assert ceiling.half_correlation == pytest.approx(-1)
    assert ceiling.correlation is ceiling.reliability is None
    assert ceiling.note == "the halves do not agree, so no ceiling can be told"


def test_the_order_of_answers_changes_nothing(rng):
    table = answers(rng.uniform(0.5, 1, 40), 12, rng)
    shuffled = table.sample(frac=1, random_state=1)
    first, second = (
        split_half_ceiling(one, n_splits=30, rng=np.random.default_rng(1))
        for one in (table, shuffled)
    )
    assert first == second
