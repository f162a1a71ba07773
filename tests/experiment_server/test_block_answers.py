"""What is stored by one statement is what the locked way would store."""

from uuid import UUID

import pytest
from pandas.testing import assert_frame_equal

from experiment_server import block_answers, sessions, views
from experiment_server.rows import n_answers, response_table, session_table

pytestmark = pytest.mark.postgres


@pytest.fixture
def one(serve_from, postgres_url):
    served = serve_from(postgres_url)
    return served, served.participant().walk_to("trial", practice=False)


def walked(served):
    """Take part; return what was told after each answer, and what is stored."""
    one = served.participant()
    told = []
    while one.screen != "end":
        in_block = one.state["practice"] is None
        one.step(right=not in_block or len(told) % 5 != 4)
        told.append(without_names(one.state))
    with served.database.read() as db:
        tables = response_table(db, served.study), session_table(db, served.study)
    return told, *tables


def without_names(state):
    """Return a state without what is drawn anew for every session."""
    return state | {
        "completion_code": None,
        "ahead": len(state["ahead"]),
        "trial": state["trial"] and state["trial"] | {"image": None},
        "upcoming": [one | {"image": None} for one in state["upcoming"]],
        "instructions": None,
    }


def count(served):
    with served.database.read() as db:
        return n_answers(db, test_runs=True)


def without_ids(table):
    drawn = ["session_id", "participant_id", "completion_code"]
    return table.drop(columns=drawn, errors="ignore")


def test_a_session_is_told_and_stored_the_same_as_by_the_locked_way(
    serve_from, postgres_url, sqlite_url, monkeypatch
):
    # The places of an image's cells follow from it.
    monkeypatch.setattr(sessions, "uuid4", lambda: UUID(int=7))
    told, responses, session = walked(serve_from(sqlite_url, draw_seed=5))
    locked = []
    original = views.record_answer

    def record_answer(db, study, record, *given, **more):
        locked.append(record.practice_round and record.position)
        return original(db, study, record, *given, **more)

    monkeypatch.setattr(views, "record_answer", record_answer)
    told_at_once, at_once, session_at_once = walked(
        serve_from(postgres_url, draw_seed=5)
    )
    n_practice = sum(responses["kind"] == "practice")
    assert len(locked) == n_practice < len(responses)
    assert told_at_once == told
    assert_frame_equal(without_ids(at_once), without_ids(responses))
    assert_frame_equal(without_ids(session_at_once), without_ids(session))


def meanwhile(monkeypatch, do):
    """Do something after a session was read and before its answer is stored."""
    original = block_answers.advance

    def advance(*given):
        monkeypatch.setattr(block_answers, "advance", original)
        do()
        return original(*given)

    monkeypatch.setattr(block_answers, "advance", advance)


def test_who_withdrew_meanwhile_stores_no_answer(one, monkeypatch):
    served, person = one
    before = count(served)
    meanwhile(monkeypatch, lambda: person.post("withdraw", {"delete_answers": False}))
    reply = person.answer()
    assert (reply.status_code, reply.json["error"]) == (409, "wrong-screen")
    assert count(served) == before
    assert person.get().json["screen"] == "withdrawn"


def test_a_page_that_took_over_meanwhile_keeps_the_trial(one, monkeypatch):
    served, person = one
    before = count(served)
    body = person.answer_body()
    token = person.token
    meanwhile(monkeypatch, person.resume)
    headers = {"Authorization": f"Bearer {token}"}
    reply = person.client.post("/api/session/answers", json=body, headers=headers)
    assert (reply.status_code, reply.json["error"]) == (409, "taken-over")
    assert count(served) == before


def test_an_event_meanwhile_is_kept_and_the_answer_stored_once(one, monkeypatch):
    served, person = one
    before = count(served)
    blur = {"number": 0, "event": "blur", "trial": 0, "time_ms": 1.0}
    meanwhile(monkeypatch, lambda: person.post("events", {"events": [blur]}))
    position = person.state["trial"]["sequence"]
    assert person.answer().status_code == 201
    assert count(served) == before + 1
    assert person.state["trial"]["sequence"] == position + 1
    with served.database.read() as db:
        assert session_table(db, served.study)["n_focus_losses"].tolist() == [1]
