"""Somebody who takes part with the real page in a real browser."""

import re
import threading
from contextlib import contextmanager

from sqlalchemy import select
from werkzeug.serving import make_server

from data.studies import correct_row
from experiment_server.app import create_app
from experiment_server.presentations import presentation_of
from experiment_server.serve_command import CRITERIA
from experiment_server.settings import ServerSettings
from experiment_server.tables import AnswerRecord, PresentationRecord, SessionRecord

KEYS = {"upper": ["KeyQ", "KeyW", "KeyE"], "lower": ["KeyA", "KeyS", "KeyD"]}
OTHER = {"upper": "lower", "lower": "upper"}
PATIENCE_MS = 20_000


class Site:
    """A study that is served on a port of its own."""

    def __init__(self, study, database, address):
        self.study = study
        self.database = database
        self.address = address

    def rows(self, table, order):
        with self.database.read() as db:
            found = list(db.scalars(select(table).order_by(order)))
            db.expunge_all()
            return found

    def sessions(self):
        return self.rows(SessionRecord, SessionRecord.number)

    def answers(self):
        return self.rows(AnswerRecord, AnswerRecord.trial_index)

    def correct_row(self, sequence):
        """What a participant who can't be wrong would choose in the newest session."""
        newest = self.sessions()[-1].session_id
        with self.database.read() as db:
            shown = db.get(PresentationRecord, (newest, sequence))
            trial = self.study.trials[shown.trial_id]
            return correct_row(trial, presentation_of(shown))


@contextmanager
def running_site(study, folder, **settings):
    """Serve a study until the block ends."""
    settings = {"criteria": CRITERIA["none"], "test_run_allowed": True} | settings
    app = create_app(
        study.folder,
        f"sqlite:///{folder / 'answers.sqlite'}",
        ServerSettings(**settings),
    )
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    database = app.extensions["unitscope"].database
    try:
        yield Site(study, database, f"http://127.0.0.1:{server.port}/")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        database.close()


class Visitor:
    """Walks the page by mouse or keyboard; notes what the browser complains of."""

    def __init__(self, context, site, *, by="mouse"):
        self.context = context
        self.site = site
        self.by = by
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints = []
        self.requests = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _note(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def forgive(self, *parts):
        """Forget the complaints that a test provokes."""
        self.complaints = [
            one for one in self.complaints if not any(part in one for part in parts)
        ]

    def open(self, query="participant=one"):
        self.page.goto(f"{self.site.address}?{query}")

    def reload(self):
        self.page.reload()

    @property
    def screen(self):
        return self.page.get_attribute("#app", "data-screen")

    def wait_for(self, screen):
        self.page.wait_for_selector(f"[data-screen={screen}] [data-ready]")

    def press(self, action):
        """Press a button of a page."""
        button = self.page.wait_for_selector(f"[data-action={action}]:enabled")
        if self.by == "mouse":
            button.click()
            return
        is_there = f"document.activeElement?.dataset.action === '{action}'"
        for _ in range(30):
            if self.page.evaluate(is_there):
                self.page.keyboard.press("Enter")
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"The tab key does not lead to {action!r}.")

    def sequence(self):
        """Wait for a trial that takes answers and return its number."""
        # A locator, unlike a handle, does not keep the element from being freed.
        trial = self.page.locator("[data-sequence][data-ready]")
        return int(trial.get_attribute("data-sequence"))

    def answer(self, row, confidence=2):
        if self.by == "keyboard":
            self.page.keyboard.press(KEYS[row][confidence - 1])
        else:
            self.page.click(f"[data-row={row}][data-confidence='{confidence}']")

    def begin(self, query="participant=one"):
        """Go from the address to the first page of the instructions."""
        self.open(query)
        self.press("start")
        self.wait_for("consent")
        self.press("agree")
        self.wait_for("instructions")

    def begin_in_window(self):
        """Begin a study that offers the whole screen, without taking it."""
        self.open()
        self.press("start")
        self.press("agree")
        self.wait_for("fullscreen")
        self.press("continue")
        self.wait_for("instructions")

    def read_instructions(self):
        for page in range(len(self.site.study.texts["instructions"])):
            self.page.wait_for_selector(f"text={page + 1} of ")
            self.press("next")
        self.wait_for("practice")

    def finish_instructions(self):
        """Turn all pages that are left."""
        while self.screen == "instructions":
            before = self.page.wait_for_selector(".instructions")
            self.press("next")
            self.page.wait_for_function("one => !one.isConnected", arg=before)
            self.page.wait_for_selector("[data-ready]")

    def comprehend(self, answers):
        """Answer the questions about the instructions."""
        self.wait_for("comprehension")
        for number, answer in enumerate(answers):
            self.page.check(f"[data-question='{number}'] input[value='{answer}']")
        self.press("continue")

    def practise(self, *, right=True, n_trials=None):
        """Answer one round, or so many trials, all right or all wrong."""
        config = self.site.study.config
        in_round = config.n_obvious_practice + config.n_less_obvious_practice
        for _ in range(n_trials or in_round):
            sequence = self.sequence()
            row = self.site.correct_row(sequence)
            self.answer(row if right else OTHER[row])
            self.page.wait_for_selector(".trial [data-action=continue]")
            self.page.keyboard.press("Enter")
            self.wait_until_gone(sequence)

    def pass_practice(self):
        self.begin()
        self.read_instructions()
        self.press("continue")
        self.practise()
        self.wait_for("practice_passed")
        self.press("continue")

    def wait_for_images(self, n_images):
        """Wait until so many images have arrived since the page was loaded."""
        self.page.wait_for_function(
            """(n) => performance.getEntriesByType("resource").filter(
                 ({name, responseEnd}) => name.includes("/api/images/") && responseEnd
               ).length >= n""",
            arg=n_images,
        )

    def wait_until_gone(self, sequence):
        gone = f"[data-sequence='{sequence}']"
        self.page.wait_for_selector(gone, state="detached")

    def answer_block(self):
        """Answer all trials that follow practice, with the breaks between them."""
        n_trials = len(self.site.study.slots[0])
        for number in range(n_trials):
            sequence = self.sequence()
            self.answer(("upper", "lower")[number % 2], confidence=1 + number % 3)
            self.wait_until_gone(sequence)
            if self.next_screen() == "break":
                self.press("continue")
        self.wait_for("feedback")

    def next_screen(self):
        """Wait for what follows a trial and return its name."""
        self.page.wait_for_selector(
            "[data-screen=trial] [data-ready], [data-screen=break] [data-ready],"
            " [data-screen=feedback] [data-ready]"
        )
        return self.screen

    def conclude(self, comment="It was fine."):
        """Go from the free comment to the completion code and return it."""
        self.page.locator("textarea").focus()
        self.page.keyboard.type(comment)
        self.press("continue")
        self.wait_for("debrief")
        self.press("finish")
        return self.page.wait_for_selector("[data-completion-code]").inner_text()

    def overflow(self):
        """How many pixels are out of sight: of the page, and of the stage in it."""
        return self.page.evaluate(
            """() => [document.documentElement, document.querySelector("#stage")].map(
                 (box) => [box.scrollWidth - box.clientWidth,
                           box.scrollHeight - box.clientHeight])"""
        )

    def trial_words(self):
        """All words in the markup of the open trial, and in all addresses so far."""
        markup = self.page.inner_html("#stage")
        return set(re.findall(r"[a-z]+", " ".join([markup, *self.requests]).lower()))
