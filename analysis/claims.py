"""Published numbers, each with ours beside it and a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.correlation import CorrelationResult, correlation
from analysis.his import condition_score, with_proportions
from analysis.noise_ceiling import NoiseCeiling, split_half_ceiling
from data.published import Published, PublishedValue

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One published number and ours.

    Attributes
    ----------
    claim, source, kind : str
        As in :class:`data.published.PublishedValue`.
    expected, tolerance : float
        What the source gives, and how far ours may lie from it.
    ours : float or None
    ci_low, ci_high : float or None
        95% interval of ours; None where the method gives none.
    n_units : int
    """

    claim: str
    source: str
    kind: str
    expected: float
    tolerance: float
    ours: float | None
    ci_low: float | None
    ci_high: float | None
    n_units: int

    @property
    def holds(self) -> bool:
        """Whether ours lies within the tolerance."""
        return self.ours is not None and (
            abs(self.ours - self.expected) <= self.tolerance
        )

    @property
    def verdict(self) -> str:
        """``"reproduced"`` or ``"not reproduced"``."""
        return "reproduced" if self.holds else "not reproduced"


@dataclass(frozen=True, kw_only=True)
class Estimates:
    """All numbers of one explanation method."""

    units: pd.DataFrame
    correlations: dict[str, CorrelationResult]
    ceiling: NoiseCeiling


def estimates(units: pd.DataFrame, *, seed: int) -> Estimates:
    """Estimate from counted answers what claims are about.

    Parameters
    ----------
    units : DataFrame
        One row a unit: 'unit', 'n_correct', 'n_trials', 'mis'. Each answer is by
        another person, so that halves of a unit's answers are halves of its people.
    """
    rngs = [
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)
    ]
    scored = with_proportions(units, level=LEVEL).rename(
        columns={"proportion_correct": "his"}
    )
    correlations = {
        method: correlation(
            scored["mis"], scored["his"], method=method, rng=rng, level=LEVEL
        )
        for method, rng in zip(("pearson", "spearman"), rngs[:2], strict=True)
    }
    ceiling = split_half_ceiling(_answers(units), rng=rngs[2], n_splits=4000)
    return Estimates(units=scored, correlations=correlations, ceiling=ceiling)


def published_claims(published: Published, *, seed: int) -> list[Claim]:
    """Compute every value that comes with a published table of answered units."""
    by_method = {
        str(method): estimates(units, seed=seed)
        for method, units in published.table.groupby("explanation_method")
    }
    return [
        _claim(value, by_method[value.explanation_method], seed)
        for value in published.values
    ]


def _claim(value: PublishedValue, found: Estimates, seed: int) -> Claim:
    ours, low, high = _ours(value.statistic, found, seed)
    return Claim(
        claim=value.claim,
        source=value.source,
        kind=value.kind,
        expected=value.value,
        tolerance=value.tolerance,
        ours=ours,
        ci_low=low,
        ci_high=high,
        n_units=len(found.units),
    )


def _ours(
    statistic: str, found: Estimates, seed: int
) -> tuple[float | None, float | None, float | None]:
    if statistic == "proportion_correct":
        score = condition_score(
            found.units, rng=np.random.default_rng(seed), level=LEVEL
        )
        return score.his, score.ci_low, score.ci_high
    if statistic in found.correlations:
        one = found.correlations[statistic]
        return one.estimate, one.ci_low, one.ci_high
    return getattr(found.ceiling, statistic), None, None


def _answers(units: pd.DataFrame) -> pd.DataFrame:
    """Return counted answers one by one, each of a session of its own."""
    repeated = units.loc[units.index.repeat(units["n_trials"])]
    number = repeated.groupby("unit").cumcount()
    return pd.DataFrame(
        {
            "unit": repeated["unit"],
            "session_id": number.astype(str),
            "correct": number < repeated["n_correct"],
        }
    )


def claims_hold(claims: Sequence[Claim]) -> bool:
    """Return whether every claim is reproduced."""
    return all(claim.holds for claim in claims)
