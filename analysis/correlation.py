"""How a machine score and the human score agree over units."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, pearsonr, rankdata, spearmanr

from analysis.resampling import N_RESAMPLES, bca_interval

FEWEST_UNITS = 4
"""An interval for a correlation has n − 3 in its denominator."""

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CorrelationResult:
    """One correlation over units, with two intervals.

    Attributes
    ----------
    method : str
        ``"pearson"`` or ``"spearman"``.
    estimate : float or None
        In [-1, 1]; None where it is not defined, and ``note`` says why.
    p_value : float or None
        Two-sided, of no correlation.
    ci_low, ci_high : float or None
        BCa bootstrap over units.
    analytic_low, analytic_high : float or None
        Fisher's transformation; for Spearman with Bonett and Wright's variance.
    n_units : int
    level : float
        Coverage of both intervals.
    note : str or None
        What limits the result.
    """

    method: str
    estimate: float | None
    p_value: float | None
    ci_low: float | None
    ci_high: float | None
    analytic_low: float | None
    analytic_high: float | None
    n_units: int
    level: float
    note: str | None = None


def correlation(
    first: ArrayLike,
    second: ArrayLike,
    *,
    method: str,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> CorrelationResult:
    """Correlate two scores of the same units.

    Parameters
    ----------
    first, second : (n_units,) float arrays
        Finite; the same unit at the same place.
    method : str
        ``"pearson"`` or ``"spearman"``.
    level : float
        Coverage of the intervals, in (0, 1).

    Notes
    -----
    Bonett and Wright 2000: the variance of Fisher's z of Spearman's coefficient is
    (1 + rho² / 2) / (n − 3).
    """
    x, y = np.asarray(first, dtype="float64"), np.asarray(second, dtype="float64")
    undefined = _why_undefined(x, y)
    if undefined:
        return _undefined(method, len(x), level, undefined)
    if method == "pearson":
        found = pearsonr(x, y)
        estimate, p_value = float(found.statistic), float(found.pvalue)
        analytic = tuple(map(float, found.confidence_interval(level)))
        statistic = _pearson
    elif method == "spearman":
        estimate, p_value = map(float, spearmanr(x, y))
        analytic = _bonett_wright(estimate, len(x), level)
        statistic = _spearman
    else:
        raise ValueError(f"'method' is {method!r}; it must be 'pearson' or 'spearman'.")
    interval = bca_interval(
        (x, y), statistic, paired=True, rng=rng, level=level, n_resamples=n_resamples
    )
    low, high = interval or (None, None)
    return CorrelationResult(
        method=method,
        estimate=estimate,
        p_value=p_value,
        ci_low=low,
        ci_high=high,
        analytic_low=analytic[0],
        analytic_high=analytic[1],
        n_units=len(x),
        level=level,
        note=None if interval else "no bootstrap interval: too few distinct values",
    )


def _why_undefined(x: Array, y: Array) -> str | None:
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(
            f"'first' has shape {x.shape} and 'second' {y.shape};"
            " both must be (n_units,)."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("A score is not finite. Drop the units without a score.")
    if len(x) < FEWEST_UNITS:
        return f"a correlation needs at least {FEWEST_UNITS} units; there are {len(x)}"
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return "one of the scores is the same for every unit"
    return None


def _undefined(method: str, n_units: int, level: float, note: str) -> CorrelationResult:
    return CorrelationResult(
        method=method,
        estimate=None,
        p_value=None,
        ci_low=None,
        ci_high=None,
        analytic_low=None,
        analytic_high=None,
        n_units=n_units,
        level=level,
        note=note,
    )


def _bonett_wright(rho: float, n: int, level: float) -> tuple[float, float]:
    if math.isclose(abs(rho), 1):
        return rho, rho
    half = norm.ppf((1 + level) / 2) * np.sqrt((1 + rho**2 / 2) / (n - 3))
    z = np.arctanh(rho)
    return float(np.tanh(z - half)), float(np.tanh(z + half))


def _pearson(x: Array, y: Array, axis: int = -1) -> Array:
    x = x - x.mean(axis=axis, keepdims=True)
    y = y - y.mean(axis=axis, keepdims=True)
    spread = np.sqrt((x**2).sum(axis=axis) * (y**2).sum(axis=axis))
    return (x * y).sum(axis=axis) / spread


def _spearman(x: Array, y: Array, axis: int = -1) -> Array:
    return _pearson(rankdata(x, axis=axis), rankdata(y, axis=axis), axis=axis)
