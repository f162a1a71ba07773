"""Figures of proportions correct along something: confidence, position, depth."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import BLUE, DARK, GREY, style


def confidence_figure(levels: pd.DataFrame) -> Figure:
    """Plot the proportion correct given confidence.

    Parameters
    ----------
    levels : DataFrame
        'confidence', 'proportion_correct', 'ci_low', 'ci_high', 'n_trials'.
    """
    with style():
        figure = Figure(figsize=(4.2, 2.8))
        axes = figure.add_subplot()
        x = levels["confidence"].to_numpy(dtype="float64")
        proportions_drawn(axes, x, levels)
        axes.set(
            xlabel="confidence",
            xticks=x,
            xticklabels=[
                f"{int(one)}\n{n:,} answers"
                for one, n in zip(x, levels["n_trials"], strict=True)
            ],
            xlim=(x.min() - 0.5, x.max() + 0.5),
        )
    return figure


def position_figure(bins: pd.DataFrame) -> Figure:
    """Plot the proportion correct along the session.

    Parameters
    ----------
    bins : DataFrame
        'position', 'proportion_correct', 'ci_low', 'ci_high'.
    """
    with style():
        figure = Figure(figsize=(4.2, 2.8))
        axes = figure.add_subplot()
        x = bins["position"].to_numpy(dtype="float64")
        proportions_drawn(axes, x, bins)
        axes.set(xlabel="main trial of the session")
    return figure


def proportions_drawn(
    axes: Axes, x: np.ndarray[tuple[int], np.dtype[np.float64]], rows: pd.DataFrame
) -> None:
    """Draw proportions correct with their intervals, and chance."""
    middle = rows["proportion_correct"].to_numpy(dtype="float64")
    ends = rows[["ci_low", "ci_high"]].to_numpy(dtype="float64").T
    axes.errorbar(
        x,
        middle,
        yerr=np.clip(np.abs(ends - middle), 0, None),
        fmt="o-",
        color=BLUE,
        ecolor=(BLUE, 0.5),
        elinewidth=0.9,
        linewidth=0.8,
        markersize=4.5,
        markeredgecolor="white",
        markeredgewidth=0.5,
    )
    axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
    axes.annotate(
        "chance",
        (1, 0.5),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        fontsize=6.5,
        color=DARK,
        alpha=0.6,
    )
    axes.set(
        ylabel="proportion correct",
        ylim=(min(0.45, float(np.nanmin(ends)) - 0.03), 1.03),
    )
