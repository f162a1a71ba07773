"""Which pictures a session may load, and what their replies tell."""

import pytest
from sqlalchemy import select

from experiment_server.tables import PresentationRecord


def status(one, url):
    return one.client.get(url).status_code


@pytest.fixture
def database_url(sqlite_url):
    """These rules are about requests; one database is enough for them."""
    return sqlite_url


@pytest.fixture
def one(serve):
    return serve().participant().walk_to("trial")


def test_the_open_trials_image_and_the_next_two_are_sent(one):
    urls = [one.state["trial"]["image"], *one.state["upcoming"]]
    assert len(urls) == 3
    assert [status(one, url) for url in urls] == [200] * 3


def test_an_image_further_ahead_is_not_sent(one):
    one.walk_to("trial", practice=False)
    database = one.client.application.extensions["unitscope"].database
    with database.read() as db:
        images = db.scalars(
            select(PresentationRecord.image)
            .where(PresentationRecord.kind != "practice")
            .order_by(PresentationRecord.trial_index)
        ).all()
    assert f"/api/images/{images[0]}" == one.state["trial"]["image"]
    sent = [status(one, f"/api/images/{image}") == 200 for image in images]
    assert sent == [True] * 3 + [False] * (len(images) - 3)


def test_an_answered_trials_image_is_not_sent_again(one):
    url = one.state["trial"]["image"]
    one.answer()
    assert status(one, url) == 404


@pytest.mark.parametrize("screen", ["practice_passed", "break"])
def test_between_trials_exactly_the_announced_images_are_sent(one, screen):
    one.walk_to(screen)
    announced = one.state["upcoming"]
    assert len(announced) == 2
    assert [status(one, url) for url in announced] == [200, 200]
    one.go_on()
    further = one.state["upcoming"][-1]
    assert further not in announced
    assert status(one, further) == 200


def test_on_practice_again_the_next_rounds_images_are_announced(one):
    one.walk_to("practice_again", right=False)
    announced = one.state["upcoming"]
    one.go_on()
    assert [one.state["trial"]["image"], one.state["upcoming"][0]] == announced


def test_the_example_is_sent_only_with_the_instructions(serve):
    one = serve().participant()
    one.consent()
    url = one.state["instructions"]["example"]["image"]
    assert one.state["instructions"]["example"]["sequence"] == -1
    assert status(one, url) == 200
    one.read()
    assert status(one, url) == 404


def test_a_session_that_ended_sends_no_image(one):
    url = one.state["trial"]["image"]
    one.post("withdraw", {"delete_answers": False})
    assert status(one, url) == 404


def test_a_session_that_timed_out_sends_no_image(one, clock):
    url = one.state["trial"]["image"]
    clock.pass_minutes(61)
    assert status(one, url) == 404


@pytest.mark.parametrize("name", ["x", "../server/trials.json", "%2e%2e/study.json"])
def test_a_name_that_was_not_given_out_is_not_found(one, name):
    reply = one.client.get(f"/api/images/{name}")
    assert (reply.status_code, reply.json["error"]) == (404, "not-found")


def test_two_sessions_never_share_a_name(serve, make_study):
    served = serve(make_study(n_slots=2))
    names = []
    for _ in range(2):
        one = served.participant().walk_to("trial")
        while one.screen != "feedback":
            if one.screen == "trial":
                names.append(one.state["trial"]["image"])
            one.step()
    assert len(set(names)) == len(names)


def test_no_header_of_an_image_tells_its_file(one):
    reply = one.client.get(one.state["trial"]["image"])
    assert reply.headers["Cache-Control"] == "private, max-age=3600"
    assert set(reply.headers.keys()) == {
        "Cache-Control",
        "Content-Length",
        "Content-Security-Policy",
        "Content-Type",
        "Referrer-Policy",
        "X-Content-Type-Options",
    }
