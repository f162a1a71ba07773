"""Many sessions at once, over HTTP and in browsers, until all are done."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from data.errors import ExperimentError
from experiment_server.simulation.browser_walk import HUMAN, Pace, walk_in_browser
from experiment_server.simulation.http_walk import HttpWalk, Outcome, StudyFullError
from experiment_server.simulation.observers import Observer
from experiment_server.simulation.people import Person
from experiment_server.simulation.recognition import Recognition


@dataclass
class Tally:
    """How many sessions ended how; may be added to from several threads.

    Attributes
    ----------
    screens : Counter of str
        Last screen of every session; "study_full" for who found no place.
    n_answers : int
        Answers given, practice included.
    """

    screens: Counter[str] = field(default_factory=Counter)
    n_answers: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, outcome: Outcome) -> None:
        """Count one session."""
        with self._lock:
            self.screens[outcome.screen] += 1
            self.n_answers += outcome.n_answers


@dataclass(frozen=True, eq=False, kw_only=True)
class Crowd:
    """Who takes part where.

    Attributes
    ----------
    server : str
        Address of the server.
    n_threads : int
        Sessions at the same time over HTTP.
    pace : Pace
        Of the sessions in a browser.
    screenshot : Path or None
        Where a picture of a main trial goes.
    """

    server: str
    observer: Observer
    recognition: Recognition
    n_threads: int = 4
    pace: Pace = HUMAN
    screenshot: Path | None = None

    def run(
        self,
        over_http: Sequence[Person],
        in_browser: Sequence[Person],
        advance: Callable[[], None] = lambda: None,
    ) -> Tally:
        """Let everybody take part.

        Parameters
        ----------
        advance : callable
            Told after every person.

        Raises
        ------
        ProjectError
            The first thing that went wrong; all others are stopped.
        """
        tally, stop = Tally(), threading.Event()

        def count(outcome: Outcome) -> None:
            tally.add(outcome)
            advance()

        with httpx.Client(base_url=self.server, trust_env=False) as client:
            pool = ThreadPoolExecutor(self.n_threads + 1)
            try:
                jobs: list[Future[None]] = []
                if in_browser:
                    jobs.append(pool.submit(self._browse, in_browser, count, stop))
                jobs += [
                    pool.submit(self._walk, client, person, tally, stop, advance)
                    for person in over_http
                ]
                done, _ = wait(jobs, return_when=FIRST_EXCEPTION)
                for job in done:
                    job.result()
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)
        return tally

    def _walk(
        self,
        client: httpx.Client,
        person: Person,
        tally: Tally,
        stop: threading.Event,
        advance: Callable[[], None],
    ) -> None:
        walk = HttpWalk(
            client, person, self.observer, self.recognition, stopped=stop.is_set
        )
        try:
            tally.add(walk.run())
            if person.careless == "takes_part_twice" and not stop.is_set():
                again = walk.run(part=2)
                if again.is_new:
                    tally.add(again)
        except StudyFullError:
            tally.add(Outcome("study_full", 0))
        advance()

    def _browse(
        self,
        people: Sequence[Person],
        count: Callable[[Outcome], None],
        stop: threading.Event,
    ) -> None:
        try:
            asyncio.run(
                walk_in_browser(
                    people,
                    server=self.server,
                    observer=self.observer,
                    recognition=self.recognition,
                    pace=self.pace,
                    screenshot=self.screenshot,
                    advance=count,
                    stopped=stop.is_set,
                )
            )
        except* ExperimentError as errors:
            raise errors.exceptions[0] from None
