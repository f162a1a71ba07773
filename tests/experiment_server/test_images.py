"""Which pictures a session may load, and what their replies tell."""

import io

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from data.errors import ExperimentError
from data.studies import cell_position, read_study
from experiment_server.images import SentImage, image_bytes
from experiment_server.tables import PresentationRecord
from tests.experiment_server.toy_study import make_toy_study


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
    urls = [one.state["trial"]["image"], *one.state["ahead"][-2:]]
    assert len(set(urls)) == 3
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
    announced = one.state["ahead"]
    assert len(announced) == 2
    assert [status(one, url) for url in announced] == [200, 200]
    one.go_on()
    further = one.state["ahead"][-1]
    assert further not in announced
    assert status(one, further) == 200


def test_on_practice_again_the_next_rounds_images_are_announced(one):
    one.walk_to("practice_again", right=False)
    announced = one.state["ahead"]
    one.go_on()
    assert one.state["trial"]["image"] == announced[0]
    assert announced[1] in one.state["ahead"]


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


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def cell_of(atlas, place):
    x, y = place
    return atlas[y : y + 224, x : x + 224]


def test_what_is_sent_shows_each_image_where_the_reply_says(one):
    shown, reply = one.shown_trial(), one.state["trial"]
    trial = one.study.trials[shown.trial_id]
    sent = pixels(one.client.get(reply["image"]).data)
    compiled = pixels(one.study.atlas_path(trial).read_bytes())
    row = one.right_row()
    polarity = "positive" if reply["upper"] == at(shown.cells.positive_query) else ""
    query = trial.cells.query("positive" if polarity else "negative")
    np.testing.assert_array_equal(
        cell_of(sent, reply["upper"]), cell_of(compiled, cell_position(query))
    )
    for side in ("left", "right"):
        fits = {"right": row == "upper", "left": row == "lower"}[side]
        same = bool(polarity) == fits
        cells = trial.cells.explanations("positive" if same else "negative")
        drawn = {cell_of(sent, place).tobytes() for place in reply[side]}
        assert drawn == {
            cell_of(compiled, cell_position(cell)).tobytes() for cell in cells
        }


def at(cell):
    return list(cell_position(cell))


def test_the_example_too_shows_each_image_where_the_reply_says(serve):
    one = serve().participant()
    one.consent()
    reply = one.state["instructions"]["example"]
    trial = one.study.of_kind("example")[0]
    sent = pixels(one.client.get(reply["image"]).data)
    compiled = pixels(one.study.atlas_path(trial).read_bytes())
    queries = {
        cell_of(compiled, cell_position(trial.cells.query(polarity))).tobytes()
        for polarity in ("positive", "negative")
    }
    assert {
        cell_of(sent, reply[row]).tobytes() for row in ("upper", "lower")
    } == queries


def test_two_sessions_get_the_cells_of_a_trial_in_different_orders(serve, make_study):
    served = serve(make_study(n_slots=2))
    contents = []
    for _ in range(2):
        one = served.participant()
        one.consent()
        image = one.state["instructions"]["example"]["image"]
        contents.append(one.client.get(image).data)
    assert contents[0] != contents[1]
    assert len(contents[0]) == len(contents[1])


def test_asking_twice_gives_the_same_bytes(one):
    url = one.state["trial"]["image"]
    assert one.client.get(url).data == one.client.get(url).data


def test_every_image_of_a_session_has_the_same_number_of_bytes(serve):
    one = serve().participant()
    sizes = set()
    while one.screen != "feedback":
        if one.screen == "trial":
            sizes.add(len(one.client.get(one.state["trial"]["image"]).data))
        one.step()
    assert len(sizes) == 1


def test_an_atlas_that_was_changed_under_the_server_is_not_sent(tmp_path):
    study = read_study(make_toy_study(tmp_path / "study"))
    trial = study.of_kind("main")[0]
    sent = SentImage(trial, tuple(range(10)))
    assert image_bytes(study, sent) == study.atlas_path(trial).read_bytes()
    study.atlas_path(trial).write_bytes(b"shorter")
    with pytest.raises(ExperimentError, match="was changed since"):
        image_bytes(study, sent)
