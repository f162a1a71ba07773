"""What a report is built of: tables, figures with the data behind them, sections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table in words, ready to be shown.

    Attributes
    ----------
    header : tuple of str
    rows : tuple of tuples of str
    caption : str
        Empty where the text around it says enough.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Drawn:
    """A figure, what it shows in words, and the data behind it.

    Attributes
    ----------
    figure : Figure
    label : str
        What a reader who does not see it is told.
    caption : str
    data : DataFrame
        One row a mark of the figure.
    """

    figure: Figure = field(repr=False)
    label: str
    caption: str
    data: pd.DataFrame = field(repr=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class Section:
    """One question of a report and its answer.

    Attributes
    ----------
    name : str
        Key of its numbers in the JSON, and of its place on the page.
    title : str
    said : tuple of str
        Sentences, one a paragraph.
    tables : tuple of Table
    figures : mapping of str to Drawn
        Name of the figure's file to the figure.
    numbers : mapping
        JSON values.
    methods : str
        What the methods paragraph says about it; may be empty.
    brief : bool
        Whether a terminal is shown it too.
    """

    name: str
    title: str
    said: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: Mapping[str, Drawn] = field(default_factory=dict)
    numbers: Mapping[str, Any] = field(default_factory=dict)
    methods: str = ""
    brief: bool = True


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows with plain values; null for what is missing."""
    plain = table.astype(object).where(table.notna(), None)
    return [
        {str(name): _plain(value) for name, value in row.items()}
        for row in plain.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if hasattr(value, "item") else value


def numbers_of(result: Any) -> Any:
    """Return a result as JSON values; null where there is no number."""
    if isinstance(result, pd.DataFrame):
        return records(result)
    if isinstance(result, np.ndarray | pd.Series):
        return None
    if is_dataclass(result) and not isinstance(result, type):
        return {
            one.name: numbers_of(getattr(result, one.name)) for one in fields(result)
        }
    if isinstance(result, Mapping):
        return {str(name): numbers_of(value) for name, value in result.items()}
    if isinstance(result, tuple | list):
        return [numbers_of(value) for value in result]
    plain = _plain(result)
    return None if isinstance(plain, float) and not np.isfinite(plain) else plain


def shown(data: pd.DataFrame, *, digits: int = 3) -> Table:
    """Return the data behind a figure as a table of text."""
    return Table(
        header=tuple(str(name).replace("_", " ") for name in data.columns),
        rows=tuple(
            tuple(_cell(value, digits) for value in row)
            for row in data.itertuples(index=False, name=None)
        ),
    )


def _cell(value: Any, digits: int) -> str:
    if value is None or (not isinstance(value, Sequence) and pd.isna(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.{digits}f}".replace("-", "−")
