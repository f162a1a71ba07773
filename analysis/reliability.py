"""How far scores of units would come out again with other people."""

import warnings
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pingouin
from numpy.typing import NDArray
from scipy.stats import f as fisher
from scipy.stats import t as student

from analysis.resampling import AnswerCounts, count_answers

Array = NDArray[np.float64]

FEWEST_UNITS = 4

OFFSET = 0.25
"""Added to the ratio of signal to noise before its logarithm, as it may be near 0."""


@dataclass(frozen=True, eq=False, kw_only=True)
class UnitReliability:
    """Intraclass correlation of answers within units, one-way.

    Attributes
    ----------
    single : float or None
        ICC(1): share of the variance of single answers that lies between units. None
        where it is not defined, and ``note`` says why.
    single_low, single_high : float or None
        Jackknife over units on the log of signal to noise, with Student's t.
    single_analytic_low, single_analytic_high : float or None
        By the F distribution, which takes answers and units as normal: too narrow for
        units whose HIS is skewed.
    mean : float or None
        ICC(1, k) of the units' means: the reliability of HIS. Below 0 where units
        differ less than their noise.
    mean_low, mean_high, mean_analytic_low, mean_analytic_high : float or None
        Likewise.
    k : float
        Answers to a unit that the mean is of; with unequal numbers the one that the
        analysis of variance counts with.
    two_way : DataFrame or None
        Where every participant answered every unit once: pingouin's table with
        participants as raters ('Type', 'ICC', 'F', 'df1', 'df2', 'pval', 'CI95').
    n_units, n_trials : int
    level : float
    note : str or None
    """

    single: float | None
    single_low: float | None = None
    single_high: float | None = None
    single_analytic_low: float | None = None
    single_analytic_high: float | None = None
    mean: float | None = None
    mean_low: float | None = None
    mean_high: float | None = None
    mean_analytic_low: float | None = None
    mean_analytic_high: float | None = None
    k: float
    two_way: pd.DataFrame | None = field(default=None, repr=False)
    n_units: int
    n_trials: int
    level: float
    note: str | None = None


def unit_reliability(
    main: pd.DataFrame,
    *,
    level: float = 0.95,
) -> UnitReliability:
    """Return the intraclass correlations of single answers and of unit means.

    Parameters
    ----------
    main : DataFrame
        Main trials that count: 'unit', 'session_id', 'correct', and 'participant_id'
        where participants have names.

    Notes
    -----
    One-way analysis of variance (Shrout and Fleiss 1979, case 1), with k =
    (N - sum n² / N) / (n_units - 1) for unequal numbers of answers. It takes people
    as drawn anew for each unit; where all met the same units, ``two_way`` has the
    forms that tell people from noise.

    The ratio of signal to noise of the means, k ICC(1) / (1 - ICC(1)), is right-skewed
    and its variance hangs on the units' skewness and kurtosis, which the F distribution
    and the bootstrap miss. On the scale log(1/4 + ratio) one jackknife (Miller 1974,
    corrected for bias) holds for both coefficients and for the ceiling.
    """
    counts = count_answers(main)
    sums = _anova_sums(counts)
    total = sums.sum(axis=0)
    n_units, n_trials = len(sums), int(total[1])
    k = float((total[1] - total[2] / total[1]) / max(n_units - 1, 1))
    note = _why_undefined(n_units, total)
    if note is not None:
        return UnitReliability(
            single=None, k=k, n_units=n_units, n_trials=n_trials, level=level, note=note
        )
    ratios = _signal_limits(sums, k, level)
    single, mean = (
        (None, None) if ratios is None else tuple(x / (x + one) for x in ratios)
        for one in (k, 1.0)
    )
    lower, upper = _f_limits(total, level)
    return UnitReliability(
        single=float(_icc_single(total)),
        single_low=single[0],
        single_high=single[1],
        single_analytic_low=(lower - 1) / (lower + k - 1),
        single_analytic_high=(upper - 1) / (upper + k - 1),
        mean=float(_icc_mean(total)),
        mean_low=mean[0],
        mean_high=mean[1],
        mean_analytic_low=1 - 1 / lower,
        mean_analytic_high=1 - 1 / upper,
        k=k,
        two_way=_two_way(counts),
        n_units=n_units,
        n_trials=n_trials,
        level=level,
        note=None
        if single[0] is not None
        else "no interval: too few units that differ",
    )


def _anova_sums(counts: AnswerCounts) -> Array:
    """Return what each unit adds: 1, n, n², right, right² / n."""
    asked = np.asarray(counts.n_trials.sum(axis=0), dtype="float64")
    right = np.asarray(counts.n_correct.sum(axis=0), dtype="float64")
    return np.column_stack(
        [np.ones(len(asked)), asked, asked**2, right, right**2 / asked]
    )


def _mean_squares(sums: Array) -> tuple[Array, Array, Array]:
    """Return mean squares between and within units, and k."""
    n_units, asked, asked2, right, right2 = np.moveaxis(sums, -1, 0)
    between = (right2 - right**2 / asked) / (n_units - 1)
    within = (right - right2) / (asked - n_units)
    return between, within, (asked - asked2 / asked) / (n_units - 1)


def _icc_single(sums: Array) -> Array:
    between, within, k = _mean_squares(sums)
    return (between - within) / (between + (k - 1) * within)


def _icc_mean(sums: Array) -> Array:
    between, within, _ = _mean_squares(sums)
    return (between - within) / between


def _signal_limits(sums: Array, k: float, level: float) -> tuple[float, float] | None:
    """Return an interval of the ratio of signal to noise of means of k answers."""
    n_units = len(sums)
    total = sums.sum(axis=0)
    with np.errstate(all="ignore"):
        between, within, k_each = _mean_squares(np.vstack([total, total - sums]))
        ratios = (between / within - 1) * k / k_each
        offset = OFFSET if (ratios > -OFFSET).all() else 1.0
        logs = np.log(offset + ratios)
    if not np.isfinite(logs).all() or np.ptp(logs[1:]) == 0:
        return None
    whole, left_out = logs[0], logs[1:]
    centre = n_units * whole - (n_units - 1) * left_out.mean()
    se = np.sqrt((n_units - 1) * left_out.var())
    half = float(student.ppf((1 + level) / 2, n_units - 1)) * se
    low, high = np.exp([centre - half, centre + half]) - offset
    return float(low), float(high)


def _why_undefined(n_units: int, total: Array) -> str | None:
    if n_units < FEWEST_UNITS:
        return f"an ICC needs at least {FEWEST_UNITS} units; there are {n_units}"
    if total[1] <= total[0]:
        return "an ICC needs units with several answers; each has one"
    between, within, _ = _mean_squares(total)
    if between <= 1e-12:
        return "all units have the same score, so they can't be told apart"
    if within <= 1e-12:
        return "all answers to a unit are the same, so there is no noise to compare"
    return None


def _f_limits(total: Array, level: float) -> tuple[float, float]:
    between, within, _ = _mean_squares(total)
    df = total[0] - 1, total[1] - total[0]
    end, ratio = (1 + level) / 2, float(between / within)
    return ratio / fisher.ppf(end, *df), ratio * fisher.ppf(end, *df[::-1])


def _two_way(counts: AnswerCounts) -> pd.DataFrame | None:
    shape = counts.n_trials.shape
    if counts.n_trials.nnz != shape[0] * shape[1] or shape[0] < 2:
        return None
    if counts.n_trials.max() > 1:
        return None
    table = pd.DataFrame(
        {
            "unit": np.tile(np.arange(shape[1]), shape[0]),
            "participant": np.repeat(np.arange(shape[0]), shape[1]),
            "correct": counts.n_correct.toarray().ravel(),
        }
    )
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Pingouin divides by mean squares that are 0 for answers that are all alike.
        warnings.simplefilter("ignore")
        found: pd.DataFrame = pingouin.intraclass_corr(
            table, targets="unit", raters="participant", ratings="correct"
        )
    return found
