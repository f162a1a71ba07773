"""How a machine score and the human score agree over units."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kendalltau, norm, pearsonr, rankdata, spearmanr
from scipy.stats import t as student

from analysis.resampling import N_RESAMPLES, bca_interval, expanded_level
from data.units import UnitId

METHODS = ("pearson", "spearman", "kendall")

FEWEST_UNITS = 4
"""An interval for a correlation has n − 3 in its denominator."""

FEWEST_UNITS_KENDALL = 5
"""That of Kendall's coefficient has n − 4."""

FEWEST_MODELS = 4

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CorrelationResult:
    """One correlation over units, with three intervals.

    Attributes
    ----------
    method : str
        ``"pearson"``, ``"spearman"`` or ``"kendall"`` (tau-b).
    estimate : float or None
        In [-1, 1]; None where it is not defined, and ``note`` says why.
    p_value : float or None
        Two-sided, of no correlation.
    ci_low, ci_high : float or None
        Jackknife over units on Fisher's z, with Student's t: the one that covers as
        it claims (``analysis/coverage.md``).
    bootstrap_low, bootstrap_high : float or None
        BCa bootstrap over units, expanded for their number; a little too narrow for
        Pearson's r of skewed scores.
    analytic_low, analytic_high : float or None
        Fisher's transformation; for Spearman and Kendall with Bonett and Wright's
        variance. They take both scores as normal.
    n_units : int
        Things that were correlated: units, or models where the scores are models'.
    level : float
        Coverage of the intervals.
    note : str or None
        What limits the result.
    """

    method: str
    estimate: float | None
    p_value: float | None
    ci_low: float | None
    ci_high: float | None
    bootstrap_low: float | None
    bootstrap_high: float | None
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
        ``"pearson"``, ``"spearman"`` or ``"kendall"``.
    level : float
        Coverage of the intervals, in (0, 1).

    Notes
    -----
    Bonett and Wright 2000: the variance of Fisher's z of Spearman's coefficient is
    (1 + rho² / 2) / (n − 3), that of Kendall's .437 / (n − 4). Miller 1974: the
    jackknife takes no distribution for granted, on a scale such as Fisher's z on which
    the estimate has one spread. All intervals hold for units like these with as many
    answers: the noise of HIS is part of what they are of. Hesterberg 2015: the plain
    BCa is too narrow, the expanded one less so.
    """
    if method not in METHODS:
        raise ValueError(
            f"'method' is {method!r}; it must be 'pearson', 'spearman' or 'kendall'."
        )
    x, y = np.asarray(first, dtype="float64"), np.asarray(second, dtype="float64")
    undefined = _why_undefined(x, y, method)
    if undefined:
        return _undefined(method, len(x), level, undefined)
    # One order, so that a seed gives the same resamples however units are listed.
    order = np.lexsort((y, x))
    x, y = x[order], y[order]
    if method == "pearson":
        found = pearsonr(x, y)
        estimate, p_value = float(found.statistic), float(found.pvalue)
    elif method == "spearman":
        estimate, p_value = map(float, spearmanr(x, y))
    else:
        estimate, p_value = map(float, kendalltau(x, y))
    analytic = _fisher(estimate, method, len(x), level)
    # What is resampled are places, so that each method can keep what all resamples
    # share: for Kendall's the order of every pair of units.
    statistic = _of_resamples(x, y, method)
    jackknife = jackknife_on_z(estimate, statistic(_left_out(len(x))), level=level)
    bootstrap = bca_interval(
        (np.arange(len(x), dtype="float64"),),
        statistic,
        rng=rng,
        level=expanded_level(level, len(x)),
        n_resamples=n_resamples,
    )
    low, high = jackknife or (None, None)
    bootstrap_low, bootstrap_high = bootstrap or (None, None)
    return CorrelationResult(
        method=method,
        estimate=estimate,
        p_value=p_value,
        ci_low=low,
        ci_high=high,
        bootstrap_low=bootstrap_low,
        bootstrap_high=bootstrap_high,
        analytic_low=analytic[0],
        analytic_high=analytic[1],
        n_units=len(x),
        level=level,
        note=None if jackknife else "no interval: too few distinct values",
    )


def jackknife_on_z(
    estimate: float, left_out: Array, *, level: float
) -> tuple[float, float] | None:
    """Return the jackknife interval of a correlation on Fisher's z, with Student's t.

    Parameters
    ----------
    left_out : (n_units,) float array
        The correlation with one unit left out at a time.

    Returns
    -------
    (low, high) or None
        None where a correlation is perfect or is not defined.
    """
    with np.errstate(all="ignore"):
        z, without = np.arctanh(estimate), np.arctanh(left_out)
    if not (np.isfinite(z) and np.isfinite(without).all()) or np.ptp(without) == 0:
        return None
    n = len(without)
    error = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    half = float(student.ppf((1 + level) / 2, n - 1)) * error
    return math.tanh(z - half), math.tanh(z + half)


def _left_out(n: int) -> Array:
    """Return (n, n - 1) places, one left out of each row."""
    places = np.broadcast_to(np.arange(n, dtype="float64"), (n, n))
    return places[~np.eye(n, dtype=bool)].reshape(n, n - 1)


def correlation_by_model(
    units: pd.DataFrame,
    *,
    method: str,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> pd.DataFrame:
    """Correlate the two scores over the units of each model apart.

    Parameters
    ----------
    units : DataFrame
        One row a unit: 'unit', 'mis', 'his'; units that lack one take no part.

    Returns
    -------
    DataFrame
        One row a model, sorted: 'model' and the attributes of
        :class:`CorrelationResult`.
    """
    both = _with_model(units)
    rows = []
    for model, own in both.groupby("model", sort=True):
        found = correlation(
            own["mis"],
            own["his"],
            method=method,
            rng=rng,
            level=level,
            n_resamples=n_resamples,
        )
        rows.append({"model": model} | asdict(found))
    return pd.DataFrame(rows)


def model_means(units: pd.DataFrame) -> pd.DataFrame:
    """Average both scores over each model's units, every unit with the same weight.

    Returns
    -------
    DataFrame
        One row a model, sorted: 'model', 'n_units', 'mis', 'his'.
    """
    return (
        _with_model(units)
        .groupby("model", as_index=False, sort=True)
        .agg(n_units=("mis", "size"), mis=("mis", "mean"), his=("his", "mean"))
    )


def correlation_of_models(
    units: pd.DataFrame,
    *,
    method: str,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> CorrelationResult:
    """Correlate the mean scores of models.

    Both intervals take the models as drawn from more of their like; with the nine of
    the published study they are wide.
    """
    means = model_means(units)
    if len(means) < FEWEST_MODELS:
        note = (
            f"a correlation of models needs at least {FEWEST_MODELS} of them; there"
            f" {'is' if len(means) == 1 else 'are'} {len(means)}"
        )
        return _undefined(method, len(means), level, note)
    return correlation(
        means["mis"],
        means["his"],
        method=method,
        rng=rng,
        level=level,
        n_resamples=n_resamples,
    )


def _with_model(units: pd.DataFrame) -> pd.DataFrame:
    both = units.dropna(subset=["mis", "his"])
    return both.assign(model=[UnitId.parse(unit).model for unit in both["unit"]])


def _why_undefined(x: Array, y: Array, method: str) -> str | None:
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(
            f"'first' has shape {x.shape} and 'second' {y.shape};"
            " both must be (n_units,)."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("A score is not finite. Drop the units without a score.")
    fewest = FEWEST_UNITS_KENDALL if method == "kendall" else FEWEST_UNITS
    if len(x) < fewest:
        return f"a correlation needs at least {fewest} units; there are {len(x)}"
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
        bootstrap_low=None,
        bootstrap_high=None,
        analytic_low=None,
        analytic_high=None,
        n_units=n_units,
        level=level,
        note=note,
    )


def _fisher(estimate: float, method: str, n: int, level: float) -> tuple[float, float]:
    if math.isclose(abs(estimate), 1):
        return estimate, estimate
    variance = {
        "pearson": 1 / (n - 3),
        "spearman": (1 + estimate**2 / 2) / (n - 3),
        "kendall": 0.437 / (n - 4) if n > 4 else math.inf,
    }[method]
    half = norm.ppf((1 + level) / 2) * math.sqrt(variance)
    z = math.atanh(estimate)
    return math.tanh(z - half), math.tanh(z + half)


def _of_resamples(x: Array, y: Array, method: str) -> Callable[..., Array]:
    """Return the statistic of resampled places in ``x`` and ``y``."""
    if method == "kendall":
        return _kendall(x, y)

    def statistic(places: Array, axis: int = -1) -> Array:
        drawn = places.astype("int64")
        if method == "pearson":
            return _pearson(x[drawn], y[drawn], axis=axis)
        return _pearson(
            rankdata(x[drawn], axis=axis), rankdata(y[drawn], axis=axis), axis=axis
        )

    return statistic


def _pearson(x: Array, y: Array, axis: int = -1) -> Array:
    x = x - x.mean(axis=axis, keepdims=True)
    y = y - y.mean(axis=axis, keepdims=True)
    spread = np.sqrt((x**2).sum(axis=axis) * (y**2).sum(axis=axis))
    with np.errstate(invalid="ignore"):  # a resample may have one score only
        return (x * y).sum(axis=axis) / spread


def _kendall(x: Array, y: Array) -> Callable[..., Array]:
    """Return tau-b of resampled places, as sums over pairs that are weighted."""
    order_x, order_y = np.sign(x[:, None] - x), np.sign(y[:, None] - y)
    pairs = (order_x * order_y, np.abs(order_x), np.abs(order_y))

    def statistic(places: Array, axis: int = -1) -> Array:
        drawn = np.moveaxis(places.astype("int64"), axis, -1)
        flat = drawn.reshape(-1, drawn.shape[-1])
        cells = flat + len(x) * np.arange(len(flat))[:, None]
        weights = np.bincount(cells.ravel(), minlength=len(flat) * len(x))
        weights = weights.reshape(len(flat), len(x)).astype("float64")
        agree, apart_x, apart_y = (
            ((weights @ pair) * weights).sum(axis=1) for pair in pairs
        )
        with np.errstate(invalid="ignore"):
            return (agree / np.sqrt(apart_x * apart_y)).reshape(drawn.shape[:-1])

    return statistic
