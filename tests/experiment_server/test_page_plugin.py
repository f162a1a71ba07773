"""The task's jsPsych plugin on a page that is not ours."""

import io
from functools import partial

import numpy as np
import pytest
from PIL import Image

from data.studies import atlas_size, cell_position, n_cells
from experiment_server.readiness import BUNDLE

pytestmark = pytest.mark.browser

ADDRESS = "http://foreign.test"
HTML = """<!doctype html><html lang="en"><head><title>Foreign</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/plugin.css">
<script src="/plugin.js"></script></head><body></body></html>"""
RUN = """async ({ place, mode, levels, feedback, lock }) => {
  const { initJsPsych, loadAtlas, TwoGroupsChoicePlugin } = window.unitscope;
  const jsPsych = initJsPsych();
  window.stored = [];
  const timeline = [{
    type: TwoGroupsChoicePlugin,
    image: "/atlas.jpg",
    place,
    load_image: loadAtlas,
    confidence_levels: levels,
    lock,
    feedback_delay: 1,
    feedback_duration: 1,
    submit: async (response) => {
      window.stored.push(response);
      return feedback ? { correct: true } : null;
    },
  }];
  if (mode === "run") void jsPsych.run(timeline);
  else await jsPsych.simulate(timeline, mode);
  return jsPsych.data.get().values();
}"""


@pytest.fixture
def foreign(browser, tmp_path):
    """Open a page that loads the plugin's bundle; returns what runs one trial."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda one: complaints.append(one.text))
    for name in ("plugin.js", "plugin.css"):
        page.route(f"**/{name}", partial(send_file, path=BUNDLE / name))
    page.route(f"{ADDRESS}/", lambda route: route.fulfill(body=HTML))
    page.goto(f"{ADDRESS}/", wait_until="commit")

    def run(*, mode, n_explanations=9, levels=3, feedback=True, lock=0):
        page.route(
            "**/atlas.jpg", lambda route: route.fulfill(body=atlas(n_explanations))
        )
        page.wait_for_function("window.unitscope !== undefined")
        settings = {"mode": mode, "levels": levels, "feedback": feedback, "lock": lock}
        return page.evaluate(RUN, {"place": place(n_explanations), **settings})

    run.page = page
    yield run
    context.close()
    assert complaints == []


def send_file(route, *, path):
    route.fulfill(path=path)


def atlas(n_explanations):
    width, height = atlas_size(n_explanations)
    pixels = np.full((height, width, 3), 180, dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


def place(n_explanations):
    cells = [cell_position(cell) for cell in range(n_cells(n_explanations))]
    left, right = cells[2 : 2 + n_explanations], cells[2 + n_explanations :]
    return {
        "cell": 224,
        "upper": cells[0],
        "lower": cells[1],
        "left": left,
        "right": right,
        "instruction": None,
    }


@pytest.mark.parametrize("mode", ["data-only", "visual"])
def test_a_simulated_trial_has_all_declared_data(foreign, mode):
    (row,) = foreign(mode=mode, lock=100)
    declared = foreign.page.evaluate(
        "Object.keys(window.unitscope.TwoGroupsChoicePlugin.info.data)"
    )
    assert set(declared) <= set(row)
    assert row["trial_type"] == "two-groups-choice"
    assert row["chosen"] in ("upper", "lower")
    assert row["confidence"] in (1, 2, 3)
    assert row["rt"] >= 100


def test_a_visual_simulation_answers_on_the_screen(foreign):
    (row,) = foreign(mode="visual")
    (stored,) = foreign.page.evaluate("window.stored")
    assert stored.items() <= row.items()
    assert row["correct"] is True
    assert row["onset"]["decode_ms"] > 0


def test_without_feedback_the_trial_ends_by_itself(foreign):
    (row,) = foreign(mode="visual", feedback=False)
    assert row["correct"] is None


def test_answers_are_refused_until_the_lock_is_over(foreign):
    foreign(mode="run", lock=3_600_000)
    page = foreign.page
    page.wait_for_selector(".trial.shown")
    page.keyboard.press("KeyQ")
    page.click("[data-row=upper][data-confidence='1']", force=True)
    assert page.query_selector("[data-ready]") is None
    assert page.query_selector(".chosen") is None
    assert page.evaluate("window.stored") == []


def test_a_trial_is_laid_out_unseen_and_shown_by_one_class(foreign):
    page = foreign.page
    page.wait_for_function("window.unitscope !== undefined")
    page.evaluate(
        """() => {
          window.changes = [];
          const seen = () => getComputedStyle(
            document.querySelector(".trial")).visibility;
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
    )
    foreign(mode="run")
    page.wait_for_selector("[data-ready]")
    assert page.evaluate("window.changes") == [
        ["added", "hidden"],
        ["trial shown", "visible"],
    ]


@pytest.mark.parametrize("size", [(940, 600), (1920, 1080)])
@pytest.mark.parametrize(("n_explanations", "levels"), [(1, 6), (4, 4), (9, 2), (9, 6)])
def test_any_number_of_examples_and_levels_fits(foreign, size, n_explanations, levels):
    page = foreign.page
    page.set_viewport_size({"width": size[0], "height": size[1]})
    foreign(mode="run", n_explanations=n_explanations, levels=levels)
    page.wait_for_selector("[data-ready]")
    boxes = page.eval_on_selector_all(
        "canvas, .answer, .question, .group",
        """(shown) => shown.map((one) => one.getBoundingClientRect()).map(
             ({left, top, right, bottom}) => [left, top, right, bottom])""",
    )
    assert len(boxes) == 2 + 2 * n_explanations + 2 * levels + 1 + 2
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    assert min(lefts) >= 0
    assert min(tops) >= 0
    assert max(rights) <= size[0]
    assert max(bottoms) <= size[1]
    overlaps = page.evaluate(
        """() => {
          const box = (name) => document.querySelector(name).getBoundingClientRect();
          const centre = [...document.querySelectorAll(".centre *")]
            .map((one) => one.getBoundingClientRect());
          const left = Math.min(...centre.map((one) => one.left));
          const right = Math.max(...centre.map((one) => one.right));
          return box(".left .cells").right > left || box(".right .cells").left < right;
        }"""
    )
    assert not overlaps


def test_images_are_never_larger_than_they_are(foreign):
    foreign.page.set_viewport_size({"width": 3000, "height": 2000})
    foreign(mode="run")
    foreign.page.wait_for_selector("[data-ready]")
    widths = foreign.page.eval_on_selector_all(
        "canvas", "(all) => all.map((one) => one.getBoundingClientRect().width)"
    )
    assert widths == pytest.approx([224] * 20)
