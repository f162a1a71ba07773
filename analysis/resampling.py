"""Intervals by bootstrap, from a generator that the caller gives."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.stats import DegenerateDataWarning, bootstrap, norm
from scipy.stats import t as student

Array = NDArray[np.float64]

N_RESAMPLES = 9999

RESAMPLE = ("unit", "participant", "both")
"""Over what a bootstrap draws."""

_COUNTED_AT_ONCE = 60_000

_CELLS_A_BATCH = 2_000_000
"""Numbers held at a time for each of the arrays of a batch (16 MB)."""


def bca_interval(
    samples: Sequence[Array],
    statistic: Callable[..., Array],
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    paired: bool = False,
    n_resamples: int = N_RESAMPLES,
) -> tuple[float, float] | None:
    """Return the bias-corrected and accelerated bootstrap interval of a statistic.

    Parameters
    ----------
    samples : sequence of (n,) float arrays
        One sample, several independent ones, or ``paired`` ones of equal length.
    statistic : callable
        Takes the samples and ``axis``, and reduces that axis.
    level : float
        Coverage, in (0, 1).

    Returns
    -------
    (low, high) or None
        None where there is none: fewer than two values, values that are all the
        same, or resamples for which the statistic is not defined.

    Notes
    -----
    Efron 1987, by :func:`scipy.stats.bootstrap`, whose method for IMI's intervals
    this is.
    """
    if min(len(sample) for sample in samples) < 2:
        return None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", DegenerateDataWarning)
        found = bootstrap(
            tuple(samples),
            statistic,
            paired=paired,
            vectorized=True,
            axis=-1,
            confidence_level=level,
            n_resamples=n_resamples,
            batch=1000,
            method="BCa",
            rng=rng,
        ).confidence_interval
    low, high = float(found.low), float(found.high)
    return (low, high) if np.isfinite(low) and np.isfinite(high) else None


def bca_limits(
    draws: ArrayLike, estimate: float, jackknife: ArrayLike, *, level: float = 0.95
) -> tuple[float, float] | None:
    """Return the BCa interval from resamples that were drawn already.

    Parameters
    ----------
    draws : (n_resamples,) float array
        The statistic of each resample.
    estimate : float
        The statistic of the data.
    jackknife : (n,) float array
        The statistic with one participant, or one unit, left out at a time.

    Returns
    -------
    (low, high) or None
        None where the statistic does not vary or is not defined in some resample.

    Notes
    -----
    Efron 1987. For statistics whose resamples are computed faster all at once than
    :func:`scipy.stats.bootstrap` can; with its resamples it gives its interval.
    """
    drawn, left_out = np.asarray(draws, "float64"), np.asarray(jackknife, "float64")
    if len(left_out) < 2 or not (np.isfinite(drawn).all() and len(drawn)):
        return None
    if not np.isfinite(left_out).all() or np.ptp(left_out) == 0 or np.ptp(drawn) == 0:
        return None
    below = ((drawn < estimate).mean() + (drawn <= estimate).mean()) / 2
    pull = left_out.mean() - left_out
    acceleration = (pull**3).sum() / (6 * (pull**2).sum() ** 1.5)
    bias = norm.ppf(below)
    z = bias + norm.ppf([(1 - level) / 2, (1 + level) / 2])
    with np.errstate(all="ignore"):
        shares = norm.cdf(bias + z / (1 - acceleration * z))
    if not np.isfinite(shares).all():
        return None
    low, high = np.quantile(drawn, shares)
    return float(low), float(high)


def expanded_level(level: float, n: int) -> float:
    """Return the level at which a percentile bootstrap of ``n`` covers ``level``.

    Notes
    -----
    Hesterberg 2015, "What teachers should know about the bootstrap", 4.3: the
    bootstrap divides by n where it should by n - 1, and takes the normal's ends where
    it should take Student's.
    """
    end = math.sqrt(n / (n - 1)) * float(student.ppf((1 + level) / 2, n - 1))
    return float(2 * norm.cdf(end) - 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class AnswerCounts:
    """How often each participant met each unit, and was right.

    Attributes
    ----------
    participants, units : (n_participants,) and (n_units,) arrays
        Sorted names.
    n_correct, n_trials : (n_participants, n_units) sparse arrays
    """

    participants: NDArray[np.object_]
    units: NDArray[np.object_]
    n_correct: csr_array = field(repr=False)
    n_trials: csr_array = field(repr=False)

    @property
    def unit_scores(self) -> Array:
        """Proportion correct of each unit, shape (n_units,)."""
        return np.asarray(self.n_correct.sum(axis=0) / self.n_trials.sum(axis=0))


def participant_of(responses: pd.DataFrame) -> pd.Series:
    """Return who gave each answer: the participant, or the session where none is named.

    IMI's first release names no participants; a session there stands for one.
    """
    if "participant_id" not in responses:
        return responses["session_id"].astype(str)
    named = responses["participant_id"]
    return named.where(named.notna(), responses["session_id"]).astype(str)


def count_answers(responses: pd.DataFrame, item: str = "unit") -> AnswerCounts:
    """Count main trials that count by participant and unit.

    Parameters
    ----------
    responses : DataFrame
        'unit' (or the column that ``item`` names), 'session_id', 'correct', and
        'participant_id' where participants have names.
    """
    row, participants = pd.factorize(participant_of(responses), sort=True)
    column, units = pd.factorize(responses[item], sort=True)
    correct = responses["correct"].to_numpy(dtype="float64")
    shape = (len(participants), len(units))
    return AnswerCounts(
        participants=np.asarray(participants, dtype=object),
        units=np.asarray(units, dtype=object),
        n_correct=csr_array((correct, (row, column)), shape=shape),
        n_trials=csr_array((np.ones(len(row)), (row, column)), shape=shape),
    )


def draw_weights(n: int, n_resamples: int, rng: np.random.Generator) -> Array:
    """Draw how often each of ``n`` takes part, shape (n_resamples, n)."""
    drawn = rng.integers(0, n, (n_resamples, n))
    # Counted in pieces that a processor's cache holds.
    size = max(1, _COUNTED_AT_ONCE // max(n, 1))
    shift = n * np.arange(size)[:, None]
    found = np.empty((n_resamples, n))
    for start in range(0, n_resamples, size):
        part = drawn[start : start + size]
        counts = np.bincount((part + shift[: len(part)]).ravel(), minlength=part.size)
        found[start : start + size] = counts.reshape(part.shape)
    return found


def unit_score_resamples(
    counts: AnswerCounts,
    *,
    resample: str,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> Iterator[tuple[Array, Array]]:
    """Draw participants, units or both again, and score all units each time.

    Yields
    ------
    scores, weights : (n_batch, n_units) float arrays
        Proportion correct of every unit, and how often the unit was drawn: 0 also
        where nobody who was drawn met it (its score is then 0).

    Notes
    -----
    Drawing both is Owen's (2007) pigeonhole bootstrap: an answer counts as often as
    its participant was drawn times as often as its unit was.
    """
    if resample not in RESAMPLE:
        raise ValueError(f"'resample' is {resample!r}; it must be one of {RESAMPLE}.")
    n_participants, n_units = counts.n_trials.shape
    right, asked = counts.n_correct.T.tocsr(), counts.n_trials.T.tocsr()
    for size in batch_sizes(n_resamples, max(n_units, n_participants)):
        if resample == "unit":
            yield (
                np.broadcast_to(counts.unit_scores, (size, n_units)),
                draw_weights(n_units, size, rng),
            )
            continue
        people = draw_weights(n_participants, size, rng).T
        n_asked = np.asarray(asked @ people).T
        met = n_asked > 0
        scores = np.divide(
            np.asarray(right @ people).T, n_asked, out=np.zeros_like(n_asked), where=met
        )
        weights = met.astype("float64")
        if resample == "both":
            weights *= draw_weights(n_units, size, rng)
        yield scores, weights


def participant_sums(
    responses: pd.DataFrame, columns: Sequence[ArrayLike]
) -> tuple[NDArray[np.object_], Array]:
    """Add up numbers of single answers for each participant.

    Parameters
    ----------
    columns : sequence of (n_responses,) arrays

    Returns
    -------
    participants : (n_participants,) array
        Sorted names.
    sums : (n_participants, n_columns) float array
    """
    who, names = pd.factorize(participant_of(responses), sort=True)
    sums = [
        np.bincount(who, weights=np.asarray(one, "float64"), minlength=len(names))
        for one in columns
    ]
    return np.asarray(names, dtype=object), np.column_stack(sums)


def interval_of_sums(
    sums: Array,
    statistic: Callable[[Array], Array],
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> tuple[float, float] | None:
    """Return the expanded BCa interval of a statistic that is made of sums.

    Parameters
    ----------
    sums : (n, k) float array
        What each participant, or each unit, adds to the k sums.
    statistic : callable
        Takes sums over those that were drawn, shape (..., k); returns shape (...).

    Returns
    -------
    (low, high) or None
        None with fewer than two rows, or where the statistic does not vary
        or is not defined in some resample.
    """
    n = len(sums)
    if n < 2:
        return None
    total = sums.sum(axis=0)
    with np.errstate(all="ignore"):
        draws = [
            statistic(draw_weights(n, size, rng) @ sums)
            for size in batch_sizes(n_resamples, n)
        ]
        return bca_limits(
            np.concatenate(draws),
            float(statistic(total)),
            statistic(total - sums),
            level=expanded_level(level, n),
        )


def interval_of_share(
    sums: Array,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> tuple[float, float] | None:
    """Return :func:`interval_of_sums` of the first of two sums over the second."""
    return interval_of_sums(
        sums,
        lambda drawn: drawn[..., 0] / drawn[..., 1],
        rng=rng,
        level=level,
        n_resamples=n_resamples,
    )


def batch_sizes(n_resamples: int, width: int) -> Iterator[int]:
    """Split resamples of ``width`` numbers each into batches of bounded memory."""
    batch = max(1, _CELLS_A_BATCH // max(width, 1))
    for start in range(0, n_resamples, batch):
        yield min(batch, n_resamples - start)
