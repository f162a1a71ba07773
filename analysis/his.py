"""Human interpretability score (HIS): proportion correct per unit, with intervals."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from analysis.resampling import N_RESAMPLES, bca_interval
from data.errors import DataContractError


@dataclass(frozen=True, kw_only=True)
class ConditionScore:
    """HIS of many units together.

    Attributes
    ----------
    his : float
        Unweighted mean over units, in [0, 1]; chance is 0.5.
    ci_low, ci_high : float or None
        BCa bootstrap over units; None where there is none.
    sd : float or None
        Standard deviation between units; None for a single unit.
    n_units, n_trials : int
    level : float
        Coverage of the interval.
    """

    his: float
    ci_low: float | None
    ci_high: float | None
    sd: float | None
    n_units: int
    n_trials: int
    level: float


def human_interpretability(
    responses: pd.DataFrame, *, level: float = 0.95
) -> pd.DataFrame:
    """Score every unit by its main trials; catch and practice trials do not count.

    Parameters
    ----------
    responses : DataFrame
        One row a response: 'unit', 'kind', 'correct' (bool). Excluded sessions are
        already gone.
    level : float
        Coverage of the Wilson interval, in (0, 1).

    Returns
    -------
    DataFrame
        One row a unit, sorted: 'unit', 'n_correct', 'n_trials', 'his', 'ci_low',
        'ci_high'. Chance is 0.5.

    Raises
    ------
    DataContractError
        There are no main trials.
    """
    main = responses[responses["kind"] == "main"]
    if main.empty:
        raise DataContractError(
            f"None of the {len(responses)} responses is to a main trial; a score needs"
            " at least one. Check which sessions are excluded."
        )
    return proportions(main, "unit", level=level).rename(
        columns={"proportion_correct": "his"}
    )


def proportions(
    responses: pd.DataFrame, column: str, *, level: float = 0.95
) -> pd.DataFrame:
    """Count right answers for each value of a column.

    Returns
    -------
    DataFrame
        One row a value, sorted: the column, 'n_correct', 'n_trials',
        'proportion_correct', 'ci_low', 'ci_high' (Wilson).
    """
    counts = responses.groupby(column, as_index=False, sort=True).agg(
        n_correct=("correct", "sum"), n_trials=("correct", "size")
    )
    return with_proportions(counts, level=level)


def with_proportions(counts: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """Add proportion correct and its Wilson interval to counted answers.

    Parameters
    ----------
    counts : DataFrame
        'n_correct' and 'n_trials' (at least 1).
    """
    n_correct = counts["n_correct"].to_numpy(dtype="int64")
    n_trials = counts["n_trials"].to_numpy(dtype="int64")
    low, high = proportion_confint(
        n_correct, n_trials, alpha=1 - level, method="wilson"
    )
    return counts.assign(
        n_correct=n_correct,
        n_trials=n_trials,
        proportion_correct=n_correct / n_trials,
        # Rounding can leave the ends a hair outside what a proportion can be.
        ci_low=np.clip(low, 0, 1),
        ci_high=np.clip(high, 0, 1),
    )


def condition_score(
    scores: pd.DataFrame,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> ConditionScore:
    """Average HIS over units, each with the same weight.

    Parameters
    ----------
    scores : DataFrame
        As :func:`human_interpretability` returns it, at least one unit.

    Notes
    -----
    IMI's model score: the interval resamples units, not participants, and so tells
    how the score would vary with other units, answered by the same people.
    """
    his = scores["his"].to_numpy(dtype="float64")
    interval = bca_interval(
        (his,), np.mean, rng=rng, level=level, n_resamples=n_resamples
    )
    low, high = interval or (None, None)
    return ConditionScore(
        his=float(his.mean()),
        ci_low=low,
        ci_high=high,
        sd=float(his.std(ddof=1)) if len(his) > 1 else None,
        n_units=len(his),
        n_trials=int(scores["n_trials"].sum()),
        level=level,
    )
