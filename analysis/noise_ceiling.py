"""How well any predictor could do, given how noisy the human scores are."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FEWEST_UNITS = 4


@dataclass(frozen=True, kw_only=True)
class NoiseCeiling:
    """Reliability of the scores, and the correlation a perfect predictor reaches.

    Attributes
    ----------
    half_correlation : float or None
        Mean Pearson correlation of the scores from two halves of the sessions.
    half_low, half_high : float or None
        Where the middle 95% of the splits lie; not an interval over units.
    reliability : float or None
        ``half_correlation`` stepped up to full length by Spearman–Brown; None where
        the halves do not agree at all.
    correlation : float or None
        The ceiling, in (0, 1]; None likewise.
    n_units, n_splits : int
        Units and random splits that took part.
    n_left_out : int
        Units with answers from a single session, which can't be halved.
    note : str or None
        What limits the result.
    """

    half_correlation: float | None
    half_low: float | None
    half_high: float | None
    reliability: float | None
    correlation: float | None
    n_units: int
    n_splits: int
    n_left_out: int
    note: str | None = None


def split_half_ceiling(
    responses: pd.DataFrame, *, n_splits: int = 2000, rng: np.random.Generator
) -> NoiseCeiling:
    """Estimate the ceiling from random halves of each unit's sessions.

    Parameters
    ----------
    responses : DataFrame
        One row a main trial that counts: 'unit', 'session_id', 'correct'. Units may
        have different numbers of trials. All answers of a session to a unit stay
        together; where the number of sessions is odd, chance says which half gets
        the extra one.

    Notes
    -----
    The mean half-half correlation r is stepped up to full length by Spearman–Brown,
    2r / (1 + r), which estimates the reliability. The true score correlates with the
    measured one by the root of that.
    """
    counts = responses.groupby(["unit", "session_id"], sort=True, as_index=False).agg(
        n_correct=("correct", "sum"), n_trials=("correct", "size")
    )
    n_sessions = counts.groupby("unit")["session_id"].transform("size")
    left_out = counts.loc[n_sessions < 2, "unit"].nunique()
    counts = counts[n_sessions >= 2]
    unit = pd.factorize(counts["unit"])[0]
    n_units = int(unit.max()) + 1 if len(unit) else 0
    note = None
    halves: NDArray[np.float64] = np.empty(0)
    if n_units < FEWEST_UNITS:
        note = (
            f"split halves need at least {FEWEST_UNITS} units that two sessions"
            f" answered; there are {n_units}"
        )
    else:
        halves = _half_correlations(
            unit,
            counts["n_correct"].to_numpy(dtype="float64"),
            counts["n_trials"].to_numpy(dtype="float64"),
            n_splits,
            rng,
        )
        if len(halves) < n_splits:
            note = (
                f"in {n_splits - len(halves)} of {n_splits} splits all units of a half"
                " had the same score; those splits are left out"
            )
    return _ceiling(halves, n_units, n_splits, left_out, note)


def disattenuated(estimate: float | None, ceiling: NoiseCeiling) -> float | None:
    """Return a correlation as if HIS had no noise: ``estimate / ceiling``.

    MIS is taken as free of noise. Above 1 where both estimates are uncertain; it
    stands beside the raw correlation, never in its place.
    """
    if estimate is None or not ceiling.correlation:
        return None
    return estimate / ceiling.correlation


def _half_correlations(
    unit: NDArray[np.intp],
    n_correct: NDArray[np.float64],
    n_trials: NDArray[np.float64],
    n_splits: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    n_sessions = np.bincount(unit)
    first_row = np.cumsum(n_sessions) - n_sessions
    found = []
    for _ in range(n_splits):
        order = np.lexsort((rng.random(len(unit)), unit))
        size = (n_sessions + rng.integers(0, 2, len(n_sessions))) // 2
        # Rows are sorted by unit, so 'order' permutes within each unit's block.
        in_first = np.arange(len(unit)) - first_row[unit] < size[unit]
        scores = []
        for half in (order[in_first], order[~in_first]):
            right = np.bincount(unit[half], weights=n_correct[half])
            asked = np.bincount(unit[half], weights=n_trials[half])
            scores.append(right / asked)
        if np.ptp(scores[0]) > 0 and np.ptp(scores[1]) > 0:
            found.append(np.corrcoef(scores[0], scores[1]).flat[1])
    return np.array(found, dtype="float64")


def _ceiling(
    halves: NDArray[np.float64],
    n_units: int,
    n_splits: int,
    left_out: int,
    note: str | None,
) -> NoiseCeiling:
    half = reliability = ceiling = low = high = None
    if len(halves):
        half = float(halves.mean())
        low, high = map(float, np.quantile(halves, [0.025, 0.975]))
        if half > 0:
            reliability = 2 * half / (1 + half)
            ceiling = math.sqrt(reliability)
        else:
            note = "the halves do not agree, so no ceiling can be told"
    return NoiseCeiling(
        half_correlation=half,
        half_low=low,
        half_high=high,
        reliability=reliability,
        correlation=ceiling,
        n_units=n_units,
        n_splits=n_splits,
        n_left_out=int(left_out),
        note=note,
    )
