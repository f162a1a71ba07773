"""Whether different people find the same units, or the same tasks, hard."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.resampling import (
    N_RESAMPLES,
    AnswerCounts,
    count_answers,
    interval_of_sums,
)

Array = NDArray[np.float64]

FEWEST_UNITS = 4


@dataclass(frozen=True, kw_only=True)
class ParticipantAgreement:
    """How often two people are both right or both wrong.

    Attributes
    ----------
    observed : float or None
        Share of such pairs, each answer with the same weight.
    expected : float or None
        Share by chance, from the overall proportion correct.
    alpha : float or None
        Krippendorff's alpha of correctness: 0 is chance, 1 always alike. None where it
        is not defined, and ``note`` says why.
    alpha_low, alpha_high : float or None
        BCa bootstrap over units (or tasks), expanded for their number.
    rest_correlation : float or None
        Mean over participants of the correlation, over units, of their correctness
        with the proportion correct of all others.
    n_rest : int
        Participants for whom that is defined.
    item : str
        What two people had in common: ``"unit"`` or ``"task_id"``.
    n_items, n_pairs, n_participants : int
        Items that two people answered, pairs of answers, participants.
    level : float
    note : str or None
    """

    observed: float | None
    expected: float | None
    alpha: float | None
    alpha_low: float | None
    alpha_high: float | None
    rest_correlation: float | None
    n_rest: int
    item: str
    n_items: int
    n_pairs: int
    n_participants: int
    level: float
    note: str | None = None


def participant_agreement(
    main: pd.DataFrame,
    *,
    rng: np.random.Generator,
    item: str = "unit",
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> ParticipantAgreement:
    """Measure agreement between participants on what they get right.

    Parameters
    ----------
    main : DataFrame
        Main trials that count: the column ``item``, 'session_id', 'correct', and
        'participant_id' where participants have names.
    item : str
        ``"unit"``: are the same units hard for all? ``"task_id"``: are the same tasks?

    Notes
    -----
    Krippendorff 2019, ch. 12, nominal, with any number of answers to an item. Two
    answers of one person are never a pair.
    """
    counts = count_answers(main, item)
    sums, n_pairs = _pair_sums(counts)
    total = sums.sum(axis=0)
    note = None
    observed = expected = alpha = None
    ends: tuple[float | None, float | None] = (None, None)
    if not len(sums):
        note = f"no {item} was answered by two participants"
    else:
        observed = float(1 - total[0] / total[1])
        expected = float(1 - _expected_disagreement(total))
        if expected == 1:
            note = "all answers are right, or all wrong: no agreement beyond chance"
        else:
            alpha = float(_alpha(sums.sum(axis=0)))
            ends = interval_of_sums(
                sums, _alpha, rng=rng, level=level, n_resamples=n_resamples
            ) or (None, None)
    rest = _rest_correlations(counts)
    return ParticipantAgreement(
        observed=observed,
        expected=expected,
        alpha=alpha,
        alpha_low=ends[0],
        alpha_high=ends[1],
        rest_correlation=float(rest.mean()) if len(rest) else None,
        n_rest=len(rest),
        item=item,
        n_items=len(sums),
        n_pairs=n_pairs,
        n_participants=len(counts.participants),
        level=level,
        note=note,
    )


def _pair_sums(counts: AnswerCounts) -> tuple[Array, int]:
    """Return what each item adds: answers' share of unlike pairs, answers, right."""
    asked = np.asarray(counts.n_trials.sum(axis=0), dtype="float64")
    right = np.asarray(counts.n_correct.sum(axis=0), dtype="float64")
    cells, own = counts.n_trials, counts.n_correct
    # Pairs of answers that one person gave.
    within_pairs = np.asarray((cells.power(2) - cells).sum(axis=0)) / 2
    within_unlike = np.asarray((own.multiply(cells) - own.power(2)).sum(axis=0))
    pairs = asked * (asked - 1) / 2 - within_pairs
    unlike = right * (asked - right) - within_unlike
    several = pairs > 0
    share = unlike[several] / pairs[several]
    sums = np.column_stack([asked[several] * share, asked[several], right[several]])
    return sums, round(float(pairs.sum()))


def _expected_disagreement(sums: Array) -> Array:
    asked, right = sums[..., 1], sums[..., 2]
    return 2 * right * (asked - right) / (asked * (asked - 1))


def _alpha(sums: Array) -> Array:
    return 1 - sums[..., 0] / sums[..., 1] / _expected_disagreement(sums)


def _rest_correlations(counts: AnswerCounts) -> Array:
    """Correlate each participant with all others over the items that both met."""
    asked = np.asarray(counts.n_trials.sum(axis=0), dtype="float64")
    right = np.asarray(counts.n_correct.sum(axis=0), dtype="float64")
    trials, correct = counts.n_trials.tocsr(), counts.n_correct.tocsr()
    found = []
    for person in range(trials.shape[0]):
        row = slice(trials.indptr[person], trials.indptr[person + 1])
        items, n_own = trials.indices[row], trials.data[row]
        own = np.asarray(correct[[person], :][:, items].toarray()).ravel()
        others = asked[items] - n_own
        met = others > 0
        if met.sum() < FEWEST_UNITS:
            continue
        x = own[met] / n_own[met]
        y = (right[items] - own)[met] / others[met]
        if np.ptp(x) > 0 and np.ptp(y) > 0:
            found.append(np.corrcoef(x, y)[0, 1])
    return np.array(found, dtype="float64")
