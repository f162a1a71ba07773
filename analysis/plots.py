"""Figures from results; each is returned, none is saved."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, cast

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.stats import norm

from analysis.calibration import Calibration
from analysis.comparison import GroupComparison, group_order
from analysis.inclusion import CRITERION_WORDS, Inclusion
from analysis.wording import STEP_WORDS, pair_sentences

# Okabe and Ito's colours, told apart by people with any colour vision.
ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
GREY, DARK = "#8A8A8A", "#222222"
_USUAL_LOOK: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"hardest": (VERMILION, "v"), "random": (GREY, "o"), "easiest": (BLUE, "^")}
)
LOOKS = (
    (BLUE, "o"),
    (VERMILION, "s"),
    (GREEN, "D"),
    (ORANGE, "^"),
    (PURPLE, "v"),
    (SKY, "P"),
)
"""Colours and markers of what has no look of its own, one after the other."""

_STYLE: Mapping[str, Any] = MappingProxyType(
    {
        "font.size": 8,
        "font.family": "DejaVu Sans",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": DARK,
        "axes.linewidth": 0.7,
        "axes.labelcolor": DARK,
        "text.color": DARK,
        "xtick.color": DARK,
        "ytick.color": DARK,
        "xtick.major.width": 0.7,
        "ytick.major.width": 0.7,
        "legend.frameon": False,
        "legend.fontsize": 7.5,
        "figure.constrained_layout.use": True,
        # The same figure gives the same bytes.
        "svg.hashsalt": "unitscope",
    }
)

POINTS: Mapping[str, Any] = MappingProxyType(
    {"markersize": 4.5, "markeredgecolor": "white", "markeredgewidth": 0.5}
)
"""How points look that stand for a unit, a model or a cell."""

JOINED: Mapping[str, Any] = MappingProxyType(
    {"elinewidth": 0.9, "linewidth": 0.8, **POINTS}
)
"""How points with intervals look that a line joins."""


@contextmanager
def style() -> Iterator[None]:
    """Set the look of the figures, for as long as they are drawn or saved."""
    with mpl.rc_context(cast(Any, dict(_STYLE))):
        yield


def scatter_figure(units: pd.DataFrame, *, simulated: bool, said: str = "") -> Figure:
    """Plot HIS against MIS, one point a unit with its Wilson interval.

    The band holds about 95% of the HIS that units would have if their true proportion
    correct were their MIS, with as many answers as the median unit has.

    Parameters
    ----------
    units : DataFrame
        'mis' (rows without are left out), 'his', 'ci_low', 'ci_high', and 'group'
        (null where a unit has none).
    simulated : bool
        Whether any answer was given by a program; the axis then says so.
    said : str
        A line in the upper corner, such as the correlation and its ceiling.
    """
    shown = units.dropna(subset=["mis"])
    with style():
        figure = Figure(figsize=(4.2, 3.7))
        axes = figure.add_subplot()
        _reference_lines(axes)
        _ceiling_band(axes, int(shown["n_trials"].median()))
        axes.annotate(
            said, (0.02, 0.98), xycoords="axes fraction", va="top", fontsize=7.5
        )
        for name, (colour, marker), rows in _grouped(shown):
            axes.errorbar(
                rows["mis"],
                rows["his"],
                yerr=_errors(rows, "his"),
                fmt=marker,
                color=colour,
                ecolor=(colour, 0.35),
                elinewidth=0.9,
                **POINTS,
                label=name,
                zorder=3,
            )
        low = min(0.45, float(shown["mis"].min()) - 0.03)
        axes.set(
            xlabel="MIS (mean probability correct of the machine)",
            ylabel=_his_label(simulated),
            xlim=(low, 1.02),
            ylim=(min(0.3, float(shown["ci_low"].min()) - 0.03), 1.03),
        )
        if shown["group"].notna().any():
            axes.legend(loc="lower right", handletextpad=0.2)
    return figure


def groups_figure(
    units: pd.DataFrame, comparison: GroupComparison, *, simulated: bool
) -> Figure:
    """Plot units by group with means and intervals, and each pair's verdict below.

    Parameters
    ----------
    units : DataFrame
        'group', 'his'; units without a group are left out.
    """
    sentences = pair_sentences(comparison)
    with style():
        figure = Figure(figsize=(4.2, 3.1 + 0.16 * len(sentences)))
        axes = figure.add_subplot()
        axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
        ticks = []
        for place, (name, (colour, marker), rows) in enumerate(
            _grouped(units.dropna(subset=["group"]))
        ):
            his = rows["his"].to_numpy(dtype="float64")
            axes.plot(
                place + _spread(his) - 0.08,
                his,
                linestyle="none",
                marker=marker,
                markersize=4.5,
                color=colour,
                alpha=0.75,
                markeredgecolor="white",
                markeredgewidth=0.5,
            )
            _mean_with_interval(axes, comparison, name, place + 0.3)
            ticks.append(f"{name}\n{len(rows)} units")
        axes.set(
            ylabel=_his_label(simulated),
            xticks=range(len(ticks)),
            xticklabels=ticks,
            xlim=(-0.5, len(ticks) - 0.4),
            ylim=(min(0.3, float(units["his"].min()) - 0.03), 1.03),
        )
        axes.tick_params(axis="x", length=0)
        if len(sentences) <= 6:
            axes.set_xlabel(
                "\n".join(sentences), loc="left", fontsize=6.8, linespacing=1.4
            )
    return figure


def funnel_figure(inclusion: Inclusion) -> Figure:
    """Plot how many sessions were opened, completed and counted, and why not more."""
    steps, criteria = inclusion.funnel, inclusion.criteria
    n_bars = len(steps) + len(criteria)
    with style():
        figure = Figure(figsize=(4.2, 1.0 + 0.27 * n_bars))
        rows = 2 if len(criteria) else 1
        ratios = [len(steps), len(criteria)][:rows]
        panels = figure.subplots(
            rows, 1, squeeze=False, gridspec_kw={"height_ratios": ratios}
        )[:, 0]
        _steps(panels[0], steps)
        if len(criteria):
            _criteria(panels[1], criteria)
        panels[-1].set_xlabel("sessions")
        for panel in panels:
            panel.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    return figure


def calibration_figure(found: Calibration, *, simulated: bool) -> Figure:
    """Plot how often people are right where the machine gives a probability."""
    bins = found.bins
    with style():
        figure = Figure(figsize=(4.2, 3.7))
        axes = figure.add_subplot()
        _reference_lines(axes)
        axes.errorbar(
            bins["probability"],
            bins["proportion_correct"],
            yerr=_errors(bins, "proportion_correct"),
            fmt="o-",
            color=BLUE,
            ecolor=(BLUE, 0.5),
            **JOINED,
        )
        low = min(0.45, float(bins["probability"].min()) - 0.03)
        axes.set(
            xlabel="probability correct of the machine, per task",
            ylabel=_answers_label(simulated),
            xlim=(low, 1.02),
            ylim=(min(0.3, float(bins["ci_low"].min()) - 0.03), 1.03),
        )
    return figure


def _his_label(simulated: bool) -> str:
    return f"HIS ({_answers_label(simulated)})"


def _answers_label(simulated: bool) -> str:
    whose = "simulated observers" if simulated else "people"
    return f"proportion correct of {whose}"


def _reference_lines(axes: Axes) -> None:
    axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.7, zorder=0)
    axes.annotate(
        "chance", (1.02, 0.5), ha="right", va="bottom", fontsize=6.5, color=GREY
    )


def _ceiling_band(axes: Axes, n_trials: int) -> None:
    true = np.linspace(0, 1, 201)
    half = norm.ppf(0.975) * np.sqrt(true * (1 - true) / max(n_trials, 1))
    low, high = np.clip(true - half, 0, 1), np.clip(true + half, 0, 1)
    axes.fill_between(true, low, high, color=SKY, alpha=0.18, linewidth=0, zorder=-1)


def _grouped(
    units: pd.DataFrame,
) -> Iterator[tuple[str, tuple[str, str], pd.DataFrame]]:
    """Give each group's name, its colour and marker, and its rows."""
    names = group_order(units["group"].dropna())
    if set(names) <= set(_USUAL_LOOK):
        looks = [_USUAL_LOOK[name] for name in names]
    else:
        looks = [LOOKS[i % len(LOOKS)] for i in range(len(names))]
    alone = units[units["group"].isna()]
    if len(alone):
        yield "no group" if names else "units", (DARK if names else BLUE, "o"), alone
    for name, look in zip(names, looks, strict=True):
        yield name, look, units[units["group"] == name]


def _errors(rows: pd.DataFrame, centre: str) -> NDArray[np.float64]:
    low, high = rows[centre] - rows["ci_low"], rows["ci_high"] - rows[centre]
    return np.clip(np.array([low, high], dtype="float64"), 0, None)


def _spread(values: NDArray[np.float64], width: float = 0.05) -> NDArray[np.float64]:
    """Move points aside that would lie on one another, evenly to both sides."""
    offset = np.zeros(len(values))
    level = np.round(values / 0.025).astype(int)
    for one in np.unique(level):
        same = np.flatnonzero(level == one)
        steps = np.arange(len(same)) - (len(same) - 1) / 2
        offset[same] = steps * min(width, 0.5 / max(len(same), 1))
    return offset


def _mean_with_interval(
    axes: Axes, comparison: GroupComparison, name: str, place: float
) -> None:
    row = comparison.groups.set_index("group").loc[name]
    if pd.notna(row["ci_low"]):
        axes.plot([place] * 2, [row["ci_low"], row["ci_high"]], color=DARK, linewidth=1)
    axes.plot([place], [row["his"]], marker="s", markersize=4.5, color=DARK)
    axes.annotate(
        f"{row['his']:.2f}",
        (place, row["his"]),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=7,
    )


def _steps(axes: Axes, steps: pd.DataFrame) -> None:
    names = [STEP_WORDS[step] for step in steps["step"]]
    counts = steps["n_sessions"].to_numpy(dtype="int64")
    axes.barh(names, counts, color=BLUE, height=0.65)
    most = max(int(counts.max()), 1)
    for place, (count, lost) in enumerate(zip(counts, steps["lost"], strict=True)):
        text = f"{count}  ({lost})" if lost else f"{count}"
        inside = count > 0.55 * most
        axes.annotate(
            text if len(text) < 60 else f"{count}",
            (count, place),
            xytext=(-4 if inside else 4, 0),
            textcoords="offset points",
            ha="right" if inside else "left",
            va="center",
            fontsize=7,
            color="white" if inside else DARK,
        )
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)


def _criteria(axes: Axes, criteria: pd.DataFrame) -> None:
    names = [CRITERION_WORDS[name] for name in criteria["criterion"]]
    shared = criteria["n_excluded"] - criteria["n_only"]
    axes.barh(
        names,
        criteria["n_only"],
        color=VERMILION,
        height=0.65,
        label="excluded by this alone",
    )
    axes.barh(
        names,
        shared,
        left=criteria["n_only"],
        color=ORANGE,
        height=0.65,
        label="also by another",
    )
    for place, count in enumerate(criteria["n_excluded"]):
        axes.annotate(
            f"{count}",
            (count, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, max(int(criteria["n_excluded"].max()), 4) * 1.06)
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1, 0.97),
        ncols=2,
        borderaxespad=0,
        handlelength=1,
    )
