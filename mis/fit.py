"""Fit the machine observer's temperature, slope and offset to people's answers."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_expit
from scipy.stats import t as student

from data.errors import DataContractError
from data.tau import log_scores, tau_range

Array = NDArray[np.float64]

MODELS = ("tau", "tau+offset", "tau+slope+offset")
"""Which parameters are free; a slope of 1 and an offset of 0 are MIS itself."""

FEWEST_UNITS = 10
"""Five folds of two units; with fewer an out-of-sample number is mostly luck."""

_STEP = 1e-3  # for differences, on log tau, log slope and offset
_GRID = 25
_LEAST, _MOST = 1e-9, 1 - 1e-9


@dataclass(frozen=True, eq=False, kw_only=True)
class Answered:
    """Units with margins and answers.

    Attributes
    ----------
    units : tuple of str
    margins : (n_units, n_tasks) float64 array
    n_correct, n_trials : (n_units,) float64 arrays
    """

    units: tuple[str, ...]
    margins: Array = field(repr=False)
    n_correct: Array = field(repr=False)
    n_trials: Array = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """One model's parameters and how well it does outside the fit.

    Attributes
    ----------
    model : str
        One of :data:`MODELS`.
    tau, slope, offset : float
        ``P(correct) = sigmoid(offset + slope · logit(MIS))``, MIS with this ``tau``.
    tau_low, tau_high : float or None
        Interval of tau; None where the answers do not bound it.
    slope_low, slope_high, offset_low, offset_high : float or None
    in_sample : float
        Log-loss in nats an answer, on the units of the fit: too good.
    out_of_sample : float
        The same when each unit is predicted by a fit without it, mean over repeats.
    out_low, out_high : float
        Least and greatest over repeats: how far it hangs on the folds.
    at_edge : bool
        Whether tau lies at an end of what was searched.
    """

    model: str
    tau: float
    slope: float
    offset: float
    tau_low: float | None
    tau_high: float | None
    slope_low: float | None
    slope_high: float | None
    offset_low: float | None
    offset_high: float | None
    in_sample: float
    out_of_sample: float
    out_low: float
    out_high: float
    at_edge: bool


def answered(
    counts: pd.DataFrame, scored: list[str], margins: NDArray[np.floating]
) -> Answered:
    """Bring answers and margins together.

    Parameters
    ----------
    counts : DataFrame
        One row a unit: 'unit', 'n_correct', 'n_trials'.
    scored : list of str
        Units of the rows of ``margins``.
    margins : (n_scored, n_tasks) float array

    Raises
    ------
    DataContractError
        Too few units have both, or the answers can't tell one tau from another.
    """
    row = {unit: place for place, unit in enumerate(scored)}
    counts = counts[counts["unit"].isin(row)].sort_values("unit")
    if len(counts) < FEWEST_UNITS:
        raise DataContractError(
            f"{len(counts)} units have both answers and margins; a fit that is"
            f" cross-validated needs at least {FEWEST_UNITS}. Give the scores of the"
            " units that people answered for."
        )
    share = counts["n_correct"] / counts["n_trials"]
    if np.ptp(share.to_numpy()) == 0:
        raise DataContractError(
            f"All {len(counts)} units have the same share of correct answers"
            f" ({share.iloc[0]:g}); nothing tells tau. Give the answers for more units."
        )
    own = np.asarray(margins[[row[unit] for unit in counts["unit"]]], dtype=np.float64)
    if not own.any():
        raise DataContractError(
            "All margins of these units are 0; no tau is better than another. Check"
            " the scores."
        )
    return Answered(
        units=tuple(counts["unit"]),
        margins=own,
        n_correct=counts["n_correct"].to_numpy("float64"),
        n_trials=counts["n_trials"].to_numpy("float64"),
    )


def losses(data: Answered, parameters: Array) -> Array:
    """Return each unit's log-loss in nats, summed over its answers.

    Parameters
    ----------
    parameters : (3,) array
        log tau, log slope, offset.
    """
    log_tau, log_slope, offset = parameters
    starts = np.arange(0, data.margins.size, data.margins.shape[1])
    right, not_right = log_scores(data.margins.ravel(), starts, tau=np.exp(log_tau))
    evidence = offset + np.exp(log_slope) * (right - not_right)
    wrong = data.n_trials - data.n_correct
    return -(data.n_correct * log_expit(evidence) + wrong * log_expit(-evidence))


def fit_model(
    data: Answered, model: str, *, rng: np.random.Generator, n_repeats: int = 10
) -> Fit:
    """Fit one model by maximum likelihood and cross-validate it over units.

    Notes
    -----
    Five folds of units, drawn anew ``n_repeats`` times. Intervals cover 95%: the
    sandwich variance with units as clusters (Huber 1967; White 1982), which holds
    also where answers don't follow the model exactly, with Student's t; on log tau
    and log slope.
    """
    n_units, everyone = len(data.units), np.ones(len(data.units))
    best = _best(data, model, everyone)
    held_out = []
    for _ in range(n_repeats):
        fold = rng.permutation(np.arange(n_units) % 5)
        total = 0.0
        for number in range(5):
            without = _best(data, model, (fold != number).astype(np.float64))
            total += float(losses(data, without)[fold == number].sum())
        held_out.append(total / data.n_trials.sum())
    half = _half_widths(data, model, best)
    low, high = np.log(tau_range(data.margins))
    ends = [
        (None, None) if width is None else (value - width, value + width)
        for value, width in zip(best, half, strict=True)
    ]
    return Fit(
        model=model,
        tau=float(np.exp(best[0])),
        slope=float(np.exp(best[1])),
        offset=float(best[2]),
        tau_low=_exp(ends[0][0]),
        tau_high=_exp(ends[0][1]),
        slope_low=_exp(ends[1][0]),
        slope_high=_exp(ends[1][1]),
        offset_low=ends[2][0],
        offset_high=ends[2][1],
        in_sample=float(losses(data, best).sum() / data.n_trials.sum()),
        out_of_sample=float(np.mean(held_out)),
        out_low=float(np.min(held_out)),
        out_high=float(np.max(held_out)),
        at_edge=not low + 0.01 < best[0] < high - 0.01,
    )


def _exp(value: float | None) -> float | None:
    if value is None:
        return None
    return float(np.exp(np.clip(value, -700, 700)))


def _free(model: str) -> list[int]:
    return [place for place, name in enumerate(MODELS[2].split("+")) if name in model]


def _best(data: Answered, model: str, weights: Array) -> Array:
    """Return the parameters that lose least over units counted ``weights`` times."""
    low, high = np.log(tau_range(data.margins))
    free = _free(model)
    bounds = [(low, high), (-4.0, 4.0), (-8.0, 8.0)]

    def loss(values: Array) -> float:
        parameters = np.zeros(3)
        parameters[free] = values
        return float(weights @ losses(data, parameters) / (weights @ data.n_trials))

    starts = np.linspace(low, high, _GRID)
    first = starts[
        np.argmin([loss(np.r_[one, np.zeros(len(free) - 1)]) for one in starts])
    ]
    found = minimize(
        loss,
        np.r_[first, np.zeros(len(free) - 1)],
        method="L-BFGS-B",
        bounds=[bounds[place] for place in free],
        options={"ftol": 1e-12, "gtol": 1e-7},
    )
    parameters = np.zeros(3)
    parameters[free] = found.x
    return parameters


def _half_widths(data: Answered, model: str, best: Array) -> list[float | None]:
    """Return half the width of each parameter's interval; None where unbounded."""
    free = _free(model)
    n_units = len(data.units)

    def at(*steps: tuple[int, float]) -> Array:
        moved = best.copy()
        for place, step in steps:
            moved[place] += step
        return losses(data, moved)

    slopes = np.array(
        [(at((one, _STEP)) - at((one, -_STEP))) / (2 * _STEP) for one in free]
    )
    curvature = np.array(
        [
            [
                (
                    at((one, _STEP), (other, _STEP))
                    - at((one, _STEP), (other, -_STEP))
                    - at((one, -_STEP), (other, _STEP))
                    + at((one, -_STEP), (other, -_STEP))
                ).sum()
                / (4 * _STEP**2)
                for other in free
            ]
            for one in free
        ]
    )
    half: list[float | None] = [None, None, None]
    try:
        inverse = np.linalg.inv(curvature)
    except np.linalg.LinAlgError:
        return half
    variance = np.diag(inverse @ (slopes @ slopes.T) @ inverse) * n_units
    variance = variance / max(1, n_units - len(free))
    quantile = float(student.ppf(0.975, max(1, n_units - len(free))))
    bounded = np.linalg.eigvalsh(curvature).min() > 0
    for place, one in zip(free, variance, strict=True):
        if bounded and one > 0:
            half[place] = quantile * float(np.sqrt(one))
    return half


def chance_loss() -> float:
    """Return the log-loss of guessing, in nats an answer."""
    return float(np.log(2))


def own_mean_loss(data: Answered) -> float:
    """Return the log-loss when an answer is predicted by the unit's other answers.

    What a machine that knew every unit's own share of correct answers could reach
    with as many answers: half an answer of each kind is added to those known.
    """
    right, n = data.n_correct, data.n_trials
    wrong = n - right
    loss = -right * np.log(np.maximum(right - 0.5, 0.5) / n)
    loss -= wrong * np.log(np.maximum(wrong - 0.5, 0.5) / n)
    return float(loss.sum() / n.sum())


def common_mean_loss(data: Answered) -> float:
    """Return the log-loss when all units get the share correct of all the others."""
    others = data.n_correct.sum() - data.n_correct
    share = others / (data.n_trials.sum() - data.n_trials)
    share = np.clip(share, _LEAST, _MOST)
    wrong = data.n_trials - data.n_correct
    loss = -(data.n_correct * np.log(share) + wrong * np.log1p(-share))
    return float(loss.sum() / data.n_trials.sum())
