"""The report of a sweep: its findings in sentences, tables and figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import plot_sweep
from analysis.blocks import Drawn, Section, Table, records
from analysis.citations import references
from analysis.page import figure_values, render, svg_of, write_page, write_table
from analysis.plot_sweep import TYPE_WORDS
from analysis.report import section_lines
from analysis.sweep import SweepFindings
from analysis.wording import counted, interval, number, probability
from data.files import whole_folder
from data.formats import Header, software_versions, write_header

SOFTWARE = ("numpy", "pandas", "scipy", "scikit-posthocs", "matplotlib")

_ALONG = {
    "position": (
        "depth",
        "How do scores change with depth?",
        "relative depth (0 first layer, 1 last)",
    ),
    "relative_width": (
        "width",
        "Do wider layers score higher?",
        "relative width (0 narrowest layer of its type, 1 widest)",
    ),
    "sparsity": (
        "sparsity",
        "Do sparse units score higher?",
        "sparsity (share of images at 0 or below)",
    ),
    "map_sparsity": (
        "map-sparsity",
        "Do units with sparse maps score higher?",
        "share of places of the maps at 0 or below",
    ),
    "local_contrast": (
        "contrast",
        "Do units with contrast in their maps score higher?",
        "local contrast of the maps",
    ),
}


def sections_of(found: SweepFindings) -> tuple[Section, ...]:
    """Return every section that the sweep has results for."""
    made = [_networks(found), _distribution(found), _types(found)]
    made += [_trend(found, name) for name in found.trends]
    made += [_accuracy(found)] if found.accuracy[0].n_units else []
    made += [_training(found)] if len(found.training) else []
    made += [_agreement(found)] if len(found.agreement) else []
    made.append(_constant(found))
    return tuple(made)


def _networks(found: SweepFindings) -> Section:
    table = found.networks
    said = [
        f"Mean MIS lies between {number(table['mis'].min())} and"
        f" {number(table['mis'].max())}; 95th percentiles between"
        f" {number(table['high'].min())} and {number(table['high'].max())},"
        f" 5th between {number(table['low'].min())} and {number(table['low'].max())}."
    ]
    said += [
        f"{one['model']} is not in these figures ({one['status']}"
        + (f": {one['reason']})." if one["reason"] else ").")
        for one in records(found.failed)
    ]
    rows = tuple(
        (
            str(one["model"]),
            *(number(one[name]) for name in ("mis", "low", "median", "high")),
            f"{one['n_units']:,}",
            f"{100 * one['share_constant']:.1f}%",
            number(one["accuracy"]),
        )
        for one in records(table)
    )
    return Section(
        name="networks",
        title="Which networks are understood best?",
        said=tuple(said),
        tables=(
            Table(
                header=(
                    "network",
                    "mean MIS",
                    "5th percentile",
                    "median",
                    "95th percentile",
                    "units",
                    "constant",
                    "accuracy",
                ),
                rows=rows,
            ),
        ),
        figures={
            "networks": Drawn(
                figure=plot_sweep.networks_figure(table),
                label="MIS of networks",
                caption="Mean and median over units, and the 5th to 95th percentile;"
                " networks by falling mean. The dotted line is chance.",
                data=table[["model", "mis", "low", "median", "high"]],
            )
        },
        numbers={"networks": records(table), "failed": records(found.failed)},
    )


def _distribution(found: SweepFindings) -> Section:
    scores = found.units.groupby("model", observed=True)["mis"]
    table = scores.agg(["count", "mean", "std", "skew"]).reset_index()
    return Section(
        name="distribution",
        title="How are scores spread over units?",
        said=(
            "The networks whose scores vary most are named; two humps say that some"
            " units are understood and others not at all.",
        ),
        figures={
            "distribution": Drawn(
                figure=plot_sweep.distribution_figure(found.units),
                label="Distribution of MIS over the units of each network",
                caption="Share of units in steps of 0.025 of MIS. The five networks"
                " with the largest variance are coloured.",
                data=table,
            )
        },
        numbers={"distribution": records(table)},
        brief=False,
    )


def _types(found: SweepFindings) -> Section:
    table, pairs = found.types, found.type_pairs
    means = table.groupby("layer_type", observed=True)["mis"].mean()
    ordered = means.sort_values(ascending=False)
    said = [
        "Mean over networks: "
        + ", ".join(f"{TYPE_WORDS[str(k)]} {number(v)}" for k, v in ordered.items())
        + "."
    ]
    if len(pairs) and pairs["p_holm"].isna().all():
        said.append("A test between types needs two networks of each.")
    rows = tuple(
        (
            f"{TYPE_WORDS[one['group_a']]} − {TYPE_WORDS[one['group_b']]}",
            number(one["difference"]),
            probability(one["p_raw"]),
            probability(one["p_holm"]),
        )
        for one in records(pairs)
    )
    return Section(
        name="types",
        title="Which layer types score higher?",
        said=tuple(said),
        tables=(
            Table(
                header=("difference", "of means", "Conover", "with Holm’s correction"),
                rows=rows,
            ),
        )
        if rows
        else (),
        figures={
            "types": Drawn(
                figure=plot_sweep.types_figure(table),
                label="Mean MIS by layer type",
                caption="Each point is the mean over a network’s units of a type, the"
                " bar the mean over networks.",
                data=table,
            )
        },
        numbers={"types": records(table), "type_pairs": records(pairs)},
        methods="Layer types were compared by their means in each network, with"
        " Conover’s test (Conover 1999) and Holm’s correction (Holm 1979).",
    )


def _trend(found: SweepFindings, along: str) -> Section:
    name, title, label = _ALONG[along]
    bins, table = found.trends[along], found.trend_correlations
    own = table[table["along"] == along]
    said = "; ".join(
        f"{TYPE_WORDS[str(one['layer_type'])]} {number(one['spearman'], 2)}"
        f" ({counted(int(one['n_units']), 'unit')})"
        for one in records(own)
    )
    return Section(
        name=name,
        title=title,
        said=(f"Spearman’s correlation over units: {said}.",),
        figures={
            name: Drawn(
                figure=plot_sweep.trend_figure(bins, along, label),
                label=f"MIS along {label}",
                caption="Bins of about as many units each, for each layer type: mean"
                " (left); 5th, 50th and 95th percentile (right).",
                data=bins,
            )
        },
        numbers={"bins": records(bins), "correlations": records(own)},
    )


def _accuracy(found: SweepFindings) -> Section:
    said = []
    for one in found.accuracy:
        words = "Pearson’s r" if one.method == "pearson" else "Spearman’s rho"
        if one.estimate is None:
            why = str(one.note).replace("unit", "network")
            said.append(f"{words} is not defined: {why}.")
            continue
        span = interval(one.ci_low, one.ci_high, 2)
        said.append(
            f"{words} {number(one.estimate, 2)} over"
            f" {counted(one.n_units, 'network')}"
            + (f" (95% interval {span})." if span else ".")
        )
    finished = found.networks[~found.networks["model"].str.contains("@", regex=False)]
    return Section(
        name="accuracy",
        title="Do better classifiers score higher?",
        said=tuple(said),
        figures={
            "accuracy": Drawn(
                figure=plot_sweep.accuracy_figure(finished, said[0]),
                label="Mean MIS against accuracy",
                caption="Each point is a network; checkpoints of a training are left"
                " out.",
                data=finished[["model", "accuracy", "mis"]].dropna(),
            )
        },
        numbers={
            one.method: {
                "estimate": one.estimate,
                "ci_low": one.ci_low,
                "ci_high": one.ci_high,
                "n_networks": one.n_units,
            }
            for one in found.accuracy
        },
    )


def _training(found: SweepFindings) -> Section:
    steps = found.training
    said = []
    for name, own in steps.groupby("network", sort=False):
        known = own.dropna(subset=["mis"])
        if known.empty:
            continue
        best = known.iloc[int(known["mis"].argmax())]
        said.append(
            f"{name}: mean MIS {number(known['mis'].iloc[0])} at epoch"
            f" {known['epoch'].iloc[0]:g}, highest {number(best['mis'])} at epoch"
            f" {best['epoch']:g}, {number(known['mis'].iloc[-1])} at epoch"
            f" {known['epoch'].iloc[-1]:g}."
        )
    return Section(
        name="training",
        title="How do scores change in training?",
        said=tuple(said),
        figures={
            "training": Drawn(
                figure=plot_sweep.training_figure(steps),
                label="MIS along training",
                caption="Mean over units; the band holds the 5th to 95th percentile.",
                data=steps,
            )
        },
        numbers={"training": records(steps)},
    )


def _agreement(found: SweepFindings) -> Section:
    table = found.agreement
    others = table[table["spearman"].notna()]
    said = [
        "Each row of a network has other scores of the same units. Scores of different"
        " encoders are on different scales until tau is fitted, so ranks are compared:"
        " over all units, and within layers (mean of the layers’ own correlations, each"
        " weighted by its units), which leaves out what layers differ in."
    ]
    if not table["same_tasks"].all():
        said.append("Where other tasks were scored, some disagreement is theirs.")
    rows = tuple(
        (
            str(one["model"]),
            str(one["scores"]),
            f"{one['n_scored']:,}",
            *(number(one[name]) for name in ("mean", "low", "median", "high")),
            *(_with_interval(one, name) for name in ("spearman", "within")),
        )
        for one in records(table)
    )
    header = (
        *("network", "scored by", "units", "mean", "5th percentile", "median"),
        *("95th percentile", "Spearman, all units", "within layers"),
    )
    return Section(
        name="agreement",
        title="Do other scores rank the units alike?",
        said=tuple(said),
        tables=(Table(header=header, rows=rows),),
        figures={
            "agreement": Drawn(
                figure=plot_sweep.agreement_figure(others),
                label="Rank correlation with the sweep’s scores",
                caption="Bars are 95% intervals over layers.",
                data=others.drop(columns=["same_tasks"]),
            )
        }
        if len(others)
        else {},
        numbers={"agreement": records(table)},
        methods="Scores were compared by Spearman’s correlation, with BCa intervals"
        " that draw layers (Efron 1987), expanded for their number (Hesterberg 2015).",
    )


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    span = interval(row[f"{name}_low"], row[f"{name}_high"], 2)
    return number(row[name], 2) + (f" ({span})" if span else "")


def _constant(found: SweepFindings) -> Section:
    share = found.networks["share_constant"]
    none, some, many = ((share == 0).sum(), (share > 0.01).sum(), (share > 0.05).sum())
    return Section(
        name="constant",
        title="How many units are constant?",
        said=(
            f"Of {counted(len(share), 'network')}, {none} have no constant unit; in"
            f" {some} more than 1% are constant, in {many} more than 5%. They have no"
            " score and are in no mean.",
        ),
        figures={
            "constant": Drawn(
                figure=plot_sweep.constant_figure(found.networks),
                label="Share of constant units",
                caption="Of all recorded units of a network, by falling share.",
                data=found.networks[["model", "n_units", "n_constant"]],
            )
        }
        if share.max() > 0
        else {},
        numbers={"none": int(none), "above_1": int(some), "above_5": int(many)},
    )


def summary(found: SweepFindings) -> str:
    """Return what the sweep holds, in a sentence."""
    n_units, n_scored = len(found.units), int(found.units["mis"].notna().sum())
    failed = (found.failed["status"] == "failed").sum()
    pending = (found.failed["status"] == "pending").sum()
    return (
        f"{counted(len(found.networks), 'network')} with {counted(n_units, 'unit')},"
        f" {n_scored:,} of them scored; {failed} failed, {pending} pending."
    )


def sweep_text(found: SweepFindings, sections: tuple[Section, ...]) -> str:
    """Return the report for a terminal."""
    lines = [summary(found), ""]
    for section in sections:
        if section.brief:
            lines += [*section_lines(section), ""]
    return "\n".join(lines)


def write_sweep_report(
    folder: Path,
    found: SweepFindings,
    sections: tuple[Section, ...],
    *,
    sweep: Header,
    seed: int,
    drop_ends: bool,
) -> None:
    """Write ``report.html``, ``.txt`` and ``.json``, and ``figures/`` with their data.

    Parameters
    ----------
    sweep : Header
        Of the sweep.
    """
    drawn = {k: one for section in sections for k, one in section.figures.items()}
    svgs = {name: svg_of(one.figure) for name, one in drawn.items()}
    methods = _methods(sections, sweep, drop_ends)
    page = render(
        "sweep.html.j2",
        notice=None,
        title=f"A sweep of {counted(len(found.networks), 'network')}",
        summary=summary(found),
        sections=sections,
        methods=methods,
        references=references(methods),
        **figure_values(drawn, svgs),
    )
    header = Header(
        format="sweep-report",
        version=1,
        config={"drop_ends": drop_ends, "sweep": dict(sweep.config)},
        seed=seed,
        made_from=dict(sweep.made_from),
        software=software_versions(*SOFTWARE),
    )
    numbers = {section.name: dict(section.numbers) for section in sections}
    with whole_folder(folder) as part:
        write_header(part / "report.json", header, numbers=numbers, methods=methods)
        write_page(part, page, sweep_text(found, sections), drawn, svgs)
        write_table(part / "networks.csv", pd.DataFrame(found.networks))


def _methods(sections: tuple[Section, ...], sweep: Header, drop_ends: bool) -> str:
    config = sweep.config
    ends = (
        "The first and the last recorded layer of each network were left out."
        if drop_ends
        else "All recorded layers count, the first and the last too."
    )
    said = [
        f"Every unit has {config['n_tasks']} tasks with"
        f" {config['n_explanations']} explanations of each polarity, scored with"
        f" {config['encoder']}. {ends} Relative depth is a layer’s place in the order"
        " in which the network defines its layers.",
        *(section.methods for section in sections),
    ]
    return " ".join(one for one in said if one)
