"""The curve of a power plan: what money buys."""

import numpy as np
from matplotlib.figure import Figure

from analysis.cost import CURRENCIES
from analysis.plots import GREY, LOOKS, style
from analysis.power import PowerPlan

_PANELS = (
    ("his_width", "his", "width of HIS"),
    ("correlation_width", "correlation", "width of r (MIS, HIS)"),
    ("contrast_width", "contrast", "width of a step between groups"),
    ("power", "power", "power for both steps"),
)


def power_figure(plan: PowerPlan) -> Figure:
    """Plot interval widths and power against money, one line a number of answers.

    Dotted lines are what is wanted; filled points are the designs that reach all of
    it.
    """
    symbol = CURRENCIES[plan.pay.currency]
    with style():
        figure = Figure(figsize=(7.0, 5.0))
        panels = figure.subplots(2, 2).ravel()
        for axes, (column, goal, label) in zip(panels, _PANELS, strict=True):
            wanted = getattr(plan.wanted, goal)
            if wanted is not None:
                axes.axhline(wanted, color=GREY, linewidth=0.9, linestyle=(0, (1, 2)))
            if plan.curve.empty:
                continue
            for (answers, line), (colour, marker) in zip(
                plan.curve.groupby("answers_per_unit"), LOOKS, strict=False
            ):
                rows = line.sort_values("total")
                axes.plot(
                    rows["total"],
                    rows[column],
                    color=colour,
                    marker=marker,
                    markersize=3.5,
                    markerfacecolor="white",
                    linewidth=1.1,
                    label=f"{answers} answers per unit",
                )
                own = plan.designs[plan.designs["answers_per_unit"] == answers]
                axes.plot(
                    own["total"],
                    own[column],
                    color=colour,
                    marker=marker,
                    markersize=5,
                    linestyle="none",
                )
            top = 1.02 if column == "power" else float(np.nanmax(plan.curve[column]))
            axes.set(ylabel=label, ylim=(0, top * 1.05))
            axes.set_xlim(left=0)
        for axes in panels[2:]:
            axes.set_xlabel(f"cost ({symbol})")
        if not plan.curve.empty:
            panels[0].legend(loc="upper right")
    return figure
