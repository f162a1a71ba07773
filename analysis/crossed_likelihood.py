"""The likelihood of two crossed random effects: its value, gradient and curvature."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.special import expit

Array = NDArray[np.float64]
Places = NDArray[np.intp]

FIXED_SD = 10.0
"""Of the prior of fixed effects (log odds): flat but where a group is all right."""


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


def prior_precision(data: Crossed, sds: Array) -> Array:
    """Return 1 / variance of all effects: fixed, of units, of participants."""
    return np.concatenate(
        [
            np.full(data.fixed.shape[1], FIXED_SD**-2),
            np.full(data.n_units, sds[0] ** -2),
            np.full(data.n_participants, sds[1] ** -2),
        ]
    )


def log_odds(data: Crossed, effects: Array) -> Array:
    """Return each answer's log odds to be right, given all effects."""
    n_fixed = data.fixed.shape[1]
    eta = data.fixed @ effects[:n_fixed] + data.offset
    eta += effects[n_fixed : n_fixed + data.n_units][data.unit]
    if data.n_participants:
        eta += effects[n_fixed + data.n_units :][data.participant]
    return eta


def penalised_loss(
    data: Crossed, eta: Array, effects: Array, precision: Array
) -> float:
    """Return the negative log likelihood of log odds ``eta``, and of the effects."""
    loss = np.logaddexp(0, eta).sum() - data.correct @ eta
    return float(loss + precision @ effects**2 / 2)


def gradient(data: Crossed, eta: Array, effects: Array, precision: Array) -> Array:
    """Return where :func:`penalised_loss` falls fastest, over all effects."""
    residual = data.correct - expit(eta)
    sums = [data.fixed.T @ residual, np.bincount(data.unit, residual, data.n_units)]
    if data.n_participants:
        sums.append(np.bincount(data.participant, residual, data.n_participants))
    return np.concatenate(sums) - precision * effects


def answer_weights(eta: Array) -> Array:
    """Return the variance p (1 − p) of answers with these log odds."""
    p = expit(eta)
    return p * (1 - p)


class Links:
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


class Curvature:
    """The Hessian, with the participants' diagonal block eliminated.

    Fixed effects and units together are the dense rest; eliminating the block makes
    a fit of thousands of participants cost no more than one of its units.
    """

    def __init__(
        self, data: Crossed, links: Links, weight: Array, precision: Array
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
