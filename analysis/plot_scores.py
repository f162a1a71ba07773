"""Figures of scores side by side: models with letters, cells of a design."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import BLUE, DARK, GREY, ORANGE, POINTS, VERMILION, style

METHOD_LOOK = {
    "natural": (BLUE, "o"),
    "synthetic": (VERMILION, "s"),
    "none": (GREY, "D"),
}


def models_figure(
    table: pd.DataFrame, letters: Mapping[str, Mapping[str, str]]
) -> Figure:
    """Plot HIS of models with intervals, and which models do not differ.

    Parameters
    ----------
    table : DataFrame
        'model', 'explanation_method', 'his', 'ci_low', 'ci_high'.
    letters : mapping
        Explanation method to model to letters; models that share a letter are not
        shown to differ.
    """
    first = str(table["explanation_method"].iloc[0])
    order = table[table["explanation_method"] == first]
    names = list(order.sort_values("his", ascending=False)["model"])
    methods = list(dict.fromkeys(table["explanation_method"]))
    with style():
        figure = Figure(figsize=(5.4, 1.0 + 0.34 * len(names)))
        axes = figure.add_subplot()
        for number, method in enumerate(methods):
            rows = table[table["explanation_method"] == method].set_index("model")
            colour, marker = METHOD_LOOK.get(str(method), (ORANGE, "o"))
            known = [name for name in names if name in rows.index]
            own = rows.loc[known]
            place = np.array([names.index(name) for name in known], dtype="float64")
            _dots(axes, own, place, colour, marker, str(method))
            for at, name in zip(place, known, strict=True):
                said = letters.get(str(method), {}).get(name, "")
                axes.annotate(
                    said,
                    (1.02 + 0.11 * number, at),
                    xycoords=("axes fraction", "data"),
                    va="center",
                    fontsize=7.5,
                    color=colour,
                    annotation_clip=False,
                )
        axes.set(
            yticks=range(len(names)),
            yticklabels=names,
            ylim=(len(names) - 0.5, -0.5),
            xlabel="HIS (proportion correct)",
        )
        _chance(axes)
        axes.tick_params(axis="y", length=0)
        if len(methods) > 1:
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return figure


def cells_figure(table: pd.DataFrame, labels: Sequence[str]) -> Figure:
    """Plot the proportion correct of each cell with 2 standard errors.

    Parameters
    ----------
    table : DataFrame
        As :func:`analysis.cells.cells` returns it.
    labels : sequence of str
        One a row.
    """
    with style():
        figure = Figure(figsize=(5.0, 0.9 + 0.28 * len(table)))
        axes = figure.add_subplot()
        place = np.arange(len(table), dtype="float64")
        for method, rows in table.groupby("explanation_method", sort=False):
            colour, marker = METHOD_LOOK[str(method)]
            at = np.flatnonzero((table["explanation_method"] == method).to_numpy())
            axes.errorbar(
                rows["proportion_correct"],
                place[at],
                xerr=rows["two_se"].fillna(0),
                fmt=marker,
                color=colour,
                ecolor=(colour, 0.5),
                elinewidth=1.2,
                **POINTS,
            )
        axes.set(
            yticks=place,
            yticklabels=labels,
            ylim=(len(table) - 0.5, -0.5),
            xlabel="proportion correct (mean over participants ± 2 SE)",
        )
        low = float((table["proportion_correct"] - table["two_se"].fillna(0)).min())
        axes.set_xlim(min(0.45, low - 0.02), 1.01)
        _chance(axes)
        axes.tick_params(axis="y", length=0)
    return figure


def _dots(
    axes: Axes,
    rows: pd.DataFrame,
    place: np.ndarray[tuple[int], np.dtype[np.float64]],
    colour: str,
    marker: str,
    label: str,
) -> None:
    errors = np.array([rows["his"] - rows["ci_low"], rows["ci_high"] - rows["his"]])
    axes.errorbar(
        rows["his"],
        place,
        xerr=np.nan_to_num(np.clip(errors.astype("float64"), 0, None)),
        fmt=marker,
        color=colour,
        ecolor=(colour, 0.5),
        elinewidth=1.2,
        **POINTS,
        label=label,
    )


def _chance(axes: Axes) -> None:
    axes.axvline(0.5, color=GREY, lw=0.8, ls=(0, (1, 2)), zorder=0)
    axes.annotate(
        "chance",
        (0.5, 1),
        xycoords=("data", "axes fraction"),
        xytext=(2, -1),
        textcoords="offset points",
        va="top",
        fontsize=6.5,
        color=DARK,
        alpha=0.6,
    )
