"""Score tables: one row a unit, for machine (MIS) and human (HIS) scores."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from numpy.typing import NDArray
from scipy.special import expit

from data.errors import DataContractError
from data.files import whole_folder
from data.formats import Header, read_header, write_header
from data.margins import NAME, new_margins, read_margins
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


VERSION = 2
"""Of the scores that are written; version 1 has no margins file."""

_MOST_ROWS = 10**6
"""Of ``tasks.parquet``: with more tasks, the table is made when it is asked for."""


class Scores:
    """The machine's scores of a task set.

    Parameters
    ----------
    units : DataFrame
        One row a unit of the recording: 'unit', 'mis' (mean probability correct, in
        [0, 1]; chance is 0.5; NaN with a reason), 'hard_accuracy' (share of margins
        above 0, equal counts ½), 'n_tasks', 'tie_share', 'reason' (null where
        scored).
    header : Header
        ``config`` holds the encoder and its fingerprint, and ``tau``.
    tasks : DataFrame, optional
        One row a task: 'task_id', 'unit', 'number', 'margin', 'probability'. None:
        made of the margins when it is first asked for.
    margins : (n_scored, n_tasks) float32 array, optional
        Of the units that have tasks, in their order; may be memory-mapped.
    task_kind : str
        What a task's name says of it: explanation method and difficulty.

    Raises
    ------
    DataContractError
        The margins are not those of the units.
    """

    def __init__(
        self,
        *,
        units: pd.DataFrame,
        header: Header,
        tasks: pd.DataFrame | None = None,
        margins: NDArray[np.float32] | None = None,
        task_kind: str = "natural-easy",
    ) -> None:
        self.units, self.header, self.task_kind = units, header, task_kind
        self.margins = margins
        self._tasks = tasks
        if margins is not None and len(margins) != len(self.scored_units):
            raise DataContractError(
                f"There are margins of {len(margins)} units; {len(self.scored_units)}"
                " units have tasks. Score the tasks again."
            )

    @property
    def scored_units(self) -> list[str]:
        """The units that have tasks, in the order of ``margins``."""
        if "n_tasks" not in self.units:
            return self.units.loc[self.units["mis"].notna(), "unit"].to_list()
        return self.units.loc[self.units["n_tasks"] > 0, "unit"].to_list()

    @property
    def tasks(self) -> pd.DataFrame:
        """One row a task; a long table where there are many units."""
        if self._tasks is None:
            self._tasks = self.tasks_of(range(len(self._margins())))
        return self._tasks

    @property
    def has_tasks(self) -> bool:
        """Whether there are scores of tasks, not only of units."""
        return self._tasks is not None or self.margins is not None

    @property
    def n_task_rows(self) -> int:
        """How many rows the table of tasks has."""
        if self.margins is not None:
            return int(self.margins.size)
        return 0 if self._tasks is None else len(self._tasks)

    def _margins(self) -> NDArray[np.float32]:
        if self.margins is None:
            raise DataContractError(
                "These scores hold no margins; scores of a method that compares no"
                " queries have none. Give scores of the method 'mis'."
            )
        return self.margins

    def tasks_of(self, rows: Iterable[int]) -> pd.DataFrame:
        """Return the table of the tasks of some rows of ``margins`` only."""
        chosen = np.fromiter(rows, dtype=np.int64)
        margins = np.asarray(self._margins()[chosen], dtype=np.float64)
        scored = self.scored_units
        names = [scored[row] for row in chosen]
        numbers = range(margins.shape[1])
        tau = float(self.header.config["tau"])
        ids = [f"{unit}#{self.task_kind}#{one}" for unit in names for one in numbers]
        return pd.DataFrame(
            {
                "task_id": pd.Series(ids, dtype="str"),
                "unit": pd.Series(np.repeat(names, len(numbers)), dtype="str"),
                "number": np.tile(np.arange(len(numbers), dtype=np.int64), len(names)),
                "margin": margins.ravel(),
                "probability": expit(margins.ravel() / tau),
            }
        )


def write_scores(folder: Path, scores: Scores) -> None:
    """Write ``mis.parquet``, the margins and ``scores.json``, or nothing.

    With up to a million tasks there is also ``tasks.parquet``, for other programs.
    """
    with whole_folder(folder) as part:
        scores.units.to_parquet(part / "mis.parquet", index=False)
        if scores.margins is not None:
            out = new_margins(
                part / NAME,
                n_units=len(scores.margins),
                n_tasks=scores.margins.shape[1],
            )
            out[...] = scores.margins
            _flush(out)
        if scores.has_tasks and scores.n_task_rows <= _MOST_ROWS:
            scores.tasks.to_parquet(part / "tasks.parquet", index=False)
        write_header(
            part / "scores.json",
            replace(scores.header, version=VERSION),
            task_kind=scores.task_kind,
            holds_margins=scores.margins is not None,
            holds_tasks=scores.has_tasks,
        )


def _flush(array: NDArray[np.float32]) -> None:
    if isinstance(array, np.memmap):
        array.flush()


def read_scores(folder: Path) -> Scores:
    """Read what :func:`write_scores` wrote.

    Raises
    ------
    DataContractError
        A part is missing, broken, or of a version that this program can't read.
    """
    folder = Path(folder)
    header, own = read_header(
        folder / "scores.json", format="scores", versions=(1, VERSION)
    )
    units = read_parquet(folder / "mis.parquet", MIS)
    margins = read_margins(folder / NAME) if own.get("holds_margins") else None
    table = folder / "tasks.parquet"
    tasks = None
    if own.get("holds_tasks", True) and (margins is None or table.exists()):
        tasks = read_parquet(table, TASK_SCORES)
    return Scores(
        units=units,
        tasks=tasks,
        margins=margins,
        header=header,
        task_kind=own.get("task_kind", "natural-easy"),
    )


def layer_means(units: pd.DataFrame) -> pd.DataFrame:
    """Summarize the scores of each layer.

    Parameters
    ----------
    units : DataFrame
        One row a unit: 'unit', 'mis', and where there are 'hard_accuracy' and
        'reason'.

    Returns
    -------
    DataFrame
        One row a layer, in the order of first units: 'model', 'layer', 'n_units',
        'n_scored', 'mean', 'median', 'sd' of the units that have a score, 'low' and
        'high' (5th and 95th percentile), 'hard_accuracy' (mean), 'share_constant'
        (of all units: those whose reason is that they are constant).
    """
    names = units["unit"].str.rsplit("::", n=1).str[0].str.split("::", n=1, expand=True)
    reason = units.get("reason", pd.Series(None, index=units.index, dtype="str"))
    hard = units.get("hard_accuracy", pd.Series(np.nan, index=units.index))
    table = pd.DataFrame(
        {
            "model": names[0],
            "layer": names[1],
            "mis": units["mis"],
            "hard": hard,
            "constant": reason.fillna("").str.startswith("constant"),
        }
    )
    by_layer = table.groupby(["model", "layer"], sort=False)
    return by_layer.agg(
        n_units=("mis", "size"),
        n_scored=("mis", "count"),
        mean=("mis", "mean"),
        median=("mis", "median"),
        sd=("mis", "std"),
        low=("mis", lambda one: one.quantile(0.05)),
        high=("mis", lambda one: one.quantile(0.95)),
        hard_accuracy=("hard", "mean"),
        share_constant=("constant", "mean"),
    ).reset_index()


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
        read_header(path / "scores.json", format="scores", versions=(1, VERSION))
        return read_parquet(path / "mis.parquet", MIS)
    if path.suffix == ".parquet":
        return read_parquet(path, MIS)
    if path.suffix == ".csv":
        return read_csv(path, MIS)
    raise DataContractError(
        f"{path} is not a score table; it must be a folder that 'unitscope score'"
        " wrote, a .parquet or a .csv with the columns 'unit' and 'mis'."
    )
