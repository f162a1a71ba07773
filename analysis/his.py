"""Human interpretability score (HIS): proportion correct per unit, with intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student
from statsmodels.stats.proportion import proportion_confint

from analysis.resampling import (
    N_RESAMPLES,
    AnswerCounts,
    bca_interval,
    count_answers,
    participant_of,
)
from analysis.score_intervals import ScoreInterval, score_interval
from data.errors import DataContractError
from data.units import UnitId


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
    # Sorted, so that neither the order nor the names of units change the interval.
    his = np.sort(scores["his"].to_numpy(dtype="float64"))
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


def with_layers(responses: pd.DataFrame) -> pd.DataFrame:
    """Add the columns 'model' and 'layer' that each unit's name tells.

    Raises
    ------
    DataContractError
        A unit is not named ``model::layer::channel``.
    """
    units = {name: UnitId.parse(name) for name in responses["unit"].unique()}
    return responses.assign(
        model=responses["unit"].map({name: one.model for name, one in units.items()}),
        layer=responses["unit"].map({name: one.layer for name, one in units.items()}),
    )


def score_table(
    main: pd.DataFrame,
    by: str | Sequence[str],
    *,
    rng: np.random.Generator,
    resample: Sequence[str] = ("unit", "participant", "both"),
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> pd.DataFrame:
    """Score every layer, model or condition, with an interval for each question.

    Parameters
    ----------
    main : DataFrame
        Main trials that count: 'unit', 'session_id', 'correct', 'participant_id' where
        there is one, and the columns ``by`` (see :func:`with_layers`).
    by : str or list of str
        What to score: 'layer', 'model', 'explanation_method', ...
    resample : sequence of str
        Any of ``"unit"`` (would other units score alike, with the same people?),
        ``"participant"`` (would other people, with the same units?) and ``"both"``.

    Returns
    -------
    DataFrame
        One row a value of ``by``, sorted: the columns ``by``, 'his', 'sd' (between
        units), 'n_units', 'n_participants', 'n_trials', and for each of ``resample``
        its 'RESAMPLE_low' and 'RESAMPLE_high' (NaN where there is none), 'note'.
    """
    columns = [by] if isinstance(by, str) else list(by)
    rows = []
    for value, own in main.groupby(columns, sort=True, dropna=False, observed=True):
        counts = count_answers(own)
        row = dict(zip(columns, value, strict=True)) | _summary(counts)
        found = [
            score_interval(
                counts, resample=one, rng=rng, level=level, n_resamples=n_resamples
            )
            for one in resample
        ]
        for one in found:
            row |= {f"{one.resample}_low": one.low, f"{one.resample}_high": one.high}
        rows.append(row | {"note": _notes(found)})
    table = pd.DataFrame(rows)
    ends = [f"{one}_{end}" for one in resample for end in ("low", "high")]
    return table.astype(dict.fromkeys(["sd", *ends], "float64"))


def _summary(counts: AnswerCounts) -> dict[str, float | int | None]:
    scores = counts.unit_scores
    return {
        "his": float(scores.mean()),
        "sd": float(scores.std(ddof=1)) if len(scores) > 1 else None,
        "n_units": len(scores),
        "n_participants": len(counts.participants),
        "n_trials": int(counts.n_trials.sum()),
    }


def _notes(found: Sequence[ScoreInterval]) -> str:
    return "; ".join(
        f"{one.resample}: {one.note}" for one in found if one.note is not None
    )


@dataclass(frozen=True, kw_only=True)
class ParticipantMean:
    """Proportion correct of the average participant.

    Attributes
    ----------
    mean : float
        Unweighted mean over participants, in [0, 1]; chance is 0.5.
    sd, two_se : float or None
        Between participants; twice the standard error, which Borowski et al. 2021
        print behind their ±. None for a single participant.
    ci_low, ci_high : float or None
        By Student's t, clipped to [0, 1]; None likewise, or where all are the same.
    n_participants, n_trials : int
    level : float
    """

    mean: float
    sd: float | None
    two_se: float | None
    ci_low: float | None
    ci_high: float | None
    n_participants: int
    n_trials: int
    level: float


def participant_scores(main: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """Count right answers for each participant.

    Returns
    -------
    DataFrame
        One row a participant (a session where participants have no names), sorted:
        'participant', 'n_correct', 'n_trials', 'proportion_correct', 'ci_low',
        'ci_high' (Wilson).
    """
    named = main.assign(participant=participant_of(main))
    return proportions(named, "participant", level=level)


def participant_mean(main: pd.DataFrame, *, level: float = 0.95) -> ParticipantMean:
    """Average proportion correct over participants, each with the same weight."""
    table = participant_scores(main, level=level)
    own = np.sort(table["proportion_correct"].to_numpy(dtype="float64"))
    n, mean = len(own), float(own.mean())
    sd = float(own.std(ddof=1)) if n > 1 else None
    low = high = None
    if sd:
        half = float(student.ppf((1 + level) / 2, n - 1)) * sd / math.sqrt(n)
        low, high = max(mean - half, 0.0), min(mean + half, 1.0)
    return ParticipantMean(
        mean=mean,
        sd=sd,
        two_se=None if sd is None else 2 * sd / math.sqrt(n),
        ci_low=low,
        ci_high=high,
        n_participants=n,
        n_trials=int(table["n_trials"].sum()),
        level=level,
    )
