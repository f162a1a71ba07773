"""Sessions over HTTP that keep every byte that was sent before each answer."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
from flask import Flask

from data.studies import Study, correct_row
from experiment_server.presentations import presentation_of
from experiment_server.sessions import Host
from experiment_server.tables import PresentationRecord

N_LOOKS = 2
"""How often a state and an image are fetched: a delay shows best in the fastest."""

_OTHER = {"upper": "lower", "lower": "upper"}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What reached the browser of one trial before its answer, and what was true.

    Attributes
    ----------
    session : int
    state : bytes
        The body of the reply that holds the trial.
    image : bytes
    state_headers, image_headers : tuple of tuple of str
        Names and values in the order that they came in.
    times_ms : tuple of float
        Of the answer before it, and the fastest of fetching its state and its image.
    upper_is_right : bool
    kind, trial_id : str
        Known to the server only.
    """

    session: int
    state: bytes
    image: bytes
    state_headers: tuple[tuple[str, str], ...]
    image_headers: tuple[tuple[str, str], ...]
    times_ms: tuple[float, float, float]
    upper_is_right: bool
    kind: str
    trial_id: str

    @property
    def told(self) -> dict[str, Any]:
        """The state as the page gets it."""
        told: dict[str, Any] = json.loads(self.state)
        return told


def truth(app: Flask, url: str) -> tuple[PresentationRecord, bool]:
    """Return the presentation behind an image's address and whether upper is right."""
    host: Host = app.extensions["unitscope"]
    with host.database.read() as db:
        shown = (
            db.query(PresentationRecord)
            .where(PresentationRecord.image == url.rsplit("/", 1)[1])
            .one()
        )
        db.expunge(shown)
    trial = host.study.trials[shown.trial_id]
    return shown, correct_row(trial, presentation_of(shown)) == "upper"


class Eavesdropper:
    """Takes part in one session, answers at random, and writes down what comes in.

    Practice is answered with the truth, as everybody comes to know it there.
    """

    def __init__(self, app: Flask, number: int) -> None:
        self.app = app
        self.number = number
        self.study: Study = app.extensions["unitscope"].study
        self.client = httpx.Client(
            transport=httpx.WSGITransport(app=app), base_url="http://study"
        )
        self.state: dict[str, Any] = {}
        self.elapsed_ms = 0.0
        self.answer_ms = 0.0

    def walk(self, arrived: Callable[[], None] = lambda: None) -> list[Seen]:
        """Return what was sent of each trial after practice.

        Parameters
        ----------
        arrived : callable
            Told when the first trial after practice is reached.
        """
        joined = self.client.post("/api/sessions", json={"join_key": str(uuid4())})
        self.client.headers["Authorization"] = f"Bearer {joined.json()['token']}"
        self.state = joined.json()["state"]
        seen: list[Seen] = []
        while self.state["screen"] != "feedback":
            trial = self.state["trial"]
            if trial is None:
                self._step()
                continue
            if not trial["practice"]:
                if not seen:
                    arrived()
                seen.append(self._look())
            self._answer()
        self.client.close()
        return seen

    def _post(self, step: str, **body: object) -> httpx.Response:
        self.elapsed_ms += 5000.0
        reply = self.client.post(f"/api/session/{step}", json=body)
        reply.raise_for_status()
        content = reply.json()
        self.state = content.get("state") or content
        return reply

    def _step(self) -> None:
        screen = self.state["screen"]
        if screen == "consent":
            version = self.state["consent"]["version"]
            self._post("consent", agreed=True, consent_version=version)
        elif screen == "instructions":
            self._post("instructions", time_elapsed_ms=self.elapsed_ms, pages=[])
        elif screen == "comprehension":
            answers = list(self.study.comprehension)
            self._post(
                "comprehension", answers=answers, time_elapsed_ms=self.elapsed_ms
            )
        else:
            self._post("continue", screen=screen, time_elapsed_ms=self.elapsed_ms)

    def _answer(self) -> None:
        trial = self.state["trial"]
        row = ("upper", "lower")[trial["sequence"] % 2]
        if trial["practice"]:
            row = "upper" if truth(self.app, trial["image"])[1] else "lower"
        before = time.perf_counter()
        self._post(
            "answers",
            sequence=trial["sequence"],
            idempotency_key=str(uuid4()),
            chosen=row,
            confidence=2,
            rt_ms=1234.0,
            time_elapsed_ms=self.elapsed_ms,
            input="api",
        )
        self.answer_ms = (time.perf_counter() - before) * 1000

    def _look(self) -> Seen:
        state, state_ms = self._fetched("/api/session")
        self.state = state.json()
        url = self.state["trial"]["image"]
        image, image_ms = self._fetched(url)
        shown, upper_is_right = truth(self.app, url)
        return Seen(
            session=self.number,
            state=state.content,
            image=image.content,
            state_headers=tuple(state.headers.items()),
            image_headers=tuple(image.headers.items()),
            times_ms=(self.answer_ms, state_ms, image_ms),
            upper_is_right=upper_is_right,
            kind=shown.kind,
            trial_id=shown.trial_id,
        )

    def _fetched(self, url: str) -> tuple[httpx.Response, float]:
        taken = []
        for _ in range(N_LOOKS):
            before = time.perf_counter()
            reply = self.client.get(url)
            taken.append((time.perf_counter() - before) * 1000)
        reply.raise_for_status()
        return reply, min(taken)


def overheard(
    app: Flask,
    n_sessions: int,
    *,
    advance: Callable[[], None] = lambda: None,
    arrived: Callable[[], None] = lambda: None,
) -> list[Seen]:
    """Return what was sent in so many sessions, one after the other."""
    seen = []
    for number in range(n_sessions):
        seen += Eavesdropper(app, number).walk(arrived)
        advance()
    return seen
