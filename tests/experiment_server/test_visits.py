"""A session goes on in the page that was loaded last, and only there."""

from uuid import uuid4

import pytest
from sqlalchemy import func, select

from experiment_server import sessions
from experiment_server.rows import n_answers, response_table, session_table
from experiment_server.steps import MAX_INTERACTIONS
from experiment_server.tables import InteractionRecord, SessionRecord, TokenRecord


@pytest.fixture
def served(serve):
    return serve()


def session_row(served):
    with served.database.read() as db:
        return session_table(db, served.study).iloc[0]


def older_and_newer(served, screen, **more):
    """The same session in two pages, of which the second was loaded last."""
    older = served.participant().walk_to(screen, **more)
    newer = served.participant(join=False)
    newer.token, newer.elapsed_ms = older.token, older.elapsed_ms
    assert newer.resume().status_code == 200
    return older, newer


def test_a_start_that_is_repeated_goes_on_with_the_same_session(served):
    key = str(uuid4())
    one, again = served.participant(join=False), served.participant(join=False)
    assert one.join(join_key=key).status_code == 201
    assert again.join(join_key=key).status_code == 200
    assert again.token != one.token
    with served.database.read() as db:
        assert db.scalar(select(func.count(SessionRecord.number))) == 1


def test_two_starts_with_their_own_keys_are_two_sessions(served):
    for _ in range(2):
        assert served.participant(join=False).join().status_code == 201


def test_a_repeated_start_makes_no_second_participation(serve):
    served = serve(repeats_allowed=True)
    key = str(uuid4())
    one = served.participant(participant="anna", join_key=key).walk_to("end")
    again = served.participant(join=False)
    assert again.join(participant="anna", join_key=key).status_code == 200
    assert again.state["completion_code"] == one.state["completion_code"]


@pytest.mark.parametrize(
    "other", [{"participant": "ben"}, {"participant": "anna", "test_run": True}]
)
def test_a_start_with_another_persons_key_is_refused(serve, other):
    served = serve(test_run_allowed=True)
    key = str(uuid4())
    served.participant(participant="anna", join_key=key)
    reply = served.participant(join=False).join(join_key=key, **other)
    assert (reply.status_code, reply.json["error"]) == (409, "key-used")


def test_no_start_key_is_stored(served):
    key = str(uuid4())
    served.participant(join_key=key)
    with served.database.read() as db:
        stored = db.scalars(select(TokenRecord.join_sha256)).all()
    assert len(stored) == 1
    assert key not in stored[0]


def test_a_resumed_session_is_where_it_was_and_counts_a_reload(served):
    one = served.participant().walk_to("break")
    before = one.state
    window = {"width": 1280, "height": 720, "device_pixel_ratio": 2}
    one.resume(window=window)
    assert one.state == before
    row = session_row(served)
    assert (row["n_reloads"], row["window_width"]) == (1, 1280)


def test_a_resume_that_is_repeated_is_the_same_visit(served):
    one = served.participant().walk_to("trial")
    kept, key = one.token, str(uuid4())
    assert one.resume(resume_key=key).status_code == 200
    again = served.participant(join=False)
    again.token = kept
    assert again.resume(resume_key=key).status_code == 200
    assert again.token not in (one.token, kept)
    assert one.answer().status_code == 201
    assert again.get().json == one.state
    assert session_row(served)["n_reloads"] == 1


def test_a_resume_that_is_repeated_interrupts_no_later_trial(served):
    one = served.participant().walk_to("trial")
    kept, key = one.token, str(uuid4())
    one.resume(resume_key=key)
    one.answer()
    late = served.participant(join=False)
    late.token = kept
    late.resume(resume_key=key)
    one.answer()
    with served.database.read() as db:
        marks = response_table(db, served.study)["interrupted"].tolist()
    assert marks == [True, False]


def test_a_resume_that_comes_again_after_a_newer_page_takes_nothing_back(served):
    older = served.participant().walk_to("trial")
    kept, key = older.token, str(uuid4())
    older.resume(resume_key=key)
    newer = served.participant(join=False)
    newer.token = older.token
    newer.resume()
    late = served.participant(join=False)
    late.token = kept
    reply = late.resume(resume_key=key)
    assert (reply.status_code, reply.json["error"]) == (409, "taken-over")
    assert newer.answer().status_code == 201


def test_two_sessions_may_use_the_same_resume_key(served):
    key = str(uuid4())
    for _ in range(2):
        one = served.participant()
        assert one.resume(resume_key=key).status_code == 200
        assert one.consent().status_code == 200


def test_no_resume_key_is_stored(served):
    key = str(uuid4())
    served.participant().resume(resume_key=key)
    with served.database.read() as db:
        stored = db.scalars(select(TokenRecord.resume_sha256)).all()
    assert len(stored) == 2
    assert key not in stored


def test_a_start_that_is_repeated_is_the_same_visit(served):
    key = str(uuid4())
    one = served.participant(participant="anna", join_key=key).walk_to("trial")
    again = served.participant(participant="anna", join_key=key)
    assert one.answer().status_code == 201
    assert again.get().json == one.state
    with served.database.read() as db:
        assert not response_table(db, served.study)["interrupted"].any()


def test_a_start_that_comes_again_after_a_newer_page_takes_nothing_back(served):
    key = str(uuid4())
    served.participant(participant="anna", join_key=key).walk_to("trial")
    newer = served.participant(participant="anna")
    reply = served.participant(join=False).join(participant="anna", join_key=key)
    assert (reply.status_code, reply.json["error"]) == (409, "taken-over")
    assert newer.answer().status_code == 201


def test_a_session_that_ended_counts_no_reloads(served):
    one = served.participant().walk_to("end")
    one.resume()
    assert one.screen == "end"
    assert session_row(served)["n_reloads"] == 0


def test_reading_the_state_is_no_visit(served):
    one = served.participant().walk_to("trial")
    one.get()
    assert session_row(served)["n_reloads"] == 0
    assert one.answer().status_code == 201
    with served.database.read() as db:
        assert not response_table(db, served.study)["interrupted"].any()


def test_the_trial_that_a_reload_interrupts_is_marked_by_the_server(served):
    one = served.participant().walk_to("trial")
    one.answer()
    one.resume()
    one.answer()
    one.answer()
    with served.database.read() as db:
        marks = response_table(db, served.study)["interrupted"].tolist()
    assert marks == [False, True, False]


def test_joining_again_interrupts_the_open_trial_too(served):
    served.participant(participant="anna").walk_to("trial")
    again = served.participant(participant="anna")
    again.answer()
    with served.database.read() as db:
        assert response_table(db, served.study)["interrupted"].tolist() == [True]


@pytest.mark.parametrize(
    ("screen", "step", "body"),
    [
        ("consent", "consent", {"agreed": True, "consent_version": "v1-toy"}),
        ("instructions", "instructions", {"time_elapsed_ms": 1.0}),
        ("break", "continue", {"screen": "break", "time_elapsed_ms": 1.0}),
        ("feedback", "feedback", {"text": ""}),
        ("debrief", "finish", {"time_elapsed_ms": 1.0}),
        ("trial", "withdraw", {"delete_answers": True}),
    ],
)
def test_an_older_page_can_change_nothing(served, screen, step, body):
    older, newer = older_and_newer(served, screen)
    reply = older.client.post(f"/api/session/{step}", json=body, headers=older.headers)
    assert (reply.status_code, reply.json["error"]) == (409, "taken-over")
    assert reply.json["state"] is None
    assert newer.get().json == newer.state


def test_an_older_page_can_store_no_answer(served):
    older, newer = older_and_newer(served, "trial")
    reply = older.answer()
    assert (reply.status_code, reply.json["error"]) == (409, "taken-over")
    with served.database.read() as db:
        assert n_answers(db, test_runs=True) == 0
    assert newer.answer().status_code == 201


def test_an_older_page_learns_that_its_answer_is_stored(served):
    older = served.participant().walk_to("trial")
    first = older.answer()
    body = older.sent[-1]
    newer = served.participant(join=False)
    newer.token = older.token
    newer.resume()
    again = older.post("answers", body)
    assert again.status_code == 200
    assert again.json["feedback"] == first.json["feedback"]
    other = older.post("answers", body | {"idempotency_key": str(uuid4())})
    assert other.json["error"] == "taken-over"


def test_an_older_page_is_told_so_and_can_take_the_session_back(served):
    older, newer = older_and_newer(served, "trial")
    reply = older.get()
    assert (reply.status_code, reply.json["error"]) == (409, "taken-over")
    assert older.resume().status_code == 200
    late = newer.answer_body()
    assert older.answer().status_code == 201
    assert newer.post("answers", late).json["error"] == "taken-over"


def test_an_unknown_token_can_resume_nothing(served):
    one = served.participant()
    one.token = "wrong"
    reply = one.resume()
    assert (reply.status_code, reply.json["error"]) == (401, "unknown-session")


def event(number, name="blur", **more):
    return {"number": number, "event": name, "trial": 0, "time_ms": 5.0} | more


def post_events(one, *events, **more):
    return one.post("events", {"events": list(events), **more})


def test_events_are_stored_once_in_their_order(served):
    one = served.participant().walk_to("trial")
    events = [event(0), event(1, "focus"), event(2, "resize", value=1.5, trial=None)]
    assert post_events(one, *events[:2]).status_code == 204
    assert post_events(one, *events).status_code == 204
    query = select(InteractionRecord).order_by(InteractionRecord.number)
    with served.database.read() as db:
        stored = [(at.number, at.event, at.trial, at.value) for at in db.scalars(query)]
    assert stored == [
        (0, "blur", 0, None),
        (1, "focus", 0, None),
        (2, "resize", None, 1.5),
    ]


def test_leaving_the_window_counts_once_and_only_during_trials(served):
    one = served.participant().walk_to("trial")
    for _ in range(2):
        post_events(one, event(0), event(1, "hidden"), event(2, trial=None))
    assert session_row(served)["n_focus_losses"] == 1


def test_each_visit_numbers_its_own_events(served):
    older, newer = older_and_newer(served, "trial")
    assert post_events(older, event(0)).status_code == 204
    assert post_events(newer, event(0)).status_code == 204
    assert session_row(served)["n_focus_losses"] == 2


def test_events_beyond_the_limit_are_counted_and_not_kept(served):
    one = served.participant().walk_to("trial")
    with served.database.write() as db:
        record = db.scalars(select(SessionRecord)).one()
        record.n_interactions = MAX_INTERACTIONS - 1
    post_events(one, event(0, "focus"), event(1), event(2))
    with served.database.read() as db:
        assert db.scalar(select(func.count(InteractionRecord.number))) == 1
        record = db.scalars(select(SessionRecord)).one()
        assert record.n_interactions == MAX_INTERACTIONS + 2
        assert record.n_focus_losses == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"event": "keydown"},
        {"number": -1},
        {"time_ms": -1.0},
        {"trial": "0"},
        {"secret": 1},
    ],
)
def test_events_with_a_wrong_field_are_refused(served, wrong):
    one = served.participant().walk_to("trial")
    reply = post_events(one, event(0) | wrong)
    assert (reply.status_code, reply.json["error"]) == (400, "bad-payload")


def test_more_than_a_hundred_events_at_once_are_refused(served):
    one = served.participant().walk_to("trial")
    assert post_events(one, *map(event, range(101))).status_code == 400


def test_withdrawing_with_deletion_deletes_the_events(served):
    one = served.participant().walk_to("trial")
    post_events(one, event(0))
    one.post("withdraw", {"delete_answers": True})
    with served.database.read() as db:
        assert db.scalar(select(func.count(InteractionRecord.number))) == 0


def test_the_next_trials_are_told_up_to_the_next_screen(served):
    one = served.participant().walk_to("trial")
    told = []
    while one.screen == "trial":
        told.append(len(one.state["upcoming"]))
        coming = one.state["upcoming"]
        one.answer()
        if one.screen == "trial":
            assert one.state["trial"] == coming[0]
    assert (one.screen, told) == ("practice_passed", [2, 1, 0])
    for screen, numbers in [("break", [2, 1, 0]), ("break", [2, 1, 0])]:
        coming = one.state["upcoming"]
        assert len(coming) == 2
        one.go_on()
        assert one.state["trial"] == coming[0]
        told = []
        while one.screen == "trial":
            told.append(len(one.state["upcoming"]))
            one.answer()
        assert (one.screen, told) == (screen, numbers)
    assert len(one.state["upcoming"]) == 2


def test_the_next_practice_round_is_told_before_it_begins(served):
    one = served.participant().walk_to("practice_again", right=False)
    coming = one.state["upcoming"]
    assert len(coming) == 2
    one.go_on()
    assert one.state["trial"] == coming[0]


def test_images_may_be_loaded_ahead_across_a_break(served):
    one = served.participant().walk_to("trial", practice=False)
    one.answer()
    one.answer()
    state = one.state
    assert state["upcoming"] == []
    assert len(state["ahead"]) == 3
    assert state["ahead"][0] == state["trial"]["image"]
    for url in state["ahead"]:
        assert one.client.get(url).status_code == 200


def on_call(monkeypatch, name, number, do):
    """Do something at one call of a function of joining, before it goes on."""
    original, calls = getattr(sessions, name), []

    def called(*given):
        calls.append(name)
        if len(calls) == number:
            do()
        return original(*given)

    monkeypatch.setattr(sessions, name, called)


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("body", "name", "number"),
    [
        # Before its session is stored, and before the person is.
        ({"join_key": str(uuid4())}, "image_name", 1),
        ({"participant": "p-1"}, "pseudonym_of", 2),
    ],
)
def test_who_joins_twice_at_the_same_moment_has_one_session(
    serve_from, postgres_url, monkeypatch, body, name, number
):
    served = serve_from(postgres_url)
    twin, one = (served.participant(join=False) for _ in range(2))
    on_call(monkeypatch, name, number, lambda: twin.join(**body))
    assert one.join(**body).status_code == 200
    assert one.screen == twin.screen == "consent"
    with served.database.read() as db:
        assert len(session_table(db, served.study)) == 1
