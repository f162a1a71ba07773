"""Figures of a sweep, after those of the MIS paper."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    style,
)
from data.sweeps import LAYER_TYPES

TYPE_WORDS = {
    "conv": "convolution",
    "linear": "linear",
    "batch_norm": "batch norm",
    "layer_norm": "layer norm",
    "group_norm": "group norm",
    "other": "other",
}
_TYPE_LOOKS = dict(
    zip(
        LAYER_TYPES,
        (
            (BLUE, "o"),
            (VERMILION, "s"),
            (GREEN, "D"),
            (ORANGE, "^"),
            (PURPLE, "v"),
            (GREY, "P"),
        ),
        strict=True,
    )
)
_LOOKS = ((BLUE, "-"), (VERMILION, "--"), (GREEN, "-."), (ORANGE, ":"), (PURPLE, "-"))
_NETWORK_LOOKS = (
    (BLUE, "o"),
    (VERMILION, "s"),
    (GREEN, "D"),
    (ORANGE, "^"),
    (PURPLE, "v"),
)
_MOST_NAMES = 40
_LETTERS_AN_INCH = 9
_MOST_LINES = len(_LOOKS)
_POINTS: Mapping[str, Any] = MappingProxyType(
    {"markeredgecolor": "white", "markeredgewidth": 0.5, "linestyle": "none"}
)


def networks_figure(networks: pd.DataFrame) -> Figure:
    """Plot each network's mean, and its 5th to 95th percentile, by falling mean.

    Parameters
    ----------
    networks : DataFrame
        'model', 'mis', 'low', 'high', by falling 'mis'.
    """
    with style():
        few = len(networks) <= _MOST_NAMES
        figure = Figure(figsize=(6.4, 3.4 if few else 2.8))
        axes = figure.add_subplot()
        x = np.arange(len(networks))
        axes.vlines(x, networks["low"], networks["high"], color=SKY, linewidth=2.2)
        axes.plot(x, networks["median"], "_", color=BLUE, markersize=6, label="median")
        axes.plot(x, networks["mis"], "o", color=BLUE, markersize=4, label="mean")
        axes.plot([], [], color=SKY, linewidth=2.2, label="5th to 95th percentile")
        _chance(axes)
        if few:
            _name_networks(axes, networks["model"].to_list(), figure.get_figwidth())
        else:
            axes.set(xlabel="networks, by falling mean")
        axes.set(ylabel="MIS of units", xlim=(-0.6, len(x) - 0.4))
        _legend_above(axes)
    return figure


def distribution_figure(units: pd.DataFrame) -> Figure:
    """Plot how the scores of units are spread, a line a network.

    Of many networks, the five whose scores vary most are coloured.
    """
    with style():
        figure = Figure(figsize=(4.6, 3.0))
        axes = figure.add_subplot()
        known = units.dropna(subset=["mis"])
        groups = dict(tuple(known.groupby("model", observed=True)["mis"]))
        wide = sorted(groups, key=lambda name: (-groups[name].var(), str(name)))
        edges = np.linspace(0, 1, 41)
        for name in reversed(wide):
            counts, _ = np.histogram(groups[name], bins=edges)
            place = wide.index(name)
            named = place < _MOST_LINES
            colour, line = _LOOKS[place] if named else (GREY, "-")
            axes.stairs(
                counts / counts.sum(),
                edges,
                color=colour,
                linestyle=line,
                linewidth=1.2 if named else 0.5,
                alpha=1 if named else 0.4,
                label=str(name) if named else None,
            )
        low, high = (known["mis"].min(), known["mis"].max()) if len(known) else (0, 1)
        ends = (max(min(0.45, low - 0.02), 0), min(high + 0.05, 1))
        axes.set(xlabel="MIS", ylabel="share of units", xlim=ends)
        _legend(axes)
    return figure


def types_figure(types: pd.DataFrame) -> Figure:
    """Plot the mean MIS of each layer type in each network, and the mean of these.

    Where networks are few, a line joins the types of each.
    """
    with style():
        figure = Figure(figsize=(4.6, 2.9))
        axes = figure.add_subplot()
        found = [one for one in LAYER_TYPES if (types["layer_type"] == one).any()]
        few = types["model"].nunique() <= _MOST_LINES
        rng = np.random.default_rng(0)
        for x, kind in enumerate(found):
            own = types.loc[types["layer_type"] == kind, "mis"].to_numpy()
            colour, marker = _TYPE_LOOKS[kind]
            beside = x + rng.uniform(-0.12, 0.12, len(own)) * (not few)
            axes.plot(
                beside, own, marker, color=colour, alpha=0.6, markersize=4, **_POINTS
            )
            axes.hlines(own.mean(), x - 0.28, x + 0.28, color=colour, linewidth=2)
        if few:
            for model, one in types.groupby("model", observed=True):
                means = one.set_index("layer_type")["mis"]
                known = [kind for kind in found if kind in means.index]
                places, line = [found.index(kind) for kind in known], means[known]
                axes.plot(places, line, color=GREY, linewidth=0.6, zorder=0)
                axes.annotate(
                    str(model),
                    (places[-1] + 0.32, line.iloc[-1]),
                    va="center",
                    fontsize=6.5,
                    color=GREY,
                )
        labels = [
            f"{TYPE_WORDS[one]}\n(n = {int((types['layer_type'] == one).sum())})"
            for one in found
        ]
        axes.set_xticks(range(len(found)), labels)
        axes.set(
            ylabel="mean MIS of a network", xlim=(-0.6, len(found) - 0.4 + 0.4 * few)
        )
    return figure


def trend_figure(bins: pd.DataFrame, along: str, label: str) -> Figure:
    """Plot mean MIS along something for each layer type, with its percentiles."""
    with style():
        figure = Figure(figsize=(7.0, 2.9))
        left, right = figure.subplots(1, 2, sharex=True)
        for kind, own in bins.groupby("layer_type", sort=False):
            colour, marker = _TYPE_LOOKS[str(kind)]
            words = TYPE_WORDS[str(kind)]
            look = {"color": colour, "linewidth": 1.1}
            left.plot(
                own[along],
                own["mean"],
                marker + "-",
                markersize=3.2,
                label=words,
                **look,
            )
            for name, line in (("low", ":"), ("median", "-"), ("high", "--")):
                # A type in a single bin has no line to be seen.
                dots = marker if name == "median" or len(own) == 1 else ""
                right.plot(own[along], own[name], line, marker=dots, ms=2.5, **look)
        left.set(ylabel="mean MIS")
        right.set(ylabel="MIS of units")
        figure.supxlabel(label, fontsize=8)
        for name, line in (("5th percentile", ":"), ("median", "-"), ("95th", "--")):
            right.plot([], [], line, color=GREY, label=name)
        _legend_above(left)
        _legend_above(right)
    return figure


def accuracy_figure(networks: pd.DataFrame, said: str) -> Figure:
    """Plot mean MIS against accuracy, a point a network."""
    with style():
        figure = Figure(figsize=(4.2, 3.0))
        axes = figure.add_subplot()
        known = networks.dropna(subset=["accuracy", "mis"])
        axes.plot(
            known["accuracy"], known["mis"], "o", color=BLUE, markersize=5, **_POINTS
        )
        if len(known) <= _MOST_NAMES // 2:
            for one in known.to_dict("records"):
                axes.annotate(
                    str(one["model"]),
                    (one["accuracy"], one["mis"]),
                    xytext=(4, 3),
                    textcoords="offset points",
                    fontsize=6.5,
                )
        axes.margins(x=0.18, y=0.12)
        axes.set(xlabel="accuracy", ylabel="mean MIS")
        axes.set_title(said, loc="left", fontsize=7.5)
    return figure


def training_figure(steps: pd.DataFrame) -> Figure:
    """Plot mean MIS along training, and against the accuracy where it is known."""
    with style():
        figure = Figure(figsize=(7.0, 2.9))
        left, right = figure.subplots(1, 2)
        for number, (name, own) in enumerate(steps.groupby("network", sort=False)):
            colour, line = _LOOKS[number % len(_LOOKS)]
            look = {"color": colour, "linestyle": line, "linewidth": 1.1}
            left.fill_between(
                own["epoch"], own["low"], own["high"], color=colour, alpha=0.12, lw=0
            )
            left.plot(
                own["epoch"], own["mis"], marker="o", markersize=3.5, label=name, **look
            )
            right.plot(own["accuracy"], own["mis"], marker="o", markersize=3.5, **look)
        left.set(xlabel="epoch", ylabel="MIS (mean; band 5th to 95th percentile)")
        right.set(xlabel="accuracy", ylabel="mean MIS")
        if steps["accuracy"].isna().all():
            right.set_visible(False)
        _legend(left)
    return figure


def constant_figure(networks: pd.DataFrame) -> Figure:
    """Plot the share of constant units of each network, by falling share."""
    with style():
        figure = Figure(figsize=(4.6, 2.6))
        axes = figure.add_subplot()
        ordered = networks.sort_values(
            ["share_constant", "model"], ascending=[False, True]
        )
        x = np.arange(len(ordered))
        axes.bar(x, 100 * ordered["share_constant"], color=GREY, width=0.7)
        if len(x) <= _MOST_NAMES:
            _name_networks(axes, ordered["model"].to_list(), figure.get_figwidth())
        axes.set(ylabel="constant units (%)", xlim=(-0.6, len(x) - 0.4))
        axes.set_ylim(bottom=0)
    return figure


def agreement_figure(agreement: pd.DataFrame) -> Figure:
    """Plot how other scores rank the units of each network, with intervals.

    Parameters
    ----------
    agreement : DataFrame
        See :func:`analysis.sweep_agreement.score_agreement`; rows of other scores.
    """
    kinds = list(dict.fromkeys(agreement["scores"]))
    models = list(dict.fromkeys(agreement["model"]))
    with style():
        height = 1.2 + len(kinds) * (0.24 + 0.1 * min(len(models), _MOST_LINES))
        figure = Figure(figsize=(7.0, height))
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        for number, model in enumerate(models):
            own = agreement[agreement["model"] == model]
            shift = 0.6 * ((number + 0.5) / len(models) - 0.5)
            y = [kinds.index(one) + shift for one in own["scores"]]
            named = len(models) <= _MOST_LINES
            colour, marker = _NETWORK_LOOKS[number] if named else (BLUE, "o")
            for axes, name in zip(panels, ("spearman", "within"), strict=True):
                low, high = own[f"{name}_low"], own[f"{name}_high"]
                axes.hlines(y, low, high, color=colour, linewidth=1.2)
                label = str(model) if named and axes is panels[0] else None
                axes.plot(
                    own[name], y, marker, color=colour, ms=4.5, label=label, **_POINTS
                )
        for axes, title in zip(panels, ("all units", "within layers"), strict=True):
            axes.axvline(0, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
            axes.set_title(title, loc="left", fontsize=8)
            axes.set(xlabel="Spearman’s correlation with the sweep’s scores")
        panels[0].set_yticks(range(len(kinds)), kinds)
        panels[0].set_ylim(len(kinds) - 0.5, -0.5)
        _legend(panels[0])
    return figure


def _chance(axes: Axes) -> None:
    axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)


def _name_networks(axes: Axes, names: list[str], width: float) -> None:
    x = range(len(names))
    room = _LETTERS_AN_INCH * width
    if len(names) * max(map(len, names)) <= room:
        axes.set_xticks(x, names)
    else:
        axes.set_xticks(x, names, rotation=35, ha="right", rotation_mode="anchor")


def _legend_above(axes: Axes) -> None:
    """Put a legend where no line can be."""
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        borderaxespad=0.2,
        columnspacing=1.2,
        handlelength=1.6,
    )


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best")
