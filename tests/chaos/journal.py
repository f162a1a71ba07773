"""What went between clients and server, and what people meant: a run's evidence."""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any


@dataclass
class Exchange:
    """One request that reached the server, with the server's reply.

    Attributes
    ----------
    number : int
        In the order in which requests were sent on.
    started, ended : float
        Seconds of the run at which it was sent on and its reply was complete.
    status : int or None
        None where no whole reply came.
    told : bool
        Whether the client was sent the whole reply.
    found : list of str
        Which invariant the database said at that moment is broken, and how.
    n_freed : int or None
        How often a session without a slot was stored before the request.
    """

    number: int
    person: int
    method: str
    path: str
    token: str | None
    body: dict[str, Any] | None
    started: float
    ended: float = 0.0
    status: int | None = None
    reply: dict[str, Any] | None = None
    told: bool = False
    is_json: bool = False
    found: list[tuple[str, str]] = field(default_factory=list)
    n_freed: int | None = None

    @property
    def state(self) -> dict[str, Any] | None:
        """The session's state that the reply carries."""
        if self.reply is None:
            return None
        state = self.reply if "screen" in self.reply else self.reply.get("state")
        return state if isinstance(state, dict) else None

    @property
    def accepted(self) -> bool:
        """Whether the server said that it did what was asked."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True)
class Intent:
    """An answer that a person really gave."""

    person: int
    sequence: int
    row: str
    confidence: int


@dataclass
class Journal:
    """Everything that was seen from outside during a run."""

    exchanges: list[Exchange] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    struck: list[dict[str, Any]] = field(default_factory=list)
    server_struck: list[dict[str, Any]] = field(default_factory=list)
    moves: dict[str, int] = field(default_factory=dict)
    ends: dict[int, str] = field(default_factory=dict)
    n_retries: int = 0

    def note_move(self, kind: str) -> None:
        """Count what a person did besides taking part."""
        self.moves[kind] = self.moves.get(kind, 0) + 1


def token_hash(token: str) -> str:
    """Return what the database keeps of a token."""
    return sha256(token.encode()).hexdigest()


def parsed(body: bytes) -> dict[str, Any] | None:
    """Return a JSON object, or None where the bytes are none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
