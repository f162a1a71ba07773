"""The page for those who see badly, use keys alone, or speak German."""

import json
import re
from pathlib import Path

import pytest

from tests.experiment_server.tour import LANGUAGES, Tour

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
    "timed_out", "taken_over", "problem", "study_full", "fullscreen",
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
