"""Slots: none taken twice while others are free, none lost for good."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from experiment_server.rows import session_table
from experiment_server.serve_command import CRITERIA
from experiment_server.tables import SessionRecord


def slots(served):
    with served.database.read() as db:
        return Counter(
            db.scalars(select(SessionRecord.slot).where(SessionRecord.holds_slot))
        )


def join_full(served):
    return served.participant(join=False).join()


def test_forty_who_join_at_once_get_forty_slots(serve, make_study):
    served = serve(make_study(n_slots=40), busy_timeout_s=60)
    served.app.test_client().get("/api/study")

    def join(_):
        return join_full(served).status_code

    with ThreadPoolExecutor(40) as pool:
        replies = list(pool.map(join, range(44)))
    assert Counter(replies) == {201: 40, 409: 4}
    assert set(slots(served).values()) == {1}
    assert len(slots(served)) == 40


def test_one_person_who_joins_ten_times_at_once_has_one_session(serve):
    served = serve(busy_timeout_s=60)

    def join(_):
        return served.participant(join=False).join(participant="anna").status_code

    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(join, range(10)))
    assert Counter(replies) == {201: 1, 200: 9}


def test_a_full_study_says_so(serve):
    served = serve()
    for _ in range(4):
        assert join_full(served).status_code == 201
    reply = join_full(served)
    assert (reply.status_code, reply.json["error"]) == (409, "study-full")


def test_slots_are_given_out_in_a_seeded_order(serve, make_study):
    served = serve(make_study(n_slots=12))
    given = []
    for _ in range(12):
        before = set(slots(served))
        served.participant()
        given += set(slots(served)) - before
    assert sorted(given) == list(range(12))
    assert given != sorted(given)


def test_a_session_left_for_too_long_is_timed_out_and_its_slot_is_free(serve, clock):
    served = serve()
    left = [served.participant().walk_to("trial") for _ in range(4)]
    clock.pass_minutes(61)
    assert left[0].get().json["screen"] == "timed_out"
    assert join_full(served).status_code == 201
    assert left[1].get().json["screen"] == "timed_out"
    reply = left[2].post("continue", {"screen": "break", "time_elapsed_ms": 1.0})
    assert reply.json["state"]["screen"] == "timed_out"


def test_an_answer_after_the_lease_is_not_stored(serve, clock):
    served = serve()
    one = served.participant().walk_to("trial")
    body = one.answer_body()
    clock.pass_minutes(61)
    reply = one.post("answers", body)
    assert (reply.status_code, reply.json["error"]) == (409, "wrong-screen")
    with served.database.read() as db:
        assert session_table(db, served.study)["status"].tolist() == ["timed_out"]


def test_every_answer_renews_the_lease(serve, clock):
    one = serve().participant().walk_to("trial")
    for _ in range(3):
        clock.pass_minutes(59)
        assert one.answer().status_code == 201


def test_with_all_answers_stored_nothing_times_out(serve, clock):
    served = serve()
    one = served.participant().walk_to("feedback")
    clock.pass_minutes(10_000)
    join_full(served)
    one.walk_to("end")
    assert one.state["completion_code"]


@pytest.mark.parametrize("end", ["declined", "practice_failed", "withdrawn"])
def test_an_early_end_frees_the_slot(serve, end):
    served = serve()
    one = served.participant()
    assert len(slots(served)) == 1
    if end == "declined":
        one.consent(agreed=False)
    elif end == "withdrawn":
        one.post("withdraw", {"delete_answers": False})
    else:
        one.walk_to("practice_failed", right=False)
    assert one.screen == end
    assert not slots(served)


def test_a_complete_session_keeps_its_slot(serve):
    served = serve()
    served.participant().walk_to("end")
    assert len(slots(served)) == 1


def test_a_complete_session_that_is_excluded_frees_its_slot(serve):
    served = serve(criteria=CRITERIA["imi"])
    one = served.participant().walk_to("end")
    assert one.state["completion_code"]
    assert not slots(served)


def test_test_runs_take_no_slot_and_are_not_refused_by_a_full_study(serve):
    served = serve(test_run_allowed=True)
    for _ in range(4):
        served.participant()
    one = served.participant(test_run=True).walk_to("end")
    assert one.state["completion_code"]
    assert len(slots(served)) == 4


def test_a_test_run_is_apart_from_the_participants_own_session(serve):
    served = serve(test_run_allowed=True)
    served.participant(participant="anna", test_run=True).walk_to("end")
    assert served.participant(participant="anna").screen == "consent"


def test_test_runs_are_refused_where_they_are_not_allowed(serve):
    reply = serve().participant(join=False).join(test_run=True)
    assert (reply.status_code, reply.json["error"]) == (403, "test-run-not-allowed")


def test_simulated_sessions_take_slots_and_stay_marked(serve):
    served = serve()
    served.participant(participant="robot", observer="guess")
    served.participant(participant="robot")
    assert len(slots(served)) == 1
    with served.database.read() as db:
        table = session_table(db, served.study)
    assert table["simulated"].tolist() == [True]
    assert table["observer"].tolist() == ["guess"]
    assert table["participant_id"].tolist() == ["simulated-P0001"]
