import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from analysis.noise_ceiling import (
    bernoulli_ceiling,
    disattenuated,
    score_reliability,
    split_half_ceiling,
)
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


def test_halves_of_all_people_at_once_are_those_of_another_program(shared, rng):
    path = shared / "data/borowski2021_experiment1/his_mis_correlations.json"
    golden = json.loads(path.read_text())["split_half_reliability_exp_I_natural"]
    own = borowski_answers(shared).query("condition == 'natural' and kind == 'main'")
    ceiling = split_half_ceiling(own, n_splits=4000, halves="by_participant", rng=rng)
    assert ceiling.half_correlation == pytest.approx(golden["r"], abs=0.005)
    assert ceiling.reliability == pytest.approx(golden["spearman_brown"], abs=0.005)


def test_halves_by_participant_are_a_plain_loops():
    table = answers(np.linspace(0.3, 1, 12), 6, np.random.default_rng(4))
    matrix = table.pivot(index="session_id", columns="unit", values="correct")
    scores = matrix.to_numpy(dtype=float)
    found = []
    for half in combinations(range(6), 3):
        first, second = scores[list(half)], np.delete(scores, half, axis=0)
        found.append(np.corrcoef(first.mean(0), second.mean(0))[0, 1])
    ceiling = split_half_ceiling(
        table, n_splits=4000, halves="by_participant", rng=np.random.default_rng(0)
    )
    assert ceiling.half_correlation == pytest.approx(np.mean(found), abs=0.01)


def test_halves_by_unit_are_a_plain_loops():
    rng = np.random.default_rng(5)
    table = pd.concat(
        [answers(np.linspace(0.3, 1, 8), 5, rng), answers(np.full(8, 0.6), 2, rng)]
    )
    cells = table.groupby(["unit", "session_id"])["correct"].agg(["sum", "size"])
    units = [own.to_numpy() for _, own in cells.groupby("unit")]
    found = []
    for _ in range(1500):
        halves = [[], []]
        for own in units:
            order = rng.permutation(len(own))
            first = (len(own) + rng.integers(0, 2)) // 2
            for half, part in zip(halves, np.split(order, [first]), strict=True):
                half.append(own[part, 0].sum() / own[part, 1].sum())
        found.append(np.corrcoef(*halves)[0, 1])
    ceiling = split_half_ceiling(table, n_splits=4000, rng=rng)
    error = np.std(found) / np.sqrt(1500)
    assert ceiling.half_correlation == pytest.approx(np.mean(found), abs=4 * error)
    assert ceiling.half_low == pytest.approx(np.quantile(found, 0.025), abs=0.05)


def test_people_who_differ_are_noise_only_where_halves_differ_by_unit(rng):
    people = rng.uniform(-0.25, 0.25, 12)
    planted = rng.uniform(0.5, 0.75, 60)
    table = pd.DataFrame(
        {
            "unit": np.tile(np.arange(60), 12),
            "session_id": np.repeat(np.arange(12), 60).astype(str),
            "correct": rng.random(720) < (planted + people[:, None]).ravel(),
        }
    )
    by_unit, by_participant = (
        split_half_ceiling(table, n_splits=800, halves=halves, rng=rng)
        for halves in ("by_unit", "by_participant")
    )
    assert by_participant.half_correlation > by_unit.half_correlation


def test_units_that_a_half_did_not_meet_are_left_out_of_that_split(rng):
    planted = rng.uniform(0.3, 1, 40)
    table = answers(planted, 30, rng).sample(frac=0.15, random_state=1)
    ceiling = split_half_ceiling(table, n_splits=300, halves="by_participant", rng=rng)
    assert 0 < ceiling.half_correlation < 1


def test_other_halves_are_refused(rng):
    with pytest.raises(ValueError, match="'halves' is 'odd'; it must be one of"):
        split_half_ceiling(answers([0.5] * 5, 4, rng), halves="odd", rng=rng)


def counted(planted, n_trials, rng):
    n_trials = np.broadcast_to(n_trials, len(planted))
    return pd.DataFrame(
        {"n_correct": rng.binomial(n_trials, planted), "n_trials": n_trials}
    )


def test_the_bernoulli_ceiling_is_the_papers_loop(rng):
    units = counted(rng.uniform(0.5, 1, 50), rng.integers(20, 60, 50), rng)
    his = (units["n_correct"] / units["n_trials"]).to_numpy()
    n_drawn = np.minimum(units["n_trials"], 30).to_numpy()
    found = []
    for _ in range(1000):
        drawn = [(rng.random(n) < p).mean() for n, p in zip(n_drawn, his, strict=True)]
        found.append(np.corrcoef(drawn, his)[0, 1])
    ceiling = bernoulli_ceiling(units, rng=rng)
    assert ceiling.n_simulated == 1000
    assert ceiling.correlation == pytest.approx(np.mean(found), abs=0.005)
    assert ceiling.sd == pytest.approx(np.std(found), abs=0.005)


@pytest.mark.parametrize("n_trials", [10, 30])
def test_only_the_corrected_bernoulli_ceiling_is_the_correlation_with_the_truth(
    rng, n_trials
):
    planted = rng.uniform(0.6, 1, 3000)
    units = counted(planted, n_trials, rng)
    reached = np.corrcoef(planted, units["n_correct"] / n_trials)[0, 1]
    ceiling = bernoulli_ceiling(units, rng=rng, n_simulated=50)
    assert ceiling.corrected == pytest.approx(reached, abs=0.02)
    assert ceiling.correlation > reached + 0.03


def test_more_simulated_answers_raise_the_bernoulli_ceiling(rng):
    units = counted(rng.uniform(0.5, 1, 100), 60, rng)
    few, many = (
        bernoulli_ceiling(units, rng=rng, max_trials=most, n_simulated=100)
        for most in (30, None)
    )
    assert many.correlation > few.correlation


@pytest.mark.parametrize(
    ("planted", "note"), [([0.5, 1, 0.7], "at least 4 units"), ([1] * 9, "same score")]
)
def test_no_bernoulli_ceiling_is_told_where_there_is_none(rng, planted, note):
    ceiling = bernoulli_ceiling(counted(planted, 20, rng), rng=rng)
    assert ceiling.correlation is ceiling.corrected is None
    assert note in ceiling.note


def test_units_that_differ_by_noise_alone_have_no_corrected_ceiling():
    his = np.array([0.5, 0.5, 0.5, 0.6])
    assert score_reliability(his, np.full(4, 10)) is None
