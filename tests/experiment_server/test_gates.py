"""Gates before the trials, a gap of a day, and what is judged after the last answer."""

import pandas as pd
import pytest
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from data.exclusion import ExclusionCriteria
from experiment_server import completion, views
from experiment_server.rows import session_table
from experiment_server.serve_command import CRITERIA
from experiment_server.tables import ComprehensionRecord, SessionRecord, VerdictRecord
from tests.experiment_server.toy_study import TEXTS

QUESTIONS = [
    {"question": "Which side counts?", "options": ["Left", "Right"]},
    {"question": "What does 1 mean?", "options": ["Sure", "Half", "A guess"]},
]
RIGHT = [1, 2]


@pytest.fixture
def asking(make_study):
    """Make a toy study that asks two questions about its instructions."""
    texts = TEXTS | {"comprehension": QUESTIONS}
    return lambda **more: make_study(texts=texts, comprehension=RIGHT, **more)


@pytest.fixture
def asked(serve, asking):
    served = serve(asking())
    one = served.participant().walk_to("instructions")
    one.read()
    return served, one


def reply_to_questions(one, answers):
    return one.post(
        "comprehension", {"answers": answers, "time_elapsed_ms": one.tick()}
    )


def row_of(served):
    with served.database.read() as db:
        return session_table(db, served.study).iloc[0]


def test_right_answers_lead_to_practice(asked):
    served, one = asked
    assert one.screen == "comprehension"
    assert one.state["comprehension"] == {
        "questions": [
            {"text": asked["question"], "options": asked["options"]}
            for asked in QUESTIONS
        ],
        "attempts_left": 2,
    }
    assert reply_to_questions(one, RIGHT).status_code == 200
    assert (one.screen, one.state["trial"]["practice"]) == ("trial", True)
    assert one.walk_to("end").state["completion_code"]
    assert row_of(served)["n_comprehension_attempts"] == 1


def test_a_wrong_answer_leads_back_to_the_instructions_once(asked):
    served, one = asked
    assert reply_to_questions(one, [1, 0]).status_code == 200
    assert one.screen == "instructions"
    assert one.state["instructions"]["repeated"]
    one.read()
    assert one.state["comprehension"]["attempts_left"] == 1
    reply_to_questions(one, [0, 2])
    assert one.screen == "comprehension_failed"
    assert row_of(served)["status"] == "comprehension_failed"
    with served.database.read() as db:
        query = select(ComprehensionRecord).order_by(
            ComprehensionRecord.attempt, ComprehensionRecord.question
        )
        stored = [(at.chosen, at.correct) for at in db.scalars(query)]
        assert not db.scalar(select(SessionRecord.holds_slot))
    assert stored == [(1, True), (0, False), (0, False), (2, True)]


def test_failed_questions_cant_be_escaped_by_a_reload_or_by_joining_again(
    serve, asking
):
    served = serve(asking(max_comprehension_attempts=1))
    one = served.participant(participant="anna").walk_to("instructions")
    one.read()
    reply_to_questions(one, [0, 0])
    one.resume()
    assert one.screen == "comprehension_failed"
    assert reply_to_questions(one, RIGHT).json["error"] == "wrong-screen"
    assert served.participant(participant="anna").screen == "comprehension_failed"


@pytest.mark.parametrize("answers", [[], [1], [1, 2, 0], [1, -1], ["1", "2"]])
def test_answers_that_dont_fit_the_questions_are_refused(asked, answers):
    served, one = asked
    reply = reply_to_questions(one, answers)
    assert (reply.status_code, reply.json["error"]) == (400, "bad-payload")
    assert one.get().json["screen"] == "comprehension"
    assert row_of(served)["n_comprehension_attempts"] == 0


def test_the_time_of_all_reading_counts(asked):
    served, one = asked
    reply_to_questions(one, [0, 0])
    one.read()
    with served.database.read() as db:
        record = db.scalars(select(SessionRecord)).one()
        assert record.instruction_time_ms == one.elapsed_ms
    reply_to_questions(one, RIGHT)
    assert one.screen == "trial"


def test_no_right_option_is_sent(asked):
    _, one = asked
    assert set(one.state["comprehension"]["questions"][0]) == {"text", "options"}


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"agreed": False, "reason": "colour_vision"}, "colour_vision"),
        ({"agreed": False, "reason": "device"}, "device"),
        ({"agreed": False}, "declined"),
        ({"agreed": True}, None),
    ],
)
def test_why_someone_does_not_take_part_is_stored(serve, sent, stored):
    served = serve()
    one = served.participant()
    one.post("consent", {"consent_version": "v1-toy"} | sent)
    reason = row_of(served)["decline_reason"]
    assert (None if pd.isna(reason) else reason) == stored


def test_after_a_day_one_may_go_on_where_the_study_says_so(serve, make_study, clock):
    served = serve(make_study(after_lease="resume"))
    one = served.participant().walk_to("trial", practice=False)
    clock.pass_minutes(60 * 24)
    served.participant()
    assert one.resume().status_code == 200
    assert one.screen == "trial"
    assert one.walk_to("end").state["completion_code"]


def test_after_a_day_an_open_page_goes_on_too(serve, make_study, clock):
    one = serve(make_study(after_lease="resume")).participant().walk_to("trial")
    body = one.answer_body()
    clock.pass_minutes(60 * 24)
    assert one.post("answers", body).status_code == 201


def test_who_comes_back_too_late_for_their_slot_is_timed_out(serve, make_study, clock):
    served = serve(make_study(after_lease="resume", n_slots=1))
    one = served.participant(participant="anna").walk_to("trial")
    clock.pass_minutes(61)
    other = served.participant()
    assert one.resume().json["state"]["screen"] == "timed_out"
    assert served.participant(participant="anna").screen == "timed_out"
    assert other.walk_to("end").state["completion_code"]


def test_who_comes_back_by_the_link_goes_on(serve, make_study, clock):
    served = serve(make_study(after_lease="resume"))
    served.participant(participant="anna").walk_to("trial")
    clock.pass_minutes(61)
    again = served.participant(participant="anna")
    assert again.answer().status_code == 201


def test_a_session_that_can_still_go_on_is_exported_as_timed_out(
    serve, make_study, clock
):
    served = serve(make_study(after_lease="resume"))
    served.participant().walk_to("trial")
    clock.pass_minutes(61)
    with served.database.read() as db:
        table = session_table(db, served.study, now=clock())
    assert table["status"].tolist() == ["timed_out"]


def verdicts(served):
    with served.database.read() as db:
        return db.scalars(select(VerdictRecord.criterion)).all()


def test_the_studys_own_criteria_judge_unless_overruled(serve, make_study):
    served = serve(make_study(exclusion={"max_focus_losses": 0}), criteria=None)
    one = served.participant().walk_to("trial")
    event = {"number": 0, "event": "blur", "trial": 0, "time_ms": 1.0}
    one.post("events", {"events": [event]})
    one.walk_to("end")
    assert "focus" in row_of(served)["excluded_by"]


def test_a_kept_session_is_told_from_one_that_was_not_judged(serve, monkeypatch):
    served = serve(criteria=CRITERIA["none"])
    served.participant().walk_to("end")
    assert row_of(served)["excluded_by"] == ""
    with served.database.write() as db:
        db.scalars(select(SessionRecord)).one().judged = False
    assert pd.isna(row_of(served)["excluded_by"])


def test_what_was_left_unjudged_is_judged_at_the_next_start(serve, monkeypatch):
    served = serve(criteria=CRITERIA["imi"])

    def die(*_):
        raise SQLAlchemyError("the server dies")

    with monkeypatch.context() as patch:
        patch.setattr(views, "judge_complete", die)
        one = served.participant().walk_to("trial", practice=False)
        one.walk_to("feedback")
    assert one.walk_to("end").state["completion_code"]
    assert verdicts(served) == []
    served.participant()
    assert len(verdicts(served)) > 0
    with served.database.read() as db:
        held = db.scalars(select(SessionRecord.holds_slot).order_by("number")).all()
    assert held == [False, True]


def test_a_session_is_judged_once(serve):
    served = serve(criteria=ExclusionCriteria())
    one = served.participant().walk_to("end")
    before = verdicts(served)
    host = one.client.application.extensions["unitscope"]
    for _ in range(2):
        completion.judge_complete(host.database, host.criteria, 1)
    assert verdicts(served) == before
