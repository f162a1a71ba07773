"""Checking a table once, where it enters."""

import csv
import re
from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from data.errors import DataContractError

_LONGEST_ROW = 1 << 20


def checked(
    table: pd.DataFrame, schema: pa.DataFrameSchema, source: object
) -> pd.DataFrame:
    """Return ``table`` with the schema's types, or say what is wrong with it.

    Parameters
    ----------
    table : DataFrame
        Columns that the schema doesn't name are kept as they are.
    schema : DataFrameSchema
        Its ``name`` says in words what a row is, such as ``"a response table"``.
    source : object
        The file or the place that the table comes from, for the message.

    Raises
    ------
    DataContractError
        A column is missing, a value has another type or is out of its range, or a
        key occurs twice.
    """
    missing = [
        name
        for name, column in schema.columns.items()
        if column.required and name not in table.columns
    ]
    if missing:
        raise DataContractError(
            f"{source} lacks the columns {missing}; {schema.name} has"
            f" {list(schema.columns)}. Add them, or give the right file."
        )
    try:
        return schema.validate(table.reset_index(drop=True), lazy=True)
    except SchemaErrors as error:
        raise DataContractError(
            f"{source}: {_what_failed(error.failure_cases, schema)}"
        ) from error


def _what_failed(cases: pd.DataFrame, schema: pa.DataFrameSchema) -> str:
    first = cases.iloc[0]
    column, check, value = first["column"], str(first["check"]), first["failure_case"]
    row = f" in data row {int(first['index']) + 1}" if pd.notna(first["index"]) else ""
    alike = cases[(cases["column"] == column) & (cases["check"] == check)]
    more = f" ({len(alike)} such values)" if len(alike) > 1 else ""
    if check == "field_uniqueness":
        return (
            f"column {column!r} holds {value!r} more than once{more};"
            " every row must have its own. Drop the repeated rows."
        )
    if check == "multiple_fields_uniqueness":
        return (
            f"the key {schema.unique} occurs more than once{row};"
            f" {schema.name} has one row for each. Drop the repeated rows."
        )
    known = schema.columns.get(column)
    must = known.description if known is not None else check
    remedy = "Mend the value, or leave the row out."
    if re.fullmatch(r"-?\d+,\d+", str(value)):
        remedy = "It has a decimal comma: export the table with decimal points."
    return (
        f"column {column!r} holds {value!s}{row}{more}; it must be {must or check}."
        f" {remedy}"
    )


def read_csv(path: Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Read a CSV as text and give it the schema's types.

    Raises
    ------
    DataContractError
        There is no such file, it is no CSV, it was cut off in the middle of a row, it
        has decimal commas, or it breaks the schema.
    """
    path = Path(path)
    table = _cells(path, schema)
    _refuse_a_cut_row(path, table)
    _refuse_a_second_header(path, table)
    return checked(table, schema, path)


def _cells(path: Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    try:
        _refuse_another_separator(path, schema)
        table = pd.read_csv(path, dtype="string", keep_default_na=False, na_values=[""])
    except FileNotFoundError as error:
        raise DataContractError(
            f"{path} does not exist. Check the path, or run the step that writes it."
        ) from error
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        UnicodeDecodeError,
    ) as error:
        raise DataContractError(_no_csv(path, str(error).strip())) from error
    if not isinstance(table.index, pd.RangeIndex):
        raise DataContractError(
            f"{path} has more cells in its rows than columns in its header; they must"
            " be as many. A decimal comma makes one cell two: export the table with"
            " decimal points."
        )
    return table


def _no_csv(path: Path, error: str) -> str:
    if "EOF inside string" in error:
        return (
            f"{path} ends within a quoted cell; it was cut off. Copy or export the"
            " whole table again."
        )
    if (
        uneven := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", error)
    ) is not None:
        header, line, cells = uneven.groups()
        return (
            f"{path} has {cells} cells in line {line} and {header} columns; they must"
            " be as many. A decimal comma makes one cell two: export the table with"
            " decimal points."
        )
    return f"{path} is not a CSV with a header ({error}). Export the table again."


def _refuse_another_separator(path: Path, schema: pa.DataFrameSchema) -> None:
    with path.open("rb") as file:
        header = file.readline(_LONGEST_ROW).decode("utf-8", errors="replace").strip()
    if set(header.split(",")) & set(schema.columns):
        return
    for separator, words in {";": "semicolons", "\t": "tabs"}.items():
        if set(header.split(separator)) & set(schema.columns):
            raise DataContractError(
                f"{path} separates its columns with {words}; a CSV has commas, and"
                " decimal points in its numbers. Export the table again."
            )


def _refuse_a_cut_row(path: Path, table: pd.DataFrame) -> None:
    if table.empty or not table.iloc[-1:, -1].isna().all():
        return
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LONGEST_ROW))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    cells = next(csv.reader(lines[-1:]), [])
    if len(cells) < len(table.columns):
        raise DataContractError(
            f"{path} ends in the middle of data row {len(table)}; it was cut off. Copy"
            " or export the whole table again."
        )


def _refuse_a_second_header(path: Path, table: pd.DataFrame) -> None:
    again = (table.astype("str") == table.columns.to_numpy()).sum(axis=1)
    own = sum(not str(name).startswith("Unnamed: ") for name in table.columns)
    rows = (again == own).to_numpy()
    if own > 1 and rows.any():
        raise DataContractError(
            f"{path} repeats its header in data row {int(rows.argmax()) + 1}: two"
            " tables were put together. Give them one by one, or drop that row."
        )


def read_parquet(
    path: Path, schema: pa.DataFrameSchema, *, fill: Collection[str] = ()
) -> pd.DataFrame:
    """Read a Parquet table and check it.

    Parameters
    ----------
    fill : collection of str
        Columns that may be missing, see :func:`filled`.

    Raises
    ------
    DataContractError
        There is no such file, it is no Parquet, or it breaks the schema.
    """
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise DataContractError(
            f"{path} does not exist. Check the path, or run the step that writes it."
        ) from error
    except (OSError, ValueError) as error:
        raise DataContractError(
            f"{path} is not a Parquet table ({error}). Make the file again."
        ) from error
    return checked(filled(table, schema, fill), schema, path)


def filled(
    table: pd.DataFrame, schema: pa.DataFrameSchema, names: Collection[str]
) -> pd.DataFrame:
    """Return a table with those columns of its schema empty that it lacks.

    Parameters
    ----------
    names : collection of str
        Which columns may be missing; others stay missing.
    """
    lacking = [
        name for name in names if name in schema.columns and name not in table.columns
    ]
    return table.assign(**dict.fromkeys(lacking))
