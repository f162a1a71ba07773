"""Which sessions and answers count, and why the others do not."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from data.errors import DataContractError
from data.exclusion import (
    CRITERIA,
    IMI,
    ExclusionCriteria,
    exclusion_table,
)
from data.files import read_json
from data.response_tables import STATUSES
from data.responses import Responses
from data.units import near_names

NO_CRITERIA = ExclusionCriteria(
    **{one.name: None for one in fields(ExclusionCriteria) if one.default is not True},
    single_participation=False,
)
"""Every complete session counts."""

CRITERION_WORDS: Mapping[str, str] = {
    "demo_trials": "practice rounds",
    "catch_trials": "catch trials",
    "total_response_time": "total time",
    "row_variability": "use of both rows",
    "instruction_time": "instruction time",
    "instructed_trials": "instructed trials",
    "focus": "focus",
    "median_response_time": "median response time",
    "participation": "single participation",
}

STATUS_WORDS: Mapping[str, str] = {
    "active": "still under way",
    "declined": "no consent",
    "comprehension_failed": "instructions not understood",
    "practice_failed": "practice not passed",
    "withdrawn": "withdrawn",
    "timed_out": "timed out",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Inclusion:
    """What counts, and the way there.

    Attributes
    ----------
    main : DataFrame
        The main trials that count, as in :data:`data.responses.RESPONSES`.
    complete : DataFrame
        The main trials of all complete sessions, excluded ones too.
    judged : DataFrame
        As :func:`data.exclusion.exclusion_table` returns it, test runs left out.
    excluded : DataFrame
        One row an excluded session: 'session_id', 'criteria' (joined by a comma),
        'simulated', 'observer' (the program that answered, where it is named).
    criteria : DataFrame
        One row a criterion that is on: 'criterion', 'rule' (in words), 'n_excluded',
        'n_only' (excluded by this one alone).
    funnel : DataFrame
        One row a step, in order: 'step' ('opened', 'complete', 'counted'),
        'n_sessions', 'lost' (in words, what was lost before this step).
    n_test_runs : int
        Test runs; they are no part of the funnel.
    n_simulated, n_all : int
        Sessions answered by programs, of all in the export.
    """

    main: pd.DataFrame = field(repr=False)
    complete: pd.DataFrame = field(repr=False)
    judged: pd.DataFrame = field(repr=False)
    excluded: pd.DataFrame = field(repr=False)
    criteria: pd.DataFrame = field(repr=False)
    funnel: pd.DataFrame = field(repr=False)
    n_test_runs: int
    n_simulated: int
    n_all: int

    @property
    def n_sessions(self) -> int:
        """How many sessions count."""
        return int(self.funnel["n_sessions"].iloc[-1])

    @property
    def simulated_notice(self) -> str | None:
        """The first line of every report on answers that programs gave."""
        if not self.n_simulated:
            return None
        verb = "was" if self.n_simulated == 1 else "were"
        return (
            f"SIMULATED: {self.n_simulated} of {self.n_all} sessions {verb} answered by"
            " programs, not people."
        )


def include(responses: Responses, criteria: ExclusionCriteria) -> Inclusion:
    """Keep the main trials of complete sessions that no criterion excludes.

    Test runs never count.

    Raises
    ------
    DataContractError
        A response belongs to a session that the session table lacks.
    """
    own = responses.responses
    strangers = own.loc[~own["session_id"].isin(responses.sessions["session_id"])]
    if len(strangers):
        raise DataContractError(
            f"{strangers['session_id'].nunique()} sessions have responses but no row in"
            f" the session table, such as {strangers['session_id'].iloc[0]!r}."
            " Export the study again."
        )
    sessions = responses.sessions[~responses.sessions["test_run"]]
    complete = sessions[sessions["status"] == "complete"]
    own = own[own["session_id"].isin(complete["session_id"])]
    judged = exclusion_table(own, complete, criteria)
    hits = judged[judged["excluded"]]
    out = set(hits["session_id"])
    counted = complete[~complete["session_id"].isin(out)]
    main = own[own["kind"] == "main"]
    return Inclusion(
        main=main[main["session_id"].isin(counted["session_id"])],
        complete=main,
        judged=judged,
        excluded=_excluded(hits, complete),
        criteria=_criteria_table(hits, criteria),
        funnel=_funnel(sessions, complete, counted),
        n_test_runs=int(responses.sessions["test_run"].sum()),
        n_simulated=_n_simulated(responses),
        n_all=len(responses.sessions),
    )


def _n_simulated(responses: Responses) -> int:
    """Count a session also where only its answers say that a program gave them."""
    own, sessions = responses.responses, responses.sessions
    by_answers = sessions["session_id"].isin(own.loc[own["simulated"], "session_id"])
    return int((sessions["simulated"] | by_answers).sum())


def _excluded(hits: pd.DataFrame, complete: pd.DataFrame) -> pd.DataFrame:
    joined = hits.groupby("session_id")["criterion"].agg(", ".join).rename("criteria")
    table = complete.merge(joined, on="session_id")
    return table[["session_id", "criteria", "simulated", "observer"]]


def _criteria_table(hits: pd.DataFrame, criteria: ExclusionCriteria) -> pd.DataFrame:
    n_criteria = hits.groupby("session_id")["criterion"].transform("size")
    rows = []
    for name in CRITERIA:
        rule = criterion_rule(name, criteria)
        own = hits["criterion"] == name
        if rule:
            rows.append(
                (name, rule, int(own.sum()), int((own & (n_criteria == 1)).sum()))
            )
    return pd.DataFrame(rows, columns=["criterion", "rule", "n_excluded", "n_only"])


def _funnel(
    sessions: pd.DataFrame, complete: pd.DataFrame, counted: pd.DataFrame
) -> pd.DataFrame:
    ended = sessions["status"].value_counts()
    lost = [
        f"{ended[status]} {STATUS_WORDS[status]}"
        for status in STATUSES
        if status in ended.index and status != "complete"
    ]
    n_out = len(complete) - len(counted)
    rows = [
        ("opened", len(sessions), ""),
        ("complete", len(complete), ", ".join(lost)),
        ("counted", len(counted), f"{n_out} excluded" if n_out else ""),
    ]
    return pd.DataFrame(rows, columns=["step", "n_sessions", "lost"])


def criterion_rule(name: str, criteria: ExclusionCriteria) -> str | None:
    """Say in words when a criterion excludes; None where it is switched off."""
    low, high = criteria.min_total_time_s, criteria.max_total_time_s
    total = [f"under {low:g} s"] if low is not None else []
    total += [f"over {high:g} s"] if high is not None else []
    described = {
        "demo_trials": _worded(
            "more than {:g} practice rounds", criteria.max_practice_rounds
        ),
        "catch_trials": _worded(
            "fewer than {:.0%} of catch trials right", criteria.min_catch_share
        ),
        "total_response_time": "in all " + " or ".join(total) if total else None,
        "row_variability": _worded(
            "fewer than {:g} answers in one of the two rows", criteria.min_row_answers
        ),
        "instruction_time": _worded(
            "under {:g} s with the instructions", criteria.min_instruction_time_s
        ),
        "instructed_trials": _worded(
            "fewer than {:.0%} of instructed trials followed",
            criteria.min_instructed_share,
        ),
        "focus": _worded("window left more than {:g} times", criteria.max_focus_losses),
        "median_response_time": _worded(
            "median response time under {:g} ms", criteria.min_median_rt_ms
        ),
        "participation": "an earlier session of the same person"
        if criteria.single_participation
        else None,
    }
    return described[name]


def _worded(template: str, threshold: float | None) -> str | None:
    return None if threshold is None else template.format(threshold)


def study_criteria(responses: Responses) -> ExclusionCriteria | None:
    """Return the criteria that a study was compiled with; None where no one knows.

    Raises
    ------
    DataContractError
        The answers name criteria that this program does not know.
    """
    named = responses.header.config.get("exclusion")
    if named is None:
        return None
    try:
        return ExclusionCriteria(**named)
    except TypeError as error:
        raise DataContractError(
            f"The answers' criteria of exclusion are {named!r}, which this program does"
            " not know. Give --criteria, or use the Unitscope that exported them."
        ) from error


def read_criteria(text: str) -> ExclusionCriteria:
    """Read ``imi``, ``none``, or a TOML or JSON file of thresholds.

    A file names the fields of :class:`data.exclusion.ExclusionCriteria`; ``"off"``
    switches a criterion off, and what is not named keeps IMI's value.

    Raises
    ------
    DataContractError
        The file is missing or broken, or an entry is unknown or no number.
    """
    if text in {"imi", "none"}:
        return IMI if text == "imi" else NO_CRITERIA
    path = Path(text)
    if path.suffix == ".toml":
        content = _read_toml(path)
    elif path.suffix == ".json":
        content = read_json(path)
    else:
        raise DataContractError(
            f"'--criteria' is {text!r}; it must be 'imi', 'none', or a .toml or .json"
            " file of thresholds."
        )
    if not isinstance(content, dict):
        raise DataContractError(
            f"{path} holds no table; it must name thresholds such as"
            " 'min_catch_share'. Mend the file."
        )
    known = asdict(IMI)
    values = {name: _threshold(path, name, content[name], known) for name in content}
    return ExclusionCriteria(**(known | values))


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataContractError(f"{path} does not exist. Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataContractError(
            f"{path} is not TOML ({error}). Mend the file."
        ) from error


def _threshold(path: Path, name: str, value: object, known: Mapping[str, Any]) -> Any:
    if name not in known:
        raise DataContractError(
            f"{path} names {name!r}, which is no threshold. {near_names(name, known)}"
        )
    if name == "single_participation":
        if isinstance(value, bool):
            return value
        raise DataContractError(
            f"{path}: {name!r} is {value!r}; it must be true or false. Mend the value."
        )
    if value is None or value == "off":
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise DataContractError(
        f'{path}: {name!r} is {value!r}; it must be a number, or "off". Mend the value.'
    )
