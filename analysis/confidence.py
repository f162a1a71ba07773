"""What people's confidence tells about whether they are right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.his import human_interpretability, proportions
from analysis.resampling import (
    N_RESAMPLES,
    bca_interval,
    interval_of_share,
    participant_of,
    participant_sums,
)

CHANCE = 0.5

Array = NDArray[np.float64]


def score_given_confidence(
    main: pd.DataFrame,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> pd.DataFrame:
    """Score the answers of each confidence, over answers and over units.

    Parameters
    ----------
    main : DataFrame
        Main trials that count: 'unit', 'correct', 'confidence', 'kind'.

    Returns
    -------
    DataFrame
        One row a confidence, rising: 'confidence', 'n_correct', 'n_trials',
        'proportion_correct', 'ci_low', 'ci_high' (Wilson, over answers), 'share' (of
        all answers), 'his' (mean of the units' scores within this confidence, as IMI
        computed it), 'unit_low', 'unit_high' (BCa over units; NaN where there is
        none), 'n_units' (units with such an answer).
    """
    table = proportions(main, "confidence", level=level)
    rows = []
    for confidence in table["confidence"]:
        units = human_interpretability(main[main["confidence"] == confidence])
        his = np.sort(units["his"].to_numpy(dtype="float64"))
        low, high = bca_interval(
            (his,), np.mean, rng=rng, level=level, n_resamples=n_resamples
        ) or (np.nan, np.nan)
        rows.append((his.mean(), low, high, len(his)))
    over_units = pd.DataFrame(rows, columns=["his", "unit_low", "unit_high", "n_units"])
    return table.assign(share=table["n_trials"] / len(main)).join(over_units)


@dataclass(frozen=True, eq=False, kw_only=True)
class ConfidenceCalibration:
    """Whether people know when they are right, and whether they are too sure.

    Attributes
    ----------
    levels : DataFrame
        One row a confidence: 'confidence', 'stated' (probability that it is taken to
        mean), 'n_correct', 'n_trials', 'proportion_correct', 'ci_low', 'ci_high'
        (Wilson).
    auroc : float or None
        Probability that a right answer was given with more confidence than a wrong one
        of the same participant (ties count one half), mean over participants weighted
        by their pairs; 0.5 is no knowledge. None without such pairs.
    auroc_low, auroc_high : float or None
        BCa bootstrap over participants.
    overconfidence : float
        Mean stated minus mean observed proportion correct; above 0 is too sure.
    overconfidence_low, overconfidence_high : float or None
        BCa bootstrap over participants.
    calibration_error : float
        Mean over answers of the distance between a level's stated and its observed
        proportion correct.
    n_trials, n_participants : int
    level : float
    note : str
        What 'stated' assumes, and what else limits the result.
    """

    levels: pd.DataFrame = field(repr=False)
    auroc: float | None
    auroc_low: float | None
    auroc_high: float | None
    overconfidence: float
    overconfidence_low: float | None
    overconfidence_high: float | None
    calibration_error: float
    n_trials: int
    n_participants: int
    level: float
    note: str


def stated_probabilities(n_levels: int) -> dict[int, float]:
    """Take levels of confidence as the middles of equal steps from chance to 1.

    With three levels 0.58, 0.75 and 0.92: participants are never asked for numbers,
    so this is an assumption; another one may be given instead.
    """
    return {
        one: CHANCE + (1 - CHANCE) * (one - 0.5) / n_levels
        for one in range(1, n_levels + 1)
    }


def confidence_calibration(
    main: pd.DataFrame,
    *,
    rng: np.random.Generator,
    n_levels: int | None = None,
    stated: Mapping[int, float] | None = None,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> ConfidenceCalibration:
    """Compare confidence with correctness.

    Parameters
    ----------
    main : DataFrame
        Main trials that count: 'session_id', 'correct', 'confidence' (from 1).
    n_levels : int, optional
        Levels that participants could choose from; the highest one used otherwise.
    stated : mapping of confidence to probability, optional
        What each confidence is taken to mean; :func:`stated_probabilities` otherwise.

    Notes
    -----
    The AUROC is that of type 2 (Fleming and Lau 2014), within participants, so that
    people who use the scale in their own way are not held against each other.
    """
    confidence = main["confidence"].astype("int64")
    most = n_levels or int(confidence.max())
    meaning = dict(stated or stated_probabilities(most))
    said = confidence.map(meaning).to_numpy(dtype="float64")
    if np.isnan(said).any():
        lacking = sorted(set(confidence) - set(meaning))
        raise ValueError(
            f"Confidence {lacking[0]} has no entry in 'stated', or is above 'n_levels'"
            f" ({most}); every level that was used needs one."
        )
    correct = main["correct"].to_numpy(dtype="float64")
    names, sums = participant_sums(main, (said, correct, np.ones(len(main))))
    pairs = _ordered_pairs(main)
    settings = (rng, level, n_resamples)
    auroc, auroc_ends = _ratio(pairs, *settings)
    over = np.column_stack([sums[:, 0] - sums[:, 1], sums[:, 2]])
    overconfidence, over_ends = _ratio(over, *settings)
    levels = proportions(main.assign(confidence=confidence), "confidence", level=level)
    levels.insert(1, "stated", levels["confidence"].map(meaning))
    error = (levels["stated"] - levels["proportion_correct"]).abs()
    return ConfidenceCalibration(
        levels=levels,
        auroc=auroc,
        auroc_low=auroc_ends[0],
        auroc_high=auroc_ends[1],
        overconfidence=float(overconfidence or 0.0),
        overconfidence_low=over_ends[0],
        overconfidence_high=over_ends[1],
        calibration_error=float(np.average(error, weights=levels["n_trials"])),
        n_trials=len(main),
        n_participants=len(names),
        level=level,
        note=_note(stated is None, auroc, len(names)),
    )


def _ordered_pairs(main: pd.DataFrame) -> Array:
    """Count, a participant a row, pairs in the right order, and all pairs."""
    counts = pd.crosstab(
        [participant_of(main), main["correct"].astype(bool)], main["confidence"]
    )
    counts = counts.sort_index(axis=1)
    right, wrong = (
        counts[counts.index.get_level_values(1) == truth]
        .droplevel(1)
        .reindex(counts.index.unique(0), fill_value=0)
        .to_numpy(dtype="float64")
        for truth in (True, False)
    )
    lower = wrong.cumsum(axis=1) - wrong
    ordered = (right * (lower + wrong / 2)).sum(axis=1)
    return np.column_stack([ordered, right.sum(axis=1) * wrong.sum(axis=1)])


def _ratio(
    sums: Array, rng: np.random.Generator, level: float, n_resamples: int
) -> tuple[float | None, Sequence[float | None]]:
    total = sums.sum(axis=0)
    if not total[1]:
        return None, (None, None)
    ends = interval_of_share(sums, rng=rng, level=level, n_resamples=n_resamples)
    return float(total[0] / total[1]), ends or (None, None)


def _note(assumed: bool, auroc: float | None, n_participants: int) -> str:
    notes = []
    if assumed:
        notes.append(
            "levels of confidence are taken as equal steps from chance to certain;"
            " participants were not asked for numbers"
        )
    if auroc is None:
        notes.append("no participant gave both right and wrong answers")
    if n_participants < 2:
        notes.append("one participant, so no interval over participants")
    return "; ".join(notes)
