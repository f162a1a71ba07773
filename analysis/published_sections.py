"""Sections on published studies: cells of a design, and models side by side."""

from collections.abc import Sequence

import pandas as pd

from analysis.blocks import Drawn, Section, Table, numbers_of, records
from analysis.cells import CELL_WORDS, cell_label
from analysis.imi_models import ModelComparison
from analysis.pairwise import compact_letters
from analysis.plot_scores import cells_figure, models_figure
from analysis.within import PairedConditions, WithinComparison
from analysis.wording import counted, interval, number, omnibus, probability


def cells_section(table: pd.DataFrame, notes: Sequence[str]) -> Section:
    """Show every cell of Borowski's experiments that was given."""
    labels = [cell_label(row) for _, row in table.iterrows()]
    rows = tuple(
        (
            str(row["experiment"]),
            CELL_WORDS[row["explanation_method"]],
            CELL_WORDS.get(row["grid_mode"], "–"),
            str(row["n_explanations"]),
            CELL_WORDS.get(row["expert_level"], "all"),
            str(row["n_participants"]),
            str(row["n_trials"]),
            number(row["proportion_correct"]),
            number(row["two_se"]),
            interval(row["ci_low"], row["ci_high"]),
        )
        for _, row in table.iterrows()
    )
    header = (
        "experiment",
        "explanations",
        "images",
        "of a polarity",
        "people",
        "participants",
        "answers",
        "proportion correct",
        "2 SE",
        "95% interval",
    )
    drawn = Drawn(
        figure=cells_figure(table, labels),
        label="Proportion correct in each cell",
        caption=(
            "Mean over participants of their proportion correct in main trials; bars"
            " are two standard errors over participants, which the authors print."
        ),
        data=table,
    )
    return Section(
        name="cells",
        title="Borowski et al. 2021: every cell",
        said=tuple(notes),
        tables=(Table(header=header, rows=rows),),
        figures={"cells": drawn},
        numbers={"cells": records(table)},
        methods=(
            "Cells are means over participants, with two standard errors as printed in"
            " the paper and Student’s t intervals."
        ),
    )


UNSURE = 0.05
"""Share of draws by which a verdict may differ from the others."""


def models_section(found: Sequence[ModelComparison]) -> Section:
    """Show IMI's models side by side, and which differ."""
    simulated = found[0].simulated
    source = (
        "Means and intervals are the published ones, decoded from the vector figures of"
        " IMI’s project page. The tests are on unit scores SIMULATED with the published"
        " means, intervals and numbers of units, since the answers were not given"
        f" (--imi CSV); each is the median of {found[0].draws.n_studies} draws."
        if found[0].draws
        else "All numbers are from the answers in the CSV."
    )
    letters = {
        one.explanation_method: {
            str(model): str(own) for model, own in compact_letters(one.groups).items()
        }
        for one in found
    }
    table = pd.concat([one.models for one in found], ignore_index=True)
    said = [
        source,
        *(
            f"{one.explanation_method.capitalize()}: {omnibus(one.groups)}"
            f"{_over_draws(one)}"
            for one in found
        ),
        "Models that share a letter are not shown to differ (Conover’s test, Holm)"
        + (" in most draws." if simulated else "."),
    ]
    behind = table.assign(
        letters=[
            letters[method].get(model, "")
            for method, model in zip(
                table["explanation_method"], table["model"], strict=True
            )
        ]
    )
    drawn = Drawn(
        figure=models_figure(table, letters),
        label="HIS of the models, natural and synthetic",
        caption=(
            "HIS of each model with its 95% interval (BCa over units). Models that"
            " share a letter of one colour are not shown to differ."
        ),
        data=behind,
    )
    return Section(
        name="models",
        title="IMI: HIS of its models",
        said=tuple(said),
        tables=(_models_table(behind),),
        figures={"models": drawn},
        numbers={
            "simulated_unit_scores": simulated,
            "models": records(behind),
            "tests": [
                {
                    "explanation_method": one.explanation_method,
                    "kruskal_wallis_h": one.groups.statistic,
                    "p_value": one.groups.p_value,
                    "df": one.groups.df,
                    "pairs": records(one.groups.pairs),
                }
                for one in found
            ],
        },
        methods=source,
    )


def _over_draws(found: ModelComparison) -> str:
    """Say how far the tests hang on the draw; nothing of answers."""
    if found.draws is None:
        return ""
    draws, share = found.draws, found.draws.pairs["share_found"]
    low, high = number(draws.statistic_low, 1), number(draws.statistic_high, 1)
    unsure = draws.pairs[(share > UNSURE) & (share < 1 - UNSURE)]
    said = (
        f" H lies between {low} and {high} in 95% of the draws;"
        f" {int((share >= 1 - UNSURE).sum())} of {len(share)} pairs differ in at least"
        f" {1 - UNSURE:.0%} of them"
    )
    if unsure.empty:
        return f"{said}, and no verdict hangs on the draw."
    named = "; ".join(
        f"{row['group_a']} and {row['group_b']} ({row['share_found']:.0%})"
        for row in unsure.sort_values("share_found", ascending=False).to_dict("records")
    )
    return f"{said}. It hangs on the draw for {named}."


def _models_table(behind: pd.DataFrame) -> Table:
    natural = behind[behind["explanation_method"] == "natural"].set_index("model")
    other = behind[behind["explanation_method"] == "synthetic"].set_index("model")
    order = list(natural.sort_values("his", ascending=False).index)
    order += [name for name in other.index if name not in order]
    rows = []
    for model in order:
        cells = [str(model)]
        n_units = ""
        for scores in (natural, other):
            if model not in scores.index:
                cells += ["–", "", ""]
                continue
            row = scores.loc[model]
            n_units = str(row["n_units"])
            within = interval(row["ci_low"], row["ci_high"])
            cells += [number(row["his"]), within, str(row["letters"])]
        rows.append((*cells, n_units))
    columns = ("95% interval", "letters")
    header = ("model", "natural", *columns, "synthetic", *columns, "units")
    return Table(header=header, rows=tuple(rows))


def within_section(people: WithinComparison, units: PairedConditions) -> Section:
    """Show the conditions that the same people and the same units met."""
    rows = tuple(
        (
            f"{row['condition_a']} less {row['condition_b']}",
            number(row["difference"]),
            interval(row["ci_low"], row["ci_high"]),
            probability(row["p_holm"]),
        )
        for row in people.pairs.to_dict("records")
    )
    paired = interval(units.ci_low, units.ci_high) or "no interval"
    return Section(
        name="within",
        title="Experiment I: conditions within people and within units",
        said=(
            f"Friedman: chi² ({people.df}) = {number(people.statistic, 2)},"
            f" {probability(people.p_value)}, Kendall’s W = {number(people.kendall_w)}"
            f" over {counted(people.n_blocks, 'participant')}; pairs by Conover’s test"
            " with Holm’s correction.",
            f"Over the same units, HIS is {number(units.difference)} ({paired}) higher"
            f" with {units.condition_a} than with {units.condition_b} explanations.",
        ),
        tables=(
            Table(header=("pair", "difference", "95% interval", "Holm p"), rows=rows),
        ),
        numbers={"people": numbers_of(people), "units": numbers_of(units)},
        brief=False,
    )
