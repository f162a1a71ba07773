"""The machine interpretability score (MIS): from margins to a score for each unit."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from data.errors import DataContractError
from data.formats import Header
from data.scores import Scores
from data.tasks import TaskSet
from mis.margins import (
    cheaper_strategy,
    task_margins,
    task_margins_from_features,
    task_margins_from_pairs,
)

__all__ = [
    "DREAMSIM_TAU",
    "cheaper_strategy",
    "hard_accuracy",
    "probabilities",
    "score_units",
    "task_margins",
    "task_margins_from_features",
    "task_margins_from_pairs",
]

DREAMSIM_TAU = 0.16
"""The MIS paper's only free parameter, fitted there to DreamSim cosines."""


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


def score_units(
    tasks: TaskSet, margins: NDArray[np.floating], *, tau: float, header: Header
) -> Scores:
    """Score every unit of a task set.

    Parameters
    ----------
    margins : (n_units, n_tasks) float array
        Of ``tasks.units``, in their order.
    tau : float
        See :func:`probabilities`.

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
    if not np.isfinite(margins).all():
        raise DataContractError(
            f"{np.count_nonzero(~np.isfinite(margins))} margins are not finite; all"
            " must be. Check the encoder's weights and its features."
        )
    exact = np.asarray(margins, dtype=np.float64)
    probability = probabilities(exact, tau=tau)
    names = [str(unit) for unit in tasks.units]
    scored = pd.DataFrame(
        {
            "unit": names,
            "mis": probability.mean(axis=1),
            "hard_accuracy": hard_accuracy(exact),
            "n_tasks": expected[1],
        }
    )
    units = tasks.table[["unit"]].merge(scored, on="unit", how="left", validate="1:1")
    units["n_tasks"] = units["n_tasks"].fillna(0).astype("int64")
    units["tie_share"] = tasks.table["tie_share"].to_numpy()
    units["reason"] = tasks.table["reason"].to_numpy()
    return Scores(
        units=units.astype({"mis": "float64", "hard_accuracy": "float64"}),
        tasks=_task_table(tasks, exact, probability),
        header=header,
    )


def _task_table(
    tasks: TaskSet, margins: NDArray[np.float64], probability: NDArray[np.float64]
) -> pd.DataFrame:
    n_units, n_tasks = margins.shape
    return pd.DataFrame(
        {
            "task_id": [
                tasks.task_id(unit, number)
                for unit in tasks.units
                for number in range(n_tasks)
            ],
            "unit": np.repeat([str(unit) for unit in tasks.units], n_tasks),
            "number": np.tile(np.arange(n_tasks, dtype=np.int64), n_units),
            "margin": margins.ravel(),
            "probability": probability.ravel(),
        }
    )
