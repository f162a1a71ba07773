"""How well any predictor could do, given how noisy the human scores are."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from analysis.resampling import batch_sizes, count_answers

Array = NDArray[np.float64]

FEWEST_UNITS = 4

HALVES = ("by_unit", "by_participant")

_FLAT = 1e-20


@dataclass(frozen=True, kw_only=True)
class NoiseCeiling:
    """Reliability of the scores, and the correlation a perfect predictor reaches.

    Attributes
    ----------
    half_correlation : float or None
        Mean Pearson correlation of the scores from two halves of the people.
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
        Units with answers from a single participant, which can't be halved.
    note : str or None
        What limits the result.
    halves : str
        ``"by_unit"`` or ``"by_participant"``.
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
    halves: str = "by_unit"


def split_half_ceiling(
    responses: pd.DataFrame,
    *,
    n_splits: int = 2000,
    halves: str = "by_unit",
    rng: np.random.Generator,
) -> NoiseCeiling:
    """Estimate the ceiling from random halves of the participants.

    Parameters
    ----------
    responses : DataFrame
        One row a main trial that counts: 'unit', 'session_id', 'correct', and
        'participant_id' where participants have names. Units may have different
        numbers of trials. All answers of a participant to a unit stay together; where
        the number of participants is odd, chance says which half gets the extra one.
    halves : str
        ``"by_unit"`` halves each unit's participants by itself, which suits crowds
        where everyone meets some of the units. ``"by_participant"`` halves all
        participants once for all units, which suits few people who met every unit.

    Notes
    -----
    The mean half-half correlation r is stepped up to full length by Spearman–Brown,
    2r / (1 + r), which estimates the reliability. The true score correlates with the
    measured one by the root of that. With halves by participant, what a person is
    better at than others counts for all units at once, and thus not as noise.
    """
    if halves not in HALVES:
        raise ValueError(f"'halves' is {halves!r}; it must be one of {HALVES}.")
    counts = count_answers(responses)
    several = np.bincount(counts.n_trials.indices, minlength=len(counts.units)) >= 2
    n_units, left_out = int(several.sum()), int((~several).sum())
    note = None
    correlations: Array = np.empty(0)
    if n_units < FEWEST_UNITS:
        note = (
            f"split halves need at least {FEWEST_UNITS} units that two sessions"
            f" answered; there are {n_units}"
        )
    else:
        split = _by_unit if halves == "by_unit" else _by_participant
        right, asked = counts.n_correct[:, several], counts.n_trials[:, several]
        found = np.concatenate(
            [
                split(csr_array(right), csr_array(asked), size, rng)
                for size in batch_sizes(n_splits, max(asked.shape))
            ]
        )
        correlations = found[np.isfinite(found)]
        if len(correlations) < n_splits:
            note = (
                f"in {n_splits - len(correlations)} of {n_splits} splits all units of a"
                " half had the same score; those splits are left out"
            )
    return _ceiling(correlations, n_units, n_splits, left_out, note, halves)


def disattenuated(estimate: float | None, ceiling: NoiseCeiling) -> float | None:
    """Return a correlation as if HIS had no noise: ``estimate / ceiling``.

    MIS is taken as free of noise. Above 1 where both estimates are uncertain; it
    stands beside the raw correlation, never in its place.
    """
    if estimate is None or not ceiling.correlation:
        return None
    return estimate / ceiling.correlation


def _by_unit(
    right: csr_array, asked: csr_array, n_splits: int, rng: np.random.Generator
) -> Array:
    """Correlate halves that are drawn for each unit, by how many of each kind.

    Participants with as many answers to a unit, as many of them right, are alike; how
    many of them fall in a half is hypergeometric, which is drawn at once.
    """
    cells = asked.tocoo()
    n_right = np.asarray(right.tocsr()[cells.row, cells.col]).ravel()
    alike, which = np.unique(
        np.column_stack([cells.data, n_right]), axis=0, return_inverse=True
    )
    n_alike = np.zeros((len(alike), asked.shape[1]), dtype="int64")
    np.add.at(n_alike, (which, cells.col), 1)
    n_people = n_alike.sum(axis=0)
    shape = (n_splits, len(n_people))
    open_places = (n_people + rng.integers(0, 2, shape)) // 2
    n_left = n_people.copy()
    first = np.zeros((2, *shape))
    for (n_asked, n_correct), n_here in zip(alike, n_alike, strict=True):
        drawn = rng.hypergeometric(n_here, n_left - n_here, open_places)
        first += np.array([n_correct, n_asked])[:, None, None] * drawn
        n_left = n_left - n_here
        open_places = open_places - drawn
    return _correlate_halves(first[0], first[1], right, asked)


def _by_participant(
    right: csr_array, asked: csr_array, n_splits: int, rng: np.random.Generator
) -> Array:
    n_participants = asked.shape[0]
    place = rng.random((n_splits, n_participants)).argsort(axis=1).argsort(axis=1)
    size = (n_participants + rng.integers(0, 2, (n_splits, 1))) // 2
    first = (place < size).astype("float64").T
    return _correlate_halves((right.T @ first).T, (asked.T @ first).T, right, asked)


def _correlate_halves(
    first_right: Array, first_asked: Array, right: csr_array, asked: csr_array
) -> Array:
    """Correlate over the units that both halves met; NaN where a half is constant."""
    second_right = np.asarray(right.sum(axis=0)) - first_right
    second_asked = np.asarray(asked.sum(axis=0)) - first_asked
    met = (first_asked > 0) & (second_asked > 0)
    n_met = met.sum(axis=1, keepdims=True)
    rest = []
    with np.errstate(all="ignore"):
        for n_right, n_asked in (
            (first_right, first_asked),
            (second_right, second_asked),
        ):
            scores = np.where(met, n_right / n_asked, 0.0)
            rest.append(
                np.where(met, scores - scores.sum(axis=1, keepdims=True) / n_met, 0.0)
            )
        x, y = rest
        spread = (x**2).sum(axis=1) * (y**2).sum(axis=1)
        # What rounding leaves of a half without spread is no spread.
        flat = ((x**2).sum(axis=1) < _FLAT) | ((y**2).sum(axis=1) < _FLAT)
        return np.where(flat, np.nan, (x * y).sum(axis=1) / np.sqrt(spread))


def _ceiling(
    halves: Array,
    n_units: int,
    n_splits: int,
    left_out: int,
    note: str | None,
    how: str,
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
        n_left_out=left_out,
        note=note,
        halves=how,
    )


@dataclass(frozen=True, kw_only=True)
class BernoulliCeiling:
    """The ceiling of the MIS paper, and what it leaves out.

    Attributes
    ----------
    correlation : float or None
        Mean Pearson correlation of HIS with simulated HIS: the published procedure.
    sd : float or None
        Between simulated data sets, the paper's shade.
    low, high : float or None
        Where the middle 95% of the simulated data sets lie; not an interval over units.
    corrected : float or None
        The ceiling with the noise of HIS itself taken out; None where HIS varies no
        more than its noise does.
    n_units, n_simulated : int
    max_trials : int or None
        Most answers simulated for a unit.
    note : str or None
        What limits the result.
    """

    correlation: float | None
    sd: float | None
    low: float | None
    high: float | None
    corrected: float | None
    n_units: int
    n_simulated: int
    max_trials: int | None
    note: str | None = None


def bernoulli_ceiling(
    units: pd.DataFrame,
    *,
    rng: np.random.Generator,
    n_simulated: int = 1000,
    max_trials: int | None = 30,
) -> BernoulliCeiling:
    """Simulate answers from each unit's HIS and correlate their HIS with it.

    Parameters
    ----------
    units : DataFrame
        One row a unit: 'n_correct', 'n_trials'.
    max_trials : int or None
        At most so many answers are simulated for a unit; None for as many as it has.

    Notes
    -----
    Zimmermann et al. 2024, appendix C. The measured HIS stands for the true one there,
    although it holds noise of its own, which makes units look more different than they
    are and the ceiling higher than it is: more so, the fewer answers. ``corrected`` is
    the root of 1 - noise / variance of HIS, with p (1 - p) / (n - 1) for the noise.
    """
    n_right = units["n_correct"].to_numpy(dtype="float64")
    n_asked = units["n_trials"].to_numpy(dtype="int64")
    his = n_right / n_asked
    note = None
    if len(his) < FEWEST_UNITS:
        note = f"a ceiling needs at least {FEWEST_UNITS} units; there are {len(his)}"
    elif np.ptp(his) == 0:
        note = "all units have the same score, so no ceiling can be told"
    if note is not None:
        return BernoulliCeiling(
            correlation=None,
            sd=None,
            low=None,
            high=None,
            corrected=None,
            n_units=len(his),
            n_simulated=0,
            max_trials=max_trials,
            note=note,
        )
    n_drawn = n_asked if max_trials is None else np.minimum(n_asked, max_trials)
    found = np.concatenate(
        [
            _correlate_rows(rng.binomial(n_drawn, his, (size, len(his))) / n_drawn, his)
            for size in batch_sizes(n_simulated, len(his))
        ]
    )
    defined = found[np.isfinite(found)]
    if len(defined) < n_simulated:
        n_lost = n_simulated - len(defined)
        note = f"{n_lost} of {n_simulated} simulated data sets had no spread"
    low, high = np.quantile(defined, [0.025, 0.975]) if len(defined) else (None, None)
    several = n_asked > 1
    reliability = score_reliability(his[several], n_asked[several])
    return BernoulliCeiling(
        correlation=float(defined.mean()) if len(defined) else None,
        sd=float(defined.std(ddof=1)) if len(defined) > 1 else None,
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        corrected=math.sqrt(reliability) if reliability else None,
        n_units=len(his),
        n_simulated=n_simulated,
        max_trials=max_trials,
        note=note,
    )


def score_reliability(his: Array, n_trials: NDArray[np.int64]) -> float | None:
    """Return the share of the variance of HIS that is not noise of single answers.

    Parameters
    ----------
    his, n_trials : (n_units,) arrays
        At least two answers for each unit.

    Returns
    -------
    float or None
        In (0, 1]; None where there are too few units or no more variance than noise.
    """
    if len(his) < FEWEST_UNITS or np.ptp(his) == 0:
        return None
    noise = float((his * (1 - his) / (n_trials - 1)).mean())
    share = 1 - noise / float(his.var(ddof=1))
    return share if share > 0 else None


def _correlate_rows(rows: Array, with_: Array) -> Array:
    x = rows - rows.mean(axis=1, keepdims=True)
    y = with_ - with_.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x @ y) / np.sqrt((x**2).sum(axis=1) * (y**2).sum())
