"""Figures of proportions correct along something: confidence, position, depth."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import (
    BLUE,
    DARK,
    GREEN,
    GREY,
    JOINED,
    ORANGE,
    PURPLE,
    VERMILION,
    style,
)
from analysis.trend import LayerTrend

LOOKS = (
    (BLUE, "o"),
    (VERMILION, "s"),
    (GREEN, "D"),
    (ORANGE, "^"),
    (PURPLE, "v"),
)


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


def depth_figure(trends: Sequence[LayerTrend]) -> Figure:
    """Plot the mean HIS of layers by their place in the network."""
    with style():
        figure = Figure(figsize=(4.6, 3.0))
        axes = figure.add_subplot()
        for number, trend in enumerate(trends):
            colour, marker = LOOKS[number % len(LOOKS)]
            rows = trend.layers
            middle = rows["score"].to_numpy(dtype="float64")
            ends = rows[["ci_low", "ci_high"]].to_numpy(dtype="float64").T
            axes.errorbar(
                rows["position"],
                middle,
                yerr=np.nan_to_num(np.clip(np.abs(ends - middle), 0, None)),
                fmt=f"{marker}-",
                color=colour,
                ecolor=(colour, 0.4),
                label=trend.model,
                **JOINED,
            )
        axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
        low = min(float(trend.layers["score"].min()) for trend in trends)
        lows = [float(trend.layers["ci_low"].min()) for trend in trends]
        axes.set(
            xlabel="layer position (0 first, 1 last)",
            ylabel="HIS (mean over units)",
            ylim=(min(0.45, low - 0.05, float(np.nanmin([*lows, 1.0])) - 0.03), 1.03),
        )
        if len(trends) > 1:
            axes.legend(loc="lower right", ncols=2)
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
        **JOINED,
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
