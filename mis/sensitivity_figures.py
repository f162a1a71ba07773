"""A figure for each analysis of sensitivity."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from data.errors import MissingExtraError
from mis.sensitivity_setting import Analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0b6aa2", "#d1610a", "#6b6b6b"
_STYLE: dict[Any, Any] = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "legend.frameon": False,
    "svg.hashsalt": "unitscope",
    "figure.dpi": 150,
}
SETTINGS = {"first": "the first kept", "rebuilt": "all built anew"}


def draw(analysis: Analysis, paths: list[Path]) -> None:
    """Write an analysis' figure to files; the suffix tells the format.

    Raises
    ------
    MissingExtraError
        Matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "Figures need the package 'matplotlib'."
            " Install it with: pip install -e '.[analysis]'"
        ) from error
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 2.9), layout="constrained")
        _DRAWN[analysis.name](figure, analysis.table)
        for path in paths:
            dateless = {"Date": None} if path.suffix == ".svg" else {}
            if path.suffix == ".pdf":
                dateless = {"CreationDate": None}
            figure.savefig(path, metadata=dateless)


def _two_settings(
    figure: "Figure", table: pd.DataFrame, column: str, name: str
) -> None:
    left, right = figure.subplots(1, 2)
    for (setting, label), colour in zip(SETTINGS.items(), (BLUE, ORANGE), strict=True):
        own = table[table["setting"] == setting]
        left.plot(
            own[column], own["mean_difference"], "o-", ms=3, c=colour, label=label
        )
        left.fill_between(
            own[column], own["mean_difference"], own["p95_difference"],
            color=colour, alpha=0.15, lw=0,
        )  # fmt: skip
        right.plot(own[column], own["mean_mis"], "o-", ms=3, c=colour, label=label)
    left.set(xlabel=name, ylabel="|change of a unit's MIS|", ylim=(0, None))
    left.set_title("mean; shaded up to the 95th percentile", fontsize=8, color=GREY)
    left.legend()
    right.set(xlabel=name, ylabel="mean MIS")
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)


def _n_tasks(figure: "Figure", table: pd.DataFrame) -> None:
    _two_settings(figure, table, "n_tasks", "tasks a unit, N")


def _n_explanations(figure: "Figure", table: pd.DataFrame) -> None:
    _two_settings(figure, table, "n_explanations", "explanations of each polarity, K")


def _tau(figure: "Figure", table: pd.DataFrame) -> None:
    left, right = figure.subplots(1, 2)
    left.fill_between(
        table["tau"],
        table["mean_mis"] - table["sd_mis"],
        table["mean_mis"] + table["sd_mis"],
        color=BLUE,
        alpha=0.15,
        lw=0,
    )
    left.plot(table["tau"], table["mean_mis"], c=BLUE, label="mean MIS ± sd of units")
    left.axhline(table["hard_accuracy"].iloc[0], c=GREY, ls=":", label="hard accuracy")
    left.set(xscale="log", xlabel="tau", ylabel="MIS", ylim=(None, 1.15))
    left.legend(fontsize=8)
    right.plot(table["tau"], table["pearson"], c=ORANGE, label="Pearson")
    right.plot(table["tau"], table["spearman"], c=BLUE, label="Spearman")
    right.set(xscale="log", xlabel="tau", ylabel="correlation with the reference")
    right.legend()
    here = table["tau"].iloc[len(table) // 2]
    for axes in (left, right):
        axes.axvline(here, c=GREY, lw=0.8, ls="--")


def _seeds(figure: "Figure", table: pd.DataFrame) -> None:
    left, right = figure.subplots(1, 2)
    _points(left, table["mis"], table["sd_over_seeds"])
    left.set(xlabel="MIS", ylabel="sd over seeds", ylim=(0, None))
    _points(right, table["standard_error"], table["sd_over_seeds"])
    most = float(
        np.nanmax([table["standard_error"].max(), table["sd_over_seeds"].max()])
    )
    right.plot([0, most], [0, most], c=GREY, lw=0.8, ls="--", label="equal")
    right.set(xlabel="standard error from the tasks", ylabel="sd over seeds")
    right.legend()


def _ties(figure: "Figure", table: pd.DataFrame) -> None:
    axes = figure.subplots()
    own = table[table["order"] == "this recording"]
    for reported, colour, label in (
        (False, BLUE, "has a score"),
        (True, ORANGE, "left out: tied queries"),
    ):
        rows = own[own["reported"] == reported]
        if len(rows):
            _points(axes, rows["tie_share"], rows["mis"], colour=colour, label=label)
    others = table[table["order"] != "this recording"]
    if len(others):
        _points(
            axes,
            others["tie_share"],
            others["mis"],
            colour=GREY,
            label="other tie order",
        )
    axes.axhline(0.5, c=GREY, lw=0.8, ls="--")
    axes.set(
        xlabel="share of tied images at the unit's ends",
        ylabel="MIS, ties drawn",
        xlim=(-0.02, 1.02),
    )
    axes.legend()


def _encoder(figure: "Figure", table: pd.DataFrame) -> None:
    names = [name for name in table if name != "unit"]
    reference, others = names[0], names[1:]
    panels = figure.subplots(1, max(1, len(others)), squeeze=False)[0]
    if not others:
        panels[0].hist(table[reference], bins=30, color=BLUE)
        panels[0].set(xlabel=f"MIS, {reference}", ylabel="units")
    for axes, name in zip(panels, others, strict=False):
        _points(axes, table[reference], table[name])
        low = min(table[reference].min(), table[name].min())
        axes.plot([low, 1], [low, 1], c=GREY, lw=0.8, ls="--")
        axes.set(xlabel=f"MIS, {reference}", ylabel=f"MIS, {name}")
        axes.set_box_aspect(1)


def _image_set(figure: "Figure", table: pd.DataFrame) -> None:
    left, right = figure.subplots(1, 2)
    left.plot(table["n_images"], table["mean_mis"], "o-", ms=3, c=BLUE)
    left.set(xlabel="images", ylabel="mean MIS", xscale="log")
    right.plot(
        table["n_images"], table["spearman"], "o-", ms=3, c=BLUE, label="Spearman"
    )
    right.plot(
        table["n_images"], table["pearson"], "o-", ms=3, c=ORANGE, label="Pearson"
    )
    right.set(xlabel="images", ylabel="correlation with all images", xscale="log")
    right.legend()
    for axes in (left, right):
        axes.set_xticks(
            table["n_images"],
            [f"{n:,}" for n in table["n_images"]],
            rotation=45,
            fontsize=7,
        )
        axes.minorticks_off()


def _points(
    axes: "Axes", x: pd.Series, y: pd.Series, *, colour: str = BLUE, label: str = ""
) -> None:
    size = 6 if len(x) < 1000 else 2
    axes.scatter(x, y, s=size, c=colour, alpha=0.5, lw=0, label=label or None)


_DRAWN: dict[str, Callable[["Figure", pd.DataFrame], None]] = {
    "n_tasks": _n_tasks,
    "n_explanations": _n_explanations,
    "tau": _tau,
    "seeds": _seeds,
    "ties": _ties,
    "encoder": _encoder,
    "image_set": _image_set,
}
