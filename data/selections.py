"""Selections: which units a study shows, in which group, and why."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from data.files import whole_folder
from data.formats import Header, read_header, write_header
from data.tables import read_csv, read_parquet
from data.units import UnitId

SELECTION = pa.DataFrameSchema(
    {
        "unit": pa.Column(str, unique=True, description="model::layer::channel"),
        "group": pa.Column(str, description="a word such as 'easiest'"),
        "reason": pa.Column(str, description="why the unit is in the group"),
        "mis": pa.Column(
            "float64", pa.Check.in_range(0, 1), description="a number in [0, 1]"
        ),
    },
    coerce=True,
    name="a selection of units",
)

_UNITS = pa.DataFrameSchema(
    {"unit": pa.Column(str, description="model::layer::channel")},
    coerce=True,
    name="a list of units",
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Selection:
    """Units in disjoint groups.

    Attributes
    ----------
    units : DataFrame
        One row a unit: 'unit', 'group', 'reason' (such as "rank 3 of 1,204 by MIS"),
        'mis'; the groups in the order asked for.
    header : Header
        ``config`` says how they were chosen; ``seed`` what was drawn at random.
    """

    units: pd.DataFrame
    header: Header = field(repr=False)


def write_selection(folder: Path, selection: Selection) -> None:
    """Write ``units.csv`` and ``selection.json``, or nothing."""
    with whole_folder(folder) as part:
        columns = list(SELECTION.columns)
        selection.units[columns].to_csv(
            part / "units.csv", index=False, lineterminator="\n"
        )
        write_header(part / "selection.json", selection.header)


def read_selection(folder: Path) -> Selection:
    """Read what :func:`write_selection` wrote.

    Raises
    ------
    DataContractError
        A part is missing, broken or of another version.
    """
    folder = Path(folder)
    header, _ = read_header(
        folder / "selection.json", format="selection", versions=(1,)
    )
    return Selection(units=read_csv(folder / "units.csv", SELECTION), header=header)


def read_unit_list(path: Path) -> tuple[UnitId, ...]:
    """Read unit names from a selection's folder, a CSV or a Parquet table.

    Raises
    ------
    DataContractError
        There is no column 'unit', or an entry is no unit name.
    """
    path = Path(path)
    if path.is_dir():
        names = read_selection(path).units["unit"]
    elif path.suffix == ".parquet":
        names = read_parquet(path, _UNITS)["unit"]
    else:
        names = read_csv(path, _UNITS)["unit"]
    return tuple(dict.fromkeys(map(UnitId.parse, names)))
