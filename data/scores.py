"""Score tables: one row a unit, for machine (MIS) and human (HIS) scores."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from data.errors import DataContractError
from data.files import whole_folder
from data.formats import Header, read_header, write_header
from data.tables import read_csv, read_parquet

MIS = pa.DataFrameSchema(
    {
        "unit": pa.Column(str, unique=True, description="model::layer::channel"),
        "mis": pa.Column(
            "float64",
            pa.Check.in_range(0, 1),
            nullable=True,
            description="a number in [0, 1], or empty",
        ),
        "hard_accuracy": pa.Column(
            "float64", pa.Check.in_range(0, 1), nullable=True, required=False
        ),
        "n_tasks": pa.Column("int64", pa.Check.ge(0), required=False),
        "tie_share": pa.Column(
            "float64", pa.Check.in_range(0, 1), nullable=True, required=False
        ),
        "reason": pa.Column(str, nullable=True, required=False),
    },
    coerce=True,
    name="a score table",
)

TASK_SCORES = pa.DataFrameSchema(
    {
        "task_id": pa.Column(str, unique=True, description="unique"),
        "unit": pa.Column(str, description="model::layer::channel"),
        "number": pa.Column("int64", pa.Check.ge(0), description="0 or above"),
        "margin": pa.Column("float64", description="a finite number"),
        "probability": pa.Column(
            "float64", pa.Check.in_range(0, 1), description="in [0, 1]"
        ),
    },
    coerce=True,
    name="a table of task scores",
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Scores:
    """The machine's scores of a task set.

    Attributes
    ----------
    units : DataFrame
        One row a unit of the recording: 'unit', 'mis' (mean probability correct, in
        [0, 1]; chance is 0.5; NaN with a reason), 'hard_accuracy' (share of margins
        above 0, equal counts ½), 'n_tasks', 'tie_share', 'reason' (null where
        scored).
    tasks : DataFrame
        One row a task: 'task_id', 'unit', 'number', 'margin', 'probability'.
    header : Header
        ``config`` holds the encoder and its fingerprint, and ``tau``.
    """

    units: pd.DataFrame
    tasks: pd.DataFrame
    header: Header = field(repr=False)


def write_scores(folder: Path, scores: Scores) -> None:
    """Write ``mis.parquet``, ``tasks.parquet`` and ``scores.json``, or nothing."""
    with whole_folder(folder) as part:
        scores.units.to_parquet(part / "mis.parquet", index=False)
        scores.tasks.to_parquet(part / "tasks.parquet", index=False)
        write_header(part / "scores.json", scores.header)


def read_scores(folder: Path) -> Scores:
    """Read what :func:`write_scores` wrote."""
    folder = Path(folder)
    header, _ = read_header(folder / "scores.json", format="scores", versions=(1,))
    return Scores(
        units=read_parquet(folder / "mis.parquet", MIS),
        tasks=read_parquet(folder / "tasks.parquet", TASK_SCORES),
        header=header,
    )


def read_score_table(path: Path) -> pd.DataFrame:
    """Read a score table from a scores folder, a Parquet or a CSV file.

    Any method's scores can be given so: a CSV needs the columns 'unit' and 'mis'.

    Returns
    -------
    DataFrame
        At least 'unit' and 'mis'.

    Raises
    ------
    DataContractError
        It is none of these, or breaks the schema.
    """
    path = Path(path)
    if path.is_dir():
        return read_scores(path).units
    if path.suffix == ".parquet":
        return read_parquet(path, MIS)
    if path.suffix == ".csv":
        return read_csv(path, MIS)
    raise DataContractError(
        f"{path} is not a score table; it must be a folder that 'unitscope score'"
        " wrote, a .parquet or a .csv with the columns 'unit' and 'mis'."
    )
