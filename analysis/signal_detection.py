"""Sensitivity and bias of a choice between two rows, by signal detection theory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from analysis.resampling import (
    N_RESAMPLES,
    interval_of_sums,
    participant_sums,
)

Array = NDArray[np.float64]

CORRECTIONS = ("loglinear", "none")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One number with two intervals.

    Attributes
    ----------
    estimate : float or None
        None where it is not defined.
    ci_low, ci_high : float or None
        BCa bootstrap over participants, expanded for their number.
    analytic_low, analytic_high : float or None
        By Gourevitch and Galanter's variance, as if every answer were by itself.
    """

    estimate: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    analytic_low: float | None = None
    analytic_high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """How well the right row was told from the wrong one, apart from a liking.

    Attributes
    ----------
    dprime : Estimate
        d' of the 2-AFC; 0 is chance, and 1 is a proportion correct of 0.76 without
        bias.
    criterion : Estimate
        0 is no bias; above 0 the lower row was chosen too often, below 0 the upper.
    unbiased_proportion : float or None
        Proportion correct of this d' without bias, Phi(d' / sqrt 2).
    upper_when_upper, lower_when_upper, upper_when_lower, lower_when_lower : int
        Answers by chosen row *when* the right row was.
    n_trials, n_participants : int
    correction : str
        ``"loglinear"`` or ``"none"``.
    level : float
    note : str or None
        What limits the result.
    """

    dprime: Estimate
    criterion: Estimate
    unbiased_proportion: float | None
    upper_when_upper: int
    lower_when_upper: int
    upper_when_lower: int
    lower_when_lower: int
    n_trials: int
    n_participants: int
    correction: str
    level: float
    note: str | None = None


def sensitivity(
    responses: pd.DataFrame,
    *,
    rng: np.random.Generator,
    correction: str = "loglinear",
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> Sensitivity:
    """Return d' and criterion of all answers together.

    Parameters
    ----------
    responses : DataFrame
        Trials that count: 'session_id', 'upper_query', 'chosen_query', 'correct',
        and 'participant_id' where participants have names.
    correction : str
        ``"loglinear"`` adds 0.5 to every count, so that a rate of 0 or 1 has a d';
        ``"none"`` gives no number for such a rate.

    Notes
    -----
    With H the share of "upper" where upper was right, and F where lower was,
    d' = (z(H) - z(F)) / sqrt 2 and c = -(z(H) + z(F)) / 2 (Macmillan and Creelman
    2005, ch. 7). The log-linear rule is Hautus 1995; the analytic variance is
    H (1 - H) / (n phi(z(H))²) for each rate (Gourevitch and Galanter 1967).
    """
    if correction not in CORRECTIONS:
        raise ValueError(
            f"'correction' is {correction!r}; it must be one of {CORRECTIONS}."
        )
    extra = 0.5 if correction == "loglinear" else 0.0
    names, sums = participant_sums(responses, _cells(responses))
    total = sums.sum(axis=0)
    note = _why_undefined(total, extra)
    dprime = criterion = Estimate(estimate=None)
    if note is None:
        error = math.sqrt(_rate_variance(total, extra))
        found = []
        for statistic, divisor in ((_dprime, math.sqrt(2)), (_criterion, 2.0)):
            of_cells = partial(statistic, extra=extra)
            interval = interval_of_sums(
                sums, of_cells, rng=rng, level=level, n_resamples=n_resamples
            )
            value = float(of_cells(total))
            found.append(_estimate(value, interval, error / divisor, level))
        dprime, criterion = found
        if dprime.ci_low is None:
            note = "no interval over participants: too few, or too few wrong answers"
    return Sensitivity(
        dprime=dprime,
        criterion=criterion,
        unbiased_proportion=None
        if dprime.estimate is None
        else float(norm.cdf(dprime.estimate / math.sqrt(2))),
        upper_when_upper=int(total[0]),
        lower_when_upper=int(total[1]),
        upper_when_lower=int(total[2]),
        lower_when_lower=int(total[3]),
        n_trials=len(responses),
        n_participants=len(names),
        correction=correction,
        level=level,
        note=note,
    )


def _cells(responses: pd.DataFrame) -> Sequence[NDArray[np.bool_]]:
    upper = (responses["chosen_query"] == responses["upper_query"]).to_numpy()
    correct = responses["correct"].to_numpy(dtype=bool)
    return (
        upper & correct,
        ~upper & ~correct,
        upper & ~correct,
        ~upper & correct,
    )


def _why_undefined(total: Array, extra: float) -> str | None:
    if not total[:2].sum() or not total[2:].sum():
        missing = "lower" if total[:2].sum() else "upper"
        return f"d' needs trials with each row right; {missing} never was"
    if not extra and not total.all():
        return "a rate is 0 or 1, for which d' is not defined without a correction"
    return None


def _rates(cells: Array, extra: float) -> tuple[Array, Array]:
    when_upper = cells[..., 0] + cells[..., 1] + 2 * extra
    when_lower = cells[..., 2] + cells[..., 3] + 2 * extra
    return (cells[..., 0] + extra) / when_upper, (cells[..., 2] + extra) / when_lower


def _dprime(cells: Array, extra: float) -> Array:
    hit, false_alarm = _rates(cells, extra)
    return (norm.ppf(hit) - norm.ppf(false_alarm)) / math.sqrt(2)


def _criterion(cells: Array, extra: float) -> Array:
    hit, false_alarm = _rates(cells, extra)
    return -(norm.ppf(hit) + norm.ppf(false_alarm)) / 2


def _rate_variance(cells: Array, extra: float) -> float:
    """Return the variance of z(H) + z(F), which is also that of z(H) - z(F)."""
    variance = 0.0
    shown = (cells[0] + cells[1], cells[2] + cells[3])
    for rate, n in zip(_rates(cells, extra), shown, strict=True):
        variance += float(rate * (1 - rate) / (n * norm.pdf(norm.ppf(rate)) ** 2))
    return variance


def _estimate(
    value: float, interval: tuple[float, float] | None, error: float, level: float
) -> Estimate:
    low, high = interval or (None, None)
    half = float(norm.ppf((1 + level) / 2)) * error
    return Estimate(
        estimate=value,
        ci_low=low,
        ci_high=high,
        analytic_low=value - half,
        analytic_high=value + half,
    )
