"""The page for those who see badly, use keys alone, or speak German."""

import json
import re
from pathlib import Path

import pytest

from experiment_server.tables import InteractionRecord
from tests.experiment_server.tour import LANGUAGES, QUESTIONS, Tour, make_tour_study
from tests.experiment_server.visitor import Visitor, running_site

CLIENT = Path("experiment_server/client")
AXE = CLIENT / "node_modules" / "axe-core" / "axe.min.js"
MESSAGES = CLIENT / "src" / "messages"
ALL_PAGES = {
    "start", "consent", "cannot", "instructions", "instructions_later",
    "comprehension", "comprehension_missing", "repeated", "practice",
    "practice_trial_0", "verdict_incorrect", "practice_again", "practice_trial_2",
    "verdict_correct", "practice_passed", "trial", "keys", "stop", "offline",
    "too_small", "break", "feedback", "debrief", "end", "declined",
    "without_javascript", "comprehension_failed", "practice_failed", "withdrawn",
    "timed_out", "taken_over", "problem", "study_full", "self_test", "fullscreen",
}  # fmt: skip
# WCAG 2.2 AA asks for 24 pixels.
SMALL_TARGETS = """() => [...document.querySelectorAll("button, input, textarea")]
  .filter((one) => one.checkVisibility({visibilityProperty: true}))
  .filter((one) => !one.closest("[inert]"))
  .map((one) => one.closest("label") ?? one)
  .map((one) => [one.getBoundingClientRect(), one.textContent])
  .filter(([{width, height}]) => width < 24 || height < 24)
  .map(([{width, height}, text]) => [width, height, text])"""
FOUND = """async () => (await axe.run()).violations
  .filter(({impact}) => ["serious", "critical"].includes(impact))
  .map(({id, nodes}) => [id, nodes.map(({html}) => html)])"""


def messages(language):
    return json.loads((MESSAGES / f"{language}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.browser
def test_no_page_has_a_serious_barrier(browser, tmp_path, language):
    axe = AXE.read_text(encoding="utf-8")
    seen, found, small, titles, languages = set(), {}, {}, {}, set()
    for name, page in Tour(browser, tmp_path, language).pages():
        seen.add(name)
        titles[name] = page.title()
        languages.add(page.get_attribute("html", "lang"))
        if name == "without_javascript":
            continue
        page.evaluate(axe)
        found[name] = page.evaluate(FOUND)
        small[name] = page.evaluate(SMALL_TARGETS)
    assert {name: one for name, one in found.items() if one} == {}
    assert {name: one for name, one in small.items() if one} == {}
    assert seen == ALL_PAGES
    assert languages == {language}
    named = {"consent", "trial", "break", "end", "taken_over"}
    assert len({titles[name] for name in named}) == len(named)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_message_with_the_same_places(language):
    english, ours = messages("en"), messages(language)
    assert list(ours) == list(english)
    for name, text in ours.items():
        places, wanted = (
            set(re.findall(r"\{\w+\}", one)) for one in (text, english[name])
        )
        assert places == wanted, name
        assert text.count("**") == english[name].count("**"), name


def test_no_message_is_left_over():
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (CLIENT / "src").glob("*.ts")
    )
    patterns = {
        name: re.compile(
            # Names are put together in places: `trial.${verdict}`.
            re.escape(name) + "|" + re.escape(name.rpartition("_")[0]) + r"_?\$\{"
            "|" + re.escape(name.partition(".")[0]) + r"\.\$\{"
        )
        for name in messages("en")
    }
    unused = [name for name, one in patterns.items() if not one.search(sources)]
    assert unused == []


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comfort") / "study"
    return make_tour_study(folder, "en", fullscreen="ask", max_comprehension_attempts=1)


def on_keys(visitor, *keys):
    for key in keys:
        visitor.page.keyboard.press(key)


@pytest.mark.browser
def test_questions_and_practice_can_be_answered_by_keys_alone(site, visit):
    visitor = visit(by="keyboard")
    visitor.open()
    visitor.press("start")
    visitor.press("agree")
    visitor.wait_for("fullscreen")
    visitor.press("continue")
    visitor.finish_instructions()
    visitor.wait_for("comprehension")
    on_keys(visitor, "Tab")
    for right in QUESTIONS["comprehension"]:
        on_keys(visitor, "Space", *["ArrowDown"] * right, "Tab")
    on_keys(visitor, "Enter")
    visitor.wait_for("practice")
    on_keys(visitor, "Enter")
    visitor.practise()
    visitor.wait_for("practice_passed")


@pytest.mark.browser
def test_questions_that_stay_wrong_end_the_session(site, visit):
    visitor = visit()
    visitor.begin_in_window()
    visitor.finish_instructions()
    visitor.comprehend((0, 0, 0))
    visitor.wait_for("comprehension_failed")
    assert site.sessions()[0].status == "comprehension_failed"


@pytest.mark.browser
def test_leaving_the_whole_screen_is_stored_and_the_way_back_offered(site, visit):
    visitor = visit()
    visitor.open()
    visitor.press("start")
    visitor.press("agree")
    visitor.press("fill")
    visitor.wait_for("instructions")
    assert visitor.page.evaluate("document.fullscreenElement !== null")
    assert visitor.page.locator("[data-action=fullscreen]").is_hidden()
    with visitor.page.expect_response("**/api/session/events"):
        visitor.page.evaluate("document.exitFullscreen()")
    names = [
        one.event for one in site.rows(InteractionRecord, InteractionRecord.number)
    ]
    found = [name for name in names if name.startswith("fullscreen")]
    assert found == ["fullscreenenter", "fullscreenexit"]
    visitor.press("fullscreen")
    visitor.page.wait_for_function("() => document.fullscreenElement !== null")


@pytest.mark.browser
def test_help_covers_the_trial_and_takes_no_answer(site, visit):
    visitor = visit()
    visitor.begin_in_window()
    visitor.finish_instructions()
    visitor.comprehend(QUESTIONS["comprehension"])
    visitor.wait_for("practice")
    visitor.press("continue")
    visitor.sequence()
    on_keys(visitor, "?", "KeyQ")
    keys = visitor.page.locator("dialog kbd").all_inner_texts()
    assert keys[:6] == ["Q", "W", "E", "A", "S", "D"]
    on_keys(visitor, "Escape")
    visitor.page.wait_for_selector("dialog", state="detached")
    assert visitor.page.locator(".query.chosen").count() == 0
    assert site.answers() == []


@pytest.mark.browser
def test_what_lay_over_a_trial_is_stored_with_it(site, visit):
    visitor = visit()
    visitor.begin_in_window()
    visitor.finish_instructions()
    visitor.comprehend(QUESTIONS["comprehension"])
    visitor.wait_for("practice")
    visitor.press("continue")
    sequence = visitor.sequence()
    on_keys(visitor, "?")
    visitor.press("close")
    visitor.press("stop")
    with visitor.page.expect_response("**/api/session/events"):
        on_keys(visitor, "Escape")
    told = [
        (one.event, one.trial)
        for one in site.rows(InteractionRecord, InteractionRecord.number)
        if one.event.startswith(("keys", "stop"))
    ]
    names = ["keys_opened", "keys_closed", "stop_opened", "stop_closed"]
    assert told == [(name, sequence) for name in names]


def to_questions(visitor):
    visitor.begin_in_window()
    visitor.finish_instructions()
    visitor.wait_for("comprehension")


@pytest.mark.browser
def test_a_page_that_goes_on_below_says_so_until_its_end_is_seen(visit):
    visitor = visit(size=(940, 600))
    to_questions(visitor)
    hint = visitor.page.locator("[data-screen] .below")
    hint.wait_for()
    height = "document.querySelector('#stage').scrollHeight"
    before = visitor.page.evaluate(height)
    hint.click()
    hint.wait_for(state="hidden")
    # Nothing moves under the pointer of who goes on to choose.
    assert visitor.page.evaluate(height) == before
    last = visitor.page.locator("fieldset").last.locator("label").last
    assert (
        last.bounding_box()["y"] < visitor.page.locator(".actions").bounding_box()["y"]
    )
    visitor.press("continue")
    assert visitor.page.locator(".missing").is_visible()


@pytest.mark.browser
def test_space_comes_to_what_is_below_before_it_presses_the_button(visit):
    visitor = visit(size=(940, 600))
    to_questions(visitor)
    hint = visitor.page.locator("[data-screen] .below")
    hint.wait_for()
    on_keys(visitor, "Space")
    hint.wait_for(state="hidden")
    assert visitor.page.locator(".missing").count() == 0
    on_keys(visitor, "Space")
    assert visitor.page.locator(".missing").is_visible()


@pytest.mark.browser
def test_what_the_focus_comes_to_is_not_below_the_buttons(visit):
    visitor = visit(size=(940, 600))
    to_questions(visitor)
    buttons = visitor.page.locator(".actions").bounding_box()["y"]
    for _ in range(3):
        on_keys(visitor, "Tab")
        box = visitor.page.evaluate(
            "document.activeElement.closest('label').getBoundingClientRect().bottom"
        )
        assert box <= buttons


@pytest.mark.browser
def test_a_page_that_fits_has_no_hint_of_more(visit):
    visitor = visit()
    visitor.open()
    visitor.wait_for("start")
    visitor.page.wait_for_timeout(200)
    assert visitor.page.locator(".below").is_hidden()


@pytest.mark.browser
def test_who_comes_too_late_is_told_whom_to_ask(browser, tmp_path):
    study = make_tour_study(tmp_path / "study", "en", n_slots=1)
    with running_site(study, tmp_path) as site:
        first, late = (Visitor(browser.new_context(), site) for _ in range(2))
        first.begin("participant=first")
        late.open("participant=late")
        late.press("start")
        late.page.wait_for_selector("text=study@example.org")
        for one in (first, late):
            one.context.close()


@pytest.mark.browser
def test_the_time_that_is_left_follows_the_own_pace(site, visit):
    visitor = visit()
    visitor.page.clock.install()
    visitor.begin_in_window()
    visitor.finish_instructions()
    visitor.comprehend(QUESTIONS["comprehension"])
    visitor.wait_for("practice")
    visitor.press("continue")
    visitor.practise()
    visitor.press("continue")
    shown = []
    while visitor.next_screen() != "feedback":
        if visitor.screen == "break":
            visitor.press("continue")
        sequence = visitor.sequence()
        shown.append(visitor.page.inner_text("[data-time-left]"))
        visitor.page.clock.fast_forward(50_000)
        visitor.answer("upper")
        visitor.wait_until_gone(sequence)
    # Eight trials at 8.5 s each at first, at 50 s each in the end.
    assert shown[0] == "about 2 min left"
    assert shown[5] == "about 3 min left"


@pytest.mark.browser
def test_nothing_moves_for_those_who_want_no_motion(visit):
    visitor = visit(reduced_motion="reduce")
    visitor.open()
    visitor.wait_for("start")
    moving = visitor.page.evaluate(
        """() => [...document.querySelectorAll("*")].map(getComputedStyle)
             .filter((one) => parseFloat(one.transitionDuration) > 0
                           || one.animationName !== "none").length"""
    )
    assert moving == 0


@pytest.mark.browser
@pytest.mark.parametrize(("language", "words"), [("en", "needs"), ("de", "braucht")])
def test_without_javascript_the_page_says_so_in_the_language_of_the_study(
    browser, tmp_path, language, words
):
    with running_site(make_tour_study(tmp_path / "study", language), tmp_path) as site:
        visitor = Visitor(browser.new_context(java_script_enabled=False), site)
        visitor.open()
        assert f"{words} JavaScript" in visitor.page.inner_text("body")
        assert "study@example.org" in visitor.page.inner_text("body")
        assert site.sessions() == []
        visitor.context.close()
