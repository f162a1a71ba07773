"""Many sessions at once, over HTTP and in browsers, until all are done."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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

MOST_AT_ONCE = 64
"""People who hold a place at the same time; the others wait until these are done."""


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
    finished : mapping of str to int
        Sessions that a person ended in an earlier run, by name.
    """

    server: str
    observer: Observer
    recognition: Recognition
    n_threads: int = 4
    pace: Pace = HUMAN
    screenshot: Path | None = None
    finished: Mapping[str, int] = field(default_factory=dict)

    def run(
        self,
        over_http: Sequence[Person],
        in_browser: Sequence[Person],
        advance: Callable[[], None] = lambda: None,
    ) -> Tally:
        """Let everybody take part.

        Places are taken one by one in the given order before anybody answers, and
        second sessions come when all first ones are over: so the same people get the
        same trials, whoever is faster.

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

        waiting = [*in_browser, *over_http]
        browsing = {person.name for person in in_browser}
        with httpx.Client(base_url=self.server, trust_env=False) as client:
            while waiting:
                joined = self._joined(client, waiting[:MOST_AT_ONCE], browsing, stop)
                if not joined:
                    break
                waiting = waiting[len(joined) :]
                self._walk_all(joined, browsing, count, stop)
                self._again(joined, tally)
        for _ in waiting:
            count(Outcome("study_full", 0))
        return tally

    def _joined(
        self,
        client: httpx.Client,
        people: Sequence[Person],
        browsing: set[str],
        stop: threading.Event,
    ) -> list[HttpWalk]:
        """Take a place for each person in turn, as long as there are any."""
        walks = []
        for person in people:
            walk = HttpWalk(
                client, person, self.observer, self.recognition, stopped=stop.is_set
            )
            try:
                walk.join(
                    part=self.finished.get(person.name, 0) + 1,
                    has_window=person.name not in browsing,
                )
            except StudyFullError:
                break
            walks.append(walk)
        return walks

    def _walk_all(
        self,
        joined: Sequence[HttpWalk],
        browsing: set[str],
        count: Callable[[Outcome], None],
        stop: threading.Event,
    ) -> None:
        in_browser = [walk.person for walk in joined if walk.person.name in browsing]
        over_http = [walk for walk in joined if walk.person.name not in browsing]
        pool = ThreadPoolExecutor(self.n_threads + 1)
        try:
            jobs: list[Future[None]] = []
            if in_browser:
                # The page goes on with the session that has the place.
                jobs.append(pool.submit(self._browse, in_browser, count, stop))
            jobs += [
                pool.submit(lambda one: count(one.run()), one) for one in over_http
            ]
            done, _ = wait(jobs, return_when=FIRST_EXCEPTION)
            for job in done:
                job.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
            stop.clear()

    def _again(self, joined: Sequence[HttpWalk], tally: Tally) -> None:
        for walk in joined:
            if walk.person.careless != "takes_part_twice" or walk.part == 2:
                continue
            try:
                if walk.join(part=2):
                    tally.add(walk.run())
            except StudyFullError:
                tally.add(Outcome("study_full", 0))

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
