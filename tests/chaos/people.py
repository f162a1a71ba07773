"""People who take part over HTTP as the documented client must: they never give up."""

import asyncio
import contextlib
import time
from typing import Any
from uuid import UUID

import httpx

from experiment_server.flow import ENDS
from tests.chaos.hostile import malformed
from tests.chaos.journal import Intent, Journal
from tests.chaos.plan import MOVES, Plan, drawn
from tests.chaos.witness import Witness

TIMEOUT_S = 12.0
MOST_STEPS = 150
BETWEEN_TRIES_S = 0.3
OTHER = {"upper": "lower", "lower": "upper"}
WINDOW = {"width": 1280.0, "height": 720.0, "device_pixel_ratio": 2.0}


class GaveUp(Exception):
    """A person can't go on."""


class Client:
    """Sends one person's requests through the proxy, again and again until taken."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        person: int,
        journal: Journal,
        patience_s: float,
    ) -> None:
        self.http = http
        self.patience_s = patience_s
        self.journal = journal
        self.person = person
        self.since = time.monotonic()

    async def once(
        self, method: str, path: str, *, token: str | None = None, **more: Any
    ) -> httpx.Response | None:
        """Send a request once; None where no whole reply came."""
        headers = {"X-Chaos-Person": str(self.person)} | more.pop("headers", {})
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            return await self.http.request(
                method, path, headers=headers, timeout=TIMEOUT_S, **more
            )
        except httpx.HTTPError:
            return None

    async def post(
        self, path: str, body: dict[str, Any], *, token: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Post until there is a reply that isn't a failure."""
        pause_s = 0.02
        while True:
            reply = await self.once("POST", path, token=token, json=body)
            if reply is not None and reply.status_code < 500:
                self.since = time.monotonic()
                with contextlib.suppress(ValueError):
                    return reply.status_code, reply.json() if reply.content else {}
            if time.monotonic() - self.since > self.patience_s:
                raise GaveUp("nothing moves")
            self.journal.n_retries += 1
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 0.6)


class Person:
    """One person's way through the study."""

    def __init__(
        self,
        number: int,
        plan: Plan,
        http: httpx.AsyncClient,
        witness: Witness,
        journal: Journal,
    ) -> None:
        self.number = number
        self.persona = plan.persona(number)
        self.witness = witness
        self.journal = journal
        self.plan = plan
        self.client = Client(http, number, journal, plan.patience_s)
        self.rng = plan.rng(4, number)
        self.token: str | None = None
        self.state: dict[str, Any] = {"screen": "start"}
        self.old_tokens: list[str] = []
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.elapsed_ms = 0.0
        self.n_events = 0
        self.leaves_at = int(self.rng.integers(3, 14))

    @property
    def screen(self) -> str:
        """Where the session is, as the person knows."""
        return str(self.state["screen"])

    async def take_part(self) -> None:
        """Go from the link to an end; how it ended goes into the journal."""
        self.journal.ends[self.number] = "start"
        self.client.since = time.monotonic()
        try:
            end = await self._walk()
        except GaveUp as reason:
            end = f"stuck at {self.screen}: {reason}"
        self.journal.ends[self.number] = end

    async def _walk(self) -> str:
        if not await self._join():
            return "turned_away"
        n_steps = 0
        while self.screen not in ENDS:
            if self.rng.random() < self.plan.move_share:
                await self._move()
            if self.persona == "leaves" and n_steps >= self.leaves_at:
                return "left"
            await self._step(n_steps)
            n_steps += 1
            if n_steps > MOST_STEPS:
                raise GaveUp(f"no end after {MOST_STEPS} steps")
            await asyncio.sleep(float(self.rng.exponential(0.02)))
        if self.rng.random() < 0.3 and self.persona != "anonymous":
            # Someone who has ended comes back by the same link: nothing starts anew.
            end = self.screen
            await self._join()
            if self.screen not in ENDS:
                return f"{end}, and then {self.screen}"
        return self.screen

    async def finish(self) -> None:
        """Go on from wherever the session stands, when all faults are over."""
        if self.token is None or self.screen in ("withdrawn", "timed_out"):
            return
        with contextlib.suppress(GaveUp):
            await self._resume()
            for _ in range(6):
                if self.screen not in ("feedback", "debrief"):
                    break
                await self._step(0)

    def _uuid(self) -> str:
        return str(UUID(bytes=self.rng.bytes(16), version=4))

    def _after(self, ms: float) -> float:
        self.elapsed_ms = round(max(0.0, self.elapsed_ms + ms), 1)
        return self.elapsed_ms

    async def _join(self) -> bool:
        body: dict[str, Any] = {"window": WINDOW, "join_key": self._uuid()}
        if self.persona != "anonymous":
            body["participant"] = f"person-{self.number}"
        if self.persona == "anonymous" or self.rng.random() < self.plan.move_share:
            # A double click, or a start that is sent again by what lies between.
            await self.client.once("POST", "/api/sessions", json=body)
        for _ in range(round(self.plan.patience_s / 7 / BETWEEN_TRIES_S)):
            status, reply = await self.client.post("/api/sessions", body)
            if status in (200, 201):
                self._adopt_visit(reply)
                return True
            if reply.get("error") != "study-full":
                raise GaveUp(f"joining: {status} {reply}")
            await asyncio.sleep(BETWEEN_TRIES_S)
        return False

    async def _resume(self) -> None:
        """Load the page anew, with the token that it kept."""
        assert self.token is not None
        body = {"window": WINDOW, "resume_key": self._uuid()}
        status, reply = await self.client.post(
            "/api/session/resume", body, token=self.token
        )
        if status == 200:
            self._adopt_visit(reply)
        else:
            raise GaveUp(f"resuming: {status} {reply}")

    def _adopt_visit(self, reply: dict[str, Any]) -> None:
        if self.token is not None:
            self.old_tokens.append(self.token)
        self.token, self.state = reply["token"], reply["state"]
        self.elapsed_ms = max(self.elapsed_ms, self.state["elapsed_ms"])

    async def _step(self, n_steps: int) -> None:
        """Do what the present screen asks for."""
        leaving = self.persona.startswith("withdraws") and n_steps >= self.leaves_at
        if leaving:
            deletes = self.persona == "withdraws_and_deletes"
            await self._post("withdraw", {"delete_answers": deletes})
        elif self.screen == "consent":
            agreed = self.persona != "declines"
            version = self.state["consent"]["version"]
            await self._post("consent", {"agreed": agreed, "consent_version": version})
        elif self.screen == "instructions":
            pages = [{"page": 0, "viewing_ms": 900.0}]
            time_ms = self._after(20_000.0)
            await self._post(
                "instructions", {"time_elapsed_ms": time_ms, "pages": pages}
            )
        elif self.screen == "trial":
            await self._answer()
        elif self.screen == "feedback":
            await self._post("feedback", {"text": f"I am {self.number}."})
        elif self.screen == "debrief":
            await self._post("finish", {"time_elapsed_ms": self._after(2_000.0)})
        elif self.screen == "comprehension":
            await self._comprehend()
        else:
            body = {"screen": self.screen, "time_elapsed_ms": self._after(900.0)}
            await self._post("continue", body)

    async def _comprehend(self) -> None:
        questions = self.state["comprehension"]["questions"]
        right = self.witness.study.comprehension
        wrong = self.persona == "fails_comprehension"
        answers = [option ^ wrong for option in right[: len(questions)]]
        time_ms = self._after(4_000.0)
        await self._post(
            "comprehension", {"answers": answers, "time_elapsed_ms": time_ms}
        )

    async def _answer(self) -> None:
        trial = self.state["trial"]
        await self._look_at(trial)
        bodies = [await self._body(trial)]
        upcoming = [
            one for one in self.state.get("upcoming", []) if isinstance(one, dict)
        ]
        n_ahead = int(self.rng.integers(0, 3))
        if not trial["feedback"] and n_ahead:
            # A page may go on while an answer is on its way.
            bodies += [await self._body(one) for one in upcoming[:n_ahead]]
        for body in bodies[::-1][: len(bodies) - 1]:
            # Sent too early: refused, and sent again when it is its turn.
            await self.client.once(
                "POST", "/api/session/answers", token=self.token, json=body
            )
        for body in bodies:
            await self._post("answers", body)
            if self.screen != "trial":
                break

    async def _look_at(self, trial: dict[str, Any]) -> None:
        for _ in range(60):
            reply = await self.client.once("GET", trial["image"], token=None)
            if reply is not None and reply.status_code in (200, 404):
                return
            self.journal.n_retries += 1
            await asyncio.sleep(0.1)

    async def _body(self, trial: dict[str, Any]) -> dict[str, Any]:
        sequence = trial["sequence"]
        row = ("upper", "lower")[int(self.rng.integers(2))]
        if trial["practice"]:
            assert self.token is not None
            right = None
            for _ in range(100):
                right = await asyncio.to_thread(
                    self.witness.right_row, self.token, sequence
                )
                if right is not None:
                    break
                await asyncio.sleep(0.1)
            if right is None:
                raise GaveUp("the trial that is shown is not in the database")
            wrong = self.persona == "fails_practice" or self.rng.random() < 0.03
            row = OTHER[right] if wrong else right
        levels = self.state["settings"]["confidence_levels"]
        rt_ms = round(float(self.rng.lognormal(7, 0.4)), 1)
        body = {
            "sequence": sequence,
            "idempotency_key": self._uuid(),
            "chosen": row,
            "confidence": int(self.rng.integers(1, levels + 1)),
            "rt_ms": rt_ms,
            "time_elapsed_ms": self._after(rt_ms),
            "input": "api",
        }
        self._mean(body)
        return body

    def _mean(self, body: dict[str, Any]) -> None:
        self.journal.intents.append(
            Intent(self.number, body["sequence"], body["chosen"], body["confidence"])
        )

    async def _post(self, step: str, body: dict[str, Any]) -> None:
        """Take a step and adopt the state that the reply carries."""
        self.posted.append((step, body))
        status, reply = await self.client.post(
            f"/api/session/{step}", body, token=self.token
        )
        state = reply if "screen" in reply else reply.get("state")
        if state is not None:
            self.state = state
        elif reply.get("error") == "taken-over":
            await self._resume()
        elif status not in (200, 201, 204):
            raise GaveUp(f"{step} {body}: {status} {reply}")

    async def _move(self) -> None:
        """Do something that no study asks for."""
        kind = drawn(MOVES, self.rng)
        self.journal.note_move(kind)
        await getattr(self, f"_{kind}")()

    async def _reload(self) -> None:
        await self.client.once("GET", "/?participant=x", token=None)
        await self.client.once("GET", "/api/session", token=self.token)
        await self._resume()

    async def _other_device(self) -> None:
        if self.persona != "anonymous":
            await self._join()

    async def _second_tab(self) -> None:
        """Open a second tab; the first one tries to go on."""
        await self._resume()
        old = self.old_tokens[-1]
        if self.screen == "trial":
            body = await self._body(self.state["trial"])
            step = "answers"
        else:
            step, body = "continue", {"screen": self.screen, "time_elapsed_ms": 1.0}
        for _ in range(2):
            await self.client.once("POST", f"/api/session/{step}", token=old, json=body)
        await self._resume()

    async def _back(self) -> None:
        """Go back in the browser: earlier requests come again."""
        if self.posted:
            step, body = self.posted[int(self.rng.integers(len(self.posted)))]
            await self.client.once(
                "POST", f"/api/session/{step}", token=self.token, json=body
            )
            await self._resume()

    async def _other_answer(self) -> None:
        """Try to change an answer that was given."""
        given = [body for step, body in self.posted if step == "answers"]
        if given:
            body = given[int(self.rng.integers(len(given)))]
            other = body | {
                "chosen": OTHER[body["chosen"]],
                "idempotency_key": (self._uuid(), body["idempotency_key"])[
                    int(self.rng.integers(2))
                ],
            }
            await self._try("answers", other)

    async def _skip_ahead(self) -> None:
        """Try to get around trials, practice, and the end of the block."""
        tries: list[tuple[str, dict[str, Any]]] = [
            ("finish", {"time_elapsed_ms": 1.0}),
            ("feedback", {"text": "let me out"}),
            ("instructions", {"time_elapsed_ms": 1.0}),
            ("comprehension", {"answers": [0, 0], "time_elapsed_ms": 1.0}),
            ("continue", {"screen": "practice_passed", "time_elapsed_ms": 1.0}),
            ("continue", {"screen": "break", "time_elapsed_ms": 1.0}),
        ]
        if self.screen == "trial":
            body = await self._body(self.state["trial"])
            self.journal.intents.pop()
            tries.append(("answers", body | {"sequence": body["sequence"] + 1}))
            tries.append(("answers", body | {"confidence": 99}))
        for step, body in tries:
            leads_on = {"finish": "debrief"}.get(step, step)
            if self.screen not in (leads_on, body.get("screen")):
                await self._try(step, body)

    async def _try(self, step: str, body: dict[str, Any]) -> None:
        await self.client.once(
            "POST", f"/api/session/{step}", token=self.token, json=body
        )

    async def _previewer(self) -> None:
        for path in ("/", f"/?participant=person-{self.number}", "/api/session"):
            for method in ("GET", "HEAD"):
                await self.client.once(method, path)

    async def _malformed(self) -> None:
        for _ in range(3):
            method, path, content, headers = malformed(self.rng)
            with contextlib.suppress(httpx.InvalidURL):
                await self.client.once(
                    method, path, token=self.token, content=content, headers=headers
                )

    async def _foreign(self) -> None:
        """Try to get at somebody else's session."""
        token = "foreign-" + self._uuid()
        await self.client.once("GET", "/api/session", token=token)
        body = {"delete_answers": True}
        await self.client.once("POST", "/api/session/withdraw", token=token, json=body)
        await self.client.once("GET", f"/api/images/{self._uuid()}", token=self.token)

    async def _clock_jump(self) -> None:
        self._after(float(self.rng.normal(0, 1_800_000)))

    async def _events(self) -> None:
        self.n_events += 1
        body = {
            "events": [
                {
                    "number": self.n_events,
                    "event": "blur",
                    "trial": None,
                    "time_ms": self.elapsed_ms,
                    "value": None,
                }
            ]
        }
        await self._try("events", body)
