"""What a check of a study finds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

_SHOWN = 3

FindingKind = Literal["missing", "repeated", "leaking", "unbalanced"]


@dataclass(frozen=True)
class Finding:
    """One thing that would spoil a study's data.

    Attributes
    ----------
    kind : str
        "missing", "repeated", "leaking" or "unbalanced".
    detail : str
        What and where.
    """

    kind: FindingKind
    detail: str


def several(kind: FindingKind, what: str, where: Sequence[str]) -> Iterator[Finding]:
    """Yield one finding for all the places of a kind, or none."""
    if where:
        shown = ", ".join(where[:_SHOWN])
        more = f" and {len(where) - _SHOWN} more" if len(where) > _SHOWN else ""
        yield Finding(kind, f"{what}: {shown}{more}")
