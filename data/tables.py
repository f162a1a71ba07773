"""Checking a table once, where it enters."""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaError

from data.errors import DataContractError


def checked(table: pd.DataFrame, schema: pa.DataFrameSchema, source: object) -> pd.DataFrame:
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
        return schema.validate(table.reset_index(drop=True))
    except SchemaError as error:
        raise DataContractError(_what_failed(error, schema, source)) from error


def _what_failed(error: SchemaError, schema: pa.DataFrameSchema, source: object) -> str:
    cases = error.failure_cases
    column = getattr(error.schema, "name", None)
    where = f"column {column!r}" if column in schema.columns else "the table"
    if isinstance(cases, pd.DataFrame) and len(cases):
        first = cases.iloc[0]
        row = first.get("index")
        value = first.get("failure_case")
        at = f" in data row {int(row) + 1}" if pd.notna(row) else ""
        more = f" ({len(cases)} such values)" if len(cases) > 1 else ""
    else:
        value, at, more = cases, "", ""
    if error.reason_code is not None and error.reason_code.name == "DUPLICATES":
        return (
            f"{source} has the key {schema.unique} twice{at};"
            f" {schema.name} has one row for each. Drop the repeated rows."
        )
    described = schema.columns[column].description if column in schema.columns else None
    must = described or f"{error.check}"
    return f"{source}: {where} holds {value!r}{at}{more}; it must be {must}."


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
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
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
