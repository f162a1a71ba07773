"""What whoever runs the server decides; the study itself holds all else."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from data.exclusion import ExclusionCriteria
from data.files import bytes_hash


def utc_now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """How a study is served.

    Attributes
    ----------
    test_run_allowed : bool
        Whether a session may be started that never counts and takes no slot.
    repeats_allowed : bool
        Whether a person who has finished may take part again; such a session is
        marked as a multi-participation.
    criteria : ExclusionCriteria or None
        A complete session that these exclude frees its slot; None: the study's own.
    max_body_bytes : int
        Longer requests are refused.
    draw_seed : int or None
        Makes what is drawn for a session the same in every run, for rehearsals and
        simulated participants; None draws it from a secret of the session, which no
        participant can compute.
    busy_timeout_s : float
        How long a request waits for a locked database, above 0.
    clock : callable
        Returns the present time in UTC; tests give their own.
    """

    test_run_allowed: bool = False
    repeats_allowed: bool = False
    criteria: ExclusionCriteria | None = None
    max_body_bytes: int = 262_144
    draw_seed: int | None = None
    busy_timeout_s: float = 5.0
    clock: Callable[[], datetime] = field(default=utc_now, repr=False)

    def draw_key(self, number: int = 0) -> str:
        """Return a key for what is drawn for a session.

        Parameters
        ----------
        number : int
            The session's; counts only where there is a ``draw_seed``.
        """
        if self.draw_seed is None:
            return secrets.token_hex(16)
        return bytes_hash(f"{self.draw_seed}/{number}".encode())[:32]
