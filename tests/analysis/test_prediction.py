import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from analysis.prediction import (
    CHANCE,
    MACHINE_TASK,
    MACHINE_UNIT,
    OVERALL_MEAN,
    OWN_MEAN,
    OWN_MEAN_SEEN,
    compare_predictions,
)
from data.errors import DataContractError


def study(rng, true, per_unit=10):
    unit = np.repeat(np.arange(len(true)), per_unit)
    correct = rng.random(len(unit)) < true[unit]
    return pd.DataFrame({"unit": unit.astype(str), "correct": correct})


def scored(mis):
    return pd.DataFrame({"unit": np.arange(len(mis)).astype(str), "mis": mis})


def compared(main, scores, rng, **more):
    found = compare_predictions(main, scores, rng=rng, n_resamples=199, **more)
    return found, found.table.set_index("predictor")


def test_losses_are_those_of_another_program(rng):
    mis = rng.uniform(0.5, 1, 30)
    main = study(rng, mis)
    _, table = compared(main, scored(mis), rng)
    said = mis[main["unit"].astype(int)]
    row = table.loc[MACHINE_UNIT]
    assert row["brier"] == pytest.approx(brier_score_loss(main["correct"], said))
    assert row["log_loss"] == pytest.approx(log_loss(main["correct"], said))
    assert table.loc[CHANCE, "brier"] == 0.25
    assert table.loc[CHANCE, "log_loss"] == pytest.approx(np.log(2))
    assert table.loc[CHANCE, ["brier_low", "log_loss_low"]].isna().all()


def test_an_excess_is_the_machines_loss_less_the_others(rng):
    mis = rng.uniform(0.5, 1, 30)
    _, table = compared(study(rng, mis), scored(mis), rng)
    expected = table.loc[MACHINE_UNIT, "log_loss"] - table.loc[OWN_MEAN, "log_loss"]
    assert table.loc[OWN_MEAN, "log_loss_excess"] == pytest.approx(expected)


def test_true_probabilities_beat_chance_and_all_means_of_few_answers(rng):
    mis = rng.uniform(0.5, 1, 300)
    _, table = compared(study(rng, mis, per_unit=4), scored(mis), rng)
    for other in (CHANCE, OVERALL_MEAN, OWN_MEAN):
        assert table.loc[other, "brier_excess_high"] < 0
        assert table.loc[other, "log_loss_excess_high"] < 0


def test_a_mean_that_has_seen_the_answer_looks_better_than_it_is(rng):
    main = study(rng, np.full(200, 0.5), per_unit=5)
    _, table = compared(main, scored(np.full(200, 0.5)), rng)
    # Guessed answers can't be foretold: 0.25 is the best there is.
    assert table.loc[OWN_MEAN_SEEN, "brier"] < 0.22
    assert table.loc[OWN_MEAN, "brier"] > 0.25


def test_own_means_are_plain_formulas(rng):
    main = pd.DataFrame({"unit": ["0"] * 3, "correct": [True, True, False]})
    _, table = compared(main, scored([0.8]), rng)
    left_out = np.array([(2 - 1 + 0.5) / 3, (2 - 1 + 0.5) / 3, (2 + 0.5) / 3])
    losses = (left_out - [1, 1, 0]) ** 2
    assert table.loc[OWN_MEAN, "brier"] == pytest.approx(losses.mean())
    assert table.loc[OWN_MEAN_SEEN, "brier"] == pytest.approx(2 / 9)


def test_the_machines_own_tasks_come_first_where_people_answered_them(rng):
    mis = rng.uniform(0.5, 1, 20)
    main = study(rng, mis).assign(task_id=lambda t: t["unit"])
    tasks = pd.DataFrame({"task_id": np.arange(20).astype(str), "probability": mis})
    found, table = compared(main, scored(1 - mis), rng, tasks=tasks)
    assert found.machine == MACHINE_TASK
    assert table.loc[MACHINE_TASK, "brier"] < table.loc[MACHINE_UNIT, "brier"]
    assert table.loc[MACHINE_UNIT, "brier_excess_high"] < 0


def test_other_tasks_leave_the_units_score(rng):
    mis = rng.uniform(0.5, 1, 20)
    main = study(rng, mis).assign(task_id="other")
    tasks = pd.DataFrame({"task_id": ["0"], "probability": [0.5]})
    found, table = compared(main, scored(mis), rng, tasks=tasks)
    assert found.machine == MACHINE_UNIT
    assert MACHINE_TASK not in table.index


def test_certain_probabilities_cost_much_but_not_everything(rng):
    main = pd.DataFrame({"unit": list("000111"), "correct": [True] * 5 + [False]})
    found, table = compared(main, scored([1.0, 1.0]), rng)
    assert found.n_clipped == 6
    assert 2 < table.loc[MACHINE_UNIT, "log_loss"] < 3


def test_answers_to_units_without_a_score_are_left_out_of_all_predictors(rng):
    main = study(rng, np.full(10, 0.8))
    found, _ = compared(main, scored(np.full(8, 0.8)), rng)
    assert (found.n_trials, found.n_units, found.n_left_out) == (80, 8, 20)


def test_no_score_at_all_leaves_the_means(rng):
    found, table = compared(study(rng, np.full(5, 0.8)), scored([]), rng)
    assert found.machine is None
    assert "scored none" in found.note
    assert table.index.tolist() == [OWN_MEAN, OWN_MEAN_SEEN, OVERALL_MEAN, CHANCE]
    assert table["brier_excess"].isna().all()


def test_the_order_of_answers_changes_nothing(rng):
    mis = rng.uniform(0.5, 1, 20)
    main = study(rng, mis)
    first = compared(main, scored(mis), np.random.default_rng(1))[1]
    shuffled = main.sample(frac=1, random_state=2)
    second = compared(shuffled, scored(mis), np.random.default_rng(1))[1]
    pd.testing.assert_frame_equal(first, second)


def test_names_of_units_change_nothing(rng):
    mis = rng.uniform(0.5, 1, 20)
    main, table = study(rng, mis), scored(mis)
    first = compared(main, table, np.random.default_rng(1))[1]
    renamed = {name: f"x{97 * int(name) % 20:02d}" for name in table["unit"]}
    second = compared(
        main.assign(unit=main["unit"].map(renamed)),
        table.assign(unit=table["unit"].map(renamed)),
        np.random.default_rng(1),
    )[1]
    pd.testing.assert_frame_equal(first, second)


def test_intervals_over_units_cover_the_loss_that_is_expected(rng):
    expected, runs, inside = 0.8 * 0.2**2 + 0.2 * 0.8**2, 100, 0
    for _ in range(runs):
        main = study(rng, rng.beta(8, 2, 40), per_unit=5)
        row = compared(main, scored(np.full(40, 0.8)), rng)[1].loc[MACHINE_UNIT]
        inside += row["brier_low"] <= expected <= row["brier_high"]
    assert inside / runs >= 0.87


def test_no_answers_are_refused(rng):
    empty = pd.DataFrame({"unit": [], "correct": []})
    with pytest.raises(DataContractError, match="No main trial counts"):
        compared(empty, scored([0.5]), rng)
