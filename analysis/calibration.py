"""Whether the machine's probabilities are how often people are right."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.his import with_proportions


@dataclass(frozen=True, eq=False, kw_only=True)
class Calibration:
    """MIS's probabilities of single tasks against the answers to them.

    Attributes
    ----------
    bins : DataFrame
        One row a bin of tasks, by rising probability: 'probability' (mean over
        answers), 'n_tasks', 'n_correct', 'n_trials', 'proportion_correct', 'ci_low',
        'ci_high' (Wilson).
    brier_score : float
        Mean squared distance of probability and answer, in [0, 1]; always saying
        0.5 gives 0.25.
    brier_of_mean : float
        What always saying the overall proportion correct gives.
    n_tasks, n_trials : int
    """

    bins: pd.DataFrame = field(repr=False)
    brier_score: float
    brier_of_mean: float
    n_tasks: int
    n_trials: int


def calibration(
    main: pd.DataFrame, tasks: pd.DataFrame, *, n_bins: int = 8, level: float = 0.95
) -> Calibration | None:
    """Compare each task's probability with the answers to it.

    Parameters
    ----------
    main : DataFrame
        Main trials that count: 'task_id', 'correct'.
    tasks : DataFrame
        As in :data:`data.scores.TASK_SCORES`: 'task_id', 'probability'.
    n_bins : int
        Bins with about as many answers each.

    Returns
    -------
    Calibration or None
        None where no answered task has a probability.
    """
    answers = main[["task_id", "correct"]].merge(
        tasks[["task_id", "probability"]], on="task_id"
    )
    if answers.empty:
        return None
    place = answers["probability"].rank(method="average") - 1
    answers["bin"] = np.floor(place * n_bins / len(answers)).astype("int64")
    bins = answers.groupby("bin", as_index=False).agg(
        probability=("probability", "mean"),
        n_tasks=("task_id", "nunique"),
        n_correct=("correct", "sum"),
        n_trials=("correct", "size"),
    )
    correct = answers["correct"].to_numpy(dtype="float64")
    predicted = answers["probability"].to_numpy(dtype="float64")
    return Calibration(
        bins=with_proportions(bins.drop(columns="bin"), level=level),
        brier_score=float(((predicted - correct) ** 2).mean()),
        brier_of_mean=float(correct.var()),
        n_tasks=int(answers["task_id"].nunique()),
        n_trials=len(answers),
    )
