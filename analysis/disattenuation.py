"""The correlation of a machine with people, as it would be without answer noise."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.resampling import N_RESAMPLES, interval_of_sums

Array = NDArray[np.float64]

FEWEST_UNITS = 4

CAVEAT = (
    "The disattenuated correlation is an estimate of what answers without noise would"
    " give, not something that was measured: it takes the machine's score as free of"
    " noise, divides by a reliability that is itself uncertain, and can exceed 1. It"
    " stands beside the raw correlation and never in its place."
)


@dataclass(frozen=True, kw_only=True)
class DisattenuatedCorrelation:
    """A correlation with HIS beside what it would be without noise of answers.

    Attributes
    ----------
    raw : float or None
        Pearson correlation as measured. None where it is not defined.
    reliability : float or None
        Share of the variance of HIS that is not noise of single answers.
    estimate : float or None
        ``raw / sqrt(reliability)``; may exceed 1. None where HIS varies no more than
        its noise does.
    ci_low, ci_high : float or None
        BCa bootstrap over units of the whole computation, reliability included.
    n_units : int
        Units with a machine score and at least two answers.
    level : float
    caveat : str
        To be printed with it.
    note : str or None
    """

    raw: float | None
    reliability: float | None
    estimate: float | None
    ci_low: float | None
    ci_high: float | None
    n_units: int
    level: float
    caveat: str = CAVEAT
    note: str | None = None


def disattenuated_correlation(
    machine: ArrayLike,
    n_correct: ArrayLike,
    n_trials: ArrayLike,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> DisattenuatedCorrelation:
    """Correlate a machine's score with HIS, as measured and without answer noise.

    Parameters
    ----------
    machine, n_correct, n_trials : (n_units,) arrays
        Units with fewer than two answers are left out.

    Notes
    -----
    Spearman 1904, with the reliability 1 - mean p (1 - p) / (n - 1) / var(p).
    """
    asked = np.asarray(n_trials, dtype="float64")
    several = asked > 1
    asked = asked[several]
    his = np.asarray(n_correct, dtype="float64")[several] / asked
    score = np.asarray(machine, dtype="float64")[several]
    noise = his * (1 - his) / (asked - 1)
    sums = np.column_stack(
        [np.ones(len(his)), score, his, score**2, his**2, score * his, noise]
    )
    total = sums.sum(axis=0)
    raw = reliability = estimate = None
    ends: tuple[float | None, float | None] = (None, None)
    note = None
    if len(his) < FEWEST_UNITS:
        note = (
            f"a correlation needs at least {FEWEST_UNITS} units; there are {len(his)}"
        )
    elif np.ptp(his) == 0 or np.ptp(score) == 0:
        note = "one of the scores is the same for every unit"
    else:
        raw = float(_raw(total))
        reliability = float(_reliability(total))
        if reliability <= 0:
            note = "HIS varies no more than the noise of its answers"
        else:
            estimate = raw / math.sqrt(reliability)
            ends = interval_of_sums(
                sums, _without_noise, rng=rng, level=level, n_resamples=n_resamples
            ) or (None, None)
            if ends[0] is None:
                note = "no interval: some resamples vary no more than their noise"
    return DisattenuatedCorrelation(
        raw=raw,
        reliability=reliability,
        estimate=estimate,
        ci_low=ends[0],
        ci_high=ends[1],
        n_units=len(his),
        level=level,
        note=note,
    )


def _raw(sums: Array) -> Array:
    n, x, y, x2, y2, xy, _ = np.moveaxis(sums, -1, 0)
    return (n * xy - x * y) / np.sqrt((n * x2 - x**2) * (n * y2 - y**2))


def _reliability(sums: Array) -> Array:
    n, _, y, _, y2, _, noise = np.moveaxis(sums, -1, 0)
    return 1 - noise / n / ((y2 - y**2 / n) / (n - 1))


def _without_noise(sums: Array) -> Array:
    return _raw(sums) / np.sqrt(_reliability(sums))
