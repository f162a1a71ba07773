"""People with the real page in a real browser, whose line and habits are bad."""

import asyncio
import contextlib
import time
from collections.abc import Iterable

from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from playwright.async_api import Error as BrowserError

from experiment_server.browser import find_chromium
from experiment_server.flow import ENDS
from tests.chaos.journal import Intent, Journal
from tests.chaos.plan import Plan, drawn
from tests.chaos.witness import Witness

AT_ONCE = 3
PATIENCE_S = 60.0
LONGEST_S = 300.0
OTHER = {"upper": "lower", "lower": "upper"}

MOVES: dict[str, float] = {
    "reload": 4,
    "back": 2,
    "offline": 3,
    "second_tab": 3,
    "crash": 2,
    "clock_jump": 1,
}
"""What people do to their browsers between two looks at the page."""

MOVE_SHARE = 0.06

PRESSED = ("start", "agree", "next", "finish", "go-on", "reload")
"""Buttons that lead on, in the order in which they are looked for."""


async def visit(
    plan: Plan,
    address: str,
    witness: Witness,
    journal: Journal,
    numbers: Iterable[int],
) -> dict[int, str]:
    """Let people with these numbers take part; returns what kind of people they are."""
    places = asyncio.Semaphore(AT_ONCE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox"]
        )

        async def one(number: int) -> None:
            async with places:
                visitor = Visitor(number, plan, address, witness, journal)
                await visitor.take_part(browser)

        numbers = list(numbers)
        await asyncio.gather(*(one(number) for number in numbers))
        await browser.close()
    return dict.fromkeys(numbers, "browser")


class Visitor:
    """One person; looks at the page again and again and does what it asks for."""

    def __init__(
        self, number: int, plan: Plan, address: str, witness: Witness, journal: Journal
    ) -> None:
        self.number = number
        self.address = f"{address}/?participant=visitor-{number}"
        self.witness = witness
        self.journal = journal
        self.rng = plan.rng(5, number)
        self.answered: set[int] = set()
        self.page: Page

    async def take_part(self, browser: Browser) -> None:
        """Go from the link to an end; how it ended goes into the journal."""
        self.journal.ends[self.number] = "start"
        context = await browser.new_context(
            viewport={"width": 1280, "height": 720},
            extra_http_headers={"X-Chaos-Person": str(self.number)},
        )
        self.page = await self._new_page(context)
        started = since = time.monotonic()
        screen, seen = "", ("", 0)
        while screen not in ENDS:
            with contextlib.suppress(BrowserError):
                screen = await self._look(context)
            now = time.monotonic()
            if (screen, len(self.answered)) != seen:
                seen, since = (screen, len(self.answered)), now
            if now - since > PATIENCE_S or now - started > LONGEST_S:
                break
            await asyncio.sleep(0.03)
        stuck = f"stuck at {screen}: {await self._words()}"
        self.journal.ends[self.number] = screen if screen in ENDS else stuck
        if screen == "end":
            await self._read_code()
        await context.close()

    async def _words(self) -> str:
        with contextlib.suppress(BrowserError):
            return (await self.page.inner_text("body"))[:200]
        return "no page"

    async def _read_code(self) -> None:
        try:
            await self.page.wait_for_selector("[data-completion-code]", timeout=5000)
        except BrowserError:
            self.journal.ends[self.number] = "stuck at end: no code is shown"

    async def _new_page(self, context: BrowserContext) -> Page:
        page = await context.new_page()
        page.set_default_timeout(2500)
        with contextlib.suppress(BrowserError):
            await page.goto(self.address)
        return page

    async def _look(self, context: BrowserContext) -> str:
        """Do the next thing; returns the screen that was seen."""
        screen = await self._screen()
        if self.rng.random() < MOVE_SHARE:
            await self._move(context)
            screen = await self._screen()
        if screen in ("", "problem"):
            # The page itself did not load, or says so: load it again.
            await self.page.goto(self.address)
            return await self._screen()
        if screen == "trial":
            await self._answer()
        elif screen == "feedback":
            await self.page.fill("textarea", f"I am {self.number}.")
            await self._press("continue")
        elif screen == "comprehension":
            await self._comprehend()
        else:
            for action in (*PRESSED, "continue"):
                if await self._press(action):
                    break
        return screen

    async def _screen(self) -> str:
        app = self.page.locator("#app[data-screen]")
        if not await app.count():
            await asyncio.sleep(1.0)
            if not await app.count():
                return ""
        return await app.get_attribute("data-screen") or ""

    async def _press(self, action: str) -> bool:
        button = self.page.locator(f"[data-action={action}]:enabled:visible").first
        if not await button.count():
            return False
        await button.click()
        return True

    async def _comprehend(self) -> None:
        right = list(self.witness.study.comprehension)
        if self.rng.random() < 0.1:
            right[0] = 1 - right[0]
        for number, option in enumerate(right):
            await self.page.check(f"[data-question='{number}'] input[value='{option}']")
        await self._press("continue")

    async def _answer(self) -> None:
        if await self._press("continue") or await self._press("go-on"):
            return
        trial = self.page.locator("[data-sequence][data-ready]").first
        if not await trial.count():
            return
        sequence = int(await trial.get_attribute("data-sequence") or -1)
        row = ("upper", "lower")[int(self.rng.integers(2))]
        confidence = int(self.rng.integers(1, 4))
        right = await asyncio.to_thread(
            self.witness.right_practice_row, f"visitor-{self.number}", sequence
        )
        if right is not None and self.rng.random() > 0.02:
            row = right
        # Noted before it is given: what is stored may be no other one.
        self.journal.intents.append(Intent(self.number, sequence, row, confidence))
        if self.rng.random() < 0.5:
            keys = {"upper": "QWE", "lower": "ASD"}[row]
            await self.page.keyboard.press(f"Key{keys[confidence - 1]}")
        else:
            wanted = f"[data-row={row}][data-confidence='{confidence}']"
            await self.page.click(f"[data-sequence='{sequence}'] {wanted}, {wanted}")
        self.answered.add(sequence)
        with contextlib.suppress(BrowserError):
            gone = f"[data-sequence='{sequence}'][data-ready]"
            await self.page.wait_for_selector(gone, state="detached", timeout=1500)

    async def _move(self, context: BrowserContext) -> None:
        kind = drawn(MOVES, self.rng)
        self.journal.note_move(f"browser_{kind}")
        if kind == "reload":
            await self.page.reload()
        elif kind == "back":
            await self.page.go_back()
            if not self.page.url.startswith("http"):
                await self.page.goto(self.address)
        elif kind == "offline":
            await context.set_offline(True)
            await asyncio.sleep(float(self.rng.uniform(0.2, 2.0)))
            await context.set_offline(False)
        elif kind == "second_tab":
            await self._second_tab(context)
        elif kind == "clock_jump":
            # Only the calendar's clock: a page must not time anything by it.
            await self.page.evaluate("Date.now = () => 4e12")
        else:
            # A crash leaves no time to store or to send anything.
            await self.page.close(run_before_unload=False)
            self.page = await self._new_page(context)

    async def _second_tab(self, context: BrowserContext) -> None:
        """Open a second tab and go on there, or come back and go on in the first."""
        first = self.page
        second = await self._new_page(context)
        await asyncio.sleep(0.5)
        back = self.rng.random() < 0.5
        self.page, other = (first, second) if back else (second, first)
        if back:
            await asyncio.sleep(0.3)
        await other.close()
