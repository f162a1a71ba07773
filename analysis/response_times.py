"""How long people take, when they are right and when they are wrong."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from analysis.resampling import (
    N_RESAMPLES,
    bca_interval,
    expanded_level,
    participant_of,
)

Array = NDArray[np.float64]

FEWEST_PARTICIPANTS = 6
"""With fewer, no signed-rank test reaches 0.05 two-sided."""


@dataclass(frozen=True, kw_only=True)
class OutlierRule:
    """Which response times are left out; by default none is.

    Attributes
    ----------
    min_ms, max_ms : float or None
        Bounds; a time beyond one is left out.
    n_deviations : float or None
        Leave out times whose logarithm lies more than so many median absolute
        deviations (scaled to a normal's standard deviation) from the participant's
        median.
    interrupted : bool
        Leave out answers during which the page was loaded anew.
    """

    min_ms: float | None = None
    max_ms: float | None = None
    n_deviations: float | None = None
    interrupted: bool = True

    def __post_init__(self) -> None:
        """Refuse a rule that no time could pass."""
        low, high = self.min_ms or 0.0, self.max_ms
        if high is not None and high <= low:
            raise ValueError(
                f"'max_ms' is {high!r}; it must be above 'min_ms' ({low})."
            )
        if self.n_deviations is not None and self.n_deviations <= 0:
            raise ValueError(
                f"'n_deviations' is {self.n_deviations!r}; it must be above 0."
            )

    @property
    def words(self) -> str:
        """The rule as a sentence for the methods."""
        parts = []
        if self.min_ms is not None:
            parts.append(f"under {self.min_ms:g} ms")
        if self.max_ms is not None:
            parts.append(f"over {self.max_ms:g} ms")
        if self.n_deviations is not None:
            parts.append(
                f"more than {self.n_deviations:g} median absolute deviations from the"
                " participant's median (of logarithms)"
            )
        if self.interrupted:
            parts.append("of answers during which the page was loaded anew")
        if not parts:
            return "No response time is left out."
        return "Response times are left out that are " + ", or ".join(parts) + "."


KEEP_ALL = OutlierRule(interrupted=False)
"""The rule of published numbers: every time counts."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ResponseTimes:
    """Medians of response times.

    Attributes
    ----------
    summary : DataFrame
        One row each for 'all', 'correct' and 'wrong' ('answers'): 'n_trials',
        'median_ms', 'lower_quartile_ms', 'upper_quartile_ms' (NaN without answers).
    participants : DataFrame
        One row a participant: 'participant', 'n_trials', 'median_ms',
        'median_correct_ms', 'median_wrong_ms' (NaN where there is none).
    difference_ms : float or None
        Mean over participants of their median time when wrong minus when right.
    difference_low_ms, difference_high_ms : float or None
        BCa bootstrap over participants, expanded for their number.
    p_value : float or None
        Two-sided, Wilcoxon's signed-rank test of these differences.
    n_compared : int
        Participants with both right and wrong answers.
    n_left_out : int
        Answers that the rule left out.
    rule : OutlierRule
    level : float
    note : str or None
    """

    summary: pd.DataFrame = field(repr=False)
    participants: pd.DataFrame = field(repr=False)
    difference_ms: float | None
    difference_low_ms: float | None
    difference_high_ms: float | None
    p_value: float | None
    n_compared: int
    n_left_out: int
    rule: OutlierRule
    level: float
    note: str | None = None


def outliers(responses: pd.DataFrame, rule: OutlierRule) -> NDArray[np.bool_]:
    """Return which response times a rule leaves out, shape (n_responses,)."""
    rt_ms = responses["rt_ms"].astype("float64")
    out = rt_ms.isna()
    if rule.min_ms is not None:
        out |= rt_ms < rule.min_ms
    if rule.max_ms is not None:
        out |= rt_ms > rule.max_ms
    if rule.interrupted and "interrupted" in responses:
        out |= responses["interrupted"].astype(bool)
    if rule.n_deviations is not None:
        # Only times that passed the bounds say what is usual for a participant.
        usable = rt_ms.where(~out).clip(lower=1.0)
        log = pd.Series(np.log(usable.to_numpy()), responses.index)
        who = participant_of(responses)
        distance = (log - log.groupby(who).transform("median")).abs()
        usual = 1.4826 * distance.groupby(who).transform("median")
        out |= distance > rule.n_deviations * usual
    return out.to_numpy(dtype=bool)


def response_times(
    main: pd.DataFrame,
    *,
    rng: np.random.Generator,
    rule: OutlierRule = KEEP_ALL,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> ResponseTimes:
    """Summarize response times of right and wrong answers.

    Parameters
    ----------
    main : DataFrame
        Main trials that count: 'session_id', 'correct', 'rt_ms', 'interrupted'.

    Notes
    -----
    Medians over all answers mix slow people with hard units; the difference is
    therefore taken within participants.
    """
    out = outliers(main, rule)
    kept = main[~out]
    people = _by_participant(kept)
    both = people.dropna(subset=["median_correct_ms", "median_wrong_ms"])
    difference = np.sort(
        (both["median_wrong_ms"] - both["median_correct_ms"]).to_numpy("float64")
    )
    interval = None
    if len(difference) > 1:
        interval = bca_interval(
            (difference,),
            np.mean,
            rng=rng,
            level=expanded_level(level, len(difference)),
            n_resamples=n_resamples,
        )
    low, high = interval or (None, None)
    return ResponseTimes(
        summary=_summary(kept),
        participants=people,
        difference_ms=float(difference.mean()) if len(difference) else None,
        difference_low_ms=low,
        difference_high_ms=high,
        p_value=_signed_rank(difference),
        n_compared=len(difference),
        n_left_out=int(out.sum()),
        rule=rule,
        level=level,
        note=_note(len(difference)),
    )


def _summary(kept: pd.DataFrame) -> pd.DataFrame:
    correct = kept["correct"].astype(bool)
    rows = []
    for answers, own in (
        ("all", kept["rt_ms"]),
        ("correct", kept.loc[correct, "rt_ms"]),
        ("wrong", kept.loc[~correct, "rt_ms"]),
    ):
        quartiles = own.quantile([0.5, 0.25, 0.75]) if len(own) else [np.nan] * 3
        rows.append((answers, len(own), *quartiles))
    names = ["n_trials", "median_ms", "lower_quartile_ms", "upper_quartile_ms"]
    return pd.DataFrame(rows, columns=["answers", *names])


def _by_participant(kept: pd.DataFrame) -> pd.DataFrame:
    rt_ms, correct = kept["rt_ms"], kept["correct"].astype(bool)
    times = pd.DataFrame(
        {
            "participant": participant_of(kept),
            "median_ms": rt_ms,
            "median_correct_ms": rt_ms.where(correct),
            "median_wrong_ms": rt_ms.where(~correct),
        }
    )
    grouped = times.groupby("participant", sort=True)
    table = grouped.median()
    table.insert(0, "n_trials", grouped.size())
    return table.reset_index()


def _signed_rank(difference: Array) -> float | None:
    if len(difference) < FEWEST_PARTICIPANTS or not difference.any():
        return None
    return float(wilcoxon(difference).pvalue)


def _note(n_compared: int) -> str | None:
    if not n_compared:
        return "no participant gave both right and wrong answers"
    if n_compared < FEWEST_PARTICIPANTS:
        return (
            f"{n_compared} participants gave both right and wrong answers; a test needs"
            f" {FEWEST_PARTICIPANTS}"
        )
    return None
