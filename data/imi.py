"""IMI's released response table: its 45 columns, read and written exactly.

What the table holds and where it misleads: ``task_id`` and ``response_index`` name a
session; only ``task_id`` tells the harder optimized condition from the easy one, since
its ``model`` says ``resnet50``; demo rows have no unit; details are Python literals,
not JSON; ``choice`` is ``b`` when the chosen query goes with the right-hand examples.
"""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from data.errors import DataContractError
from data.exclusion import IMI as IMI_CRITERIA
from data.exclusion import exclusion_table
from data.responses import Responses, write_response_csv
from data.tables import checked, read_csv
from data.units import UnitId

TRIAL_TYPE = "2afc-image-confidence-response"

CHECKS = (
    "demo_trials",
    "catch_trials",
    "total_response_time",
    "row_variability",
    "instruction_time",
)
"""IMI's five checks, in the order of its columns."""


def _column(dtype: object, described: str, *, nullable: bool = False) -> pa.Column:
    return pa.Column(dtype, nullable=nullable, description=described)


def _truth(text: str) -> object:
    return {"True": True, "False": False}.get(text, text)


_FLAG = {"dtype": "boolean", "described": "True or False"}
_TEXT = {"dtype": str, "described": "text", "nullable": True}
_DETAILS = {"dtype": str, "described": "a Python literal", "nullable": True}
_TIME = {"dtype": "float64", "described": "a number", "nullable": True}
_INTEGER = {"dtype": "Int64", "described": "a whole number"}
_OPTIONAL_INTEGER = _INTEGER | {"nullable": True}

_SPECIFIED: dict[str, dict[str, Any]] = {
    "rt": {"dtype": "float64", "described": "a number of ms"},
    "button_pressed": _INTEGER,
    "switched_queries": _FLAG,
    "confidence": _INTEGER,
    "choice": {"dtype": str, "described": "a or b"},
    "correct": _FLAG,
    "min_query": _TEXT,
    "max_query": _TEXT,
    "min_references": _TEXT,
    "max_references": _TEXT,
    "catch_trial": _FLAG,
    "is_demo": _FLAG,
    "trial_type": _TEXT,
    "trial_index": _INTEGER,
    "time_elapsed": _INTEGER,
    "internal_node_id": _TEXT,
    "response_index": _INTEGER,
    "participant_id": _TEXT,
    "corrected_trial_index": _INTEGER,
    "task_id": {"dtype": str, "described": "text such as resnet50_natural-61"},
    "task_number": _INTEGER,
    "batch": _OPTIONAL_INTEGER,
    "channel": _OPTIONAL_INTEGER,
    "layer": _TEXT,
    "mode": _TEXT,
    "model": _TEXT,
    "passed_checks": _FLAG,
    **{f"{check}_result": _FLAG for check in CHECKS},
    **{f"{check}_details": _DETAILS for check in CHECKS},
    "instruction_time_details_extracted": _TIME,
    "total_response_time_details_extracted": _TIME,
    "row_variability_details_details_upper_extracted": _OPTIONAL_INTEGER,
    "row_variability_details_details_lower_extracted": _OPTIONAL_INTEGER,
    "catch_trials_details_ratio_extracted": _TIME,
    "catch_trials_details_correctly_answered_extracted": _DETAILS,
    "demo_trials_details_extracted": _OPTIONAL_INTEGER,
    "multi_participation": _FLAG,
}

IMI_COLUMNS = tuple(_SPECIFIED)
"""IMI's 45 columns in IMI's order."""

IMI_TABLE = pa.DataFrameSchema(
    {name: _column(**spec) for name, spec in _SPECIFIED.items()},
    coerce=True,
    name="IMI's response table",
)

_FLAGS = [name for name, spec in _SPECIFIED.items() if spec is _FLAG]
_WHOLE = [name for name, spec in _SPECIFIED.items() if spec["dtype"] == "Int64"]

_AS_TEXT = pa.DataFrameSchema(
    {name: pa.Column(nullable=True) for name in IMI_COLUMNS},
    name="IMI's response table",
)


def read_imi(path: Path) -> pd.DataFrame:
    """Read a ``responses_*.csv`` of the IMI release, or one in its form.

    Returns
    -------
    DataFrame
        The 45 columns in IMI's order; other columns, such as an index that was
        written along, are dropped. Whole numbers are nullable integers; details stay
        text, see :func:`parse_details`.

    Raises
    ------
    DataContractError
        A column is missing, or a value is not what the column holds.
    """
    table = read_csv(path, _AS_TEXT)[list(IMI_COLUMNS)]
    with_decimals = bool(table["channel"].str.endswith(".0").any())
    flags = {name: _each_value(table[name], _truth) for name in _FLAGS}
    whole = {name: _each_value(table[name], _without_decimals) for name in _WHOLE}
    read = checked(table.assign(**flags, **whole), IMI_TABLE, path)
    read.attrs["decimals"] = with_decimals
    return read


def _each_value(column: pd.Series, change: Callable[[str], object]) -> pd.Series:
    """Change each value, once where it occurs many times."""
    codes, values = pd.factorize(column)
    changed = np.array([*map(change, values), pd.NA], dtype=object)
    return pd.Series(changed[codes], index=column.index, name=column.name)


def _without_decimals(text: str) -> str:
    """Drop the '.0' that pandas writes once a column of whole numbers has a gap."""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)


def write_imi(path: Path, table: pd.DataFrame) -> None:
    """Write IMI's form; a table that :func:`read_imi` gave comes out as it was.

    'batch' and 'channel' are written as ``8``, or as ``8.0`` where they were read so:
    pandas prints them like that once demo rows leave gaps.
    """
    written = table[list(IMI_COLUMNS)]
    if table.attrs.get("decimals"):
        written = written.astype({"batch": "Float64", "channel": "Float64"})
    write_response_csv(path, written)


def parse_details(text: str) -> Any:
    """Read a details cell: a Python literal in which ``nan`` may stand."""
    try:
        return ast.literal_eval(re.sub(r"\bnan\b", "None", text))
    except (ValueError, SyntaxError) as error:
        raise DataContractError(
            f"{text!r} is not a Python literal such as {{'ratio': 1.0}}."
            " Use the table as IMI released it."
        ) from error


def imi_table(
    responses: Responses, shown: pd.DataFrame, *, confidence_levels: int = 3
) -> pd.DataFrame:
    """Return IMI's form of our tables: its 45 columns, complete sessions only.

    Instructed trials are left out, since IMI had none. ``choice`` is in right-hand
    coordinates: ``b`` is the query that goes with the right-hand examples, which in
    IMI was always the positive one; the image columns keep to polarity, so ``min``
    is negative whatever its side.

    Parameters
    ----------
    responses : Responses
    shown : DataFrame
        One row a presentation, by 'session_id' and 'trial_index': 'min_query',
        'max_query' (image ids), 'min_references', 'max_references' (lists of image
        ids in displayed order).
    confidence_levels : int
        Buttons in a row; 3 gives IMI's ``button_pressed`` of 0 to 5.
    """
    complete = responses.sessions[responses.sessions["status"] == "complete"]
    rows = responses.responses
    rows = rows[
        rows["session_id"].isin(complete["session_id"]) & (rows["kind"] != "instructed")
    ]
    rows = rows.sort_values(["session_id", "trial_index"], ignore_index=True)
    rows = rows.merge(
        shown, on=["session_id", "trial_index"], how="left", validate="1:1"
    )
    checks = _check_columns(responses, complete)
    # IMI's task is our session's slot; its batch is our task's number.
    rows = rows.rename(columns={"task_id": "our_task", "task_number": "our_number"})
    rows = rows.merge(checks, on="session_id", validate="m:1")
    table = _trial_columns(rows, confidence_levels).join(rows[list(checks.columns[1:])])
    return checked(table[list(IMI_COLUMNS)], IMI_TABLE, "the export")


def _trial_columns(rows: pd.DataFrame, confidence_levels: int) -> pd.DataFrame:
    practice, catch = rows["kind"] == "practice", rows["kind"] == "catch"
    right = rows["positive_side"].map({"right": "positive", "left": "negative"})
    first_after = (
        rows["trial_index"]
        .where(~practice)
        .groupby(rows["session_id"])
        .transform("min")
    )
    corrected = (rows["trial_index"] - first_after.fillna(rows["trial_index"])).astype(
        "int64"
    )
    lower = rows["chosen_query"] != rows["upper_query"]
    chose_right = rows["chosen_query"] == right
    units = [UnitId.parse(name) for name in rows["unit"]]
    model = pd.Series([unit.model for unit in units], dtype="str")
    block = np.where(practice, "0.0-3.0-0.", "0.0-4.0-0.")
    within = rows["trial_index"].where(practice, corrected).astype("str")
    return pd.DataFrame(
        {
            "rt": rows["rt_ms"],
            "button_pressed": lower * confidence_levels + rows["confidence"] - 1,
            "switched_queries": rows["upper_query"] == right,
            "confidence": rows["confidence"],
            "choice": np.where(chose_right, "b", "a"),
            "correct": rows["correct"],
            "min_query": rows["min_query"],
            "max_query": rows["max_query"],
            "min_references": rows["min_references"].map(str, na_action="ignore"),
            "max_references": rows["max_references"].map(str, na_action="ignore"),
            "catch_trial": catch,
            "is_demo": practice,
            "trial_type": TRIAL_TYPE,
            "trial_index": rows["trial_index"],
            "time_elapsed": rows["time_elapsed_ms"].round().astype("int64"),
            "internal_node_id": pd.Series(block, rows.index, dtype="str") + within,
            "participant_id": rows["participant_id"],
            "corrected_trial_index": corrected,
            "batch": _whole(rows["our_number"].mask(catch, -1), practice),
            "channel": _whole(pd.Series([unit.channel for unit in units]), practice),
            "layer": pd.Series([unit.layer for unit in units]).mask(practice),
            "mode": rows["explanation_method"]
            .replace({"synthetic": "optimized"})
            .mask(catch, "catch_trial")
            .mask(practice),
            "model": model.mask(catch, "catch/manual").mask(practice),
        }
    )


def _whole(values: pd.Series, gaps: pd.Series) -> pd.Series:
    return values.astype("Int64").mask(gaps)


def _check_columns(responses: Responses, complete: pd.DataFrame) -> pd.DataFrame:
    """Return one row a session: its IMI task, checks and their details."""
    judged = exclusion_table(responses.responses, complete, IMI_CRITERIA)
    wide = judged.pivot(index="session_id", columns="criterion", values="excluded")
    by_session = dict(iter(responses.responses.groupby("session_id")))
    order = complete.groupby("slot", dropna=False).cumcount().tolist()
    rows = []
    for response_index, (_, session) in zip(order, complete.iterrows(), strict=True):
        session_id = session["session_id"]
        own = by_session.get(session_id, responses.responses.iloc[:0])
        passed = {f"{name}_result": not wide.loc[session_id, name] for name in CHECKS}
        number = int(session["slot"]) + 1 if pd.notna(session["slot"]) else 0
        rows.append(
            {
                "session_id": session_id,
                "task_id": f"{session['study_id']}-{number}",
                "task_number": number,
                "response_index": response_index,
                "passed_checks": all(passed.values()),
                **passed,
                **_details(own, session),
                "multi_participation": session["multi_participation"],
            }
        )
    columns = ["session_id", *(name for name in IMI_COLUMNS if name in _CHECK_COLUMNS)]
    return pd.DataFrame(rows, columns=columns)


_CHECK_COLUMNS = {
    "task_id",
    "task_number",
    "response_index",
    *IMI_COLUMNS[IMI_COLUMNS.index("passed_checks") :],
}


def _details(own: pd.DataFrame, session: pd.Series) -> dict[str, object]:
    after_practice = own[own["kind"] != "practice"]
    n_upper = int(
        (after_practice["chosen_query"] == after_practice["upper_query"]).sum()
    )
    n_lower = len(after_practice) - n_upper
    catch = own.loc[own["kind"] == "catch", "correct"].map(bool).tolist()
    ratio = float(np.mean(catch)) if catch else float("nan")
    rounds = int(session["n_practice_rounds"])
    total, reading = session["total_time_s"], session["instruction_time_s"]
    return {
        "demo_trials_details": str({"n_demo_trials_blocks": rounds}),
        "catch_trials_details": str({"ratio": ratio, "correctly_answered": catch}),
        "total_response_time_details": str({"total_time": float(total)}),
        "row_variability_details": str(
            {"n_upper_row": n_upper, "n_lower_row": n_lower}
        ),
        "instruction_time_details": str({"total_time": float(reading)}),
        "instruction_time_details_extracted": reading,
        "total_response_time_details_extracted": total,
        "row_variability_details_details_upper_extracted": n_upper,
        "row_variability_details_details_lower_extracted": n_lower,
        "catch_trials_details_ratio_extracted": ratio,
        "catch_trials_details_correctly_answered_extracted": str(catch),
        "demo_trials_details_extracted": rounds,
    }
