"""The response table, one row a presentation, and the session table beside it."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from data.errors import DataContractError
from data.files import whole_file, whole_folder
from data.formats import Header, read_header, write_header
from data.tables import read_parquet

KINDS = ("practice", "main", "catch", "instructed")
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
        pa.Check.ge(low),
        nullable=nullable,
        description=f"a number of at least {low:g}",
    )


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
        "explanation_method": _one_of(("natural", "synthetic")),
        "difficulty": _text(nullable=False),
        "positive_side": _one_of(SIDES),
        "upper_query": _one_of(POLARITIES),
        "chosen_query": _one_of(POLARITIES),
        "correct": _flag(),
        "confidence": _count(1),
        "rt_ms": _number(0),
        "shown_at": _text(),
        "answered_at": _text(),
        "time_elapsed_ms": _number(0),
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
from the start of the instructions to the answer. 'interrupted': the page was loaded
anew while the trial was open. 'simulated' answers come from an 'observer' that is a
program.
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
    """

    responses: pd.DataFrame
    sessions: pd.DataFrame
    header: Header = field(repr=False)

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
    """Read an export folder, or a CSV in IMI's form.

    Raises
    ------
    DataContractError
        It is neither, or a table in it breaks its schema.
    """
    path = Path(path)
    if path.is_dir():
        header, own = read_header(
            path / "export.json", format="responses", versions=(1,)
        )
        responses = read_parquet(path / "responses.parquet", RESPONSES)
        if len(responses) != own["n_responses"]:
            raise DataContractError(
                f"{path} holds {len(responses)} responses; its export wrote"
                f" {own['n_responses']}. Export the study again."
            )
        return Responses(
            responses=responses,
            sessions=read_parquet(path / "sessions.parquet", SESSIONS),
            header=header,
        )
    if path.suffix == ".csv":
        from data.imi import read_imi, responses_from_imi

        return responses_from_imi(read_imi(path))
    raise DataContractError(
        f"{path} holds no responses; it must be a folder that 'unitscope export'"
        " wrote, or a .csv with IMI's 45 columns. Check the path."
    )


def write_response_csv(path: Path, table: pd.DataFrame) -> None:
    """Write one table as CSV, whole or not at all."""
    with whole_file(path) as part:
        table.to_csv(part, index=False, lineterminator="\n")
