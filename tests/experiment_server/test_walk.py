"""A session from its start to its end, and all the ways off that path."""

import pytest

from data.studies import cell_position
from experiment_server.rows import n_answers, response_table, session_table

SCREENS = [
    "consent",
    "instructions",
    "trial",
    "practice_passed",
    "break",
    "feedback",
    "debrief",
    "end",
]


def test_a_walk_leads_through_every_screen_to_a_code(serve):
    one = serve().participant()
    seen = [one.screen]
    while one.screen != "end":
        assert one.step().status_code in (200, 201)
        if one.screen != seen[-1]:
            seen.append(one.screen)
    assert seen == [
        "consent",
        "instructions",
        "trial",
        "practice_passed",
        "trial",
        "break",
        "trial",
        "break",
        "trial",
        "feedback",
        "debrief",
        "end",
    ]
    assert len(one.state["completion_code"]) == 12


def test_progress_never_falls_and_ends_at_one(serve):
    one = serve().participant()
    progress = [one.state["progress"]]
    while one.screen != "end":
        one.step()
        progress.append(one.state["progress"])
    assert progress == sorted(progress)
    assert progress[0] == 0
    assert progress[-1] == 1


@pytest.mark.parametrize("screen", SCREENS)
def test_a_reload_comes_back_to_the_same_screen_and_trial(serve, screen):
    one = serve().participant().walk_to(screen)
    assert one.get().json == one.state
    assert one.get().json == one.state


def test_a_reload_in_the_main_block_comes_back_to_the_unanswered_trial(serve):
    one = serve().participant().walk_to("trial", practice=False)
    one.answer()
    reloaded = one.get().json
    assert reloaded["trial"]["sequence"] == len(one.sent)
    assert reloaded["elapsed_ms"] == one.elapsed_ms


def test_an_interrupted_trial_is_stored_as_such(serve):
    served = serve()
    one = served.participant().walk_to("trial", practice=False)
    assert one.answer(interrupted=True).status_code == 201
    with served.database.read() as db:
        table = response_table(db, served.study)
    assert table["interrupted"].tolist()[-1]
    assert not table["interrupted"].iloc[:-1].any()


def test_the_main_block_is_the_slots_trials_in_order(serve):
    served = serve()
    one = served.participant().walk_to("trial", practice=False)
    seen = []
    while one.screen != "feedback":
        if one.screen == "trial":
            seen.append(one.shown_trial().trial_id)
        one.step()
    slots = [[shown.trial_id for shown in slot] for slot in served.study.slots]
    assert seen in slots


def test_a_decline_ends_the_session_without_a_code(serve):
    one = serve().participant()
    one.consent(agreed=False)
    assert (one.screen, one.state["completion_code"]) == ("declined", None)
    assert one.read().status_code == 409
    assert one.screen == "declined"


def test_consent_to_another_text_than_the_one_shown_is_refused(serve):
    one = serve().participant()
    reply = one.post("consent", {"agreed": True, "consent_version": "v0"})
    assert (reply.status_code, reply.json["error"]) == (409, "other-consent-version")
    assert one.screen == "consent"


def test_a_wrong_practice_trial_leads_to_a_new_round(serve):
    one = serve().participant().walk_to("trial")
    first = [one.shown_trial().trial_id]
    one.answer(right=False)
    while one.screen == "trial":
        first.append(one.shown_trial().trial_id)
        one.answer()
    assert one.screen == "practice_again"
    assert one.state["practice"] == {"round": 1, "n_rounds_max": 3, "n_trials": 3}
    one.go_on()
    assert one.state["practice"]["round"] == 2
    assert one.state["trial"]["sequence"] == len(first)


def test_a_failed_practice_cant_be_escaped_by_a_reload_or_by_joining_again(serve):
    served = serve()
    one = served.participant(participant="anna")
    one.walk_to("practice_failed", right=False)
    assert len(one.sent) == 9
    assert one.get().json["screen"] == "practice_failed"
    assert one.state["completion_code"] is None
    again = served.participant(participant="anna")
    assert again.screen == "practice_failed"
    assert again.post("continue", {"screen": "x", "time_elapsed_ms": 1.0}).json[
        "error"
    ] == ("wrong-screen")


def test_each_practice_round_has_its_share_of_obvious_trials(serve):
    one = serve().participant().walk_to("trial")
    for _ in range(3):
        obvious = []
        while one.screen == "trial":
            obvious.append(one.shown_trial().obvious)
            one.answer(right=False)
        assert sorted(obvious) == [False, True, True]
        if one.screen == "practice_again":
            one.go_on()
    assert one.screen == "practice_failed"


@pytest.mark.parametrize("screen", SCREENS)
def test_one_may_withdraw_from_every_screen(serve, screen):
    one = serve().participant().walk_to(screen)
    assert one.post("withdraw", {"delete_answers": False}).status_code == 200
    assert one.screen == "withdrawn"
    assert one.get().json["screen"] == "withdrawn"


def test_withdrawing_with_deletion_leaves_no_answer(serve):
    served = serve()
    one = served.participant().walk_to("debrief")
    one.post("withdraw", {"delete_answers": True})
    with served.database.read() as db:
        assert n_answers(db, test_runs=True) == 0
        kept = session_table(db, served.study)
    assert kept["status"].tolist() == ["withdrawn"]
    assert kept["feedback"].isna().all()


def test_a_repeated_finish_gives_the_same_code(serve):
    one = serve().participant().walk_to("end")
    code = one.state["completion_code"]
    assert one.post("finish", {"time_elapsed_ms": 1.0}).json["completion_code"] == code


def test_no_code_before_the_last_answer(serve):
    one = serve().participant()
    while one.screen != "end":
        assert one.state["completion_code"] is None
        if one.screen != "debrief":
            reply = one.post("finish", {"time_elapsed_ms": 1.0})
            assert (reply.status_code, reply.json["error"]) == (409, "wrong-screen")
        one.step()


def test_a_participant_goes_on_with_the_same_session(serve):
    served = serve()
    one = served.participant(participant="anna").walk_to("trial", practice=False)
    again = served.participant(join=False)
    reply = again.join(participant="anna")
    assert reply.status_code == 200
    assert again.token != one.token
    assert again.state == one.state
    assert again.answer().status_code == 201


def test_who_has_finished_gets_the_end_again(serve):
    served = serve()
    one = served.participant(participant="anna").walk_to("end")
    again = served.participant(join=False)
    assert again.join(participant="anna").status_code == 200
    assert again.state["completion_code"] == one.state["completion_code"]


def test_where_repeats_are_allowed_the_second_session_is_marked(serve):
    served = serve(repeats_allowed=True)
    served.participant(participant="anna").walk_to("end")
    assert served.participant(participant="anna").screen == "consent"
    with served.database.read() as db:
        table = session_table(db, served.study)
    assert table["multi_participation"].tolist() == [False, True]
    assert table["participant_id"].nunique() == 1


@pytest.mark.parametrize(
    ("setting", "told"),
    [("practice", {True: True, False: False}), ("all", {True: True, False: True})],
)
def test_feedback_is_told_where_the_study_says(serve, make_study, setting, told):
    one = serve(make_study(feedback=setting)).participant().walk_to("trial")
    while one.screen != "feedback":
        trial = one.state["trial"]
        reply = one.step()
        if trial:
            assert trial["feedback"] == told[trial["practice"]]
            assert (reply.json["feedback"] is not None) == trial["feedback"]


def test_feedback_says_whether_the_answer_was_right(serve):
    one = serve().participant().walk_to("trial")
    assert one.answer(right=True).json["feedback"] == {"correct": True}
    assert one.answer(right=False).json["feedback"] == {"correct": False}


def test_the_running_score_counts_the_main_block(serve, make_study):
    one = serve(make_study(show_score=True)).participant()
    one.walk_to("trial", practice=False)
    assert one.state["score"] == {"n_correct": 0, "n_answered": 0}
    one.answer(right=True)
    one.answer(right=False)
    assert one.state["score"] == {"n_correct": 1, "n_answered": 2}


def test_no_score_is_told_where_the_study_shows_none(serve):
    one = serve().participant().walk_to("trial", practice=False)
    one.answer()
    assert one.state["score"] is None


def test_sides_fixed_keeps_the_positive_explanations_right(serve, make_study):
    one = serve(make_study(sides="fixed")).participant().walk_to("trial")
    while one.screen == "trial":
        cell = one.shown_trial().cells.positive_explanations[0]
        assert list(cell_position(cell)) == one.state["trial"]["right"][0]
        one.answer()


def test_the_most_extreme_explanation_comes_first_and_all_are_shown(serve):
    one = serve().participant().walk_to("trial")
    trial, shown = one.shown_trial(), one.state["trial"]
    ends = {tuple(tuple(at) for at in shown[side][:1]) for side in ("left", "right")}
    assert ends == {
        (cell_position(trial.cells.positive_explanations[0]),),
        (cell_position(trial.cells.negative_explanations[0]),),
    }
    cells = trial.cells.positive_explanations + trial.cells.negative_explanations
    drawn = sorted(tuple(at) for at in shown["left"] + shown["right"])
    assert drawn == sorted(map(cell_position, cells))
