"""Whether the same people answer the same task alike when it comes again."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint

from analysis.resampling import (
    N_RESAMPLES,
    interval_of_share,
    participant_sums,
)

Array = NDArray[np.float64]

KINDS = ("main", "repeated")


@dataclass(frozen=True, kw_only=True)
class RepeatConsistency:
    """Agreement of people with themselves.

    Attributes
    ----------
    proportion_same : float or None
        Share of pairs that were both right or both wrong. As rows may be swapped
        between the two, this is the same image chosen.
    wilson_low, wilson_high : float or None
        Wilson, as if every pair were by itself.
    ci_low, ci_high : float or None
        BCa bootstrap over participants, expanded for their number.
    expected : float or None
        Share of such pairs if the second answer knew nothing of the first.
    kappa : float or None
        Cohen's kappa of correctness: 0 is no more than expected, 1 always the same.
        None where all answers are right, or all wrong.
    first_correct, second_correct : float or None
        Proportions correct of the first and the second showing.
    n_pairs, n_same, n_participants : int
    level : float
    note : str or None
    """

    proportion_same: float | None
    wilson_low: float | None
    wilson_high: float | None
    ci_low: float | None
    ci_high: float | None
    expected: float | None
    kappa: float | None
    first_correct: float | None
    second_correct: float | None
    n_pairs: int
    n_same: int
    n_participants: int
    level: float
    note: str | None = None


def repeated_pairs(responses: pd.DataFrame) -> pd.DataFrame:
    """Pair every repeated answer with the same session's answer before it.

    Parameters
    ----------
    responses : DataFrame
        Trials of sessions that count: 'session_id', 'task_id', 'trial_index', 'kind',
        'correct'. Only kinds 'main' and 'repeated' are paired.

    Returns
    -------
    DataFrame
        The rows of the later showings, in the order of session and trial, with
        'first_correct' and 'first_trial_index' of the showing before.
    """
    own = responses[responses["kind"].isin(KINDS)]
    own = own.sort_values(["session_id", "trial_index"], kind="stable")
    before = own.groupby(["session_id", "task_id"], sort=False)
    own = own.assign(
        first_correct=before["correct"].shift(),
        first_trial_index=before["trial_index"].shift(),
    )
    pairs = own[own["first_trial_index"].notna()]
    return pairs.astype({"first_correct": "bool", "first_trial_index": "int64"})


def repeat_consistency(
    responses: pd.DataFrame,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> RepeatConsistency:
    """Measure how often the second answer to a task is as right as the first."""
    pairs = repeated_pairs(responses)
    if pairs.empty:
        return _nothing(level)
    first, second = (
        pairs[name].to_numpy(dtype=bool) for name in ("first_correct", "correct")
    )
    same = first == second
    names, sums = participant_sums(pairs, (same, np.ones(len(pairs))))
    wilson = proportion_confint(
        int(same.sum()), len(pairs), alpha=1 - level, method="wilson"
    )
    ends = interval_of_share(sums, rng=rng, level=level, n_resamples=n_resamples)
    expected, kappa = _chance_corrected(first, second)
    low, high = ends or (None, None)
    return RepeatConsistency(
        proportion_same=float(same.mean()),
        wilson_low=float(wilson[0]),
        wilson_high=float(wilson[1]),
        ci_low=low,
        ci_high=high,
        expected=expected,
        kappa=kappa,
        first_correct=float(first.mean()),
        second_correct=float(second.mean()),
        n_pairs=len(pairs),
        n_same=int(same.sum()),
        n_participants=len(names),
        level=level,
        note=None if ends else "no interval over participants: too few, or all alike",
    )


def _chance_corrected(
    first: NDArray[np.bool_], second: NDArray[np.bool_]
) -> tuple[float, float | None]:
    p, q = first.mean(), second.mean()
    expected = float(p * q + (1 - p) * (1 - q))
    if expected == 1:
        return expected, None
    return expected, float(((first == second).mean() - expected) / (1 - expected))


def _nothing(level: float) -> RepeatConsistency:
    return RepeatConsistency(
        proportion_same=None,
        wilson_low=None,
        wilson_high=None,
        ci_low=None,
        ci_high=None,
        expected=None,
        kappa=None,
        first_correct=None,
        second_correct=None,
        n_pairs=0,
        n_same=0,
        n_participants=0,
        level=level,
        note="no task was shown twice to the same person",
    )
