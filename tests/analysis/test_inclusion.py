import json
from dataclasses import replace

import pytest

from analysis.inclusion import (
    NO_CRITERIA,
    criterion_rule,
    include,
    read_criteria,
    study_criteria,
)
from data.errors import DataContractError
from data.exclusion import CRITERIA, IMI, ExclusionCriteria
from tests.analysis.toy import toy_responses

PLANTED = {f"toy::a::{channel}": 0.9 for channel in range(20)}


def test_only_main_trials_of_complete_kept_sessions_count(rng):
    toy = toy_responses(
        PLANTED,
        rng=rng,
        n_sessions=6,
        sessions={
            0: {"status": "withdrawn"},
            1: {"catch": 0.4},
            2: {"test_run": True},
        },
    )
    kept = include(toy, IMI)
    assert set(kept.main["session_id"]) == {"s003", "s004", "s005"}
    assert set(kept.main["kind"]) == {"main"}
    assert kept.funnel["n_sessions"].tolist() == [5, 4, 3]
    assert kept.funnel["lost"].tolist() == ["", "1 withdrawn", "1 excluded"]
    assert kept.n_test_runs == 1
    assert kept.n_sessions == 3


def test_an_excluded_session_is_listed_with_every_criterion_it_broke(rng):
    toy = toy_responses(
        PLANTED,
        rng=rng,
        n_sessions=4,
        sessions={
            1: {"catch": 0.4, "total_time_s": 50.0, "observer": "careless"},
            3: {"catch": 0.6},
        },
    )
    kept = include(toy, IMI)
    assert kept.excluded.to_dict("records") == [
        {
            "session_id": "s001",
            "criteria": "catch_trials, total_response_time",
            "simulated": True,
            "observer": "careless",
        },
        {
            "session_id": "s003",
            "criteria": "catch_trials",
            "simulated": True,
            "observer": "table",
        },
    ]
    counts = kept.criteria.set_index("criterion")
    assert counts.loc["catch_trials", ["n_excluded", "n_only"]].tolist() == [2, 1]
    assert counts.loc["total_response_time", ["n_excluded", "n_only"]].tolist() == [
        1,
        0,
    ]


def test_without_criteria_every_complete_session_counts(rng):
    toy = toy_responses(
        PLANTED,
        rng=rng,
        n_sessions=3,
        sessions={0: {"catch": 0.0, "multi_participation": True, "total_time_s": 1}},
    )
    assert include(toy, NO_CRITERIA).n_sessions == 3
    assert include(toy, NO_CRITERIA).criteria.empty


@pytest.mark.parametrize(("n_programs", "verb"), [(1, "was"), (3, "were")])
def test_simulated_sessions_are_announced(rng, n_programs, verb):
    programs = {number: {"simulated": True} for number in range(n_programs)}
    toy = toy_responses(
        PLANTED, rng=rng, n_sessions=4, simulated=False, sessions=programs
    )
    assert include(toy, IMI).simulated_notice == (
        f"SIMULATED: {n_programs} of 4 sessions {verb} answered by programs,"
        " not people."
    )


def test_people_are_not_announced_as_simulated(rng):
    toy = toy_responses(PLANTED, rng=rng, n_sessions=2, simulated=False)
    assert include(toy, IMI).simulated_notice is None


def test_answers_marked_as_simulated_are_announced_also_where_the_session_is_not(rng):
    toy = toy_responses(PLANTED, rng=rng, n_sessions=4, simulated=False)
    toy.responses.loc[toy.responses["session_id"] == "s002", "simulated"] = True
    assert "1 of 4" in include(toy, IMI).simulated_notice


def test_answers_without_a_session_are_refused(rng):
    toy = toy_responses(PLANTED, rng=rng, n_sessions=3)
    cut = replace(toy, sessions=toy.sessions.drop(index=1))
    with pytest.raises(DataContractError, match=r"no row in.* such as 's001'"):
        include(cut, IMI)


def test_every_criterion_that_is_on_is_told_in_words():
    every = ExclusionCriteria(
        min_instructed_share=0.5, max_focus_losses=3, min_median_rt_ms=400
    )
    rules = {name: criterion_rule(name, every) for name in CRITERIA}
    assert all(rules.values())
    assert rules["catch_trials"] == "fewer than 80% of catch trials right"
    assert rules["total_response_time"] == "in all under 135 s or over 2500 s"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rules.toml", 'min_catch_share = 0.6\nmax_practice_rounds = "off"\n'),
        ("rules.json", '{"min_catch_share": 0.6, "max_practice_rounds": null}'),
    ],
)
def test_a_file_changes_what_it_names_and_keeps_the_rest(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    criteria = read_criteria(str(path))
    assert criteria.min_catch_share == 0.6
    assert criteria.max_practice_rounds is None
    assert criteria.min_total_time_s == IMI.min_total_time_s


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"min_catch": 0.5}, "Did you mean 'min_catch_share'"),
        ({"min_catch_share": "0,8"}, "'min_catch_share' is '0,8'; it must be a number"),
        ({"min_catch_share": True}, "'min_catch_share' is True; it must be a number"),
        ({"min_catch_share": 80}, "'min_catch_share' is 80"),
        ({"single_participation": 1}, "must be true or false"),
        ([1], "holds no table"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(tmp_path, content, said):
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataContractError, match=said):
        read_criteria(str(path))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("rules.toml", "min_catch_share = ", "is not TOML"),
        ("rules.yaml", "", "must be 'imi', 'none', or"),
        ("absent.toml", None, "does not exist"),
    ],
)
def test_a_criteria_file_that_can_not_be_read_is_named(tmp_path, name, text, said):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataContractError, match=said):
        read_criteria(str(path))


def test_the_criteria_are_those_that_the_study_was_compiled_with(rng):
    toy = toy_responses({"toy::a::0": 0.5}, rng=rng)
    assert study_criteria(toy) is None
    own = {"config": {"exclusion": {"max_focus_losses": 3}}}
    told = replace(toy, header=replace(toy.header, **own))
    assert study_criteria(told) == ExclusionCriteria(max_focus_losses=3)


def test_criteria_that_no_one_knows_are_refused(rng):
    toy = toy_responses({"toy::a::0": 0.5}, rng=rng)
    header = replace(toy.header, config={"exclusion": {"max_yawns": 3}})
    with pytest.raises(DataContractError, match="'max_yawns': 3}, which this program"):
        study_criteria(replace(toy, header=header))
