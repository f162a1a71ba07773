"""What whoever runs the server decides; the study itself holds all else."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from data.exclusion import IMI, ExclusionCriteria


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
    criteria : ExclusionCriteria
        A complete session that these exclude frees its slot.
    max_body_bytes : int
        Longer requests are refused.
    busy_timeout_s : float
        How long a request waits for a locked database, above 0.
    clock : callable
        Returns the present time in UTC; tests give their own.
    """

    test_run_allowed: bool = False
    repeats_allowed: bool = False
    criteria: ExclusionCriteria = IMI
    max_body_bytes: int = 262_144
    busy_timeout_s: float = 5.0
    clock: Callable[[], datetime] = field(default=utc_now, repr=False)
