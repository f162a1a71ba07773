"""A logistic model with two crossed random effects, by Laplace's approximation."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import brentq, minimize
from scipy.sparse import csr_array
from scipy.special import expit
from scipy.stats import chi2

Array = NDArray[np.float64]
Places = NDArray[np.intp]

FIXED_SD = 10.0
"""Of the prior of fixed effects (log odds): flat but where a group is all right."""
SMALLEST_SD, LARGEST_SD = 1e-3, 20.0
MOST_STEPS = 100
LONG_STEP = 0.2
SLOW = 0.2
"""Share of the last gain; who gains more than that again climbs by a poor curvature."""
FEW_CELLS = 100_000
"""Units times participants, up to which a dense table is faster than a sparse one."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Crossed:
    """Answers with their fixed effects, units and participants.

    Attributes
    ----------
    correct : (n,) float array
        0 or 1.
    fixed : (n, n_fixed) float array
    unit, participant : (n,) int arrays
        Places of the unit and of the participant; ``participant`` is all 0 where
        ``n_participants`` is 0.
    n_units, n_participants : int
        Levels of each random effect; 0 participants leave that effect out.
    offset : (n,) float array or 0
        Log odds that are given.
    """

    correct: Array
    fixed: Array
    unit: Places
    participant: Places
    n_units: int
    n_participants: int
    offset: Array | float = 0.0

    @classmethod
    def of(
        cls,
        correct: Array,
        fixed: Array,
        units: "pd.Series[str]",
        participants: "pd.Series[str] | None",
    ) -> "Crossed":
        """Return the problem with units and participants numbered by name."""
        unit, unit_names = pd.factorize(units, sort=True)
        if participants is None:
            return cls(
                correct=correct,
                fixed=fixed,
                unit=unit,
                participant=np.zeros(len(unit), dtype=np.intp),
                n_units=len(unit_names),
                n_participants=0,
            )
        participant, names = pd.factorize(participants, sort=True)
        return cls(
            correct=correct,
            fixed=fixed,
            unit=unit,
            participant=participant,
            n_units=len(unit_names),
            n_participants=len(names),
        )


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
    links: "_Links" = field(init=False)
    curve: "_Curvature | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        data = self.data
        self.links = _Links(data)
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
        precision = _precision(data, sds)
        effects = self.last
        eta = _log_odds(data, effects)
        value = _penalised(data, eta, effects, precision)
        # The curvature of the mode before is near enough to climb by, or soon replaced.
        curve = self.curve or _Curvature(data, self.links, _weight(eta), precision)
        before = np.inf
        for _ in range(MOST_STEPS):
            step = curve.solve(_gradient(data, eta, effects, precision))
            eta_step = _log_odds(data, step) - data.offset
            for _ in range(30):
                found = _penalised(data, eta + eta_step, effects + step, precision)
                if found <= value + 1e-12 * abs(value):
                    break
                step, eta_step = step / 2, eta_step / 2
            effects, eta, change = effects + step, eta + eta_step, value - found
            value = found
            if abs(change) < 1e-12 * (1 + abs(value)):
                break
            # Near the mode the curvature hardly changes, and it is what costs time.
            if np.abs(step).max() > LONG_STEP or abs(change) > SLOW * before:
                curve = _Curvature(data, self.links, _weight(eta), precision)
            before = abs(change)
        converged = abs(change) < 1e-8 * (1 + abs(value))
        if converged:
            self.last = effects
        self.curve = curve = _Curvature(data, self.links, _weight(eta), precision)
        used = [data.n_units, data.n_participants]
        criterion = value + float(used @ log_sds) + curve.log_determinant / 2
        covariance = curve.fixed_covariance()
        if not self.restricted:
            criterion += float(np.linalg.slogdet(covariance)[1]) / 2
        return _Mode(effects, criterion, covariance, converged)


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


def _precision(data: Crossed, sds: Array) -> Array:
    return np.concatenate(
        [
            np.full(data.fixed.shape[1], FIXED_SD**-2),
            np.full(data.n_units, sds[0] ** -2),
            np.full(data.n_participants, sds[1] ** -2),
        ]
    )


def _log_odds(data: Crossed, effects: Array) -> Array:
    n_fixed = data.fixed.shape[1]
    eta = data.fixed @ effects[:n_fixed] + data.offset
    eta += effects[n_fixed : n_fixed + data.n_units][data.unit]
    if data.n_participants:
        eta += effects[n_fixed + data.n_units :][data.participant]
    return eta


def _penalised(data: Crossed, eta: Array, effects: Array, precision: Array) -> float:
    loss = np.logaddexp(0, eta).sum() - data.correct @ eta
    return float(loss + precision @ effects**2 / 2)


def _gradient(data: Crossed, eta: Array, effects: Array, precision: Array) -> Array:
    residual = data.correct - expit(eta)
    sums = [data.fixed.T @ residual, np.bincount(data.unit, residual, data.n_units)]
    if data.n_participants:
        sums.append(np.bincount(data.participant, residual, data.n_participants))
    return np.concatenate(sums) - precision * effects


def _weight(eta: Array) -> Array:
    p = expit(eta)
    return p * (1 - p)


class _Links:
    """Who met which unit, sorted once for all the weights that answers get."""

    def __init__(self, data: Crossed) -> None:
        self._shape = data.n_units, data.n_participants
        if data.n_units * data.n_participants <= FEW_CELLS:
            self._cells = data.unit * data.n_participants + data.participant
            return
        self._order = np.lexsort((data.participant, data.unit))
        self._columns = data.participant[self._order]
        sizes = np.bincount(data.unit, minlength=data.n_units)
        self._starts = np.concatenate([[0], np.cumsum(sizes)])

    def of(self, weight: Array) -> Array | csr_array:
        """Return the sums of weights of each unit and participant."""
        n_units, n_participants = self._shape
        if n_units * n_participants <= FEW_CELLS:
            summed: Array = np.zeros(n_units * n_participants)
            summed += np.bincount(self._cells, weight, len(summed))
            return summed.reshape(self._shape)
        parts = weight[self._order], self._columns, self._starts
        return csr_array(parts, shape=self._shape)


class _Curvature:
    """The Hessian, with the participants' diagonal block eliminated.

    Fixed effects and units together are the dense rest; eliminating the block makes
    a fit of thousands of participants cost no more than one of its units.
    """

    def __init__(
        self, data: Crossed, links: _Links, weight: Array, precision: Array
    ) -> None:
        n_fixed, n_units = data.fixed.shape[1], data.n_units
        n_dense = n_fixed + n_units
        weighted = data.fixed * weight[:, None]
        dense = np.zeros((n_dense, n_dense))
        dense[:n_fixed, :n_fixed] = weighted.T @ data.fixed
        for column in range(n_fixed):
            shared = np.bincount(data.unit, weighted[:, column], n_units)
            dense[column, n_fixed:] = dense[n_fixed:, column] = shared
        places = np.arange(n_fixed, n_dense)
        dense[places, places] = np.bincount(data.unit, weight, n_units)
        dense[np.diag_indices(n_dense)] += precision[:n_dense]
        self._n_fixed, self._n_dense = n_fixed, n_dense
        self._diagonal = precision[n_dense:].copy()
        if data.n_participants:
            self._diagonal += np.bincount(data.participant, weight, data.n_participants)
            self._fixed_link = np.array(
                [
                    np.bincount(data.participant, column, data.n_participants)
                    for column in weighted.T
                ]
            ).reshape(n_fixed, data.n_participants)
            self._unit_link = links.of(weight)
            self._eliminate(dense)
        self._factor = cho_factor(dense, lower=True)

    def _eliminate(self, dense: Array) -> None:
        """Take from the dense part what participants explain of it."""
        n, link, scaled = self._n_fixed, self._unit_link, 1 / self._diagonal
        fixed = self._fixed_link * scaled
        dense[:n, :n] -= fixed @ self._fixed_link.T
        both = link @ fixed.T
        dense[n:, :n] -= both
        dense[:n, n:] -= both.T
        if isinstance(link, csr_array):
            # Sparse: a participant meets few of the units.
            parts = link.data * scaled[link.indices], link.indices, link.indptr
            dense[n:, n:] -= (csr_array(parts, shape=link.shape) @ link.T).toarray()
        else:
            dense[n:, n:] -= (link * scaled) @ link.T

    def solve(self, right: Array) -> Array:
        """Solve for one right-hand side."""
        upper, lower = right[: self._n_dense].copy(), right[self._n_dense :]
        if not len(self._diagonal):
            return cho_solve(self._factor, upper)
        n = self._n_fixed
        upper[:n] -= self._fixed_link @ (lower / self._diagonal)
        upper[n:] -= self._unit_link @ (lower / self._diagonal)
        first = cho_solve(self._factor, upper)
        taken = self._fixed_link.T @ first[:n] + self._unit_link.T @ first[n:]
        return np.concatenate([first, (lower - taken) / self._diagonal])

    @property
    def log_determinant(self) -> float:
        """The logarithm of the Hessian's determinant."""
        dense = 2 * np.log(np.diag(self._factor[0])).sum()
        return float(dense + np.log(self._diagonal).sum())

    def fixed_covariance(self) -> Array:
        """Return the fixed effects' block of the inverse."""
        unit_vectors = np.eye(self._n_dense, self._n_fixed)
        return cho_solve(self._factor, unit_vectors)[: self._n_fixed]
