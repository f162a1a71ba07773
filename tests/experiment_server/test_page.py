"""The participant's page, walked in a real browser against the real server."""

import io
from urllib.parse import urljoin

import numpy as np
import pytest
from PIL import Image

from data.studies import read_study
from tests.experiment_server.toy_study import make_toy_study

pytestmark = pytest.mark.browser

SIZES = [(940, 600), (1280, 720), (1920, 1080)]
# Compiled studies have nine explanations a side; times are short to keep tests so.
SETTINGS = {"lock_ms": 60, "feedback_delay_ms": 30, "feedback_ms": 40}
PRACTICE = {"n_obvious_practice": 1, "n_less_obvious_practice": 1}
N_PRACTICE, N_BLOCK = 2, 8


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "study"
    settings = SETTINGS | PRACTICE
    return read_study(make_toy_study(folder, n_explanations=9, n_slots=3, **settings))


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_a_whole_session_stores_every_answer_and_ends_with_the_code(site, visit, by):
    visitor = visit(by=by)
    visitor.pass_practice()
    visitor.answer_block()
    code = visitor.conclude()
    (session,) = site.sessions()
    answers = site.answers()
    assert session.completion_code == code
    assert session.feedback == "It was fine."
    assert [one.trial_index for one in answers] == list(range(N_PRACTICE + N_BLOCK))
    assert {one.input for one in answers} == {by}
    assert not any(one.interrupted for one in answers)
    block = answers[N_PRACTICE:]
    rows = [("upper", "lower")[number % 2] for number in range(N_BLOCK)]
    right = [site.correct_row(one.trial_index) for one in block]
    assert [one.correct for one in block] == [
        row == correct for row, correct in zip(rows, right, strict=True)
    ]
    assert [one.confidence for one in block] == [1 + n % 3 for n in range(N_BLOCK)]
    elapsed = [one.time_elapsed_ms for one in answers]
    assert elapsed == sorted(elapsed)
    assert elapsed[0] > session.instruction_time_ms > 0


def test_the_answer_that_was_pressed_is_the_one_that_is_stored(site, visit):
    visitor = visit()
    visitor.pass_practice()
    chosen = {}
    for row, confidence in [("upper", 1), ("lower", 3)]:
        sequence = visitor.sequence()
        number = visitor.page.locator(f".choices.{row} .number").nth(confidence - 1)
        assert number.inner_text() == str(confidence)
        number.click()
        chosen[sequence] = (row == site.correct_row(sequence), confidence)
        visitor.wait_until_gone(sequence)
    visitor.sequence()
    stored = {one.trial_index: (one.correct, one.confidence) for one in site.answers()}
    assert chosen.items() <= stored.items()


def test_times_count_from_the_painted_frame(site, visit):
    visitor = visit()
    visitor.pass_practice()
    sequence = visitor.sequence()
    visitor.answer("upper")
    visitor.wait_until_gone(sequence)
    visitor.sequence()
    answer = site.answers()[-1]
    assert answer.rt_ms >= SETTINGS["lock_ms"]
    assert answer.onset_method.startswith("next_frame")
    assert answer.frame_ms > 0
    assert answer.decode_ms > 0
    assert answer.shown_at is not None
    assert answer.onset_lag_ms == answer.element_ms
    assert abs(answer.element_ms) < 1000
    assert 5 < answer.refresh_hz < 500
    assert answer.window_width == 1280


def test_each_image_of_a_trial_is_the_cell_that_the_server_named(visit):
    visitor = visit(size=(1920, 1080))
    with visitor.page.expect_response("**/api/session/continue") as reply:
        visitor.pass_practice()
    trial = reply.value.json()["trial"]
    visitor.sequence()
    page = visitor.page
    content = page.request.get(urljoin(visitor.site.address, trial["image"])).body()
    atlas = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=float)
    screen = np.asarray(
        Image.open(io.BytesIO(page.screenshot())).convert("RGB"), dtype=float
    )
    places = {
        ".left": trial["left"],
        ".right": trial["right"],
        ".query.upper": [trial["upper"]],
        ".query.lower": [trial["lower"]],
    }
    side = trial["cell"]
    for selector, cells in places.items():
        boxes = page.eval_on_selector_all(
            f"{selector} .picture",
            "(all) => all.map((one) => one.getBoundingClientRect().toJSON())",
        )
        assert len(boxes) == len(cells)
        for box, (x, y) in zip(boxes, cells, strict=True):
            assert box["width"] == side
            left, top = round(box["left"]), round(box["top"])
            shown = screen[top : top + side, left : left + side]
            difference = np.abs(shown - atlas[y : y + side, x : x + side])
            # The outermost pixels are not shown.
            assert difference[2:-2, 2:-2].mean() < 1


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_nothing_needs_scrolling(visit, size):
    visitor = visit(size=size)
    visitor.begin()
    fits = [[0, 0], [0, 0]]
    assert visitor.overflow() == fits
    visitor.read_instructions()
    assert visitor.overflow() == fits
    visitor.press("continue")
    visitor.sequence()
    assert visitor.overflow() == fits
    boxes = visitor.page.eval_on_selector_all(
        ".picture, .answer, .question",
        """(shown) => shown.map((one) => one.getBoundingClientRect()).map(
             ({left, top, right, bottom}) => [left, top, right, bottom])""",
    )
    assert len(boxes) == 20 + 6 + 1
    for left, top, right, bottom in boxes:
        assert left >= 0
        assert top >= 0
        assert right <= size[0]
        assert bottom <= size[1]


def test_a_window_that_is_too_small_is_told_the_size_until_it_fits(visit):
    visitor = visit(size=(800, 500))
    visitor.open()
    cover = visitor.page.wait_for_selector(".cover")
    assert "940\u00a0×\u00a0600" in cover.inner_text()
    assert "800\u00a0×\u00a0500" in cover.inner_text()
    visitor.page.set_viewport_size({"width": 940, "height": 600})
    visitor.page.wait_for_selector(".cover", state="hidden")
    visitor.press("start")
    visitor.wait_for("consent")


def test_an_image_that_fails_is_fetched_again(visit):
    visitor = visit()
    failures = []

    def fail_twice(route):
        if len(failures) < 2:
            failures.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    visitor.begin()
    visitor.page.route("**/api/images/*", fail_twice)
    visitor.read_instructions()
    visitor.press("continue")
    assert visitor.sequence() == 0
    assert len(failures) == 2
    visitor.forgive("ERR_FAILED")


def test_the_next_images_are_fetched_before_they_are_needed(visit):
    visitor = visit(size=(1920, 1080))
    with visitor.page.expect_response("**/api/session/continue") as reply:
        visitor.pass_practice()
    visitor.sequence()
    visitor.page.wait_for_load_state("networkidle")
    upcoming = [trial["image"] for trial in reply.value.json()["upcoming"]]
    fetched = [url.removeprefix(visitor.site.address[:-1]) for url in visitor.requests]
    assert [fetched.count(url) for url in upcoming] == [1, 1]
    visitor.requests.clear()
    visitor.answer("upper")
    visitor.wait_until_gone(N_PRACTICE)
    visitor.sequence()
    assert not any(upcoming[0] in url for url in visitor.requests)


def test_before_an_answer_no_word_tells_which_is_right(site, visit):
    visitor = visit()
    visitor.pass_practice()
    told = {"positive", "negative", "max", "catch", "instructed", "correct", "kind"}
    told |= {"toy", "obvious", "positives", "negatives", "explanation"}
    for _ in range(3):
        sequence = visitor.sequence()
        assert not told & visitor.trial_words()
        visitor.answer("upper")
        visitor.wait_until_gone(sequence)


def test_markup_is_the_same_for_every_trial_but_for_the_question(visit):
    visitor = visit()
    visitor.pass_practice()
    seen = set()
    for _ in range(3):
        sequence = visitor.sequence()
        seen.add(
            visitor.page.evaluate(
                """() => {
                  const stage = document.querySelector("#stage").cloneNode(true);
                  stage.querySelector(".question").textContent = "";
                  // Cells of the atlas are drawn anew for every presentation.
                  const places = /--x: \\d+; --y: \\d+;/;
                  for (const one of stage.querySelectorAll("[elementtiming]")) {
                    one.removeAttribute("elementtiming");
                    one.removeAttribute("src");
                    one.style.cssText = one.style.cssText.replace(places, "");
                  }
                  delete stage.querySelector(".trial").dataset.sequence;
                  return stage.innerHTML;
                }"""
            )
        )
        visitor.answer("upper")
        visitor.wait_until_gone(sequence)
    assert len(seen) == 1


def test_practice_that_goes_wrong_is_repeated_and_then_ends_the_session(site, visit):
    visitor = visit()
    visitor.begin()
    visitor.read_instructions()
    visitor.press("continue")
    for number in (2, 3):
        visitor.practise(right=False)
        visitor.wait_for("practice_again")
        assert f"round {number} of 3" in visitor.page.inner_text("#stage")
        visitor.press("continue")
    visitor.practise(right=False)
    visitor.wait_for("practice_failed")
    visitor.reload()
    visitor.wait_for("practice_failed")
    assert site.sessions()[0].status == "practice_failed"


def test_practice_tells_whether_the_answer_was_correct(site, visit):
    visitor = visit()
    visitor.begin()
    visitor.read_instructions()
    visitor.press("continue")
    row = site.correct_row(visitor.sequence())
    visitor.answer(row)
    visitor.page.wait_for_selector(f".query.{row}.chosen.correct")
    visitor.page.wait_for_selector(".trial [data-action=continue]")
    visitor.page.keyboard.press("Space")
    visitor.wait_until_gone(0)
    wrong = {"upper": "lower", "lower": "upper"}[site.correct_row(visitor.sequence())]
    visitor.answer(wrong)
    visitor.page.wait_for_selector(f".query.{wrong}.chosen.incorrect")


def test_a_test_run_and_a_simulated_observer_are_marked(site, visit):
    visit().begin("test_run=1")
    visit().begin("observer=table")
    test_run, simulated = site.sessions()
    assert test_run.test_run
    assert simulated.observer == "table"


def test_a_study_may_head_its_own_texts(visit, site):
    visitor = visit()
    titled = {"text": "**Your consent**\n\nRead this.", "version": "v1-toy"}

    def with_title(route):
        state = route.fetch().json()
        state["state"]["consent"] = titled
        route.fulfill(json=state, status=201)

    visitor.page.route("**/api/sessions", with_title)
    visitor.open()
    visitor.press("start")
    visitor.wait_for("consent")
    assert visitor.page.inner_text("h1") == "Your consent"
    assert visitor.page.inner_text("article p") == "Read this."


def test_enter_leaves_a_page_wherever_the_focus_is(visit):
    visitor = visit()
    visitor.begin()
    visitor.read_instructions()
    visitor.page.mouse.click(5, 700)
    visitor.page.keyboard.press("Enter")
    assert visitor.sequence() == 0
