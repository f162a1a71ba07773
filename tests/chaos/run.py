"""One run of chaos: a server, its faults, the people, and what was found."""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from data.studies import Study, read_study
from tests.chaos.invariants import Evidence, Violation, violations
from tests.chaos.journal import Journal
from tests.chaos.people import Person
from tests.chaos.plan import Plan
from tests.chaos.proxy import Proxy
from tests.chaos.server import Server, Striker
from tests.chaos.witness import Witness
from tests.experiment_server.toy_study import TEXTS, make_toy_study

SLOTS_SHARE = 0.85
"""Slots for each person: fewer than people, so that freed ones are needed."""

QUESTIONS = [
    {"question": "How many images stand in the centre?", "options": ["One", "Two"]},
    {"question": "Which side is asked about?", "options": ["Right", "Left"]},
]
RIGHT_OPTIONS = (1, 0)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run did and found."""

    database: str
    seed: int
    sessions: int
    browsers: int
    at_once: int
    duration_s: float
    journal: Journal
    found: list[Violation]
    n_answers: int
    n_server_starts: int
    server_log: str

    @property
    def summary(self) -> dict[str, Any]:
        """The run as it goes into the log."""
        journal = self.journal
        return {
            "database": self.database,
            "seed": self.seed,
            "sessions": self.sessions,
            "browsers": self.browsers,
            "at_once": self.at_once,
            "duration_s": round(self.duration_s, 1),
            "requests": len(journal.exchanges),
            "answers_stored": self.n_answers,
            "retries": journal.n_retries,
            "server_starts": self.n_server_starts,
            "replies_by_code": dict(
                sorted(
                    Counter(
                        str((one.reply or {}).get("error") or one.status)
                        for one in journal.exchanges
                    ).items()
                )
            ),
            "faults_by_kind": _counted(journal.struck, "kind"),
            "server_faults_by_kind": _counted(journal.server_struck, "kind"),
            "moves_by_kind": dict(sorted(journal.moves.items())),
            "ends": dict(sorted(Counter(journal.ends.values()).items())),
            "violations": [asdict(one) for one in self.found],
            "server_faults": journal.server_struck,
            "faults": journal.struck,
        }


def _counted(rows: list[dict[str, Any]], name: str) -> dict[str, int]:
    return dict(sorted(Counter(row[name] for row in rows).items()))


def run_chaos(
    plan: Plan,
    url: str,
    *,
    n_people: int,
    n_browsers: int = 0,
    at_once: int = 24,
    slots_share: float = SLOTS_SHARE,
    bug: str | None = None,
    restart_database: Callable[[], None] | None = None,
) -> Outcome:
    """Let people take part while things break; returns what was found."""
    started = time.monotonic()
    n_slots = max(2, round(slots_share * (n_people + n_browsers)))
    with _workplace(plan, n_slots) as (folder, study):
        server = Server(
            folder, study.folder, url, bug=bug, restart_database=restart_database
        )
        server.start()
        try:
            witness = Witness(study, url)
            witness.keep_log()
            journal, people = asyncio.run(
                _take_part(plan, server, witness, n_people, n_browsers, at_once)
            )
        finally:
            server.stop()
        evidence = Evidence(study, journal, witness.holdings(), people)
        return Outcome(
            database=plan.database,
            seed=plan.seed,
            sessions=n_people,
            browsers=n_browsers,
            at_once=at_once,
            duration_s=time.monotonic() - started,
            journal=journal,
            found=violations(evidence),
            n_answers=len(evidence.holdings.answers),
            n_server_starts=server.n_starts,
            server_log=server.log,
        )


@contextmanager
def _workplace(plan: Plan, n_slots: int) -> Iterator[tuple[Path, Study]]:
    with tempfile.TemporaryDirectory(prefix="unitscope-chaos-") as name:
        folder = Path(name)
        study = make_toy_study(
            folder / "study",
            seed=plan.seed,
            n_slots=n_slots,
            texts=TEXTS | {"comprehension": QUESTIONS},
            comprehension=RIGHT_OPTIONS,
        )
        yield folder, read_study(study)


async def _take_part(
    plan: Plan,
    server: Server,
    witness: Witness,
    n_people: int,
    n_browsers: int,
    at_once: int,
) -> tuple[Journal, dict[int, str]]:
    journal = Journal()
    striker = Striker(plan, server, journal)
    proxy = Proxy(plan, journal, lambda: server.address, striker.before, witness)
    address = await proxy.start()
    limits = httpx.Limits(max_connections=4 * at_once, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=address, limits=limits) as http:
        people = [
            Person(number, plan, http, witness, journal) for number in range(n_people)
        ]
        places = asyncio.Semaphore(at_once)

        async def one(person: Person) -> None:
            async with places:
                await person.take_part()

        work = asyncio.gather(*(one(person) for person in people))
        kinds = {person.number: person.persona for person in people}
        if n_browsers:
            from tests.chaos.visitors import visit

            numbers = range(n_people, n_people + n_browsers)
            kinds |= await visit(plan, address, witness, journal, numbers)
        await work
        await striker.settle()
        await proxy.settle()
        for person in people:
            await person.finish()
    await proxy.stop()
    return journal, kinds
