"""Score tables: one row a unit, for machine (MIS) and human (HIS) scores."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow as arrow
import pyarrow.parquet as parquet
from numpy.typing import NDArray
from scipy.special import expit

from data.errors import DataContractError
from data.files import whole_folder
from data.formats import Header, read_header, write_header
from data.margins import NAME, MarginsFile, read_margins
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

_ROW_GROUP = 2**17
"""Rows of ``mis.parquet`` that are written together, and so are in memory."""


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
        One row a task: 'task_id', 'unit', 'number', 'margin', 'probability' (the
        sigmoid of margin / tau; a fit's slope and offset move a unit's score, not
        these). None: made of the margins when it is first asked for.
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
        names = pd.Series([scored[row] for row in chosen], dtype="str")
        numbers = range(margins.shape[1])
        tau = float(self.header.config["tau"])
        ends = pd.Series([f"#{self.task_kind}#{one}" for one in numbers], dtype="str")
        unit = names.repeat(len(numbers)).reset_index(drop=True)
        end = ends.take(np.tile(numbers, len(names))).reset_index(drop=True)
        return pd.DataFrame(
            {
                "task_id": unit + end,
                "unit": unit,
                "number": np.tile(np.arange(len(numbers), dtype=np.int64), len(names)),
                "margin": margins.ravel(),
                "probability": expit(margins.ravel() / tau),
            }
        )


def write_scores(folder: Path, scores: Scores) -> None:
    """Write ``mis.parquet``, the margins and ``scores.json``, or nothing.

    With up to a million tasks there is also ``tasks.parquet``, for other programs.
    """
    write_score_parts(folder, [scores])


def write_score_parts(folder: Path, parts: Iterable[Scores]) -> None:
    """Write scores that come in parts, as :func:`write_scores` writes them as a whole.

    Only some of the units are in memory at a time.

    Parameters
    ----------
    parts : iterable of Scores
        At least one; units that follow each other, with the same header.
    """
    with whole_folder(folder) as part:
        with _Parts(part) as writer:
            for scores in parts:
                writer.append(scores)
        first = writer.first
        write_header(
            part / "scores.json",
            replace(first.header, version=VERSION),
            task_kind=first.task_kind,
            holds_margins=first.margins is not None,
            holds_tasks=first.has_tasks,
        )


class _Parts:
    """Writes the tables of a scores folder, part by part."""

    first: Scores

    def __init__(self, folder: Path) -> None:
        self._folder, self._files = folder, ExitStack()
        self._tables: list[pd.DataFrame] = []
        self._writer: parquet.ParquetWriter | None = None
        self._margins: MarginsFile | None = None
        self._with_tasks: list[Scores] | None = []

    def __enter__(self) -> "_Parts":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._files:
            if kind is None:
                self._write_units(least=1 if self._writer else 0)
                if self._margins:
                    self._margins.close()
                self._write_tasks()

    def append(self, scores: Scores) -> None:
        if not self._tables and self._writer is None:
            self.first = scores
            if scores.margins is not None:
                file = self._files.enter_context((self._folder / NAME).open("wb"))
                self._margins = MarginsFile(file)
        self._tables.append(scores.units)
        self._write_units(least=_ROW_GROUP)
        if self._margins and scores.margins is not None:
            self._margins.append(scores.margins)
        self._keep_tasks(scores)

    def _write_units(self, *, least: int) -> None:
        while self._tables and sum(map(len, self._tables)) >= least:
            waiting = pd.concat(self._tables, ignore_index=True)
            rest = waiting[_ROW_GROUP:]
            alone = least < _ROW_GROUP and self._writer is None
            rows = _typed(waiting[:_ROW_GROUP], alone=alone)
            table = arrow.Table.from_pandas(rows, preserve_index=False)
            if self._writer is None:
                self._writer = self._files.enter_context(
                    parquet.ParquetWriter(self._folder / "mis.parquet", table.schema)
                )
            # As one piece: where pieces end, so do pages, and the bytes would differ.
            whole = table.cast(self._writer.schema).combine_chunks()
            self._writer.write_table(whole)
            self._tables = [rest] if len(rest) else []

    def _keep_tasks(self, scores: Scores) -> None:
        if self._with_tasks is None or not scores.has_tasks:
            return
        self._with_tasks.append(scores)
        if sum(one.n_task_rows for one in self._with_tasks) > _MOST_ROWS:
            self._with_tasks = None

    def _write_tasks(self) -> None:
        if self._with_tasks:
            together = _joined(self._with_tasks)
            together.tasks.to_parquet(self._folder / "tasks.parquet", index=False)


def _typed(rows: pd.DataFrame, *, alone: bool) -> pd.DataFrame:
    """Return rows whose texts have one type, whichever parts they came from.

    Rows that are not the whole table are texts even where all are empty: those that
    follow may not be.
    """
    texts = [name for name in rows.columns if rows[name].dtype == object]
    values = {name: rows[name].to_numpy() for name in texts}
    made = rows.assign(**values)
    return made if alone else made.astype(dict.fromkeys(texts, "str"))


def _joined(parts: list[Scores]) -> Scores:
    if len(parts) == 1:
        return parts[0]
    return Scores(
        units=pd.concat([one.units for one in parts], ignore_index=True),
        margins=np.concatenate([one.margins for one in parts if one.has_tasks]),
        header=parts[0].header,
        task_kind=parts[0].task_kind,
    )


def summary_of(folder: Path) -> tuple[Header, int, int, float]:
    """Return the header, the number of units and of scored ones, and the mean score.

    Raises
    ------
    DataContractError
        The header is missing, broken or of another version.
    """
    header, _ = read_header(
        folder / "scores.json", format="scores", versions=(1, VERSION)
    )
    n_units, n_scored, total = 0, 0, 0.0
    for values in _mis_values(folder / "mis.parquet"):
        scored = values[~np.isnan(values)]
        n_units, n_scored = n_units + len(values), n_scored + len(scored)
        total += float(scored.sum())
    return header, n_units, n_scored, total / n_scored if n_scored else float("nan")


def _mis_values(path: Path) -> Iterator[NDArray[np.float64]]:
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["mis"]):
            values = batch.column(0).to_numpy(zero_copy_only=False)
            yield np.asarray(values, dtype=np.float64)


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
