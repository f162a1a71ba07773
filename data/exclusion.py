"""Which sessions are excluded and why: one pure function a criterion."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from data.errors import DataContractError


@dataclass(frozen=True, kw_only=True)
class ExclusionCriteria:
    """Thresholds of all criteria; None switches one off. The defaults are IMI's.

    Attributes
    ----------
    max_practice_rounds : int
        More rounds than this exclude (IMI: ``demo_trials``).
    min_catch_share : float
        Least share of catch trials right, in [0, 1] (``catch_trials``).
    min_total_time_s, max_total_time_s : float
        From the first instruction page to the last answer (``total_response_time``).
    min_row_answers : int
        Least number of answers in the row used less, of all trials after practice
        (``row_variability``). IMI asks for 5 of 45.
    min_instruction_time_s : float
        From the first instruction page to the first practice trial
        (``instruction_time``).
    min_instructed_share : float
        Least share of instructed trials followed, in [0, 1].
    max_focus_losses : int
        How often the window may lose focus during trials.
    min_median_rt_ms : float
        Least median response time of the main trials.
    single_participation : bool
        Whether a person's second session is excluded.
    """

    max_practice_rounds: int | None = 3
    min_catch_share: float | None = 0.8
    min_total_time_s: float | None = 135
    max_total_time_s: float | None = 2500
    min_row_answers: int | None = 5
    min_instruction_time_s: float | None = 15
    min_instructed_share: float | None = None
    max_focus_losses: int | None = None
    min_median_rt_ms: float | None = None
    single_participation: bool = True

    def __post_init__(self) -> None:
        for name in ("min_catch_share", "min_instructed_share"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise DataContractError(
                    f"{name!r} is {share}; it must be in [0, 1], or None to switch it"
                    " off."
                )
        for one in fields(self):
            value = getattr(self, one.name)
            if value is not None and value < 0:
                raise DataContractError(
                    f"{one.name!r} is {value}; it must be 0 or above, or None to switch"
                    " it off."
                )


IMI = ExclusionCriteria()
"""The five criteria of the IMI study with its thresholds, and one session a person."""

Verdict = tuple[float | None, bool]
"""The value that was looked at (None: nothing to look at), and whether it excludes."""


def practice_rounds(
    responses: pd.DataFrame, session: pd.Series, criteria: ExclusionCriteria
) -> Verdict:
    """Count the rounds of practice that were needed."""
    value = int(session["n_practice_rounds"])
    return _judged("demo_trials", value, criteria)


def catch_trials(
    responses: pd.DataFrame, session: pd.Series, criteria: ExclusionCriteria
) -> Verdict:
    """Share of catch trials right; a session without any passes, as in IMI."""
    return _judged("catch_trials", _share_correct(responses, "catch"), criteria)


def total_response_time(
    responses: pd.DataFrame, session: pd.Series, criteria: ExclusionCriteria
) -> Verdict:
    """Seconds from the first instruction page to the last answer."""
    value = _number(session["total_time_s"])
    return _judged("total_response_time", value, criteria)


def row_variability(
    responses: pd.DataFrame, session: pd.Series, criteria: ExclusionCriteria
) -> Verdict:
    """Answers in the row that was used less, practice left out."""
    after_practice = responses[responses["kind"] != "practice"]
    upper = int((after_practice["chosen_query"] == after_practice["upper_query"]).sum())
    value = min(upper, len(after_practice) - upper)
    return _judged("row_variability", value, criteria)


def instruction_time(
    responses: pd.DataFrame, session: pd.Series, criteria: ExclusionCriteria
) -> Verdict:
    """Seconds spent with the instructions."""
    value = _number(session["instruction_time_s"])
    return _judged("instruction_time", value, criteria)


def instructed_trials(
    responses: pd.DataFrame, session: pd.Series, criteria: ExclusionCriteria
) -> Verdict:
    """Share of trials in which an explicit instruction was followed."""
    value = _share_correct(responses, "instructed")
    return _judged("instructed_trials", value, criteria)


def focus(
    responses: pd.DataFrame, session: pd.Series, criteria: ExclusionCriteria
) -> Verdict:
    """How often the window lost focus during trials."""
    value = int(session["n_focus_losses"])
    return _judged("focus", value, criteria)


def median_response_time(
    responses: pd.DataFrame, session: pd.Series, criteria: ExclusionCriteria
) -> Verdict:
    """Median response time of the main trials in ms."""
    main = responses.loc[responses["kind"] == "main", "rt_ms"]
    value = float(main.median()) if len(main) else None
    return _judged("median_response_time", value, criteria)


def participation(
    responses: pd.DataFrame, session: pd.Series, criteria: ExclusionCriteria
) -> Verdict:
    """1 for a session of a person who has an earlier one."""
    value = int(session["multi_participation"])
    return _judged("participation", value, criteria)


CRITERIA: dict[str, Callable[[pd.DataFrame, pd.Series, ExclusionCriteria], Verdict]] = {
    "demo_trials": practice_rounds,
    "catch_trials": catch_trials,
    "total_response_time": total_response_time,
    "row_variability": row_variability,
    "instruction_time": instruction_time,
    "instructed_trials": instructed_trials,
    "focus": focus,
    "median_response_time": median_response_time,
    "participation": participation,
}
"""Name to function; the names of IMI's five are those of its released table."""


_JUDGED = {
    "kind": "object",
    "correct": "bool",
    "chosen_query": "object",
    "upper_query": "object",
    "rt_ms": "float64",
}
"""Columns of answers that a criterion looks at."""


def exclusion_table(
    responses: pd.DataFrame, sessions: pd.DataFrame, criteria: ExclusionCriteria
) -> pd.DataFrame:
    """Judge every complete session by every criterion.

    Parameters
    ----------
    responses, sessions : DataFrame
        As in :mod:`data.responses`.

    Returns
    -------
    DataFrame
        One row a complete session and criterion, in the order of ``sessions`` and
        :data:`CRITERIA`: 'session_id', 'criterion', 'value' (NaN where there was
        nothing to look at), 'excluded'.
    """
    # Thousands of small tables are cut: of few columns, and of plain objects, in half
    # the time.
    judged = responses[list(_JUDGED)].astype(_JUDGED)
    places = responses.groupby("session_id").indices
    nowhere = np.empty(0, dtype=np.intp)
    rows = []
    for _, session in sessions[sessions["status"] == "complete"].iterrows():
        own = judged.iloc[places.get(session["session_id"], nowhere)]
        for name, judge in CRITERIA.items():
            value, excluded = judge(own, session, criteria)
            rows.append((session["session_id"], name, value, excluded))
    columns = ["session_id", "criterion", "value", "excluded"]
    return pd.DataFrame(rows, columns=columns).astype(
        {"value": "float64", "excluded": "bool"}
    )


def excluded_sessions(table: pd.DataFrame) -> pd.Series:
    """Return the criteria that exclude each excluded session.

    Returns
    -------
    Series
        'session_id' to the names of the criteria, joined by a comma.
    """
    hits = table[table["excluded"]]
    return hits.groupby("session_id", sort=True)["criterion"].agg(", ".join)


def judged_again(table: pd.DataFrame, criteria: ExclusionCriteria) -> pd.Series:
    """Judge the values of an exclusion table by other criteria.

    Parameters
    ----------
    table : DataFrame
        As :func:`exclusion_table` returns it.

    Returns
    -------
    Series
        Whether each row excludes its session, in the order of ``table``.
    """
    verdicts = [
        breaks(name, None if pd.isna(value) else value, criteria)
        for name, value in zip(table["criterion"], table["value"], strict=True)
    ]
    return pd.Series(verdicts, index=table.index, dtype="bool")


def breaks(name: str, value: float | None, criteria: ExclusionCriteria) -> bool:
    """Say whether a value breaks a criterion; nothing to look at breaks none."""
    lows = {
        "catch_trials": criteria.min_catch_share,
        "total_response_time": criteria.min_total_time_s,
        "row_variability": criteria.min_row_answers,
        "instruction_time": criteria.min_instruction_time_s,
        "instructed_trials": criteria.min_instructed_share,
        "median_response_time": criteria.min_median_rt_ms,
    }
    highs = {
        "demo_trials": criteria.max_practice_rounds,
        "total_response_time": criteria.max_total_time_s,
        "focus": criteria.max_focus_losses,
        "participation": 0 if criteria.single_participation else None,
    }
    return _below(value, lows.get(name)) or _above(value, highs.get(name))


def _judged(name: str, value: float | None, criteria: ExclusionCriteria) -> Verdict:
    return value, breaks(name, value, criteria)


def _share_correct(responses: pd.DataFrame, kind: str) -> float | None:
    correct = responses.loc[responses["kind"] == kind, "correct"]
    return float(correct.mean()) if len(correct) else None


def _number(value: object) -> float | None:
    return None if pd.isna(value) else float(value)  # type: ignore[call-overload, arg-type]


def _below(value: float | None, least: float | None) -> bool:
    return value is not None and least is not None and value < least


def _above(value: float | None, most: float | None) -> bool:
    return value is not None and most is not None and value > most
