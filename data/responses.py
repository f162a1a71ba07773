"""The response table, one row a presentation, and the session table beside it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from data.errors import DataContractError
from data.files import whole_file, whole_folder
from data.formats import Header, read_header, write_header
from data.tables import read_parquet

KINDS = ("practice", "main", "catch", "instructed", "repeated")
"""'repeated' is a main task that the same session was shown a second time."""

EXPLANATION_METHODS = ("natural", "synthetic", "none")
"""'none': the queries were shown without any explanations."""

POLARITIES = ("positive", "negative")
SIDES = ("left", "right")
STATUSES = (
    "active",
    "complete",
    "declined",
    "practice_failed",
    "withdrawn",
    "timed_out",
)


def _one_of(values: tuple[str, ...], *, nullable: bool = False) -> pa.Column:
    described = "one of " + ", ".join(values)
    return pa.Column(
        str, pa.Check.isin(values), nullable=nullable, description=described
    )


def _text(*, nullable: bool = True) -> pa.Column:
    return pa.Column(str, nullable=nullable, description="text")


def _number(low: float, *, nullable: bool = False) -> pa.Column:
    return pa.Column(
        "float64",
        [pa.Check.ge(low), _finite()],
        nullable=nullable,
        description=f"a finite number of at least {low:g}",
    )


def _finite() -> pa.Check:
    return pa.Check(np.isfinite, name="finite", error="finite")


def _count(low: int = 0) -> pa.Column:
    return pa.Column(
        "int64", pa.Check.ge(low), description=f"a whole number of at least {low}"
    )


def _flag() -> pa.Column:
    return pa.Column("bool", description="true or false")


RESPONSES = pa.DataFrameSchema(
    {
        "session_id": _text(nullable=False),
        "trial_index": _count(),
        "participant_id": _text(),
        "study_id": _text(),
        "kind": _one_of(KINDS),
        "practice_round": pa.Column(
            "Int64", pa.Check.ge(1), nullable=True, description="from 1, or empty"
        ),
        "task_id": _text(nullable=False),
        "unit": _text(nullable=False),
        "task_number": _count(),
        "group": _text(),
        "explanation_method": _one_of(EXPLANATION_METHODS),
        "difficulty": _text(nullable=False),
        "positive_side": _one_of(SIDES),
        "upper_query": _one_of(POLARITIES),
        "chosen_query": _one_of(POLARITIES),
        "correct": _flag(),
        "confidence": _count(1),
        "rt_ms": _number(0),
        "shown_at": _text(),
        "answered_at": _text(),
        "time_elapsed_ms": _number(0, nullable=True),
        "interrupted": _flag(),
        "onset_method": _text(),
        "onset_lag_ms": _number(0, nullable=True),
        "frame_ms": _number(0, nullable=True),
        "decode_ms": _number(0, nullable=True),
        "simulated": _flag(),
        "observer": _text(),
    },
    unique=["session_id", "trial_index"],
    coerce=True,
    name="a response table",
)
"""One row a presentation that was answered, by 'session_id' and 'trial_index'.

'trial_index' counts all presentations of a session from 0, practice included.
'positive_side' is where the positive explanations stood, 'upper_query' which query
was above. The question is always which query goes with the right-hand side, so
'correct' means that the chosen query has the polarity of the right side; in an
instructed trial, that the instruction was followed. 'confidence' is 1 (low) and up.
'rt_ms' counts from the frame in which the trial was painted. 'time_elapsed_ms' counts
from the start of the instructions to the answer, and is empty where a study did not
record it. 'interrupted': the page was loaded anew while the trial was open.
'simulated' answers come from an 'observer' that is a program. A reader may add columns
of its study, such as those of :data:`data.borowski.CONDITIONS`.
"""

SESSIONS = pa.DataFrameSchema(
    {
        "session_id": pa.Column(str, unique=True, description="unique text"),
        "participant_id": _text(),
        "study_id": _text(),
        "slot": pa.Column(
            "Int64", pa.Check.ge(0), nullable=True, description="from 0, or empty"
        ),
        "recruiter": _text(),
        "status": _one_of(STATUSES),
        "created_at": _text(),
        "consented_at": _text(),
        "finished_at": _text(),
        "consent_version": _text(),
        "instruction_time_s": _number(0, nullable=True),
        "total_time_s": _number(0, nullable=True),
        "n_practice_rounds": _count(),
        "n_focus_losses": _count(),
        "n_reloads": _count(),
        "window_width": _number(0, nullable=True),
        "window_height": _number(0, nullable=True),
        "device_pixel_ratio": _number(0, nullable=True),
        "feedback": _text(),
        "multi_participation": _flag(),
        "test_run": _flag(),
        "simulated": _flag(),
        "observer": _text(),
    },
    coerce=True,
    name="a session table",
)
"""One row a session, also those that ended early.

'slot' is the place in the design that the session filled, empty for test runs.
'instruction_time_s' is from the first instruction page to the first practice trial,
'total_time_s' from the first instruction page to the end of the last trial, both
None where they were not reached. 'n_focus_losses' counts how often the window lost
focus or was hidden during trials. 'multi_participation': the same person has an
earlier session of this study.
"""


@dataclass(frozen=True, eq=False, kw_only=True)
class Responses:
    """A study's answers, as every analysis reads them.

    Attributes
    ----------
    responses : DataFrame
        :data:`RESPONSES`.
    sessions : DataFrame
        :data:`SESSIONS`.
    header : Header
        ``made_from`` names the study.
    notes : tuple of str
        What the reader noticed and a report has to say: whole sentences.
    """

    responses: pd.DataFrame
    sessions: pd.DataFrame
    header: Header = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def n_simulated_sessions(self) -> int:
        """How many sessions were answered by programs."""
        return int(self.sessions["simulated"].sum())


def write_responses(folder: Path, responses: Responses, imi: pd.DataFrame) -> None:
    """Write our tables and IMI's form of them, whole or not at all.

    The folder holds ``responses.csv`` (IMI's 45 columns), ``responses.parquet`` and
    ``sessions.parquet`` (ours), and ``export.json``.
    """
    with whole_folder(folder) as part:
        imi.to_csv(part / "responses.csv", index=False, lineterminator="\n")
        responses.responses.to_parquet(part / "responses.parquet", index=False)
        responses.sessions.to_parquet(part / "sessions.parquet", index=False)
        write_header(
            part / "export.json",
            responses.header,
            n_responses=len(responses.responses),
            n_sessions=len(responses.sessions),
            n_simulated_sessions=responses.n_simulated_sessions,
        )


def read_responses(path: Path) -> Responses:
    """Read an export folder, a CSV in IMI's form, or one of Borowski et al. 2021.

    Raises
    ------
    DataContractError
        It is none of these (the text says what it is instead), a table in it breaks
        its schema, or it holds a session twice.
    """
    from data.file_kinds import file_kind

    found = file_kind(path)
    if found.name == "export":
        return _read_export(Path(path))
    if found.name == "imi":
        from data.imi import read_imi
        from data.imi_responses import responses_from_imi

        return responses_from_imi(read_imi(Path(path)), source=str(path))
    if found.name in {"borowski_1", "borowski_2"}:
        from data.borowski import read_borowski

        return read_borowski(Path(path))
    raise DataContractError(
        f"{path} is {found.words}; answers are a folder that 'unitscope export' wrote,"
        " or a CSV of IMI or of Borowski et al. 2021."
        f" {found.advice or 'Check the path.'}"
    )


def _read_export(path: Path) -> Responses:
    header, own = read_header(path / "export.json", format="responses", versions=(1,))
    responses = read_parquet(path / "responses.parquet", RESPONSES)
    if len(responses) != own["n_responses"]:
        raise DataContractError(
            f"{path} holds {len(responses)} responses; its export wrote"
            f" {own['n_responses']}. Export the study again."
        )
    sessions = read_parquet(path / "sessions.parquet", SESSIONS)
    refuse_a_session_twice(responses, path)
    return Responses(responses=responses, sessions=sessions, header=header)


LEAST_ALIKE = 10
"""From so many answers with the same times on, two sessions are one."""


def refuse_no_answers(table: pd.DataFrame, source: object) -> None:
    """Refuse a table that has no rows.

    Raises
    ------
    DataContractError
        It has none.
    """
    if table.empty:
        raise DataContractError(
            f"{source} holds no answers, only a header. Give the whole table."
        )


def refuse_a_session_twice(responses: pd.DataFrame, source: object) -> None:
    """Refuse answers that stand in a table twice, under one session id or under two.

    Two sessions are the same when all their tasks, choices, confidences and response
    times are: by chance, times in ms don't agree :data:`LEAST_ALIKE` times.

    Parameters
    ----------
    responses : DataFrame
        'session_id', 'trial_index', 'task_id', 'chosen_query', 'confidence',
        'rt_ms'.
    source : object
        Where the table is from, for the message.

    Raises
    ------
    DataContractError
        A session is there twice.
    """
    key = ["session_id", "trial_index"]
    again = responses.loc[responses.duplicated(key), "session_id"]
    if len(again):
        sessions = again.unique()
        raise DataContractError(
            f"{source} holds answers of session {sessions[0]!r} twice"
            f" ({len(again)} rows of {len(sessions)} sessions); a session has one row a"
            " trial. Drop the second copy."
        )
    answer = responses[
        ["trial_index", "task_id", "chosen_query", "confidence", "rt_ms"]
    ]
    by_session = (
        pd.DataFrame(
            {
                "session_id": responses["session_id"].to_numpy(),
                "answer": pd.util.hash_pandas_object(answer, index=False).to_numpy(),
                "rt_ms": responses["rt_ms"].to_numpy(),
            }
        )
        .groupby("session_id", sort=True)
        .agg(
            answers=("answer", "sum"), n=("rt_ms", "size"), n_times=("rt_ms", "nunique")
        )
    )
    long = by_session[by_session["n_times"] >= LEAST_ALIKE]
    for session_id, row in long[long.duplicated(["answers", "n"])].iterrows():
        alike = long["answers"] == row["answers"]
        first = long.index[alike][0]
        raise DataContractError(
            f"{source}: sessions {first!r} and {session_id!r} hold the same"
            f" {int(row['n'])} answers with the same times; a session counts once."
            " Drop one of them."
        )


def conditions(responses: pd.DataFrame) -> pd.DataFrame:
    """Count what a table mixes: one row a model, explanation method and difficulty.

    Parameters
    ----------
    responses : DataFrame
        As :data:`RESPONSES`; main trials are counted.

    Returns
    -------
    DataFrame
        'model', 'explanation_method', 'difficulty', 'n_sessions', 'n_units',
        'n_trials', sorted.
    """
    main = responses[responses["kind"] == "main"]
    model = main["unit"].str.split("::").str[0].rename("model")
    by = [model, main["explanation_method"], main["difficulty"]]
    return (
        main.groupby(by, sort=True)
        .agg(
            n_sessions=("session_id", "nunique"),
            n_units=("unit", "nunique"),
            n_trials=("unit", "size"),
        )
        .reset_index()
    )


def one_model(responses: pd.DataFrame, model: str | None = None) -> pd.DataFrame:
    """Keep the rows of one model's sessions, or refuse a table that mixes models.

    Parameters
    ----------
    responses : DataFrame
        As :data:`RESPONSES`.
    model : str, optional
        May be left out where the main trials are of one model.

    Raises
    ------
    DataContractError
        There is no such model, or there are several and none was named.
    """
    own = responses["unit"].str.split("::").str[0]
    main = responses["kind"] == "main"
    found = sorted(own[main].unique())
    if model is None and len(found) == 1:
        return responses
    if model not in found:
        named = ", ".join(found) or "none"
        what = (
            f"There are answers to units of {len(found)} models"
            if model is None
            else f"No main trial is of the model {model!r}; there are answers to"
            f" {len(found)}"
        )
        raise DataContractError(f"{what}: {named}. Name one of them.")
    sessions = responses.loc[main & (own == model), "session_id"]
    return responses[responses["session_id"].isin(sessions) & (~main | (own == model))]


def write_response_csv(path: Path, table: pd.DataFrame) -> None:
    """Write one table as CSV, whole or not at all."""
    with whole_file(path) as part:
        table.to_csv(part, index=False, lineterminator="\n")
