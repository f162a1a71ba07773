"""Which faults strike whom and when: all drawn from one seed, or read from a log."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

REQUEST_FAULTS: dict[str, float] = {
    "refused": 3,
    "truncated_request": 2,
    "lost_reply": 5,
    "truncated_reply": 2,
    "duplicated": 5,
    "late_duplicate": 4,
    "delayed": 4,
    "slow_reply": 2,
    "bad_gateway": 2,
    "unanswered": 0.5,
    "offline": 1.5,
}
"""What the proxy does to single requests, with how often relative to each other."""

SERVER_FAULTS: dict[str, dict[str, float]] = {
    "sqlite": {
        "worker_killed": 4,
        "worker_killed_at_reply": 4,
        "server_killed": 1.5,
        "database_locked": 2,
        "disk_full": 2,
        "clock_jump": 2,
    },
    "postgresql": {
        "worker_killed": 4,
        "worker_killed_at_reply": 4,
        "server_killed": 1,
        "database_locked": 2,
        "connections_cut": 2,
        "backend_killed": 1,
        "database_restarted": 1,
        "read_only": 1.5,
        "clock_jump": 2,
    },
}
"""What happens to the server and its database."""

MOVES: dict[str, float] = {
    "reload": 6,
    "other_device": 2,
    "second_tab": 4,
    "back": 4,
    "other_answer": 3,
    "skip_ahead": 3,
    "previewer": 2,
    "malformed": 4,
    "foreign": 2,
    "clock_jump": 2,
    "events": 2,
}
"""What people do between steps, besides what the study asks of them."""

PERSONAS: dict[str, float] = {
    "ordinary": 70,
    "fails_practice": 7,
    "fails_comprehension": 4,
    "declines": 4,
    "withdraws": 4,
    "withdraws_and_deletes": 4,
    "leaves": 3,
    "anonymous": 4,
}
"""What kinds of people take part."""

SERVER_FAULT_EVERY = 260


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault.

    Attributes
    ----------
    kind : str
        A key of :data:`REQUEST_FAULTS` or :data:`SERVER_FAULTS`.
    value : float
        In [0, 1]: how long, how far or which, by the fault's own scale.
    """

    kind: str
    value: float


def drawn(weights: Mapping[str, float], rng: np.random.Generator) -> str:
    """Return one key; a greater weight makes it likelier."""
    shares = np.array(list(weights.values()), dtype=float)
    return str(rng.choice(list(weights), p=shares / shares.sum()))


@dataclass(frozen=True)
class Plan:
    """The faults of a run.

    Attributes
    ----------
    rate : float
        Share of requests that a fault strikes, in [0, 1].
    n_requests : int
        How many requests the faults of the server are spread over.
    of_requests : mapping or None
        From (person, request) to a fault, when a log is replayed.
    of_server : mapping
        From how many requests there were to the fault of the server that follows.
    move_share : float
        How often people do something besides taking part, in [0, 1].
    patience_s : float
        After how long without any progress somebody is stuck.
    """

    seed: int
    database: str
    rate: float
    n_requests: int
    of_requests: Mapping[tuple[int, int], Fault] | None = None
    of_server: Mapping[int, Fault] = field(default_factory=dict)
    move_share: float = 0.2
    patience_s: float = 90.0

    def rng(self, *words: int) -> np.random.Generator:
        """Return a generator for one purpose."""
        return np.random.default_rng([self.seed, *words])

    def persona(self, person: int) -> str:
        """Return what kind of person takes part; the first ones are one of each."""
        if person < len(PERSONAS):
            return list(PERSONAS)[person]
        return drawn(PERSONAS, self.rng(1, person))

    def fault(self, person: int, request: int) -> Fault | None:
        """Return what strikes a person's request with this number, from 0."""
        if self.of_requests is not None:
            return self.of_requests.get((person, request))
        rng = self.rng(2, person, request)
        if rng.random() >= self.rate:
            return None
        return Fault(kind=drawn(REQUEST_FAULTS, rng), value=float(rng.random()))


def drawn_plan(
    seed: int,
    database: str,
    *,
    n_people: int,
    rate: float = 0.12,
    server_faults: bool = True,
    move_share: float = 0.2,
    patience_s: float = 90.0,
) -> Plan:
    """Return the plan of a seed for a kind of database, "sqlite" or "postgresql"."""
    n_requests = 45 * n_people
    return Plan(
        seed=seed,
        database=database,
        rate=rate,
        n_requests=n_requests,
        of_server=_server_faults(seed, database, n_requests) if server_faults else {},
        move_share=move_share,
        patience_s=patience_s,
    )


def _server_faults(seed: int, database: str, n_requests: int) -> dict[int, Fault]:
    """Draw the server's faults: every kind comes once before any comes twice."""
    rng = np.random.default_rng([seed, 3])
    weights = SERVER_FAULTS[database]
    n_faults = max(3, n_requests // SERVER_FAULT_EVERY)
    firsts = [str(kind) for kind in rng.permutation(list(weights))]
    kinds = [*firsts, *(drawn(weights, rng) for _ in range(n_faults))][:n_faults]
    places = np.linspace(20, n_requests * 0.9, n_faults).astype(int)
    faults = {
        int(place): Fault(kind=kind, value=float(rng.random()))
        for place, kind in zip(places, kinds, strict=True)
    }
    if n_faults >= len(weights):
        # Once everybody is away for longer than a place is kept.
        faults[int(n_requests * 0.45)] = Fault(kind="day_gap", value=0.0)
    return faults


def logged_plan(path: Path, run: int = 0) -> tuple[Plan, dict[str, Any]]:
    """Return the plan that a log's run followed, and the run's own account of it."""
    logged: dict[str, Any] = json.loads(path.read_text())["runs"][run]
    requests = {
        (int(one["person"]), int(one["request"])): Fault(
            kind=one["kind"], value=one["value"]
        )
        for one in logged["faults"]
    }
    server = {
        int(one["after_requests"]): Fault(kind=one["kind"], value=one["value"])
        for one in logged["server_faults"]
    }
    plan = Plan(
        seed=int(logged["seed"]),
        database=logged["database"],
        rate=0.0,
        n_requests=45 * int(logged["sessions"]),
        of_requests=requests,
        of_server=server,
    )
    return plan, logged
