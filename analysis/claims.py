"""Published numbers, each with ours beside it and a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.claim_values import STATISTICS, Found
from analysis.evidence import Evidence
from data.published import DATA_WORDS, PublishedValue

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One published number and ours.

    Attributes
    ----------
    claim, study, source, kind : str
        As in :class:`data.published.PublishedValue`.
    published, tolerance : float
        What the source gives, and how far ours may lie from it.
    ours : float or None
        None where data are missing, or too few to tell.
    ci_low, ci_high : float or None
        95% interval of ours; None where the method gives none.
    basis : str
        What ours is computed from, with its n, or why there is none.
    needs : str or None
        The data that it takes and that were not given.
    """

    claim: str
    study: str
    source: str
    kind: str
    published: float
    tolerance: float
    ours: float | None
    ci_low: float | None
    ci_high: float | None
    basis: str
    needs: str | None = None

    @property
    def checkable(self) -> bool:
        """Whether the data that it takes were given."""
        return self.needs is None

    @property
    def holds(self) -> bool:
        """Whether ours lies within the tolerance."""
        # A tolerance of 0 is for counts; others are decimals, whose last bit is not.
        return self.ours is not None and (
            abs(self.ours - self.published) <= self.tolerance + 1e-12
        )

    @property
    def verdict(self) -> str:
        """``"reproduced"``, ``"not reproduced"`` or ``"needs data: …"``."""
        if self.needs is not None:
            return f"needs data: {self.needs}"
        return REPRODUCED if self.holds else NOT_REPRODUCED


def published_claims(
    values: Sequence[PublishedValue], evidence: Evidence, *, seed: int
) -> list[Claim]:
    """Compute every published value for which there are data.

    Parameters
    ----------
    evidence : Evidence
        The data at hand; what a claim lacks is named in its verdict.
    """
    at_hand = evidence.names
    return [_claim(value, evidence, at_hand, seed) for value in values]


def _claim(
    value: PublishedValue, evidence: Evidence, at_hand: frozenset[str], seed: int
) -> Claim:
    missing = [name for name in value.data if name not in at_hand]
    found = Found(value=None, basis="")
    if not missing:
        found = STATISTICS[value.statistic](evidence, value.where, seed)
    return Claim(
        claim=value.claim,
        study=value.study,
        source=value.source,
        kind=value.kind,
        published=value.value,
        tolerance=value.tolerance,
        ours=found.value,
        ci_low=found.low,
        ci_high=found.high,
        basis=found.basis,
        needs=_needs(missing, found),
    )


def _needs(missing: Sequence[str], found: Found) -> str | None:
    if missing:
        return " and ".join(DATA_WORDS[name] for name in missing)
    # The data are there, but not what this claim is about.
    return found.basis if found.value is None else None


def claims_hold(claims: Sequence[Claim]) -> bool:
    """Return whether every claim that could be checked is reproduced."""
    return all(claim.holds for claim in claims if claim.checkable)
