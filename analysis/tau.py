"""Fit the temperature of a machine's observer to people, and what the fit is worth."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit
from scipy.stats import t as student

from analysis.resampling import draw_weights, expanded_level
from data.errors import DataContractError
from data.tau import log_scores, tau_range

OBJECTIVES = ("log_loss", "pearson")

FEWEST_UNITS = 10
"""Five folds of two units; with fewer an out-of-sample number is mostly luck."""

N_GRID = 41

STEP = 0.02
"""Of log tau, to tell slope and curvature."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class TauFit:
    """A fitted tau, and how well it does on units that it was not fitted to.

    Attributes
    ----------
    objective : str
        ``"log_loss"``: of the answers given each unit's MIS, in nats an answer, lower
        is better. ``"pearson"``: of MIS and HIS over units, higher is better.
    tau : float or None
        Fitted to all units, in units of the margin; None where ``note`` says why.
    tau_low, tau_high : float or None
        For new units: by the spread of the units' pulls on tau (log loss), or from
        resampled units (Pearson, and where tau lies at an end).
    in_sample : float or None
        The objective of ``tau`` on the units that it was fitted to: too good.
    out_of_sample : float or None
        Mean over repeats of the objective when each unit is scored with a tau fitted
        without it.
    out_low, out_high : float or None
        The least and greatest over repeats: how far it hangs on the folds, not an
        interval over units.
    folds : DataFrame
        One row a repeat and fold: 'repeat', 'fold', 'tau', 'n_units' (held out).
    at_edge : bool
        Whether ``tau`` lies at an end of the range that was searched.
    n_units, n_trials : int
    n_folds, n_repeats : int
    level : float
    note : str or None
    """

    objective: str
    tau: float | None
    tau_low: float | None
    tau_high: float | None
    in_sample: float | None
    out_of_sample: float | None
    out_low: float | None
    out_high: float | None
    folds: pd.DataFrame = field(repr=False)
    at_edge: bool
    n_units: int
    n_trials: int
    n_folds: int
    n_repeats: int
    level: float
    note: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class _Answered:
    """Margins and answers of the units that have both."""

    margins: Array = field(repr=False)  # of all tasks, unit after unit
    starts: NDArray[np.int64] = field(repr=False)
    n_tasks: Array = field(repr=False)
    n_correct: Array = field(repr=False)
    n_trials: Array = field(repr=False)

    def mis(self, tau: float) -> Array:
        """Return each unit's mean probability of a correct answer."""
        summed = np.add.reduceat(expit(self.margins / tau), self.starts)
        return summed / self.n_tasks


def fit_tau(
    units: pd.DataFrame,
    tasks: pd.DataFrame,
    *,
    rng: np.random.Generator,
    objective: str = "log_loss",
    n_folds: int = 5,
    n_repeats: int = 20,
    n_resamples: int = 200,
    level: float = 0.95,
) -> TauFit:
    """Fit tau to people's answers, and cross-validate the fit over units.

    A tau that was chosen on the units that are then reported makes the machine look
    better than it is on others. Each unit's out-of-sample score is from a tau fitted
    without that unit.

    Parameters
    ----------
    units : DataFrame
        One row a unit: 'unit', 'n_correct', 'n_trials'.
    tasks : DataFrame
        One row a task: 'unit', 'margin'.
    objective : str
        ``"log_loss"`` says what probabilities should be; ``"pearson"`` only orders and
        spaces units, and so often hardly depends on tau.
    n_folds, n_repeats : int
        Folds over units, and how often they are drawn anew.
    n_resamples : int
        Resamples of units for the interval of tau, where it is a bootstrap.

    Notes
    -----
    The interval of the log-loss tau is on log tau, by the sandwich variance (Huber
    1967; White 1982), which holds also where answers don't follow MIS exactly, with
    Student's t. The bootstrap is a percentile one, expanded for the number of units
    (Hesterberg 2015).

    Raises
    ------
    DataContractError
        No unit has both answers and tasks, or all margins are 0.
    """
    if objective not in OBJECTIVES:
        raise ValueError(
            f"'objective' is {objective!r}; it must be 'log_loss' or 'pearson'."
        )
    answered = _answered(units, tasks)
    n_units = len(answered.n_trials)
    low, high = tau_range(answered.margins)
    goodness = _goodness(answered, objective, low, high)
    note = _why_undefined(answered, n_folds)
    tau = in_sample = None
    interval: tuple[float, float] | None = None
    folds, repeats = _no_folds(), np.empty(0)
    if note is None:
        everyone = np.ones(n_units)
        tau = goodness.best(everyone)
        in_sample = goodness.of(tau, everyone)
        folds, repeats = _cross_validated(goodness, n_units, n_folds, n_repeats, rng)
        interval = _sandwich(goodness, tau, level) or _bootstrap(
            goodness, n_units, n_resamples, level, rng
        )
    return TauFit(
        objective=objective,
        tau=tau,
        tau_low=interval[0] if interval else None,
        tau_high=interval[1] if interval else None,
        in_sample=in_sample,
        out_of_sample=float(repeats.mean()) if len(repeats) else None,
        out_low=float(repeats.min()) if len(repeats) else None,
        out_high=float(repeats.max()) if len(repeats) else None,
        folds=folds,
        at_edge=tau is not None and not low * 1.01 < tau < high * 0.99,
        n_units=n_units,
        n_trials=int(answered.n_trials.sum()),
        n_folds=n_folds,
        n_repeats=n_repeats,
        level=level,
        note=note,
    )


def _answered(units: pd.DataFrame, tasks: pd.DataFrame) -> _Answered:
    both = tasks[tasks["unit"].isin(units["unit"])].sort_values(
        ["unit", "margin"], kind="stable"
    )
    if both.empty:
        raise DataContractError(
            f"None of the {len(units)} units with answers has tasks with margins. Give"
            " the scores of this study's units."
        )
    sizes = both.groupby("unit", sort=True).size()
    counted = units.set_index("unit").loc[sizes.index]
    margins = both["margin"].to_numpy("float64")
    if not np.isfinite(margins).all() or not margins.any():
        raise DataContractError(
            "The margins must be finite and not all 0, or no tau is better than"
            " another. Check the scores."
        )
    n_tasks = sizes.to_numpy("int64")
    return _Answered(
        margins=margins,
        starts=np.concatenate([[0], np.cumsum(n_tasks)[:-1]]),
        n_tasks=n_tasks.astype("float64"),
        n_correct=counted["n_correct"].to_numpy("float64"),
        n_trials=counted["n_trials"].to_numpy("float64"),
    )


def _why_undefined(answered: _Answered, n_folds: int) -> str | None:
    n_units = len(answered.n_trials)
    if n_units < max(FEWEST_UNITS, 2 * n_folds):
        return (
            f"tau needs at least {max(FEWEST_UNITS, 2 * n_folds)} units with answers"
            f" and tasks; there are {n_units}"
        )
    if np.ptp(answered.n_correct / answered.n_trials) == 0:
        return "every unit has the same HIS, so nothing tells tau"
    return None


@dataclass(frozen=True, eq=False, kw_only=True)
class _Goodness:
    """The objective of any tau on any units, from a table that is computed once."""

    objective: str
    grid: Array = field(repr=False)
    terms: Callable[[float], Array] = field(repr=False)
    on_grid: Array = field(repr=False)
    reduce: Callable[[Array, Array], float] = field(repr=False)

    def of(self, tau: float, weights: Array) -> float:
        """Return the objective over units, counted ``weights`` times each."""
        return self.reduce(self.terms(tau), weights)

    def best(self, weights: Array) -> float:
        """Return the best tau: the best of the grid, refined between its neighbours."""
        sign = 1 if self.objective == "log_loss" else -1
        values = [sign * self.reduce(terms, weights) for terms in self.on_grid]
        place = int(np.nanargmin(values))
        around = np.log(self.grid[[max(place - 1, 0), min(place + 1, N_GRID - 1)]])
        found = minimize_scalar(
            lambda log_tau: sign * self.of(float(np.exp(log_tau)), weights),
            bounds=tuple(around),
            method="bounded",
            options={"xatol": 1e-4},
        )
        return float(np.exp(found.x))


def _goodness(
    answered: _Answered, objective: str, low: float, high: float
) -> _Goodness:
    wrong = answered.n_trials - answered.n_correct
    his = answered.n_correct / answered.n_trials

    def losses(tau: float) -> Array:
        right_log, wrong_log = log_scores(answered.margins, answered.starts, tau=tau)
        return -(answered.n_correct * right_log + wrong * wrong_log)

    def mean_loss(terms: Array, weights: Array) -> float:
        return float((weights @ terms) / (weights @ answered.n_trials))

    def pearson(mis: Array, weights: Array) -> float:
        x = mis - np.average(mis, weights=weights)
        y = his - np.average(his, weights=weights)
        spread = np.sqrt((weights @ x**2) * (weights @ y**2))
        return float(weights @ (x * y) / spread) if spread > 0 else float("nan")

    terms = losses if objective == "log_loss" else answered.mis
    grid = np.geomspace(low, high, N_GRID)
    return _Goodness(
        objective=objective,
        grid=grid,
        terms=terms,
        on_grid=np.array([terms(float(tau)) for tau in grid]),
        reduce=mean_loss if objective == "log_loss" else pearson,
    )


def _cross_validated(
    goodness: _Goodness,
    n_units: int,
    n_folds: int,
    n_repeats: int,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, Array]:
    rows, repeats = [], []
    for repeat in range(n_repeats):
        fold = rng.permutation(np.arange(n_units) % n_folds)
        held_out = np.empty(n_units)
        for number in range(n_folds):
            tau = goodness.best((fold != number).astype("float64"))
            held_out[fold == number] = goodness.terms(tau)[fold == number]
            rows.append((repeat, number, tau, int((fold == number).sum())))
        repeats.append(goodness.reduce(held_out, np.ones(n_units)))
    columns = ["repeat", "fold", "tau", "n_units"]
    return pd.DataFrame(rows, columns=columns), np.array(repeats)


def _no_folds() -> pd.DataFrame:
    return pd.DataFrame(columns=["repeat", "fold", "tau", "n_units"])


def _sandwich(
    goodness: _Goodness, tau: float, level: float
) -> tuple[float, float] | None:
    """Return the interval from each unit's slope, and the curvature of all."""
    ends = goodness.grid[[0, -1]] * [1.01, 0.99]
    if goodness.objective != "log_loss" or not ends[0] < tau < ends[1]:
        return None
    below, here, above = (
        goodness.terms(tau * float(np.exp(step))) for step in (-STEP, 0.0, STEP)
    )
    slopes = (above - below) / (2 * STEP)
    curvature = float((above - 2 * here + below).sum()) / STEP**2
    n_units = len(slopes)
    if curvature <= 0 or not slopes.any():
        return None
    se = float(np.sqrt((slopes**2).sum() * n_units / (n_units - 1))) / curvature
    half = float(student.ppf((1 + level) / 2, n_units - 1)) * se
    return tau * float(np.exp(-half)), tau * float(np.exp(half))


def _bootstrap(
    goodness: _Goodness,
    n_units: int,
    n_resamples: int,
    level: float,
    rng: np.random.Generator,
) -> tuple[float, float]:
    weights = draw_weights(n_units, n_resamples, rng)
    drawn = [goodness.best(one) for one in weights]
    wide = expanded_level(level, n_units)
    low, high = np.quantile(drawn, [(1 - wide) / 2, (1 + wide) / 2])
    return float(low), float(high)
