"""The table of screens and steps, taken as a whole."""

from typing import get_args

import pytest

from data.response_tables import STATUSES
from experiment_server.flow import (
    AFTER_ALL_ANSWERS,
    ENDS,
    STATUS_AT,
    TRANSITIONS,
    Screen,
    Step,
    following,
)
from experiment_server.refusals import Refusal

SCREENS, STEPS = get_args(Screen), get_args(Step)


def reachable(start, *, without=()):
    found, new = {start}, [start]
    while new:
        screen = new.pop()
        for (source, step), target in TRANSITIONS.items():
            if source == screen and step not in without and target not in found:
                found.add(target)
                new.append(target)
    return found


def test_every_screen_can_be_reached_and_nothing_else():
    assert reachable("consent") == set(SCREENS)


def test_every_step_leads_somewhere():
    assert {step for _, step in TRANSITIONS} == set(STEPS)


@pytest.mark.parametrize("end", sorted(ENDS - {"end"}))
def test_nothing_follows_an_end(end):
    assert not [source for source, _ in TRANSITIONS if source == end]


def test_after_the_end_one_can_only_withdraw():
    assert [step for source, step in TRANSITIONS if source == "end"] == ["withdraw"]


@pytest.mark.parametrize("screen", sorted(set(SCREENS) - ENDS))
def test_one_may_withdraw_from_every_screen_that_is_no_end(screen):
    assert TRANSITIONS[screen, "withdraw"] == "withdrawn"


def test_the_code_is_behind_the_last_answer():
    assert "end" not in reachable("consent", without=("answer_last",))


def test_the_main_block_is_behind_the_practice_gate():
    gated = reachable("consent", without=("pass_practice", "answer_last"))
    assert "practice_passed" not in gated


@pytest.mark.parametrize("screen", sorted(AFTER_ALL_ANSWERS))
def test_a_complete_session_never_times_out(screen):
    assert (screen, "time_out") not in TRANSITIONS


def test_statuses_are_those_of_the_contract():
    assert set(STATUS_AT.values()) | {"active"} == set(STATUSES)


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_is_not_in_the_table_is_refused(screen, step):
    if (screen, step) in TRANSITIONS:
        assert following(screen, step) in SCREENS
    else:
        with pytest.raises(Refusal, match=f"at '{screen}'"):
            following(screen, step)
