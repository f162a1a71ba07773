"""One session of the preset ``imi`` in a real browser, screen by screen."""

from datetime import UTC, datetime

from data.studies import IMI_PRESET
from experiment_server.export import exported
from tests.experiment_server.tour import make_tour_study
from tests.experiment_server.visitor import OTHER, Visitor, running_site

TIMES = {"feedback_delay_ms": 350, "feedback_ms": 1150}
"""The rest of IMI's times stand in the preset; a study has these by default."""

FLEETING = {"practice_locked", "practice_verdict", "main_verdict"}
"""These pass by while one looks."""


class ImiWalk:
    """Takes part with care: reads, fails one round of practice, is right from then on.

    Parameters
    ----------
    browser : Browser
        Playwright's.
    folder : Path
        For the study and its database.
    language : str
    reading_ms : float
        How long each page of the instructions is looked at.
    settings
        Replace the preset's.
    """

    def __init__(self, browser, folder, language, *, reading_ms=0, **settings):
        self.browser = browser
        self.folder = folder
        self.reading_ms = reading_ms
        preset = (
            IMI_PRESET | TIMES | {"n_obvious_practice": 4, "max_practice_rounds": 3}
        )
        self.study = make_tour_study(
            folder / "study", language, **preset | {"n_slots": 2} | settings
        )
        self.tables = None

    def pages(self):
        """Yield each screen's name and the browser page that shows it."""
        with running_site(self.study, self.folder) as site:
            context = self.browser.new_context(viewport={"width": 1280, "height": 720})
            one = Visitor(context, site)
            one.page.route("**/api/session/answers", self._hold)
            self.held, self.holds = [], False
            yield from self._before_practice(one)
            yield from self._practice(one)
            yield from self._block(one)
            for screen, action in (("feedback", "continue"), ("debrief", "finish")):
                one.wait_for(screen)
                yield screen, one.page
                one.press(action)
            one.wait_for("end")
            yield "end", one.page
            assert one.complaints == []
            context.close()
            now = datetime.now(UTC)
            self.tables = exported(site.study, site.database, now=now)

    def _before_practice(self, one):
        one.open()
        for screen, action in (("start", "start"), ("consent", "agree")):
            one.wait_for(screen)
            yield screen, one.page
            one.press(action)
        one.wait_for("fullscreen")
        yield "fullscreen", one.page
        one.press("continue")
        for number in range(1, len(self.study.texts["instructions"]) + 1):
            one.page.wait_for_selector(f"text=/\\b{number} (of|von) /")
            one.page.wait_for_timeout(self.reading_ms)
            yield f"instructions_{number:02}", one.page
            one.press("next")
        one.wait_for("practice")
        yield "practice", one.page
        one.press("continue")

    def _practice(self, one):
        n_trials = self.study.config.n_obvious_practice + 1
        one.page.wait_for_selector(".trial.shown:not([data-ready])")
        yield "practice_locked", one.page
        for number in range(n_trials):
            yield from self._trial(one, "practice", right=number > 0, seen=number > 1)
        one.wait_for("practice_again")
        yield "practice_again", one.page
        one.press("continue")
        for _ in range(n_trials):
            yield from self._trial(one, "practice", seen=True)
        one.wait_for("practice_passed")
        yield "practice_passed", one.page
        one.press("continue")

    def _block(self, one):
        for number in range(len(self.study.slots[0])):
            yield from self._trial(one, "main", seen=number not in (0, 20))

    def _trial(self, one, kind, *, right=True, seen=False):
        """Answer a trial; its moments are shown where they were not ``seen`` yet."""
        page, sequence = one.page, one.sequence()
        row = one.site.correct_row(sequence)
        if not seen:
            yield f"{kind}_trial_{sequence}", page
        self.holds = not seen
        one.answer(row if right else OTHER[row])
        if not seen:
            page.wait_for_selector(".query.chosen")
            yield f"{kind}_chosen_{sequence}", page
            self.holds = False
            while not self.held:
                page.wait_for_timeout(20)
            self.held.pop().continue_()
            page.wait_for_selector(".trial .word")
            yield f"{kind}_verdict", page
        page.wait_for_selector(".trial [data-action=continue]")
        if not seen:
            yield f"{kind}_continue_{sequence}", page
        one.press("continue")
        one.wait_until_gone(sequence)

    def _hold(self, route):
        """Let the answer's reply wait while one looks at the frame."""
        if self.holds:
            self.held.append(route)
        else:
            route.continue_()
