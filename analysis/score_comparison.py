"""Which of two machine scores agrees better with people on the same units."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata, t

from analysis.families import Family, Test, corrected
from analysis.resampling import N_RESAMPLES, bca_interval

FEWEST_UNITS = 5
"""Williams's test has n − 3 degrees of freedom, and its variance needs some."""

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ScoreComparison:
    """Two correlations with the same human scores, and their difference.

    Attributes
    ----------
    score_a, score_b : str
        Names of the machine scores.
    method : str
        ``"pearson"`` or ``"spearman"``.
    correlation_a, correlation_b : float or None
        Of each score with HIS; None where ``note`` says why.
    correlation_between : float or None
        Of the two scores with each other.
    difference : float or None
        The first correlation less the second.
    ci_low, ci_high : float or None
        BCa bootstrap over units, both scores resampled together.
    analytic_low, analytic_high : float or None
        Zou's interval of the difference.
    williams_t, williams_p : float or None
        Williams's t with n − 3 degrees of freedom, two-sided.
    steiger_z, steiger_p : float or None
        Steiger's z with the mean of the two correlations, two-sided.
    n_units : int
        Units with both scores and HIS.
    n_left_out : int
        Units that lack one of them.
    level : float
    note : str or None
    """

    score_a: str
    score_b: str
    method: str
    correlation_a: float | None
    correlation_b: float | None
    correlation_between: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    analytic_low: float | None
    analytic_high: float | None
    williams_t: float | None
    williams_p: float | None
    steiger_z: float | None
    steiger_p: float | None
    n_units: int
    n_left_out: int
    level: float
    note: str | None = None


def compare_scores(
    units: pd.DataFrame,
    score_a: str,
    score_b: str,
    *,
    rng: np.random.Generator,
    method: str = "pearson",
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> ScoreComparison:
    """Compare how two scores correlate with HIS over the units that have all three.

    Parameters
    ----------
    units : DataFrame
        One row a unit: 'his' and the two scores' columns.
    method : str
        ``"pearson"`` or ``"spearman"``; for Spearman the two tests are those of the
        ranks' correlations, as is usual and approximate.

    Notes
    -----
    Williams 1959 and Steiger 1980 (equations 7 and 14) take the correlations as of
    normal scores. Zou 2007 joins the Fisher intervals of both correlations. The
    bootstrap assumes neither.
    """
    if method not in ("pearson", "spearman"):
        raise ValueError(f"'method' is {method!r}; it must be 'pearson' or 'spearman'.")
    columns = ["his", score_a, score_b]
    # One order, so that a seed gives the same resamples however units are listed.
    whole = units.dropna(subset=columns).sort_values(columns)
    raw = [whole[column].to_numpy("float64") for column in columns]
    note = _why_undefined(raw, score_a, score_b)
    r = None if note else _correlations(raw, method)
    interval, tests = None, _NO_TESTS
    if r is not None:
        interval = bca_interval(
            (np.arange(len(whole), dtype="float64"),),
            _difference_of_resamples(raw, method),
            rng=rng,
            level=level,
            n_resamples=n_resamples,
        )
        if max(map(abs, r)) < 1 - 1e-12:
            tests = _tests(r, len(whole), level)
        else:
            note = "two of the three are the same up to scale, so no test is defined"
    r_a, r_b, r_between = r or (None, None, None)
    low, high = interval or (None, None)
    return ScoreComparison(
        score_a=score_a,
        score_b=score_b,
        method=method,
        correlation_a=r_a,
        correlation_b=r_b,
        correlation_between=r_between,
        difference=None if r is None else r[0] - r[1],
        ci_low=low,
        ci_high=high,
        n_units=len(whole),
        n_left_out=len(units) - len(whole),
        level=level,
        note=note,
        **tests,
    )


def compare_all_scores(
    his: pd.DataFrame,
    scores: Mapping[str, pd.DataFrame],
    *,
    rng: np.random.Generator,
    method: str = "pearson",
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> tuple[tuple[ScoreComparison, ...], Family | None]:
    """Compare every pair of several scores, and correct for all pairs.

    Parameters
    ----------
    his : DataFrame
        One row a unit: 'unit', 'his'.
    scores : mapping of name to DataFrame
        'unit' and 'mis' of each.

    Returns
    -------
    comparisons : tuple of ScoreComparison
    family : Family or None
        Williams's tests with Holm's and Benjamini and Hochberg's correction; None
        where no pair could be tested.
    """
    units = his[["unit", "his"]]
    for name, table in scores.items():
        named = table[["unit", "mis"]].rename(columns={"mis": name})
        units = units.merge(named, on="unit", how="left", validate="1:1")
    found = tuple(
        compare_scores(
            units, a, b, rng=rng, method=method, level=level, n_resamples=n_resamples
        )
        for a, b in combinations(scores, 2)
    )
    tests = [
        Test(name=f"{one.score_a} against {one.score_b}", p_value=one.williams_p)
        for one in found
        if one.williams_p is not None
    ]
    what = f"agreement of each pair of scores with HIS (Williams's test, {method})"
    return found, corrected(what, tests) if tests else None


def williams_test(r_a: float, r_b: float, r_ab: float, n: int) -> tuple[float, float]:
    """Return Williams's t and its two-sided p for two correlations with one variable.

    Parameters
    ----------
    r_a, r_b : float
        Of each score with the shared variable.
    r_ab : float
        Of the two scores.
    """
    determinant = 1 - r_a**2 - r_b**2 - r_ab**2 + 2 * r_a * r_b * r_ab
    mean = (r_a + r_b) / 2
    variance = 2 * (n - 1) / (n - 3) * determinant + mean**2 * (1 - r_ab) ** 3
    statistic = (r_a - r_b) * math.sqrt((n - 1) * (1 + r_ab) / variance)
    return statistic, float(2 * t.sf(abs(statistic), n - 3))


def steiger_test(r_a: float, r_b: float, r_ab: float, n: int) -> tuple[float, float]:
    """Return Steiger's z and its two-sided p, with the mean correlation pooled."""
    mean = (r_a + r_b) / 2
    covariance = _z_covariance(mean, mean, r_ab)
    statistic = (math.atanh(r_a) - math.atanh(r_b)) * math.sqrt(
        (n - 3) / (2 - 2 * covariance)
    )
    return statistic, float(2 * norm.sf(abs(statistic)))


def zou_interval(
    r_a: float, r_b: float, r_ab: float, n: int, *, level: float = 0.95
) -> tuple[float, float]:
    """Return Zou's interval for the difference of the two correlations."""
    half = norm.ppf((1 + level) / 2) / math.sqrt(n - 3)
    low_a, high_a = (math.tanh(math.atanh(r_a) + sign * half) for sign in (-1, 1))
    low_b, high_b = (math.tanh(math.atanh(r_b) + sign * half) for sign in (-1, 1))
    shared = _r_covariance(r_a, r_b, r_ab)
    down = (r_a - low_a) ** 2 + (high_b - r_b) ** 2
    down -= 2 * shared * (r_a - low_a) * (high_b - r_b)
    up = (high_a - r_a) ** 2 + (r_b - low_b) ** 2
    up -= 2 * shared * (high_a - r_a) * (r_b - low_b)
    difference = r_a - r_b
    return difference - math.sqrt(max(down, 0)), difference + math.sqrt(max(up, 0))


def _r_covariance(r_a: float, r_b: float, r_ab: float) -> float:
    """Return the correlation of the two sample correlations (Pearson and Filon)."""
    product = (r_ab - r_a * r_b / 2) * (1 - r_a**2 - r_b**2 - r_ab**2) + r_ab**3
    return product / ((1 - r_a**2) * (1 - r_b**2))


def _z_covariance(r_a: float, r_b: float, r_ab: float) -> float:
    psi = r_ab * (1 - r_a**2 - r_b**2) - r_a * r_b / 2 * (1 - r_a**2 - r_b**2 - r_ab**2)
    return psi / ((1 - r_a**2) * (1 - r_b**2))


_NO_TESTS: dict[str, float | None] = dict.fromkeys(
    (
        "analytic_low",
        "analytic_high",
        "williams_t",
        "williams_p",
        "steiger_z",
        "steiger_p",
    )
)


def _tests(
    r: tuple[float, float, float], n: int, level: float
) -> dict[str, float | None]:
    low, high = zou_interval(*r, n, level=level)
    williams, williams_p = williams_test(*r, n)
    steiger, steiger_p = steiger_test(*r, n)
    return {
        "analytic_low": low,
        "analytic_high": high,
        "williams_t": williams,
        "williams_p": williams_p,
        "steiger_z": steiger,
        "steiger_p": steiger_p,
    }


def _why_undefined(raw: list[Array], score_a: str, score_b: str) -> str | None:
    if len(raw[0]) < FEWEST_UNITS:
        return (
            f"a comparison needs at least {FEWEST_UNITS} units with both scores; there"
            f" are {len(raw[0])}"
        )
    for name, values in zip(("HIS", score_a, score_b), raw, strict=True):
        if np.ptp(values) == 0:
            return f"{name} is the same for every unit"
    return None


def _correlations(raw: list[Array], method: str) -> tuple[float, float, float]:
    used = [rankdata(one) for one in raw] if method == "spearman" else raw
    his, a, b = used
    return (
        float(_pearson(his, a, -1)),
        float(_pearson(his, b, -1)),
        float(_pearson(a, b, -1)),
    )


def _difference_of_resamples(raw: list[Array], method: str) -> Callable[..., Array]:
    def statistic(places: ArrayLike, axis: int = -1) -> Array:
        drawn = np.asarray(places).astype("int64")
        his, a, b = (one[drawn] for one in raw)
        if method == "spearman":
            his, a, b = (rankdata(one, axis=axis) for one in (his, a, b))
        return _pearson(his, a, axis) - _pearson(his, b, axis)

    return statistic


def _pearson(x: Array, y: Array, axis: int) -> Array:
    x = x - x.mean(axis=axis, keepdims=True)
    y = y - y.mean(axis=axis, keepdims=True)
    spread = np.sqrt((x**2).sum(axis=axis) * (y**2).sum(axis=axis))
    return (x * y).sum(axis=axis) / spread
