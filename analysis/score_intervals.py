"""How far a condition's score would move with other units, other people, or both."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from analysis.resampling import (
    N_RESAMPLES,
    AnswerCounts,
    bca_interval,
    bca_limits,
    expanded_level,
    unit_score_resamples,
)

FEW = 20
"""With fewer units than this the plain bootstrap is known to be too narrow."""

FEWEST_PARTICIPANTS = 8
"""With fewer even the expanded interval is rough."""

_ROWS_A_BATCH = 2000

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ScoreInterval:
    """An interval of the mean of unit scores.

    Attributes
    ----------
    resample : str
        ``"unit"``, ``"participant"`` or ``"both"``.
    method : str
        In words.
    low, high : float or None
        None where there is none; ``note`` then says why.
    n_units, n_participants : int
    level : float
        Coverage.
    note : str or None
        What limits the interval.
    """

    resample: str
    method: str
    low: float | None
    high: float | None
    n_units: int
    n_participants: int
    level: float
    note: str | None = None


_METHODS = {
    "unit": "BCa bootstrap over units",
    "participant": "BCa bootstrap over participants, expanded for their number",
    "both": "two-way bootstrap over participants and units, scaled to the two-way"
    " variance",
}


def score_interval(
    counts: AnswerCounts,
    *,
    resample: str,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> ScoreInterval:
    """Return the interval of the mean of unit scores over what is drawn again.

    Parameters
    ----------
    resample : str
        ``"unit"``: other units, the same people (as IMI published). ``"participant"``:
        other people, the same units. ``"both"``: other people and other units.

    Notes
    -----
    Drawing both ways at once counts the noise of single answers three times (Owen
    2007, "The pigeonhole bootstrap"). The resamples are therefore scaled about the
    score to the two-way variance V_units + V_participants - V_answers (Cameron,
    Gelbach and Miller 2011), and widened by Student's t for few units or people. The
    interval over participants is expanded likewise (Hesterberg 2015); the one over
    units is left as IMI computed it.
    """
    n_participants, n_units = counts.n_trials.shape
    note = _too_few(resample, n_units, n_participants)
    limits = None
    if note is None:
        limits = _limits(counts, resample, rng, level, n_resamples)
        if limits is None:
            note = "no interval: the scores do not vary"
        else:
            note = _few(resample, n_units, n_participants)
    low, high = limits or (None, None)
    return ScoreInterval(
        resample=resample,
        method=_METHODS[resample],
        low=low,
        high=high,
        n_units=n_units,
        n_participants=n_participants,
        level=level,
        note=note,
    )


def _too_few(resample: str, n_units: int, n_participants: int) -> str | None:
    if resample in {"unit", "both"} and n_units < 2:
        return "no interval over units: there is only one unit"
    if resample in {"participant", "both"} and n_participants < 2:
        return "no interval over participants: there is only one participant"
    return None


def _few(resample: str, n_units: int, n_participants: int) -> str | None:
    if resample == "unit" and n_units < FEW:
        return f"{n_units} units; with fewer than {FEW} the interval is too narrow"
    if resample != "unit" and n_participants < FEWEST_PARTICIPANTS:
        return (
            f"{n_participants} participants; with fewer than {FEWEST_PARTICIPANTS} the"
            " interval is rough"
        )
    return None


def _limits(
    counts: AnswerCounts,
    resample: str,
    rng: np.random.Generator,
    level: float,
    n_resamples: int,
) -> tuple[float, float] | None:
    scores = np.sort(counts.unit_scores)
    if resample == "unit":
        return bca_interval(
            (scores,), np.mean, rng=rng, level=level, n_resamples=n_resamples
        )
    draws = np.concatenate(
        [
            (drawn * weights).sum(axis=1) / weights.sum(axis=1)
            for drawn, weights in unit_score_resamples(
                counts, resample=resample, rng=rng, n_resamples=n_resamples
            )
        ]
    )
    estimate = float(scores.mean())
    if resample == "participant":
        return bca_limits(
            draws,
            estimate,
            _without_each_participant(counts),
            level=expanded_level(level, len(counts.participants)),
        )
    return _two_way_limits(draws, estimate, counts, level)


def _without_each_participant(counts: AnswerCounts) -> Array:
    right = np.asarray(counts.n_correct.sum(axis=0))
    asked = np.asarray(counts.n_trials.sum(axis=0))
    found = []
    for start in range(0, counts.n_trials.shape[0], _ROWS_A_BATCH):
        rows = slice(start, start + _ROWS_A_BATCH)
        n_right = right - counts.n_correct[rows].toarray()
        n_asked = asked - counts.n_trials[rows].toarray()
        met = n_asked > 0
        scores = np.divide(n_right, n_asked, out=np.zeros_like(n_asked), where=met)
        with np.errstate(invalid="ignore"):
            found.append(scores.sum(axis=1) / met.sum(axis=1))
    return np.concatenate(found)


@dataclass(frozen=True, kw_only=True)
class TwoWayVariance:
    """Squared standard errors of the mean of unit scores.

    Attributes
    ----------
    units, participants, answers : float
        Of units with the same people; of people with the same units; of single
        answers alone, which both of the others contain.
    total : float
        With other units and other people.
    df : float
        Degrees of freedom of ``total`` (Satterthwaite).
    """

    units: float
    participants: float
    answers: float
    total: float
    df: float


def two_way_variance(counts: AnswerCounts) -> TwoWayVariance:
    """Return the variance of the mean of unit scores over units and participants.

    Notes
    -----
    Cameron, Gelbach and Miller 2011, with the answers taken from their unit's mean.
    """
    n_participants, n_units = counts.n_trials.shape
    asked = np.asarray(counts.n_trials.sum(axis=0))
    scores = counts.unit_scores
    cells = counts.n_trials.tocoo()
    right = np.asarray(counts.n_correct.tocsr()[cells.row, cells.col]).ravel()
    rest = right - cells.data * scores[cells.col]
    share = rest / (asked[cells.col] * n_units)
    people = np.bincount(cells.col, minlength=n_units)
    # The mean of a unit is taken from the same answers; that makes them look closer.
    inflate = people / np.maximum(people - 1, 1)
    units = float(scores.var(ddof=1)) / n_units
    by_person = np.bincount(cells.row, weights=share, minlength=n_participants)
    participants = float((by_person**2).sum()) * n_participants / (n_participants - 1)
    answers = float((share**2 * inflate[cells.col]).sum())
    beyond = max(participants - answers, 0.0)
    total = units + beyond
    spread = units**2 / (n_units - 1) + beyond**2 / (n_participants - 1)
    return TwoWayVariance(
        units=units,
        participants=participants,
        answers=answers,
        total=total,
        df=total**2 / spread if spread else float(n_units - 1),
    )


def _two_way_limits(
    draws: Array, estimate: float, counts: AnswerCounts, level: float
) -> tuple[float, float] | None:
    variance = two_way_variance(counts)
    spread = float(draws.std(ddof=1)) if np.isfinite(draws).all() else 0.0
    if not spread or not variance.total:
        return None
    ends = np.array([(1 - level) / 2, (1 + level) / 2])
    widen = float(student.ppf(ends[1], variance.df) / norm.ppf(ends[1]))
    scale = math.sqrt(variance.total) * widen / spread
    low, high = estimate + scale * (np.quantile(draws, ends) - draws.mean())
    return max(float(low), 0.0), min(float(high), 1.0)
