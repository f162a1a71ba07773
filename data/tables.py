"""Checking a table once, where it enters."""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from data.errors import DataContractError


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
    return (
        f"column {column!r} holds {value!s}{row}{more}; it must be {must or check}."
        " Mend the value, or leave the row out."
    )


def read_csv(path: Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Read a CSV as text and give it the schema's types.

    Raises
    ------
    DataContractError
        There is no such file, it is no CSV, or it breaks the schema.
    """
    try:
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
        raise DataContractError(
            f"{path} is not a CSV with a header ({error}). Export the table again."
        ) from error
    return checked(table, schema, path)


def read_parquet(path: Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Read a Parquet table and check it.

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
    return checked(table, schema, path)
