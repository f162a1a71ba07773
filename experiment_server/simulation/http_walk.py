"""One session over HTTP, at the speed of the machine and with a made-up clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import httpx

from data.errors import ExperimentError
from experiment_server.flow import ENDS
from experiment_server.simulation.observers import Observer, choose
from experiment_server.simulation.people import Person
from experiment_server.simulation.recognition import Recognition

TIMEOUT_S = 30.0
N_TRIES = 8
FIRST_PAUSE_S = 0.1

INSTRUCTION_MS = (60_000.0, 0.25, 20_000.0)
"""Median, spread and least time of who reads the instructions."""

SKIPPED_INSTRUCTION_MS = 4_000.0
PLAUSIBLE_TOTAL_MS = 160_000.0
"""Who is careful takes so long even in a short study: by reading for longer."""

_PAUSE_MS = {"break": 15_000.0, "practice_again": 5_000.0, "practice_passed": 4_000.0}
_BETWEEN_TRIALS_MS = 400.0
_N_FOCUS_LOSSES = 25
_WINDOW = {"width": 1536, "height": 864, "device_pixel_ratio": 1.25}


@dataclass(frozen=True)
class Outcome:
    """How a session ended.

    Attributes
    ----------
    screen : str
        The last screen; "end" for a complete session.
    n_answers : int
        Answers given now, practice included.
    """

    screen: str
    n_answers: int


class HttpWalk:
    """Takes one person through the study by the JSON API."""

    def __init__(
        self,
        client: httpx.Client,
        person: Person,
        observer: Observer,
        recognition: Recognition,
        *,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.client = client
        self.person = person
        self.observer = observer
        self.recognition = recognition
        self.stopped = stopped
        self.part = 1
        self.headers: dict[str, str] = {}
        self.state: dict[str, Any] = {}
        self.elapsed_ms = 0.0
        self.n_answers = 0
        self.interrupted = False

    def join(self, *, part: int = 1, has_window: bool = True) -> bool:
        """Take a place, or go on with the session that the server has.

        Parameters
        ----------
        part : int
            1 for a person's first session.
        has_window : bool
            Whether to tell the size of a made-up window.

        Returns
        -------
        bool
            Whether the session is new.

        Raises
        ------
        StudyFullError
            All places are taken.
        ExperimentError
            The server can't be reached, or refuses.
        """
        self.part, self.n_answers = part, 0
        body = {
            "join_key": str(uuid4()),
            "participant": self.person.name,
            "recruiter": "link",
            "observer": observer_name(self.observer, self.person),
            "window": _WINDOW if has_window else None,
        }
        status, reply = self._post("/api/sessions", body)
        if status not in (200, 201):
            raise (
                StudyFullError
                if reply.get("error") == "study-full"
                else _refused(reply)
            )
        self.headers = {"Authorization": f"Bearer {reply['token']}"}
        self.state = reply["state"]
        self.elapsed_ms = self.state["elapsed_ms"]
        self.interrupted = status == 200 and self.state["screen"] == "trial"
        return status == 201

    def run(self) -> Outcome:
        """Walk the session that was joined to its end, or until stopped.

        Raises
        ------
        ExperimentError
            The server can't be reached, refuses, or serves another study.
        """
        while self.state["screen"] not in ENDS and not self.stopped():
            self._step()
        return Outcome(self.state["screen"], self.n_answers)

    def _step(self) -> None:
        screen = self.state["screen"]
        if screen == "consent":
            version = self.state["consent"]["version"]
            self._go("consent", {"agreed": True, "consent_version": version})
        elif screen == "instructions":
            self._read()
        elif screen == "comprehension":
            answers = list(self.recognition.right_options)
            self._go(
                "comprehension",
                {"answers": answers, "time_elapsed_ms": self._after(20_000.0)},
            )
        elif screen == "trial":
            self._answer()
        elif screen == "feedback":
            self._go(
                "feedback", {"text": f"A simulated observer: {self.observer.name}"}
            )
        elif screen == "debrief":
            self._go("finish", {"time_elapsed_ms": self._after(10_000.0)})
        else:
            pause_ms = self._after(_PAUSE_MS[screen] if self._is_careful else 300.0)
            self._go("continue", {"screen": screen, "time_elapsed_ms": pause_ms})

    @property
    def _is_careful(self) -> bool:
        return self.person.careless != "too_fast"

    def _read(self) -> None:
        pages = self.state["instructions"]["pages"]
        time_ms = self._instruction_ms()
        viewed = [
            {"page": page, "viewing_ms": round(time_ms / len(pages), 1)}
            for page in range(len(pages))
        ]
        body = {"time_elapsed_ms": self._after(time_ms), "pages": viewed}
        self._go("instructions", body)

    def _instruction_ms(self) -> float:
        median, spread, least = INSTRUCTION_MS
        rng = self.person.rng(f"instructions {self.part}")
        drawn = max(median * float(rng.lognormal(0, spread)), least)
        if self.person.careless == "skips_instructions":
            return SKIPPED_INSTRUCTION_MS
        if self.person.careless == "too_fast":
            return least
        n_trials = self._get("/api/study").json()["n_trials"]
        return max(drawn, PLAUSIBLE_TOTAL_MS - n_trials * self.person.median_rt_ms / 2)

    def _answer(self) -> None:
        trial, settings = self.state["trial"], self.state["settings"]
        sequence = trial["sequence"]
        if self.person.careless == "leaves_window" and sequence == 1:
            self._leave_window(sequence)
        image = self._get(trial["image"]).content
        choice = choose(
            self.observer,
            self.person,
            self.recognition.shown(trial, image),
            n_levels=settings["confidence_levels"],
            lock_ms=settings["lock_ms"],
            rng=self.person.rng(f"trial {self.part} {sequence}"),
        )
        body = {
            "sequence": sequence,
            "idempotency_key": _key(f"{self.person.name}/{self.part}/{sequence}"),
            "chosen": choice.row,
            "confidence": choice.confidence,
            "rt_ms": choice.rt_ms,
            "time_elapsed_ms": self._after(choice.rt_ms),
            "input": "api",
            "interrupted": self.interrupted,
            "shown_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        self._go("answers", body)
        self.interrupted = False
        self.n_answers += 1
        shown_ms = settings["feedback_delay_ms"] + settings["feedback_ms"]
        self._after(_BETWEEN_TRIALS_MS + (shown_ms if trial["feedback"] else 0.0))

    def _leave_window(self, sequence: int) -> None:
        body = {
            "events": [
                {"number": number, "event": event, "trial": sequence}
                | {"time_ms": self.elapsed_ms}
                for number, event in enumerate(["blur", "focus"] * _N_FOCUS_LOSSES)
            ]
        }
        self._post("/api/session/events", body)

    def _after(self, ms: float) -> float:
        self.elapsed_ms = round(self.elapsed_ms + ms, 1)
        return self.elapsed_ms

    def _go(self, step: str, body: dict[str, Any]) -> None:
        """Take a step and adopt the state that the reply carries."""
        status, reply = self._post(f"/api/session/{step}", body)
        state = reply if "screen" in reply else reply.get("state")
        if state is None or status == 400:
            raise _refused(reply)
        self.state = state

    def _post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        reply = self._sent("POST", path, json=body)
        return reply.status_code, (reply.json() if reply.content else {})

    def _get(self, path: str) -> httpx.Response:
        reply = self._sent("GET", path)
        if reply.status_code != 200:
            raise _refused({"error": f"status {reply.status_code} for {path}"})
        return reply

    def _sent(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send until the server takes it; answers carry a key, so twice is harmless."""
        pause_s = FIRST_PAUSE_S
        for attempt in range(1, N_TRIES + 1):
            try:
                reply = self.client.request(
                    method, path, headers=self.headers, timeout=TIMEOUT_S, **more
                )
            except httpx.TransportError as error:
                if attempt == N_TRIES or self.stopped():
                    raise ExperimentError(
                        f"{self.client.base_url} does not answer ({error}). Check that"
                        " 'unitscope serve' runs there, and run the command again to"
                        " go on."
                    ) from error
            else:
                if reply.status_code < 500 or attempt == N_TRIES:
                    return reply
            time.sleep(pause_s)
            pause_s *= 2
        raise AssertionError("the last try returns or raises")


def _key(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"unitscope:{name}"))


class StudyFullError(ExperimentError):
    """All slots of the study are taken."""


def observer_name(observer: Observer, person: Person) -> str:
    """Return the name that marks a session as simulated, carelessness included."""
    if person.careless is None:
        return observer.name
    return f"{observer.name}, careless: {person.careless}"


def _refused(reply: dict[str, Any]) -> ExperimentError:
    return ExperimentError(
        f"The server refused a simulated observer: {reply.get('error')!r},"
        f" {reply.get('detail', 'without a reason')}"
    )
