import pandas as pd
import pytest

from data.errors import DataContractError
from data.exclusion import (
    CRITERIA,
    IMI,
    ExclusionCriteria,
    excluded_sessions,
    exclusion_table,
)

STRICT = ExclusionCriteria(
    min_instructed_share=1, max_focus_losses=3, min_median_rt_ms=300
)


def session(**changes):
    careful = {
        "session_id": "s",
        "status": "complete",
        "n_practice_rounds": 1,
        "total_time_s": 400.0,
        "instruction_time_s": 60.0,
        "n_focus_losses": 0,
        "multi_participation": False,
    }
    return pd.DataFrame([careful | changes])


def responses(*, n_catch_right=5, n_upper=20, n_followed=2, rt_ms=3000.0):
    kinds = ["practice"] * 5 + ["main"] * 40 + ["catch"] * 5 + ["instructed"] * 2
    right = [True] * 45 + [i < n_catch_right for i in range(5)]
    rows = ["upper"] * 5 + ["upper" if i < n_upper else "lower" for i in range(47)]
    return pd.DataFrame(
        {
            "session_id": "s",
            "kind": kinds,
            "correct": right + [i < n_followed for i in range(2)],
            "upper_query": "positive",
            "chosen_query": ["positive" if r == "upper" else "negative" for r in rows],
            "rt_ms": rt_ms,
        }
    )


def fell_by(answers, sessions, criteria=STRICT):
    return excluded_sessions(exclusion_table(answers, sessions, criteria)).to_dict()


def test_a_careful_session_stays():
    assert fell_by(responses(), session()) == {}


@pytest.mark.parametrize(
    ("criterion", "answers", "sessions"),
    [
        ("demo_trials", responses(), session(n_practice_rounds=4)),
        ("catch_trials", responses(n_catch_right=3), session()),
        ("total_response_time", responses(), session(total_time_s=134.9)),
        ("total_response_time", responses(), session(total_time_s=2500.1)),
        ("row_variability", responses(n_upper=4), session()),
        ("row_variability", responses(n_upper=43), session()),
        ("instruction_time", responses(), session(instruction_time_s=14.9)),
        ("instructed_trials", responses(n_followed=1), session()),
        ("focus", responses(), session(n_focus_losses=4)),
        ("median_response_time", responses(rt_ms=299.0), session()),
        ("participation", responses(), session(multi_participation=True)),
    ],
)
def test_each_criterion_excludes_for_its_own_reason_alone(criterion, answers, sessions):
    assert fell_by(answers, sessions) == {"s": criterion}


@pytest.mark.parametrize(
    ("answers", "sessions"),
    [
        (responses(n_catch_right=4), session(n_practice_rounds=3)),
        (responses(n_upper=5), session(total_time_s=135.0)),
        (responses(n_upper=42), session(total_time_s=2500.0)),
        (responses(), session(instruction_time_s=15.0)),
    ],
)
def test_a_value_at_imis_threshold_passes(answers, sessions):
    assert fell_by(answers, sessions, IMI) == {}


def test_a_session_without_catch_trials_passes_as_in_imi():
    answers = responses(n_catch_right=0)
    assert fell_by(answers[answers["kind"] != "catch"], session(), IMI) == {}


def test_none_switches_a_criterion_off():
    off = ExclusionCriteria(min_catch_share=None)
    assert fell_by(responses(n_catch_right=0), session(), off) == {}


def test_only_complete_sessions_are_judged():
    sessions = session(status="withdrawn", n_practice_rounds=9)
    assert exclusion_table(responses(), sessions, STRICT).empty


def test_every_verdict_stands_beside_its_value():
    table = exclusion_table(responses(n_catch_right=3), session(), STRICT)
    assert list(table["criterion"]) == list(CRITERIA)
    assert table.set_index("criterion").loc["catch_trials", "value"] == 0.6


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ({"min_catch_share": 1.5}, r"'min_catch_share' is 1\.5"),
        ({"min_row_answers": -1}, "'min_row_answers' is -1"),
    ],
)
def test_a_threshold_out_of_range_is_named(setting, match):
    with pytest.raises(DataContractError, match=match):
        ExclusionCriteria(**setting)
