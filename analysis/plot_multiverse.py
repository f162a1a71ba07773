"""Whether a conclusion hangs on an exclusion criterion, as a figure."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.inclusion import CRITERION_WORDS
from analysis.multiverse import Multiverse
from analysis.plots import BLUE, DARK, GREY, VERMILION, style

NUMBER_WORDS = {
    "his": "HIS",
    "proportion_correct": "proportion correct",
    "pearson": "Pearson r",
    "spearman": "Spearman rho",
    "reliability": "reliability of HIS",
    "noise_ceiling": "noise ceiling",
    "pearson_without_noise": "r without noise",
    "kruskal_wallis_h": "Kruskal–Wallis H",
}
MOST_PAIRS = 3


def multiverse_figure(found: Multiverse) -> Figure:
    """Plot HIS, the correlation and group differences for every set of criteria.

    Each column is a set of criteria (sets that leave the same sessions are one), by
    rising correlation; below, which criteria are on. The reported set is vermilion;
    an open point has another conclusion than the reported set.
    """
    order = _order(found)
    panels = _panels(found)
    criteria = [name for name in CRITERION_WORDS if _matters(found, name)]
    heights = [1.0] * len(panels) + [max(0.17 * len(criteria), 0.2)]
    with style():
        figure = Figure(figsize=(5.6, 0.7 + 1.05 * sum(heights)))
        axes = figure.subplots(
            len(heights), 1, sharex=True, gridspec_kw={"height_ratios": heights}
        )
        for one, name in zip(axes, panels, strict=False):
            _estimates(one, found, name, order)
        _switches(axes[-1], found, criteria, order)
        figure.align_ylabels(axes[:-1])
    return figure


def _order(found: Multiverse) -> list[int]:
    """Return the outcomes by rising correlation, or HIS where there is none."""
    wide = found.numbers.pivot(index="set", columns="number", values="estimate")
    by = "pearson" if wide["pearson"].notna().any() else "his"
    return [int(one) for one in wide[by].sort_values(kind="stable").index]


def _panels(found: Multiverse) -> list[str]:
    numbers = list(dict.fromkeys(found.numbers["number"]))
    pairs = [name for name in numbers if " − " in name]
    known = found.numbers.dropna(subset=["estimate"])["number"].unique()
    usual = [name for name in ("his", "pearson") if name in known]
    return usual + (pairs if len(pairs) <= MOST_PAIRS else [])


def _matters(found: Multiverse, name: str) -> bool:
    return bool((found.sets[name] > 0).any())


def _estimates(axes: Axes, found: Multiverse, name: str, order: list[int]) -> None:
    own = found.numbers[found.numbers["number"] == name].set_index("set").reindex(order)
    place = np.arange(len(order))
    other = np.array([one not in alike_sets(found, name) for one in order])
    reported = np.array(order) == 0
    value = own["estimate"].to_numpy(dtype="float64")
    low = own["ci_low"].to_numpy(dtype="float64")
    high = own["ci_high"].to_numpy(dtype="float64")
    for mask, colour in ((~reported, BLUE), (reported, VERMILION)):
        axes.vlines(place[mask], low[mask], high[mask], color=(colour, 0.35), lw=1.2)
        for open_, face in ((True, "white"), (False, colour)):
            some = mask & (other == open_)
            axes.plot(
                place[some],
                value[some],
                "o",
                ms=3.6,
                color=colour,
                markerfacecolor=face,
                markeredgewidth=0.9,
            )
    nothing = {"his": 0.5}.get(name, 0.0)
    axes.axhline(nothing, color=GREY, lw=0.8, ls=(0, (1, 2)), zorder=0)
    label = NUMBER_WORDS.get(name, name.replace(" − ", " −\n"))
    axes.set_ylabel(label)
    axes.tick_params(axis="x", length=0)
    axes.margins(x=0.02)


def alike_sets(found: Multiverse, name: str) -> frozenset[int]:
    """Return the outcomes whose conclusion on a number is the reported one."""
    own = found.verdicts[found.verdicts["number"] == name]
    if own.empty:
        return frozenset(found.sets["set"])
    said = own.set_index("set")["conclusion"]
    return frozenset(int(one) for one in said.index[said == said.loc[0]])


def _switches(
    axes: Axes, found: Multiverse, criteria: list[str], order: list[int]
) -> None:
    """Draw which criteria are on: full in all sets of a column, pale in some."""
    share = found.sets.set_index("set").loc[order, criteria]
    for row, name in enumerate(criteria):
        for place, value in enumerate(share[name]):
            colour = (0.85,) * 3 if value == 0 else DARK if value == 1 else GREY
            axes.plot([place], [row], "s", ms=3.4, color=colour, markeredgewidth=0)
    if 0 in order:
        axes.axvline(order.index(0), color=(VERMILION, 0.25), lw=6, zorder=0)
    axes.set(
        yticks=range(len(criteria)),
        yticklabels=[CRITERION_WORDS[name] for name in criteria],
        ylim=(len(criteria) - 0.5, -0.5),
        xticks=[],
        xlabel=f"{len(order)} sets of criteria that leave different sessions"
        f" (of {found.n_sets} tried)",
    )
    axes.tick_params(axis="y", length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def multiverse_data(found: Multiverse) -> pd.DataFrame:
    """Return the data behind the figure: one row a column of it."""
    wide = found.numbers.pivot(index="set", columns="number", values="estimate")
    names = [name for name in dict.fromkeys(found.numbers["number"])]
    columns = ["set", "label", "n_sets", "n_sessions", "n_answers"]
    return found.sets[columns].merge(wide[names].reset_index(), on="set")
