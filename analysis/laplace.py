"""A logistic model with two crossed random effects, by Laplace's approximation."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.stats import chi2

from analysis.crossed_likelihood import (
    FIXED_SD,
    Crossed,
    Curvature,
    Links,
    answer_weights,
    gradient,
    log_odds,
    penalised_loss,
    prior_precision,
)

Array = NDArray[np.float64]
Places = NDArray[np.intp]

SMALLEST_SD, LARGEST_SD = 1e-3, 20.0
MOST_STEPS = 100
LONG_STEP = 0.2
SLOW = 0.2
"""Share of the last gain; who gains more than that again climbs by a poor curvature."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LaplaceFit:
    """Where the approximate restricted likelihood is largest.

    Attributes
    ----------
    fixed : (n_fixed,) float array
        Log odds.
    covariance : (n_fixed, n_fixed) float array
        Of the fixed effects, with the random effects integrated out.
    sds : (float, float)
        Standard deviations between units and between participants.
    criterion : float
        Negative log of the restricted likelihood, up to a constant.
    at_zero : (bool, bool)
        Whether a standard deviation fell to the smallest that is tried.
    converged : bool
    """

    fixed: Array
    covariance: Array
    sds: tuple[float, float]
    criterion: float
    at_zero: tuple[bool, bool]
    converged: bool


@dataclass(frozen=True, eq=False)
class _Mode:
    """The most likely effects for given standard deviations."""

    effects: Array
    criterion: float
    covariance: Array
    converged: bool


@dataclass(eq=False)
class _Problem:
    """Finds modes, each from where the last one was."""

    data: Crossed
    restricted: bool = True
    last: Array = field(init=False)
    links: "Links" = field(init=False)
    curve: "Curvature | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        data = self.data
        self.links = Links(data)
        n_fixed = data.fixed.shape[1]
        self.last = np.zeros(n_fixed + data.n_units + data.n_participants)
        # The log odds of all answers together; half an answer keeps them finite.
        n_right, n = data.correct.sum(), len(data.correct)
        if n_fixed:
            self.last[0] = np.log((n_right + 0.5) / (n - n_right + 0.5))

    def mode(self, log_sds: Array) -> _Mode:
        """Climb by Newton's steps, halved where they overshoot."""
        data = self.data
        sds = np.exp(log_sds)
        precision = prior_precision(data, sds)
        effects = self.last
        eta = log_odds(data, effects)
        value = penalised_loss(data, eta, effects, precision)
        # The curvature of the mode before is near enough to climb by, or soon replaced.
        curve = self.curve or self._curvature(eta, precision)
        before = np.inf
        for _ in range(MOST_STEPS):
            step = curve.solve(gradient(data, eta, effects, precision))
            eta_step = log_odds(data, step) - data.offset
            for _ in range(30):
                found = penalised_loss(data, eta + eta_step, effects + step, precision)
                if found <= value + 1e-12 * abs(value):
                    break
                step, eta_step = step / 2, eta_step / 2
            effects, eta, change = effects + step, eta + eta_step, value - found
            value = found
            if abs(change) < 1e-12 * (1 + abs(value)):
                break
            # Near the mode the curvature hardly changes, and it is what costs time.
            if np.abs(step).max() > LONG_STEP or abs(change) > SLOW * before:
                curve = self._curvature(eta, precision)
            before = abs(change)
        converged = abs(change) < 1e-8 * (1 + abs(value))
        if converged:
            self.last = effects
        self.curve = curve = self._curvature(eta, precision)
        used = [data.n_units, data.n_participants]
        criterion = value + float(used @ log_sds) + curve.log_determinant / 2
        covariance = curve.fixed_covariance()
        if not self.restricted:
            criterion += float(np.linalg.slogdet(covariance)[1]) / 2
        return _Mode(effects, criterion, covariance, converged)

    def _curvature(self, eta: Array, precision: Array) -> Curvature:
        return Curvature(self.data, self.links, answer_weights(eta), precision)


def fit_crossed(data: Crossed, *, restricted: bool = True) -> LaplaceFit:
    """Find the standard deviations, then the fixed effects.

    Parameters
    ----------
    restricted : bool
        False leaves the fixed effects out of the integral, as programs do that
        maximise the plain likelihood.

    Notes
    -----
    Fixed and random effects are integrated out together by Laplace's approximation,
    which makes the likelihood restricted (REML): variances are not too small by
    what the fixed effects took. Without participants, that effect stays out.
    """
    problem = _Problem(data, restricted)
    n_free = 2 if data.n_participants else 1
    found = minimize(
        _criterion_of(problem),
        np.log([0.7, 0.4][:n_free]),
        method="L-BFGS-B",
        bounds=[(np.log(SMALLEST_SD), np.log(LARGEST_SD))] * n_free,
        options={"ftol": 1e-8, "gtol": 1e-3, "eps": 1e-4},
    )
    log_sds = _both(found.x)
    mode = problem.mode(log_sds)
    sds = np.exp(log_sds)
    at_zero = sds < 30 * SMALLEST_SD
    return LaplaceFit(
        fixed=_centred(data, mode, log_sds),
        covariance=mode.covariance,
        sds=(float(sds[0]), float(sds[1]) if n_free == 2 else 0.0),
        criterion=mode.criterion,
        at_zero=(bool(at_zero[0]), bool(n_free == 2 and at_zero[1])),
        converged=bool(mode.converged and (found.success or found.nit > 1)),
    )


def _centred(data: Crossed, mode: _Mode, log_sds: Array) -> Array:
    """Move the fixed effects from the joint mode to that of their own likelihood.

    The joint mode lies too near 0, as random effects are not integrated out there;
    one Newton step takes away nearly all of it.
    """
    n_fixed = data.fixed.shape[1]
    fixed, n = mode.effects[:n_fixed], len(data.correct)
    problem = _Problem(replace(data, fixed=np.zeros((n, 0))))
    problem.last = mode.effects[n_fixed:]

    def criterion(tried: Array) -> float:
        problem.data = replace(problem.data, offset=data.fixed @ tried)
        prior = FIXED_SD**-2 * float(tried @ tried) / 2
        return problem.mode(log_sds).criterion + prior

    widths = 0.1 * np.sqrt(np.diag(mode.covariance))
    gradient = np.array(
        [
            (criterion(fixed + step) - criterion(fixed - step)) / (2 * step.sum())
            for step in np.diag(widths)
        ]
    )
    return fixed - mode.covariance @ gradient


def sd_interval(
    data: Crossed, fit: LaplaceFit, which: int, *, level: float
) -> tuple[float, float]:
    """Return the likelihood-ratio interval of one standard deviation.

    The other one stays at its estimate: in a crossed design the two hardly depend
    on each other. The lower end is 0 where no difference at all can't be excluded.
    """
    problem = _Problem(data)
    n_free = 2 if data.n_participants else 1
    best = np.log(np.maximum(fit.sds[:n_free], SMALLEST_SD))
    criterion = _criterion_of(problem)
    lowest = criterion(best)
    allowed = float(np.sqrt(chi2.ppf(level, 1)))

    def root(log_sd: float) -> float:
        """Return the root of the likelihood ratio: nearly straight in the log SD."""
        tried = best.copy()
        tried[which] = log_sd
        return float(np.sqrt(2 * max(criterion(tried) - lowest, 0))) - allowed

    here = float(best[which])
    smallest, largest = float(np.log(SMALLEST_SD)), float(np.log(LARGEST_SD))
    low = _crossing(root, here, -0.15, smallest, allowed)
    high = _crossing(root, max(here, np.log(0.05)), 0.15, largest, allowed)
    return (
        0.0 if low is None else float(np.exp(low)),
        LARGEST_SD if high is None else float(np.exp(high)),
    )


def _crossing(
    root: Callable[[float], float], here: float, step: float, end: float, allowed: float
) -> float | None:
    """Return where the root is 0 between here and the end; None where nowhere."""
    value, before, last = -allowed, -allowed, here
    while value < 0:
        if last == end:
            return None
        here, before = last, value
        last = max(last + step, end) if step < 0 else min(last + step, end)
        value = root(last)
        slope = (value - before) / abs(last - here)
        # Aim a little beyond, so that the next point closes the bracket.
        aim = 1.1 * max(-value, 0) / slope if slope > 0 else 2 * abs(step)
        step = np.copysign(min(max(aim, 0.02), 3 * abs(step)), step)
    return float(brentq(root, min(here, last), max(here, last), xtol=5e-3, rtol=1e-3))


def _criterion_of(problem: _Problem) -> Callable[[Array], float]:
    def criterion(log_sds: Array) -> float:
        return problem.mode(_both(log_sds)).criterion

    return criterion


def _both(log_sds: Array) -> Array:
    return log_sds if len(log_sds) == 2 else np.array([log_sds[0], 0.0])
