"""An answer is stored once, whatever the network does."""

import json
import sqlite3
from uuid import uuid4

import pytest

from data.studies import read_study
from experiment_server.app import create_app
from experiment_server.rows import n_answers, response_table, session_table
from experiment_server.settings import ServerSettings
from tests.experiment_server.conftest import Served


@pytest.fixture
def served(serve):
    return serve()


@pytest.fixture
def one(served):
    return served.participant().walk_to("trial", practice=False)


def count(served):
    with served.database.read() as db:
        return n_answers(db, test_runs=True)


def test_a_repeated_answer_gets_the_same_reply_and_changes_nothing(served, one):
    first = one.answer()
    before = count(served)
    again = one.post("answers", one.sent[-1])
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json == first.json
    assert count(served) == before


def test_the_last_answer_can_be_repeated_too(one):
    one.walk_to("feedback")
    assert one.post("answers", one.sent[-1]).status_code == 200


def test_another_answer_to_the_same_trial_is_refused_and_the_first_stands(served, one):
    one.answer(right=True)
    body = one.sent[-1]
    other = body | {
        "idempotency_key": str(uuid4()),
        "chosen": {"upper": "lower", "lower": "upper"}[body["chosen"]],
    }
    reply = one.post("answers", other)
    assert (reply.status_code, reply.json["error"]) == (409, "already-answered")
    assert reply.json["state"] == one.get().json
    with served.database.read() as db:
        assert response_table(db, served.study)["correct"].all()


@pytest.mark.parametrize("ahead", [1, 100])
def test_an_answer_to_a_trial_that_is_not_open_is_refused(served, one, ahead):
    before = count(served)
    body = one.answer_body()
    reply = one.post("answers", body | {"sequence": body["sequence"] + ahead})
    assert (reply.status_code, reply.json["error"]) == (409, "wrong-sequence")
    assert reply.json["state"]["trial"]["sequence"] == body["sequence"]
    assert count(served) == before


def test_an_answer_between_trials_is_refused(one):
    one.walk_to("break")
    body = one.sent[-1] | {"idempotency_key": str(uuid4())}
    reply = one.post("answers", body | {"sequence": body["sequence"] + 1})
    assert (reply.status_code, reply.json["error"]) == (409, "wrong-screen")
    assert reply.json["state"]["screen"] == "break"


def test_a_key_of_another_trial_is_refused(one):
    one.answer()
    key = one.sent[-1]["idempotency_key"]
    reply = one.answer(idempotency_key=key)
    assert (reply.status_code, reply.json["error"]) == (409, "key-used")


def test_two_participants_may_send_the_same_key(served, one):
    key = str(uuid4())
    other = served.participant().walk_to("trial")
    assert one.answer(idempotency_key=key).status_code == 201
    assert other.answer(idempotency_key=key).status_code == 201


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("confidence", 0),
        ("confidence", 4),
        ("confidence", 1.5),
        ("chosen", "positive"),
        ("rt_ms", -1),
        ("rt_ms", "1000"),
        ("time_elapsed_ms", 1e12),
        ("idempotency_key", "again"),
        ("shown_at", "2026-01-01T12:00:00"),
        ("kind", "main"),
        ("sequence", None),
    ],
)
def test_an_answer_with_a_wrong_field_is_refused_and_named(served, one, field, value):
    before = count(served)
    reply = one.post("answers", one.answer_body() | {field: value})
    assert (reply.status_code, reply.json["error"]) == (400, "bad-payload")
    assert f"'{field}" in reply.json["detail"]
    assert count(served) == before


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_an_answer_without_a_finite_time_is_refused(one, value):
    body = one.answer_body(rt_ms=12345.0)
    text = json.dumps(body).replace("12345.0", value)
    reply = one.client.post(
        "/api/session/answers",
        data=text,
        headers=one.headers | {"Content-Type": "application/json"},
    )
    assert (reply.status_code, reply.json["error"]) == (400, "bad-payload")


def test_what_was_sent_is_what_is_stored(served, one):
    onset = {"method": "raf", "lag_ms": 3.5, "frame_ms": 16.7, "decode_ms": None}
    one.answer(
        right=False, confidence=3, onset=onset, shown_at="2026-01-01T12:00:00.250Z"
    )
    with served.database.read() as db:
        row = response_table(db, served.study).iloc[-1]
    assert row["correct"] == False  # noqa: E712  (NumPy's own False)
    assert (row["confidence"], row["rt_ms"]) == (3, 1234.5)
    assert (row["onset_method"], row["onset_lag_ms"]) == ("raf", 3.5)
    assert row["shown_at"] == "2026-01-01T12:00:00.250Z"
    assert row["time_elapsed_ms"] == one.elapsed_ms


def test_an_answer_to_a_locked_database_is_told_to_come_again(
    toy_folder, tmp_path, clock
):
    path = tmp_path / "locked.sqlite"
    settings = ServerSettings(clock=clock, busy_timeout_s=0.1)
    served = Served(read_study(toy_folder), f"sqlite:///{path}", settings)
    one = served.participant().walk_to("trial")
    body = one.answer_body()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused = one.post("answers", body)
    still = one.get()
    other.execute("ROLLBACK")
    other.close()
    assert (refused.status_code, refused.json["error"]) == (503, "database-busy")
    assert refused.headers["Retry-After"]
    assert still.json["trial"]["sequence"] == body["sequence"]
    assert one.post("answers", body).status_code == 201
    served.database.close()


def test_an_acknowledged_answer_is_there_for_a_second_server(served, one, clock):
    one.answer()
    other = create_app(served.study.folder, served.url, ServerSettings(clock=clock))
    reply = other.test_client().get("/api/session", headers=one.headers)
    assert reply.json == one.state
    other.extensions["unitscope"].database.close()


def test_the_longest_feedback_fits_in_any_script(serve):
    one = serve().participant().walk_to("feedback")
    assert one.post("feedback", {"text": "\U0001f642" * 10_000}).status_code == 200


def test_feedback_is_kept_with_what_no_database_can_store_taken_out(serve):
    served = serve()
    one = served.participant().walk_to("feedback")
    assert one.post("feedback", {"text": "a\0b\ud83d"}).status_code == 200
    with served.database.read() as db:
        assert session_table(db, served.study)["feedback"].tolist() == ["ab?"]
