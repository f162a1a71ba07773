"""Whether the machine's probabilities are how often people are right."""

import warnings
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import logit
from scipy.stats import norm
from statsmodels.api import GLM, add_constant, families
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

from analysis.his import with_proportions

CLIP = 1e-6
"""How near to 0 and 1 a probability counts, so that no single answer costs all."""

FEWEST_UNITS = 10
"""Robust errors of fewer clusters are far too small."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Calibration:
    """A machine's probabilities against the answers.

    Attributes
    ----------
    bins : DataFrame
        One row a bin of tasks (or units), by rising probability: 'probability' (mean
        over answers), 'n_tasks', 'n_correct', 'n_trials', 'proportion_correct',
        'ci_low', 'ci_high' (Wilson).
    brier_score : float
        Mean squared distance of probability and answer, in [0, 1]; always saying
        0.5 gives 0.25.
    brier_of_mean : float
        What always saying the overall proportion correct gives.
    expected_error : float
        Mean distance of probability and proportion correct over bins, each weighted
        by its answers; above 0 by chance alone.
    n_tasks, n_trials : int
        Tasks (or units) and answers.
    """

    bins: pd.DataFrame = field(repr=False)
    brier_score: float
    brier_of_mean: float
    expected_error: float
    n_tasks: int
    n_trials: int


@dataclass(frozen=True, kw_only=True)
class Recalibration:
    """The line, in log odds, from the machine's probabilities to people's.

    Attributes
    ----------
    intercept, slope : float or None
        0 and 1 where the probabilities are right. A slope below 1: the machine is too
        sure; an intercept above 0: people are better than it says.
    intercept_low, intercept_high, slope_low, slope_high : float or None
        Normal intervals with errors robust to answers of one unit being alike.
    n_trials, n_units : int
    n_clipped : int
        Answers whose probability is nearer to 0 or 1 than counts.
    level : float
    note : str or None
    """

    intercept: float | None
    intercept_low: float | None
    intercept_high: float | None
    slope: float | None
    slope_low: float | None
    slope_high: float | None
    n_trials: int
    n_units: int
    n_clipped: int
    level: float
    note: str | None = None


def calibration(
    main: pd.DataFrame,
    tasks: pd.DataFrame,
    *,
    by: str = "task_id",
    n_bins: int = 8,
    level: float = 0.95,
) -> Calibration | None:
    """Compare each task's probability with the answers to it.

    Parameters
    ----------
    main : DataFrame
        Main trials that count: 'task_id', 'correct'.
    tasks : DataFrame
        As in :data:`data.scores.TASK_SCORES`: 'task_id', 'probability'.
    by : str
        ``"unit"`` where people answered other tasks than the machine: then ``tasks``
        holds 'unit' and 'probability', a unit's MIS.
    n_bins : int
        Bins with about as many answers each.

    Returns
    -------
    Calibration or None
        None where no answered task has a probability.
    """
    answers = main[[by, "correct"]].merge(
        tasks[[by, "probability"]].dropna(), on=by, validate="m:1"
    )
    if answers.empty:
        return None
    place = answers["probability"].rank(method="average") - 1
    answers["bin"] = np.floor(place * n_bins / len(answers)).astype("int64")
    bins = answers.groupby("bin", as_index=False).agg(
        probability=("probability", "mean"),
        n_tasks=(by, "nunique"),
        n_correct=("correct", "sum"),
        n_trials=("correct", "size"),
    )
    correct = answers["correct"].to_numpy(dtype="float64")
    predicted = answers["probability"].to_numpy(dtype="float64")
    return Calibration(
        bins=with_proportions(bins.drop(columns="bin"), level=level),
        brier_score=float(((predicted - correct) ** 2).mean()),
        brier_of_mean=float(correct.var()),
        expected_error=float(
            (bins["probability"] * bins["n_trials"] - bins["n_correct"]).abs().sum()
            / len(answers)
        ),
        n_tasks=int(answers[by].nunique()),
        n_trials=len(answers),
    )


def recalibration(
    main: pd.DataFrame,
    tasks: pd.DataFrame,
    *,
    by: str = "task_id",
    level: float = 0.95,
) -> Recalibration:
    """Fit how people's log odds of a right answer follow from the machine's.

    Parameters
    ----------
    main : DataFrame
        Main trials that count: 'unit', 'correct', and 'task_id' where ``by`` says so.
    tasks : DataFrame
        'task_id' (or 'unit') and 'probability'.

    Notes
    -----
    Cox 1958: logistic regression of the answers on the logit of the probability.
    """
    columns = list(dict.fromkeys(["unit", "correct", by]))
    answers = main[columns].merge(
        tasks[[by, "probability"]].dropna(), on=by, validate="m:1"
    )
    said = answers["probability"].to_numpy("float64")
    correct = answers["correct"].to_numpy("float64")
    n_units = int(answers["unit"].nunique())
    clipped = np.clip(said, CLIP, 1 - CLIP)
    note = None
    if n_units < FEWEST_UNITS:
        note = f"recalibration needs at least {FEWEST_UNITS} units; there are {n_units}"
    elif np.ptp(clipped) == 0:
        note = "every task has the same probability"
    elif np.ptp(correct) == 0:
        note = "every answer is the same"
    ends = None if note else _robust_line(logit(clipped), correct, answers, level)
    if ends is None and note is None:
        note = "right and wrong answers are parted by the probability without overlap"
    (intercept, slope) = ends or ((None, None, None), (None, None, None))
    return Recalibration(
        intercept=intercept[0],
        intercept_low=intercept[1],
        intercept_high=intercept[2],
        slope=slope[0],
        slope_low=slope[1],
        slope_high=slope[2],
        n_trials=len(answers),
        n_units=n_units,
        n_clipped=int((said != clipped).sum()),
        level=level,
        note=note,
    )


Estimate = tuple[float, float, float]


def _robust_line(
    log_odds: np.ndarray, correct: np.ndarray, answers: pd.DataFrame, level: float
) -> tuple[Estimate, Estimate] | None:
    model = GLM(correct, add_constant(log_odds), family=families.Binomial())
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error", PerfectSeparationWarning)
        try:
            fit = model.fit(
                cov_type="cluster",
                cov_kwds={"groups": pd.factorize(answers["unit"])[0]},
            )
        except PerfectSeparationWarning:
            return None
    z = float(norm.ppf((1 + level) / 2))
    found = [
        (float(value), float(value - z * error), float(value + z * error))
        for value, error in zip(fit.params, fit.bse, strict=True)
    ]
    return found[0], found[1]
