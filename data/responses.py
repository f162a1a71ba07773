"""Answers as every analysis reads them: written, read, and checked for repeats."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from data.errors import DataContractError
from data.files import whole_file, whole_folder
from data.formats import Header, read_header, write_header
from data.response_tables import ADDED as ADDED
from data.response_tables import BESIDE as BESIDE
from data.response_tables import RESPONSES as RESPONSES
from data.response_tables import SESSIONS as SESSIONS
from data.tables import read_parquet

EXPORT_VERSION = 2
"""Of an export's folder; version 1 lacks the columns of :data:`ADDED`."""


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
    beside : mapping of str to DataFrame
        Those of :data:`BESIDE` that there are.
    """

    responses: pd.DataFrame
    sessions: pd.DataFrame
    header: Header = field(repr=False)
    notes: tuple[str, ...] = ()
    beside: Mapping[str, pd.DataFrame] = field(default_factory=dict, repr=False)

    @property
    def n_simulated_sessions(self) -> int:
        """How many sessions were answered by programs."""
        return int(self.sessions["simulated"].sum())


def write_responses(folder: Path, responses: Responses, imi: pd.DataFrame) -> None:
    """Write our tables and IMI's form of them, whole or not at all.

    The folder holds ``responses.csv`` (IMI's 45 columns), ``responses.parquet`` and
    ``sessions.parquet`` (ours), those of :data:`BESIDE`, and ``export.json``.
    """
    with whole_folder(folder) as part:
        imi.to_csv(part / "responses.csv", index=False, lineterminator="\n")
        responses.responses.to_parquet(part / "responses.parquet", index=False)
        responses.sessions.to_parquet(part / "sessions.parquet", index=False)
        for name, table in responses.beside.items():
            table.to_parquet(part / f"{name}.parquet", index=False)
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
    header, own = read_header(
        path / "export.json", format="responses", versions=(1, EXPORT_VERSION)
    )
    responses = read_parquet(path / "responses.parquet", RESPONSES, fill=ADDED)
    if len(responses) != own["n_responses"]:
        raise DataContractError(
            f"{path} holds {len(responses)} responses; its export wrote"
            f" {own['n_responses']}. Export the study again."
        )
    sessions = read_parquet(path / "sessions.parquet", SESSIONS, fill=ADDED)
    refuse_a_session_twice(responses, path)
    beside = {
        name: read_parquet(path / f"{name}.parquet", schema)
        for name, schema in BESIDE.items()
        if header.version > 1 and (path / f"{name}.parquet").exists()
    }
    return Responses(
        responses=responses, sessions=sessions, header=header, beside=beside
    )


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
