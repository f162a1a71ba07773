"""The task's jsPsych plugin on a page that is not ours."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.experiment_server.foreign_page import foreign_page

pytestmark = pytest.mark.browser

CHANGES = """() => {
  window.changes = [];
  const seen = () => getComputedStyle(document.querySelector(".trial")).visibility;
  new MutationObserver((records) => {
    for (const { type, target, addedNodes } of records) {
      const added = [...addedNodes].some((one) => one.matches?.(".trial"));
      if (added) window.changes.push(["added", seen()]);
      else if (type === "attributes" && target.matches(".trial"))
        window.changes.push([target.className, seen()]);
    }
  }).observe(document.documentElement,
             { subtree: true, childList: true, attributeFilter: ["class"] });
}"""
BOXES = """() => [...document.querySelectorAll(".picture, .answer, .question, .group")]
  .map((one) => one.getBoundingClientRect())
  .map(({ left, top, right, bottom }) => [left, top, right, bottom])"""
PICTURES = BOXES.replace(".picture, .answer, .question, .group", ".picture")
OVERLAPS = """() => {
  const boxes = (names) => [...document.querySelectorAll(names)]
    .map((one) => one.getBoundingClientRect());
  const centre = boxes(".centre .picture, .centre .answer, .centre .arrow");
  const left = Math.min(...centre.map((one) => one.left));
  const right = Math.max(...centre.map((one) => one.right));
  return boxes(".left .cells").some((one) => one.right > left) ||
    boxes(".right .cells").some((one) => one.left < right);
}"""


@pytest.fixture
def foreign(browser):
    """A page of somebody else's that loads the plugin's bundle."""
    with foreign_page(browser) as opened:
        yield opened


@pytest.mark.parametrize("mode", ["data-only", "visual"])
def test_a_simulated_trial_has_all_declared_data(foreign, mode):
    (row,) = foreign.run(mode=mode, lock=100)
    declared = foreign.page.evaluate(
        "Object.keys(window.unitscope.TwoGroupsChoicePlugin.info.data)"
    )
    assert set(declared) <= set(row)
    assert row["trial_type"] == "two-groups-choice"
    assert row["chosen"] in ("upper", "lower")
    assert row["confidence"] in (1, 2, 3)
    assert row["rt"] >= 100


def test_a_visual_simulation_answers_on_the_screen(foreign):
    (row,) = foreign.run(mode="visual")
    (stored,) = foreign.page.evaluate("window.stored")
    assert stored.items() <= row.items()
    assert row["correct"] is True
    assert row["onset"]["decode_ms"] > 0


def test_the_browsers_report_of_the_paint_is_a_signed_lag(foreign):
    (row,) = foreign.run(mode="visual", feedback=False)
    onset = row["onset"]
    assert onset["method"] == "next_frame+element_timing"
    # It is presented after the frame before the onset, and not much later than it.
    assert -onset["frame_ms"] <= onset["lag_ms"] < 1000
    assert onset["element_ms"] == onset["lag_ms"]


def test_without_element_timing_the_lag_is_not_known(foreign):
    foreign.page.evaluate(
        "() => Object.defineProperty(PerformanceObserver, 'supportedEntryTypes',"
        " { value: ['paint'] })"
    )
    (row,) = foreign.run(mode="visual", feedback=False)
    assert row["onset"]["method"] == "next_frame"
    assert row["onset"]["lag_ms"] is None
    assert row["onset"]["frame_ms"] > 0


def test_the_answer_tells_what_it_was_shown_in(foreign):
    foreign.page.set_viewport_size({"width": 1001, "height": 701})
    (row,) = foreign.run(mode="visual", feedback=False, lock=1500)
    display = row["display"]
    assert (display["width"], display["height"]) == (1001, 701)
    assert display["device_pixel_ratio"] == 1
    assert display["fullscreen"] is False
    assert display["zoom"] is None
    assert 5 < display["refresh_hz"] < 500


def test_without_feedback_the_trial_ends_by_itself(foreign):
    (row,) = foreign.run(mode="visual", feedback=False)
    assert row["correct"] is None


def test_answers_are_refused_until_the_lock_is_over(foreign):
    foreign.run(lock=3_600_000)
    page = foreign.page
    page.wait_for_selector(".trial.shown")
    page.keyboard.press("KeyQ")
    page.click("[data-row=upper][data-confidence='1']", force=True)
    assert page.query_selector("[data-ready]") is None
    assert page.query_selector(".chosen") is None
    assert page.evaluate("window.stored") == []


@pytest.mark.parametrize(
    ("key", "chosen", "confidence"), [("KeyY", "upper", 6), ("KeyF", "lower", 4)]
)
def test_keys_give_any_of_six_levels(foreign, key, chosen, confidence):
    foreign.run(levels=6, feedback=False)
    foreign.shown()
    foreign.page.keyboard.press(key)
    (row,) = foreign.page.evaluate("window.finished")
    assert (row["chosen"], row["confidence"]) == (chosen, confidence)
    assert row["input"] == "keyboard"


def test_a_study_may_take_answers_by_buttons_only(foreign):
    foreign.run(keys=False, feedback=False)
    foreign.shown()
    foreign.page.keyboard.press("KeyQ")
    foreign.page.click("[data-row=lower][data-confidence='3']")
    (row,) = foreign.page.evaluate("window.finished")
    assert (row["chosen"], row["input"]) == ("lower", "mouse")
    assert row["confidence"] == 3


def test_buttons_show_their_keys_only_where_keys_answer(foreign):
    foreign.run(keys=False)
    assert foreign.shown().query_selector(".key") is None
    foreign.page.reload()
    foreign.run(keys=True)
    shown = [one.inner_text() for one in foreign.shown().query_selector_all(".key")]
    assert shown == list("QWEASD")


def test_every_word_of_a_trial_can_be_replaced(foreign):
    wording = {
        "trial.question": "Welches Bild passt **rechts**?",
        "trial.left": "Links",
        "trial.right": "Rechts",
        "trial.more_confident": "sicherer",
    }
    foreign.run(wording=wording)
    shown = foreign.shown().query_selector_all(".question, h2, .arrow-words")
    assert [one.inner_text() for one in shown] == [
        "Welches Bild passt rechts?",
        "Links",
        "sicherer",
        "Rechts",
    ]


@pytest.mark.parametrize(
    ("given", "question"),
    [
        ({"n_left": 9, "n_right": 9}, "Which of the two images in the centre fits the"),
        ({"n_left": 0, "n_right": 9}, "Which of the two images in the centre fits the"),
        ({"n_left": 0, "n_right": 0}, "To which of the two images does the program"),
        ({"instruction": {"choose": "lower"}}, "This time, please choose the lower"),
    ],
)
def test_the_question_is_about_what_there_is(foreign, given, question):
    foreign.run(**given)
    shown = foreign.shown().query_selector(".question").inner_text()
    assert shown.startswith(question)


def test_a_side_without_examples_has_no_title(foreign):
    foreign.run(n_left=0, n_right=4)
    titles = [one.inner_text() for one in foreign.shown().query_selector_all("h2")]
    assert titles == ["Right examples"]


def test_a_trial_is_laid_out_unseen_and_shown_by_one_class(foreign):
    page = foreign.page
    page.wait_for_function("window.unitscope !== undefined")
    page.evaluate(CHANGES)
    foreign.run()
    foreign.shown()
    assert page.evaluate("window.changes") == [
        ["added", "hidden"],
        ["trial shown", "visible"],
    ]


@pytest.mark.parametrize("size", [(940, 600), (1920, 1080)])
@pytest.mark.parametrize(
    ("n_left", "n_right", "levels"),
    [(1, 1, 6), (4, 4, 4), (9, 9, 2), (9, 9, 6), (9, 4, 6), (0, 9, 3), (0, 0, 6)],
)
def test_any_number_of_examples_and_levels_fits(foreign, size, n_left, n_right, levels):
    page = foreign.page
    page.set_viewport_size({"width": size[0], "height": size[1]})
    foreign.run(n_left=n_left, n_right=n_right, levels=levels)
    foreign.shown()
    boxes = page.evaluate(BOXES)
    n_groups = (n_left > 0) + (n_right > 0)
    assert len(boxes) == 2 + n_left + n_right + 2 * levels + 1 + n_groups
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    assert min(lefts) >= 0
    assert min(tops) >= 0
    assert max(rights) <= size[0]
    assert max(bottoms) <= size[1]
    assert not page.evaluate(OVERLAPS)


def test_images_are_never_larger_than_they_are(foreign):
    foreign.page.set_viewport_size({"width": 3000, "height": 2000})
    foreign.run()
    foreign.shown()
    widths = foreign.page.eval_on_selector_all(
        ".picture", "(all) => all.map((one) => one.getBoundingClientRect().width)"
    )
    assert widths == pytest.approx([224] * 20)


@pytest.mark.parametrize("pixel_ratio", [1, 1.25, 1.5, 2])
def test_no_picture_shows_the_edge_of_its_neighbour(browser, pixel_ratio):
    size = {"width": 1366, "height": 768}
    with foreign_page(
        browser, viewport=size, device_scale_factor=pixel_ratio
    ) as foreign:
        foreign.run(colours=[(230, 0, 0), (0, 0, 230)])
        foreign.shown()
        boxes = foreign.page.eval_on_selector_all(
            ".picture",
            "(all) => all.map((one) => one.getBoundingClientRect().toJSON())",
        )
        picture = Image.open(io.BytesIO(foreign.page.screenshot())).convert("RGB")
    screen = np.asarray(picture, dtype=int)
    for box in boxes:
        left, top, right, bottom = (
            round(box[side] * pixel_ratio)
            for side in ("left", "top", "right", "bottom")
        )
        shown = screen[top:bottom, left:right].reshape(-1, 3)
        own = screen[(top + bottom) // 2, (left + right) // 2]
        # Red and blue cells stand side by side; the background has as much of either.
        leaning = (shown[:, 0] - shown[:, 2]) * np.sign(own[0] - own[2])
        assert leaning.min() > -5
