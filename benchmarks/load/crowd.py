"""Many sessions at human pace, whose moments are drawn before anything is slow."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from benchmarks.load.connection import Connection, HttpReply

PACE_S = (3.0, 8.0)
"""Time between two answers of a person, uniform."""

READING_S = 1.0


@dataclass
class Log:
    """What happened to all requests.

    Attributes
    ----------
    requests : list of (kind, scheduled, done)
        In seconds of the monotonic clock. A request that had to wait, since the one
        before it was still on its way, counts from the moment it was due.
    acknowledged : list of str
        Idempotency keys of the answers that the server acknowledged.
    refused : list of str
        Replies that no client should get.
    """

    requests: list[tuple[str, float, float]] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    n_retries: int = 0


class Visitor:
    """One session. ``run`` goes on until it is cancelled or the session ends."""

    def __init__(self, address: tuple[str, int], seed: str, log: Log) -> None:
        self.connection = Connection(*address)
        self.rng = random.Random(seed)
        self.log = log
        self.token = ""
        self.state: dict[str, Any] = {}

    async def run(self, begin: float, pace_s: tuple[float, float] = PACE_S) -> None:
        """Take part from a moment of the monotonic clock on."""
        try:
            await self.walk(begin, pace_s)
        except (OSError, TimeoutError) as error:
            self.log.refused.append(f"no reply: {error!r}")
        finally:
            self.log.n_retries += self.connection.n_retries
            self.connection.close()

    async def walk(self, due: float, pace_s: tuple[float, float]) -> None:
        """Do what a session does."""
        raise NotImplementedError

    async def ask(
        self, kind: str, due: float, method: str, path: str, body: object = None
    ) -> HttpReply:
        """Send a request when it is due, and log how long it took from then."""
        await asyncio.sleep(due - time.monotonic())
        reply = await self.connection.request(method, path, body, self.token)
        self.log.requests.append((kind, due, time.monotonic()))
        if reply.status not in (200, 201, 204):
            self.log.refused.append(f"{path.split('/')[-1][:12]}: {reply.status}")
        return reply

    def key(self) -> str:
        """Draw a UUID."""
        return str(UUID(int=self.rng.getrandbits(128), version=4))

    def answer(self, sequence: int) -> dict[str, Any]:
        """Return the answer to a trial; people who guess."""
        return {
            "sequence": sequence,
            "idempotency_key": self.key(),
            "chosen": self.rng.choice(("upper", "lower")),
            "confidence": self.rng.randint(1, 3),
            "rt_ms": 2500.0,
            "time_elapsed_ms": 5500.0 * (sequence + 5),
            "input": "mouse",
            "interrupted": False,
            "onset": {
                "method": "raf",
                "lag_ms": 4.2,
                "frame_ms": 16.7,
                "decode_ms": 12.0,
            },
            "shown_at": "2026-01-01T12:00:00.000+00:00",
        }


class Participant(Visitor):
    """A session of Unitscope's, with images; guesses until practice is passed."""

    def __init__(
        self,
        address: tuple[str, int],
        seed: str,
        log: Log,
        *,
        n_answers: int | None = None,
    ) -> None:
        super().__init__(address, seed, log)
        self.left = n_answers
        self._fetched: set[str] = set()

    async def walk(self, due: float, pace_s: tuple[float, float]) -> None:
        """Take part, from the page to the last trial."""
        await self.ask("page", due, "GET", "/")
        body: dict[str, Any] = {"join_key": self.key(), "observer": "load"}
        reply = await self.ask("start", due, "POST", "/api/sessions", body)
        if reply.status != 201:
            return
        self.token, self.state = reply.content["token"], reply.content["state"]
        while self.state["screen"] in ("consent", "instructions"):
            due += min(READING_S, pace_s[0])
            await self._step("start", due, *self._reading())
        while self.state["screen"] != "feedback" and self.left != 0:
            if self.state["screen"] == "trial":
                due += self.rng.uniform(*pace_s)
                await self._answer(due)
            else:
                due += min(READING_S, pace_s[0])
                left = {"screen": self.state["screen"], "time_elapsed_ms": 1e5}
                await self._step("step", due, "continue", left)
            await self._fetch()

    def _reading(self) -> tuple[str, dict[str, Any]]:
        if self.state["screen"] == "consent":
            version = self.state["consent"]["version"]
            return "consent", {"agreed": True, "consent_version": version}
        return "instructions", {"time_elapsed_ms": 20_000.0, "pages": []}

    async def _answer(self, due: float) -> None:
        body = self.answer(self.state["trial"]["sequence"])
        reply = await self._step("answer", due, "answers", body)
        if reply.status in (200, 201):
            self.log.acknowledged.append(body["idempotency_key"])
            if self.left is not None:
                self.left -= 1

    async def _step(self, kind: str, due: float, step: str, body: object) -> HttpReply:
        reply = await self.ask(kind, due, "POST", f"/api/session/{step}", body)
        known = reply.content
        state = known if "screen" in known else known.get("state")
        if state is None:
            raise OSError(f"{step} gave {reply.status}")
        self.state = state
        return reply

    async def _fetch(self) -> None:
        for url in self.state["ahead"]:
            if url not in self._fetched:
                self._fetched.add(url)
                await self.ask("image", time.monotonic(), "GET", url)


class FloorVisitor(Visitor):
    """The same requests to the bare view, which knows no sessions."""

    async def walk(self, due: float, pace_s: tuple[float, float]) -> None:
        """Send what a participant sends."""
        await self.ask("page", due, "GET", "/")
        name = {"session_id": self.key().replace("-", "")}
        for step in range(3):
            await self.ask("start", due + step, "POST", "/sessions", name)
        due += 2
        sequence = 0
        while True:
            due += self.rng.uniform(*pace_s)
            body = name | self.answer(sequence)
            reply = await self.ask("answer", due, "POST", "/answers", body)
            if reply.status == 201:
                self.log.acknowledged.append(body["idempotency_key"])
            await self.ask("image", time.monotonic(), "GET", "/image")
            sequence += 1


async def gather_crowd(
    make: Callable[[int], Visitor], n: int, *, first: int, spread_s: float
) -> list[asyncio.Task[None]]:
    """Start ``n`` visitors at even distances; returns when the last has begun."""
    now = time.monotonic()
    tasks = [
        asyncio.create_task(make(first + place).run(now + spread_s * place / n))
        for place in range(n)
    ]
    await asyncio.sleep(spread_s)
    return tasks
