"""Every page that a participant may come to see, one after the other."""

import re
import tomllib
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from data.studies import StudyConfig, read_study
from stimuli.compile_texts import TEXTS, study_texts
from tests.experiment_server.toy_study import SETTINGS, make_toy_study
from tests.experiment_server.visitor import Visitor, running_site

LANGUAGES = ("en", "de")
TITLES = {
    "en": "Which image belongs to the right?",
    "de": "Welches Bild gehört nach rechts?",
}
SHORT = {
    "n_slots": 12,
    "n_main_trials": 6,
    "n_obvious_practice": 1,
    "n_less_obvious_practice": 1,
    "max_practice_rounds": 2,
    "lock_ms": 0,
    "feedback_delay_ms": 10,
    "feedback_ms": 10,
    "contact": "Dr. A. Example, study@example.org",
}
QUESTIONS = {"comprehension": (1, 0, 2)}


class Clock:
    """A clock that runs as usual and can be put forward."""

    def __init__(self):
        self.ahead = timedelta()

    def __call__(self):
        return datetime.now(UTC) + self.ahead


def make_tour_study(folder, language, **settings):
    """Write a small study with the texts that a compiled one has."""
    settings = SHORT | {"language": language, "title": TITLES[language]} | settings
    config = StudyConfig.of(SETTINGS | settings)
    texts = study_texts(config, 9)
    questions = QUESTIONS if config.comprehension else {}
    if config.comprehension:
        path = TEXTS / language / "comprehension.toml"
        asked = tomllib.loads(path.read_text(encoding="utf-8"))["question"]
        texts["comprehension"] = [
            {"question": one["text"], "options": one["options"]} for one in asked
        ]
    return read_study(
        make_toy_study(
            folder,
            n_explanations=9,
            texts=texts,
            **questions,
            **settings,
        )
    )


class Tour:
    """Comes to every page in turn.

    Parameters
    ----------
    browser : Browser
        Playwright's.
    folder : Path
        For the study and its database.
    language : str
    """

    def __init__(self, browser, folder, language):
        self.browser = browser
        self.clock = Clock()
        self.study = make_tour_study(folder / "study", language)
        self.full = make_tour_study(folder / "full", language, fullscreen="ask")
        self.folder = folder
        self.n_visitors = 0

    def pages(self):
        """Yield each page's name and the browser page that shows it."""
        with running_site(self.study, self.folder, clock=self.clock) as site:
            for part in (
                self.whole_session,
                self.refusals,
                self.failures,
                self.endings,
                self.troubles,
            ):
                yield from part(site)
        place = self.folder / "of-full"
        place.mkdir()
        with running_site(self.full, place) as site, self.visitor(site) as one:
            one.open(one.name)
            one.press("start")
            one.press("agree")
            one.wait_for("fullscreen")
            yield "fullscreen", one.page

    @contextmanager
    def visitor(self, site, **options):
        self.n_visitors += 1
        context = self.browser.new_context(**options)
        visitor = Visitor(context, site)
        visitor.name = f"participant={self.n_visitors}"
        yield visitor
        context.close()

    def whole_session(self, site):
        with self.visitor(site) as one:
            page = one.page
            one.open(one.name)
            one.wait_for("start")
            yield "start", page
            one.press("start")
            one.wait_for("consent")
            yield "consent", page
            one.press("cannot")
            page.wait_for_selector("[data-action=colour_vision]")
            yield "cannot", page
            one.press("back")
            one.press("agree")
            one.wait_for("instructions")
            yield "instructions", page
            for number in range(2, 8):
                one.press("next")
                page.wait_for_selector(f"text=/\\b{number} (of|von) /")
            yield "instructions_later", page
            yield from self.questions(one)
            one.wait_for("practice")
            yield "practice", page
            one.press("continue")
            yield from self.practice(one)
            one.wait_for("practice_passed")
            yield "practice_passed", page
            one.press("continue")
            yield from self.block(one)
            one.wait_for("feedback")
            yield "feedback", page
            page.locator("textarea").fill("…")
            one.press("continue")
            one.wait_for("debrief")
            yield "debrief", page
            one.press("finish")
            one.wait_for("end")
            yield "end", page

    def questions(self, one):
        for answers in ((0, 0, 0), QUESTIONS["comprehension"]):
            one.finish_instructions()
            one.wait_for("comprehension")
            if answers == (0, 0, 0):
                yield "comprehension", one.page
                one.press("continue")
                one.page.wait_for_selector(".missing")
                yield "comprehension_missing", one.page
            one.comprehend(answers)
            if answers == (0, 0, 0):
                one.wait_for("instructions")
                yield "repeated", one.page
                one.press("continue")
                one.page.wait_for_selector(".instructions")

    def practice(self, one):
        for is_right in (False, True):
            sequence = one.sequence()
            yield f"practice_trial_{sequence}", one.page
            right = one.site.correct_row(sequence)
            one.answer(
                right if is_right else {"upper": "lower", "lower": "upper"}[right]
            )
            one.page.wait_for_selector(".trial [data-action=continue]")
            yield ("verdict_correct" if is_right else "verdict_incorrect"), one.page
            one.page.keyboard.press("Enter")
            one.wait_until_gone(sequence)
            one.practise(n_trials=1)
            if not is_right:
                one.wait_for("practice_again")
                yield "practice_again", one.page
                one.press("continue")

    def block(self, one):
        page = one.page
        one.sequence()
        yield "trial", page
        page.keyboard.press("?")
        page.wait_for_selector("dialog[open]")
        yield "keys", page
        one.press("close")
        one.press("stop")
        page.wait_for_selector("dialog[open]")
        yield "stop", page
        one.press("go-on")
        page.context.set_offline(True)
        for _ in range(2):
            sequence = one.sequence()
            one.answer("upper")
            page.wait_for_selector("[data-notice=answers]")
            one.wait_until_gone(sequence)
        one.sequence()
        yield "offline", page
        page.context.set_offline(False)
        page.wait_for_selector("[data-notice]", state="hidden")
        size = page.viewport_size
        page.set_viewport_size({"width": 800, "height": 500})
        page.wait_for_selector(".cover:not([hidden])")
        yield "too_small", page
        page.set_viewport_size(size)
        while one.next_screen() != "feedback":
            if one.screen == "break":
                yield "break", page
                one.press("continue")
            sequence = one.sequence()
            one.answer("lower")
            one.wait_until_gone(sequence)

    def refusals(self, site):
        with self.visitor(site) as one:
            one.open(one.name)
            one.press("start")
            one.press("decline")
            one.wait_for("declined")
            yield "declined", one.page
        with self.visitor(site, java_script_enabled=False) as one:
            one.open(one.name)
            yield "without_javascript", one.page

    def failures(self, site):
        with self.visitor(site) as one:
            one.begin(one.name)
            for last in (False, True):
                one.finish_instructions()
                one.comprehend((0, 1, 0))
                if not last:
                    one.wait_for("instructions")
                    one.press("continue")
            one.wait_for("comprehension_failed")
            yield "comprehension_failed", one.page
        with self.visitor(site) as one:
            self.to_practice(one)
            one.practise(right=False)
            one.press("continue")
            one.practise(right=False)
            one.wait_for("practice_failed")
            yield "practice_failed", one.page

    def endings(self, site):
        with self.visitor(site) as one:
            self.to_practice(one)
            one.sequence()
            one.press("stop")
            one.press("keep")
            one.wait_for("withdrawn")
            yield "withdrawn", one.page
        with self.visitor(site) as one:
            self.to_practice(one)
            one.sequence()
            self.clock.ahead += timedelta(days=1)
            one.reload()
            one.wait_for("timed_out")
            yield "timed_out", one.page

    def troubles(self, site):
        with self.visitor(site) as one:
            self.to_practice(one)
            one.sequence()
            other = one.page.context.new_page()
            other.goto(one.page.url)
            one.page.wait_for_selector("[data-screen=taken_over] [data-ready]")
            other.close()
            yield "taken_over", one.page
        with self.visitor(site) as one:
            one.begin(one.name)
            refused = {"error": "bad-payload", "detail": "x"}
            one.page.route(
                "**/api/session/instructions",
                lambda route: route.fulfill(status=400, json=refused),
            )
            one.finish_instructions()
            one.wait_for("problem")
            yield "problem", one.page
        with self.visitor(site) as one:
            full = {"error": "study-full", "detail": "x"}
            one.page.route(
                "**/api/sessions", lambda route: route.fulfill(status=409, json=full)
            )
            one.open(one.name)
            one.press("start")
            one.page.wait_for_selector(f"text=/{re.escape('abgeschlossen')}|complete/")
            yield "study_full", one.page

        with self.visitor(site) as one:
            one.page.goto(f"{site.address}self-test")
            one.page.wait_for_selector("main[data-ready]", timeout=60_000)
            yield "self_test", one.page

    def to_practice(self, one):
        one.begin(one.name)
        one.finish_instructions()
        one.comprehend(QUESTIONS["comprehension"])
        one.wait_for("practice")
        one.press("continue")
