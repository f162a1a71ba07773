"""The examples of the documentation: timelines of other people's, in a real browser."""

import io
import json
from functools import partial

import pytest
from PIL import Image

from data.studies import read_study
from experiment_server.readiness import BUNDLE
from tests.experiment_server.foreign_page import ADDRESS
from tests.experiment_server.toy_study import TEXTS, make_toy_study
from tests.experiment_server.visitor import running_site

pytestmark = pytest.mark.browser

BUILT = BUNDLE.parents[1] / "client" / "built"
SETTINGS = {
    "lock_ms": 30,
    "n_main_trials": 3,
    "n_obvious_practice": 1,
    "break_every": 3,
}
QUESTIONS = {
    "comprehension": [
        {"question": "Which examples matter?", "options": ["left", "right"]},
        {"question": "What does 1 mean?", "options": ["a guess", "very sure"]},
    ]
}
PAGE = """<!doctype html><html lang="en"><head><title>Foreign</title>
<link rel="icon" href="data:,"></head><body><script src="{script}"></script></body>
</html>"""


@pytest.fixture
def site(tmp_path):
    folder = make_toy_study(
        tmp_path / "study", texts=TEXTS | QUESTIONS, comprehension=(1, 0), **SETTINGS
    )
    study = read_study(folder)
    with running_site(study, tmp_path) as running:
        yield running


@pytest.fixture
def page(browser):
    """A page that must not complain."""
    context = browser.new_context()
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    complaints = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert complaints == []


def test_a_timeline_of_stock_plugins_takes_part_through_the_api(site, page):
    script = (BUILT / "stock_timeline.js").read_text(encoding="utf-8")
    page.route("**/foreign.js", partial(send_script, text=script))
    html = PAGE.format(script="/foreign.js")
    page.route(
        "**/foreign.html**",
        lambda route: route.fulfill(body=html, content_type="text/html"),
    )
    page.goto(f"{site.address}foreign.html?participant=stock")
    for button in ("Start", "I agree", "Continue"):
        page.click(f"text='{button}'")
    answer_questions(site, page)
    answered = []
    while True:
        found = page.wait_for_selector(
            "[data-sequence], button:has-text('Continue'), button:has-text('Finish')"
        )
        sequence = found.get_attribute("data-sequence")
        if sequence is not None:
            answered.append(site.correct_row(int(sequence)))
            page.click(f"button:has-text('{answered[-1]} 2'):enabled")
            page.wait_for_selector(f"[data-sequence='{sequence}']", state="detached")
            continue
        is_last = found.inner_text() == "Finish"
        found.click()
        if is_last:
            break
        found.wait_for_element_state("hidden")
    code = page.wait_for_selector("[data-code]").inner_text()
    (session,) = site.sessions()
    stored = site.answers()
    assert session.completion_code == code
    assert [one.trial_index for one in stored] == list(range(len(answered)))
    assert all(one.correct for one in stored)
    assert {one.confidence for one in stored} == {2}
    assert {one.onset_method for one in stored} == {"inserted"}


def test_the_plugin_runs_in_a_timeline_without_our_server(page):
    example = BUNDLE.parents[1] / "client" / "foreign" / "own_images.js"
    files = {
        "plugin.js": (BUNDLE / "plugin.js").read_text(encoding="utf-8"),
        "own_images.js": example.read_text(encoding="utf-8"),
    }
    html = (
        '<!doctype html><title>Own</title><link rel="icon" href="data:,">'
        f"<style>{(BUNDLE / 'plugin.css').read_text(encoding='utf-8')}</style>"
        '<body><script src="/plugin.js"></script>'
        '<script type="module" src="/own_images.js"></script>'
    )
    for name, text in files.items():
        page.route(f"**/{name}", partial(send_script, text=text))
    page.route(f"{ADDRESS}/", lambda route: route.fulfill(body=html))
    page.route("**/pictures/**", lambda route: route.fulfill(body=plain_picture()))
    page.goto(f"{ADDRESS}/", wait_until="commit")
    for n_pictures in (2 + 4 + 2, 2 + 1 + 1):
        shown = page.wait_for_selector(".trial[data-ready]")
        assert len(shown.query_selector_all(".picture")) == n_pictures
        page.keyboard.press("KeyF")
        shown.wait_for_element_state("hidden")
    page.wait_for_selector("[data-rows]")
    rows = json.loads(page.get_attribute("body", "data-rows"))
    assert [(row["chosen"], row["confidence"]) for row in rows] == [("lower", 4)] * 2


def send_script(route, *, text):
    route.fulfill(body=text, content_type="text/javascript")


def answer_questions(site, page):
    """Choose the right option of each question."""
    right = site.study.comprehension
    for number, option in enumerate(right):
        page.click(f"#jspsych-survey-multi-choice-response-{number}-{option}")
    page.click("input[type=submit]")


def plain_picture():
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 90, 40)).save(out, "JPEG")
    return out.getvalue()
