"""What a sweep's report says of each question: sentences, tables and figures."""

from collections.abc import Mapping
from typing import Any

from analysis import plot_sweep
from analysis.blocks import Drawn, Section, Table, records
from analysis.plot_sweep import TYPE_WORDS
from analysis.sweep import SweepFindings
from analysis.wording import counted, interval, number, probability

_FEW = 5
"""Networks that a sentence can name one by one."""

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
    ] * (len(table) > 1)
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
            f"{one['n_scored']:,}",
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
                    "scored",
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
    untested = bool(pairs["p_holm"].isna().all())
    if len(pairs) and untested:
        said.append("A test between types needs two networks of each.")
    rows = tuple(
        (
            f"{TYPE_WORDS[one['group_a']]} − {TYPE_WORDS[one['group_b']]}",
            number(one["difference"]),
            *([] if untested else [probability(one[p]) for p in ("p_raw", "p_holm")]),
        )
        for one in records(pairs)
    )
    header = ("difference", "of means")
    return Section(
        name="types",
        title="Which layer types score higher?",
        said=tuple(said),
        tables=(
            Table(
                header=header
                if untested
                else (*header, "Conover", "with Holm’s correction"),
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
                " bar the mean over networks; a grey line joins the types of a network"
                " where these are few.",
                data=table,
            )
        },
        numbers={"types": records(table), "type_pairs": records(pairs)},
        methods=""
        if untested
        else "Layer types were compared by their means in each network, with"
        " Conover’s test (Conover 1999) and Holm’s correction (Holm 1979).",
    )


def _trend(found: SweepFindings, along: str) -> Section:
    name, title, label = _ALONG[along]
    bins, table = found.trends[along], found.trend_correlations
    own = table[table["along"] == along]
    said = "; ".join(
        f"{TYPE_WORDS[str(one['layer_type'])]} {number(one['spearman'], 2)}"
        f" ({counted(int(one['n_units']), 'unit')})"
        for one in records(own.dropna(subset=["spearman"]))
    )
    return Section(
        name=name,
        title=title,
        said=(f"Spearman’s correlation over units: {said}.",) if said else (),
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
        " encoders are on different scales until tau is fitted (the share of tasks that"
        " are right has no scale), so ranks are compared:"
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
            number(one["hard_accuracy"]),
            *(_with_interval(one, name) for name in ("spearman", "within")),
        )
        for one in records(table)
    )
    header = (
        *("network", "scored by", "units", "mean", "5th percentile", "median"),
        *("95th percentile", "tasks right", "Spearman, all units", "within layers"),
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
    table = found.networks
    share = table["share_constant"]
    none, some, many = ((share == 0).sum(), (share > 0.01).sum(), (share > 0.05).sum())
    others = int((table["n_units"] - table["n_scored"] - table["n_constant"]).sum())
    if len(share) <= _FEW:
        parts = zip(table["model"], share, strict=True)
        told = ", ".join(f"{model} {100 * part:.1f}%" for model, part in parts)
    else:
        told = (
            f"{100 * share.min():.1f}% to {100 * share.max():.1f}% over"
            f" {len(share):,} networks; none in {none}, more than 1% in {some}, more"
            f" than 5% in {many}"
        )
    said = [f"Constant units: {told}. They have no score and are in no mean."]
    if others:
        said.append(
            f"{counted(others, 'other unit')} without a score: most often the queries"
            " would be tied. mis.parquet has each reason."
        )
    return Section(
        name="constant",
        title="How many units are constant?",
        said=tuple(said),
        figures={
            "constant": Drawn(
                figure=plot_sweep.constant_figure(table),
                label="Share of constant units",
                caption="Of all recorded units of a network, by falling share.",
                data=table[["model", "n_units", "n_scored", "n_constant"]],
            )
        }
        if share.max() > 0
        else {},
        numbers={
            "none": int(none),
            "above_1": int(some),
            "above_5": int(many),
            "other_unscored": others,
        },
    )
