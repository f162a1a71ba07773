import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from analysis.consistency import repeat_consistency, repeated_pairs
from tests.analysis.borowski import borowski_answers, golden_statistics


def answers(rng, *, n_sessions=20, n_tasks=15, same=0.8):
    """Every task twice; the second answer repeats the first with probability same."""
    first = rng.random((n_sessions, n_tasks)) < 0.7
    second = np.where(rng.random(first.shape) < same, first, ~first)
    tables = [
        pd.DataFrame(
            {
                "session_id": np.repeat(np.arange(n_sessions), n_tasks).astype(str),
                "task_id": np.tile([f"t{task}" for task in range(n_tasks)], n_sessions),
                "trial_index": np.tile(np.arange(n_tasks), n_sessions) + start,
                "kind": kind,
                "correct": correct.ravel(),
            }
        )
        for kind, correct, start in (("main", first, 0), ("repeated", second, 100))
    ]
    return pd.concat(tables, ignore_index=True)


def test_repeats_are_those_of_another_program(shared, rng):
    golden = golden_statistics(shared)["I|repeat_consistency"]
    table = borowski_answers(shared)
    found = repeat_consistency(table, rng=rng, n_resamples=99)
    assert found.n_pairs == golden["n_pairs"]
    assert found.n_same == golden["n_same_correctness"]
    pairs = repeated_pairs(table)
    same = pairs["correct"] == pairs["first_correct"]
    same = same.map({True: "same", False: "diff"})
    counts = (pairs["condition"] + "|" + same).value_counts().to_dict()
    assert counts == golden["by_condition"]
    assert (pairs["first_trial_index"] == pairs["repeat_of"]).all()


def test_a_planted_share_lies_in_both_intervals(rng):
    found = repeat_consistency(answers(rng, n_sessions=60), rng=rng, n_resamples=300)
    assert found.wilson_low < 0.8 < found.wilson_high
    assert found.ci_low < 0.8 < found.ci_high


def test_kappa_is_scikit_learns(rng):
    table = answers(rng)
    found = repeat_consistency(table, rng=rng, n_resamples=50)
    pairs = repeated_pairs(table)
    assert found.kappa == pytest.approx(
        cohen_kappa_score(pairs["first_correct"], pairs["correct"])
    )


def test_answers_without_memory_agree_as_expected(rng):
    table = answers(rng, n_sessions=300)
    table["correct"] = rng.random(len(table)) < 0.7
    found = repeat_consistency(table, rng=rng, n_resamples=50)
    assert found.proportion_same == pytest.approx(found.expected, abs=0.03)
    assert found.kappa == pytest.approx(0, abs=0.06)


def test_the_same_task_of_two_people_is_no_pair(rng):
    table = answers(rng).query("kind == 'main'")
    found = repeat_consistency(table, rng=rng)
    assert (found.n_pairs, found.proportion_same) == (0, None)
    assert "no task was shown twice" in found.note


def test_practice_and_catch_trials_are_never_paired(rng):
    table = answers(rng)
    for kind in ("practice", "catch"):
        other = table.assign(kind=table["kind"].replace("repeated", kind))
        assert repeated_pairs(other).empty


def test_a_third_showing_is_paired_with_the_second(rng):
    table = pd.DataFrame(
        {
            "session_id": "s",
            "task_id": "t",
            "trial_index": [7, 1, 4],
            "kind": "main",
            "correct": [True, False, True],
        }
    )
    pairs = repeated_pairs(table)
    assert pairs["trial_index"].tolist() == [4, 7]
    assert pairs["first_trial_index"].tolist() == [1, 4]
    assert pairs["first_correct"].tolist() == [False, True]


def test_all_right_has_no_kappa(rng):
    found = repeat_consistency(answers(rng).assign(correct=True), rng=rng)
    assert (found.proportion_same, found.kappa, found.ci_low) == (1, None, None)


def test_the_order_of_answers_changes_nothing(rng):
    table = answers(rng)
    first, second = (
        repeat_consistency(one, rng=np.random.default_rng(0), n_resamples=99)
        for one in (table, table.sample(frac=1, random_state=2))
    )
    assert first == second
