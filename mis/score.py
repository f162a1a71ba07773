"""The machine interpretability score (MIS): from margins to a score for each unit."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from data.errors import DataContractError
from data.formats import Header
from data.scores import Scores
from data.tasks import TaskSet
from mis.margins import (
    plan_of,
    streamed_margins,
    task_margins,
    task_margins_from_features,
    task_margins_from_pairs,
)

__all__ = [
    "DREAMSIM_TAU",
    "calibrated",
    "hard_accuracy",
    "plan_of",
    "probabilities",
    "rescored",
    "score_units",
    "streamed_margins",
    "task_margins",
    "task_margins_from_features",
    "task_margins_from_pairs",
    "unit_scores",
    "unit_table",
]

DREAMSIM_TAU = 0.16
"""The MIS paper's only free parameter, fitted there to DreamSim cosines."""

_BLOCK = 2**16


def probabilities(margins: NDArray[np.floating], *, tau: float) -> NDArray[np.float64]:
    """Return the probability that the machine observer answers each task correctly.

    Parameters
    ----------
    margins : array
        In units of the similarity; above zero is correct.
    tau : float
        Temperature in (0, inf), in units of the similarity: it belongs to one
        similarity function. The smaller, the nearer to 0, ½ and 1.

    Returns
    -------
    float64 array of the same shape
        In [0, 1]; 0.5 is chance.

    Raises
    ------
    DataContractError
        ``tau`` is not above 0.

    Notes
    -----
    ``sigmoid(margin / tau)``. The MIS paper prints ``sigmoid(alpha * margin)`` with
    alpha = 0.16; a margin of cosines is at most 4, so that form can't exceed
    sigmoid(0.64) = 0.655, and the published scores of 0.80 to 0.91 can't come from
    it. As a temperature, 0.16 gives them.
    """
    if not tau > 0 or not np.isfinite(tau):
        raise DataContractError(
            f"'tau' is {tau!r}; it must be in (0, inf), in units of the similarity."
            f" Name another, such as {DREAMSIM_TAU} for DreamSim."
        )
    return np.asarray(expit(np.asarray(margins, dtype=np.float64) / tau))


def hard_accuracy(margins: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the share of correct tasks over the last axis; a tied task counts ½."""
    return (0.5 + 0.5 * np.sign(margins, dtype=np.float64)).mean(axis=-1)


def unit_scores(
    margins: NDArray[np.floating], *, tau: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each unit's MIS and hard accuracy, some units at a time.

    Parameters
    ----------
    margins : (n_units, n_tasks) float array
        May be memory-mapped.

    Returns
    -------
    two (n_units,) float64 arrays

    Raises
    ------
    DataContractError
        A margin is not finite, or ``tau`` is not above 0.
    """
    mis, hard = np.empty(len(margins)), np.empty(len(margins))
    probabilities(np.zeros(1), tau=tau)
    for start in range(0, len(margins), _BLOCK):
        block = slice(start, start + _BLOCK)
        exact = np.asarray(margins[block], dtype=np.float64)
        if not np.isfinite(exact).all():
            raise DataContractError(
                f"{np.count_nonzero(~np.isfinite(exact))} margins are not finite; all"
                " must be. Check the encoder's weights and its features."
            )
        mis[block] = probabilities(exact, tau=tau).mean(axis=1)
        hard[block] = hard_accuracy(exact)
    return mis, hard


def calibrated(
    mis: NDArray[np.float64], *, slope: float = 1.0, offset: float = 0.0
) -> NDArray[np.float64]:
    """Return ``sigmoid(offset + slope · logit(MIS))``, the model of ``unitscope fit``.

    Parameters
    ----------
    mis : array
        In [0, 1].
    slope, offset : float
        1 and 0 return ``mis`` itself, to the last bit.
    """
    if slope == 1 and offset == 0:
        return mis
    return np.asarray(expit(offset + slope * logit(mis)))


def score_units(
    tasks: TaskSet,
    margins: NDArray[np.floating],
    *,
    tau: float,
    slope: float = 1.0,
    offset: float = 0.0,
    header: Header,
) -> Scores:
    """Score every unit of a task set.

    Parameters
    ----------
    margins : (n_units, n_tasks) float array
        Of ``tasks.units``, in their order.
    tau : float
        See :func:`probabilities`.
    slope, offset : float
        See :func:`calibrated`; they move the units' scores, not those of tasks.

    Returns
    -------
    Scores
        One row for each row of ``tasks.table``, in its order; a unit without tasks
        has NaN and its reason.

    Raises
    ------
    DataContractError
        The margins are not those of this task set, or are not finite.
    """
    expected = tasks.queries.shape[:2]
    if margins.shape != expected:
        raise DataContractError(
            f"'margins' has shape {margins.shape}; the units and tasks need {expected}."
            " Compute them from this task set."
        )
    mis, hard = unit_scores(margins, tau=tau)
    mis = calibrated(mis, slope=slope, offset=offset)
    return Scores(
        units=unit_table(tasks, mis=mis, hard_accuracy=hard),
        margins=np.asarray(margins, dtype=np.float32),
        header=replace(header, config={**header.config, "tau": tau}),
        task_kind=task_kind(tasks),
    )


def unit_table(tasks: TaskSet, **columns: NDArray[np.float64]) -> pd.DataFrame:
    """Return a score table with a row for each row of ``tasks.table``.

    Parameters
    ----------
    columns : (n_units,) float arrays by name
        Of the units that have tasks, in their order; NaN for the others.
    """
    units = tasks.table[["unit"]].copy()
    scored = tasks.table["reason"].isna().to_numpy()
    for name, values in columns.items():
        units[name] = np.nan
        units.loc[scored, name] = values
    units["n_tasks"] = np.where(scored, tasks.queries.shape[1], 0).astype(np.int64)
    units["tie_share"] = tasks.table["tie_share"].to_numpy()
    units["reason"] = tasks.table["reason"].to_numpy()
    return units


def task_kind(tasks: TaskSet) -> str:
    """Return what the tasks' names say of explanation method and difficulty."""
    if not tasks.units:
        return "natural-easy"
    unit = tasks.units[0]
    return tasks.task_id(unit, 0)[len(str(unit)) + 1 :].rsplit("#", 1)[0]


def rescored(
    scores: Scores,
    *,
    tau: float,
    slope: float = 1.0,
    offset: float = 0.0,
    n_tasks: int | None = None,
    header: Header,
) -> Scores:
    """Score units again from the margins that are stored: no images are needed.

    Parameters
    ----------
    tau : float
        See :func:`probabilities`.
    slope, offset : float
        See :func:`calibrated`.
    n_tasks : int, optional
        Take the first tasks of each unit only.

    Raises
    ------
    DataContractError
        There are no margins, or not as many tasks.
    """
    if scores.margins is None:
        raise DataContractError(
            "These scores hold no margins; those of an older version, and of methods"
            " that compare no queries, have none. Score the tasks again."
        )
    most = scores.margins.shape[1]
    wanted = most if n_tasks is None else n_tasks
    if not 1 <= wanted <= most:
        raise DataContractError(
            f"'n_tasks' is {wanted}; the scores hold {most} tasks a unit, so it must be"
            f" in 1 to {most}."
        )
    margins = scores.margins[:, :wanted]
    mis, hard = unit_scores(margins, tau=tau)
    mis = calibrated(mis, slope=slope, offset=offset)
    units, scored = scores.units.copy(), scores.units["n_tasks"].to_numpy() > 0
    units.loc[scored, "mis"], units.loc[scored, "hard_accuracy"] = mis, hard
    units.loc[scored, "n_tasks"] = wanted
    return Scores(
        units=units,
        margins=margins,
        header=replace(header, config={**header.config, "tau": tau}),
        task_kind=scores.task_kind,
    )
