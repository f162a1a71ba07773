"""Sessions in a real browser: real clicks and keys on the real page, at human pace."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from data.errors import ExperimentError, MissingExtraError
from experiment_server.browser import launch_options
from experiment_server.flow import ENDS
from experiment_server.simulation.http_walk import Outcome, observer_name
from experiment_server.simulation.observers import Observer, choose
from experiment_server.simulation.people import Person
from experiment_server.simulation.recognition import Recognition

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page, Response

WINDOW = {"width": 1440, "height": 810}
STEP_TIMEOUT_MS = 60_000
KEYS = {"upper": "QWERTY", "lower": "ASDFGH"}


@dataclass(frozen=True)
class Pace:
    """How long a careful person takes at least, in seconds.

    The instructions and the whole up to the last answer stay above the times by which
    the IMI study excludes (15 s and 135 s).
    """

    instructions_s: float = 22.0
    total_s: float = 145.0
    rt_s: float = 0.9


HUMAN = Pace()
QUICK = Pace(instructions_s=0, total_s=0, rt_s=0)
"""For looking at the page only: such a session is excluded as too fast."""


@dataclass
class BrowserWalk:
    """Takes one person through the study by the page.

    Attributes
    ----------
    pictures : list of Path
        Where a picture of a main trial goes; whoever comes first takes it out.
    """

    context: "BrowserContext"
    server: str
    person: Person
    observer: Observer
    recognition: Recognition
    pace: Pace = HUMAN
    pictures: list[Path] = field(default_factory=list)
    n_answers: int = 0
    _state: dict[str, Any] = field(default_factory=dict)
    _trials: dict[int, dict[str, Any]] = field(default_factory=dict)
    _n_left: int = 0
    _started_s: float = 0.0

    async def run(self) -> Outcome:
        """Walk one session to its end.

        Raises
        ------
        ExperimentError
            The page shows a problem, or does not go on.
        """
        page = await self.context.new_page()
        page.set_default_timeout(STEP_TIMEOUT_MS)
        page.on("response", self._listen)
        query = {
            "participant": self.person.name,
            "observer": observer_name(self.observer, self.person),
        }
        await page.goto(f"{self.server.rstrip('/')}/?{urlencode(query)}")
        study = await self.context.request.get(self._address("/api/study"))
        self._n_left = (await study.json())["n_trials"]
        while (screen := await self._screen(page)) not in ENDS:
            await self._step(page, screen)
        await page.close()
        return Outcome(screen, self.n_answers)

    async def _step(self, page: "Page", screen: str) -> None:
        if screen == "problem":
            raise ExperimentError(
                "The page showed a simulated observer that it can't go on. Look at the"
                " server's log."
            )
        if screen == "trial":
            await self._answer(page)
        elif screen == "instructions":
            await self._read(page)
        elif screen == "comprehension":
            for number, right in enumerate(self.recognition.right_options):
                at = f"[data-question='{number}'] input[value='{right}']"
                await page.check(at)
            await self._click(page, "continue")
        else:
            action = {"start": "start", "consent": "agree", "debrief": "finish"}
            await self._click(page, action.get(screen, "continue"))

    async def _screen(self, page: "Page") -> str:
        """Return the present screen, once it takes input."""
        ready = page.locator("[data-screen]:has([data-ready]), [data-screen=problem]")
        await ready.first.wait_for()
        name = await page.locator("[data-screen]").first.get_attribute("data-screen")
        return str(name)

    async def _click(self, page: "Page", action: str) -> None:
        shown = page.locator("article.page, .instructions")
        before = await shown.first.element_handle()
        await page.locator(f"[data-action={action}]").click()
        if before is not None:
            # The next screen replaces this one.
            await page.wait_for_function("one => !one.isConnected", arg=before)

    async def _read(self, page: "Page") -> None:
        self._started_s = time.monotonic()
        pages = self._state["instructions"]["pages"]
        for _ in pages:
            await asyncio.sleep(self.pace.instructions_s / len(pages))
            await self._click(page, "next")

    async def _answer(self, page: "Page") -> None:
        root = page.locator("[data-sequence][data-ready]")
        sequence = int(str(await root.get_attribute("data-sequence")))
        trial = self._trials[sequence]
        if trial["practice"] and sequence % self._state["practice"]["n_trials"] == 0:
            self._n_left += self._state["practice"]["n_trials"]
        image = await self.context.request.get(self._address(trial["image"]))
        settings = self._state["settings"]
        choice = choose(
            self.observer,
            self.person,
            self.recognition.shown(trial, await image.body()),
            n_levels=settings["confidence_levels"],
            lock_ms=settings["lock_ms"],
            rng=self.person.rng(f"trial 1 {sequence}"),
        )
        if self.pictures and not trial["practice"] and not trial["instruction"]:
            path = self.pictures.pop()
            path.parent.mkdir(parents=True, exist_ok=True)
            await page.screenshot(path=path)
        await asyncio.sleep(self._thinking_s())
        # Half of the people use the keyboard throughout.
        if self.person.rng("input").random() < 0.5:
            await page.keyboard.press(f"Key{KEYS[choice.row][choice.confidence - 1]}")
        else:
            row, level = choice.row, choice.confidence
            await page.click(f"[data-row={row}][data-confidence='{level}']")
        self.n_answers += 1
        self._n_left -= 1
        if trial["feedback"]:
            await page.locator(".trial [data-action=continue]").click()
        # The trial's element goes when the next screen comes.
        await page.wait_for_function(
            "n => !document.querySelector(`[data-sequence='${n}'][data-ready]`)",
            arg=sequence,
        )

    def _thinking_s(self) -> float:
        """Return an equal share of the time that is left to look plausible."""
        left_s = self._started_s + self.pace.total_s - time.monotonic()
        return max(self.pace.rt_s, left_s / max(self._n_left, 1))

    def _address(self, path: str) -> str:
        return self.server.rstrip("/") + path

    async def _listen(self, response: "Response") -> None:
        """Keep the state that the server sends to the page."""
        is_json = "json" in response.headers.get("content-type", "")
        if "/api/session" not in response.url or not is_json:
            return
        content = await response.json()
        state = content if "screen" in content else content.get("state")
        if state:
            self._state = state
            trials = [*([state["trial"]] if state["trial"] else []), *state["upcoming"]]
            self._trials |= {trial["sequence"]: trial for trial in trials}


async def _cancel_when(
    stopped: Callable[[], bool], walks: "Sequence[asyncio.Task[None]]"
) -> None:
    while not all(walk.done() for walk in walks):
        if stopped():
            for walk in walks:
                walk.cancel()
        await asyncio.sleep(0.2)


async def walk_in_browser(
    people: Sequence[Person],
    *,
    server: str,
    observer: Observer,
    recognition: Recognition,
    pace: Pace = HUMAN,
    screenshot: Path | None = None,
    advance: Callable[[Outcome], None],
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Let people take part at the same time, each in a window of their own.

    Parameters
    ----------
    screenshot : Path or None
        Where a picture of a main trial goes.
    advance : callable
        Told each person's outcome.
    stopped : callable
        Whether to leave off; the sessions can be gone on with later.

    Raises
    ------
    MissingExtraError
        Playwright or a Chromium is missing.
    ExperimentError
        The page does not go on.
    """
    try:
        from playwright.async_api import Error, async_playwright
    except ImportError as error:
        raise MissingExtraError(
            "A real browser is driven by the package 'playwright'."
            " Install it with: pip install '.[simulate]'"
        ) from error

    pictures = [screenshot] if screenshot else []

    async def one(person: Person) -> None:
        context = await browser.new_context(
            viewport={"width": WINDOW["width"], "height": WINDOW["height"]}
        )
        walk = BrowserWalk(
            context, server, person, observer, recognition, pace, pictures
        )
        advance(await walk.run())
        await context.close()

    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(**launch_options())
            try:
                async with asyncio.TaskGroup() as group:
                    walks = [group.create_task(one(person)) for person in people]
                    group.create_task(_cancel_when(stopped, walks))
            finally:
                await browser.close()
    except* Error as errors:
        first = str(errors.exceptions[0]).strip().splitlines()[0]
        raise ExperimentError(
            f"The page at {server} did not go on ({first}). Look at the server's log."
        ) from None
