"""Whether people get better or worse along a session."""

import warnings
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy.stats import norm
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

from analysis.his import with_proportions
from analysis.resampling import (
    N_RESAMPLES,
    interval_of_sums,
    participant_of,
    participant_sums,
)

Array = NDArray[np.float64]

FEWEST_PARTICIPANTS = 5


@dataclass(frozen=True, eq=False, kw_only=True)
class PositionEffect:
    """Proportion correct along the main trials of a session.

    Attributes
    ----------
    bins : DataFrame
        One row a stretch of positions: 'first_position', 'last_position' (from 1),
        'position' (mean), 'n_correct', 'n_trials', 'proportion_correct', 'ci_low',
        'ci_high' (Wilson).
    slope : float or None
        Change of the log odds of a right answer from the first to the last main trial
        of a session, by logistic regression; above 0 people get better.
    slope_low, slope_high, p_value : float or None
        With errors clustered by participant.
    halves_difference : float or None
        Proportion correct in the second half of sessions minus in the first.
    halves_low, halves_high : float or None
        BCa bootstrap over participants, expanded for their number.
    n_trials, n_participants : int
    level : float
    note : str or None
    """

    bins: pd.DataFrame = field(repr=False)
    slope: float | None
    slope_low: float | None
    slope_high: float | None
    p_value: float | None
    halves_difference: float | None
    halves_low: float | None
    halves_high: float | None
    n_trials: int
    n_participants: int
    level: float
    note: str | None = None


def main_positions(main: pd.DataFrame) -> pd.Series:
    """Return the number of each trial in its session, from 1, as they were shown."""
    return main.groupby("session_id")["trial_index"].rank(method="first").astype(int)


def position_effect(
    main: pd.DataFrame,
    *,
    rng: np.random.Generator,
    n_bins: int = 8,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> PositionEffect:
    """Follow proportion correct along the session.

    Parameters
    ----------
    main : DataFrame
        Main trials that count: 'session_id', 'trial_index', 'correct'.
    n_bins : int
        Stretches with about as many positions each; fewer where sessions are shorter.

    Notes
    -----
    Which units stand where is left to the design: with an order drawn anew for each
    session it does not bias the slope.
    """
    position = main_positions(main)
    length = position.groupby(main["session_id"]).transform("max")
    # From 0 at a session's first main trial to 1 at its last.
    progress = ((position - 1) / (length - 1).clip(lower=1)).to_numpy(dtype="float64")
    correct = main["correct"].to_numpy(dtype="float64")
    names, halves = participant_sums(
        main,
        (
            correct * (progress < 0.5),
            progress < 0.5,
            correct * (progress > 0.5),
            progress > 0.5,
        ),
    )
    difference = ends = None
    total = halves.sum(axis=0)
    if total[1] and total[3]:
        difference = float(_second_minus_first(total))
        ends = interval_of_sums(
            halves, _second_minus_first, rng=rng, level=level, n_resamples=n_resamples
        )
    slope, note = _logistic(progress, correct, participant_of(main), level)
    return PositionEffect(
        bins=_bins(position, main["correct"], n_bins, level),
        slope=slope[0],
        slope_low=slope[1],
        slope_high=slope[2],
        p_value=slope[3],
        halves_difference=difference,
        halves_low=ends[0] if ends else None,
        halves_high=ends[1] if ends else None,
        n_trials=len(main),
        n_participants=len(names),
        level=level,
        note=note,
    )


def _second_minus_first(sums: Array) -> Array:
    return sums[..., 2] / sums[..., 3] - sums[..., 0] / sums[..., 1]


def _bins(
    position: pd.Series, correct: pd.Series, n_bins: int, level: float
) -> pd.DataFrame:
    longest = int(position.max())
    which = (position - 1) * min(n_bins, longest) // longest
    table = (
        pd.DataFrame({"bin": which, "position": position, "correct": correct})
        .groupby("bin", as_index=False)
        .agg(
            first_position=("position", "min"),
            last_position=("position", "max"),
            position=("position", "mean"),
            n_correct=("correct", "sum"),
            n_trials=("correct", "size"),
        )
    )
    return with_proportions(table.drop(columns="bin"), level=level)


def _logistic(
    progress: Array, correct: Array, people: pd.Series, level: float
) -> tuple[tuple[float | None, ...], str | None]:
    none = (None, None, None, None)
    n_people = people.nunique()
    if np.ptp(correct) == 0:
        return none, "all answers are right, or all wrong: no slope"
    if np.ptp(progress) == 0:
        return none, "sessions have one main trial each: no slope"
    if n_people < FEWEST_PARTICIPANTS:
        return none, (
            f"{n_people} participants; errors clustered by participant need at least"
            f" {FEWEST_PARTICIPANTS}"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error", PerfectSeparationWarning)
        try:
            fit = sm.GLM(
                correct, sm.add_constant(progress), family=sm.families.Binomial()
            ).fit(
                cov_type="cluster",
                cov_kwds={"groups": pd.factorize(people, sort=True)[0]},
            )
        except PerfectSeparationWarning:
            return none, "position parts right from wrong answers perfectly: no slope"
    slope, error = float(fit.params[1]), float(fit.bse[1])
    half = float(norm.ppf((1 + level) / 2)) * error
    return (slope, slope - half, slope + half, float(fit.pvalues[1])), None
