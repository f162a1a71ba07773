"""An interval for means over units that holds for new units and new participants."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.stats import t as student_t

Array = NDArray[np.float64]

FEWEST_LEVELS = 2


@dataclass(frozen=True, kw_only=True)
class CrossedContrast:
    """A weighted sum of group means over units, with its interval.

    Attributes
    ----------
    estimate : float
    ci_low, ci_high, se : float or None
        None where a group has fewer than two units, or there are fewer than two
        participants.
    n_units, n_participants, n_trials : int
    """

    estimate: float
    ci_low: float | None
    ci_high: float | None
    se: float | None
    n_units: int
    n_participants: int
    n_trials: int


def crossed_contrast(
    correct: ArrayLike,
    units: "pd.Series[str]",
    participants: "pd.Series[str]",
    *,
    groups: "pd.Series[str] | None" = None,
    weights: Mapping[str, float] | None = None,
    level: float = 0.95,
) -> CrossedContrast:
    """Weigh the mean proportions correct of groups of units.

    Parameters
    ----------
    correct : (n,) bool array
    units, participants : (n,) Series of str
        Whose answer to which unit.
    groups : (n,) Series of str, optional
        The unit's group; a unit may be in several, as with two methods. One group
        otherwise.
    weights : mapping of group to float, optional
        Such as 1 and −1 for a difference; groups that it lacks take no part. The
        only group has 1 otherwise.

    Notes
    -----
    Cluster-robust in two ways (Cameron, Gelbach and Miller 2011): the variance over
    units, plus that over participants, less that of single answers, which both
    hold. Never less than that over units. Student's t has as many degrees of
    freedom as the fewest units of a group or the participants, less one.
    """
    y = np.asarray(correct, dtype="float64")
    unit = pd.factorize(units, sort=True)[0]
    participant, people = pd.factorize(participants, sort=True)
    given = dict(weights or {"all": 1.0})
    names = (
        np.full(len(y), "all", dtype=object)
        if groups is None
        else groups.to_numpy(dtype=object)
    )
    estimate, influence, fewest, used = 0.0, np.zeros(len(y)), len(people), []
    for name, weight in given.items():
        of_group = np.flatnonzero(names == name)
        if not len(of_group):
            raise ValueError(f"No answer is of group {name!r}; there must be some.")
        mean, part, n_units = _group_influence(y[of_group], unit[of_group])
        estimate += weight * mean
        influence[of_group] += weight * part
        fewest = min(fewest, n_units)
        used.append(of_group)
    rows = np.concatenate(used)
    n_people = len(np.unique(participant[rows]))
    fewest = min(fewest, n_people)
    shown = {
        "estimate": float(estimate),
        "n_units": len(np.unique(unit[rows])),
        "n_participants": n_people,
        "n_trials": len(rows),
    }
    if fewest < FEWEST_LEVELS:
        return CrossedContrast(ci_low=None, ci_high=None, se=None, **shown)  # type: ignore[arg-type]
    variance = clustered_variance(influence[rows], unit[rows], participant[rows])
    se = float(np.sqrt(variance))
    half = float(student_t.ppf((1 + level) / 2, fewest - 1)) * se
    return CrossedContrast(
        ci_low=float(estimate - half),
        ci_high=float(estimate + half),
        se=se,
        **shown,  # type: ignore[arg-type]
    )


def _group_influence(y: Array, unit: NDArray[np.intp]) -> tuple[float, Array, int]:
    """Return the mean over units, each answer's influence on it, and the units."""
    place = pd.factorize(unit)[0]
    n_answers = np.bincount(place)
    n_units = len(n_answers)
    his = np.bincount(place, y) / n_answers
    mean = float(his.mean())
    # The share of n − 1 makes the units' part the usual variance of a mean.
    correction = np.sqrt(n_units / max(n_units - 1, 1))
    return mean, correction * (y - mean) / (n_units * n_answers[place]), n_units


def clustered_variance(
    influence: Array, unit: NDArray[np.intp], participant: NDArray[np.intp]
) -> float:
    """Return the variance of a sum of influences that units and participants share."""
    over_units = float((np.bincount(unit, influence) ** 2).sum())
    per_person = np.bincount(participant, influence)
    n_people = len(np.unique(participant))
    over_people = float((per_person**2).sum()) * n_people / max(n_people - 1, 1)
    cells = csr_array((influence, (unit, participant)))
    cells.sum_duplicates()
    return max(over_units + over_people - float((cells.data**2).sum()), over_units)
