"""Sections on the machine: how well its score foretells what people get right."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.agreement import Agreement
from analysis.blocks import Section, Table, numbers_of
from analysis.correlation import CorrelationResult, correlation
from analysis.families import Family
from analysis.group_sections import family_table
from analysis.layer_control import layer_control, partial_correlations
from analysis.prediction import compare_predictions
from analysis.score_comparison import ScoreComparison, compare_all_scores
from analysis.wording import counted, interval, number, probability
from data.errors import DataContractError
from data.scores import Scores

RESAMPLES = 2000

METHOD_WORDS = {
    "pearson": "Pearson r",
    "spearman": "Spearman rho",
    "kendall": "Kendall tau-b",
}

PREDICTION_HEADER = (
    "prediction",
    "Brier score",
    "machine’s less this",
    "log-loss",
    "machine’s less this",
)


def machine_sections(
    found: Agreement,
    table: pd.DataFrame,
    scores: Scores | None,
    others: Mapping[str, pd.DataFrame],
    *,
    seed: int,
    level: float = 0.95,
) -> tuple[Section, ...]:
    """Answer what is asked of the machine's scores.

    Parameters
    ----------
    table : DataFrame
        'unit' and 'mis' of all units that the machine scored.
    scores : Scores or None
        With the probabilities of single tasks, where they are known.
    others : mapping of name to DataFrame
        Scores to compare, the study's own first; fewer than two make no section.
    """
    rngs = [
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)
    ]
    made = [
        agreement_section(found, table, rng=rngs[0], level=level),
        prediction_section(found, table, scores, rng=rngs[1], level=level),
    ]
    if len(others) > 1:
        made.append(comparison_section(found, others, rng=rngs[2], level=level))
    return tuple(made)


def agreement_section(
    found: Agreement, table: pd.DataFrame, *, rng: np.random.Generator, level: float
) -> Section:
    """Correlate with every coefficient and interval, and given the layer."""
    both = found.units.dropna(subset=["mis"])
    kendall = correlation(
        both["mis"],
        both["his"],
        method="kendall",
        rng=rng,
        level=level,
        n_resamples=RESAMPLES,
    )
    usual = (*found.correlations[:2], kendall)
    partial = partial_correlations(both, level=level)
    said, control_numbers = _control(both, table, rng, level)
    rows = [_coefficient(one) for one in usual]
    rows += [
        (
            f"{METHOD_WORDS[one.method]} given the {one.given}",
            number(one.estimate),
            "",
            "",
            interval(one.ci_low, one.ci_high),
            one.note or probability(one.p_value),
        )
        for one in partial
    ]
    return Section(
        name="agreement",
        title="MIS and HIS over units",
        said=said,
        tables=(
            Table(
                header=("", "value", "95% interval", "bootstrap", "analytic", "p"),
                rows=tuple(rows),
            ),
        ),
        numbers={
            "kendall": numbers_of(kendall),
            "partial": numbers_of(partial),
            "layer_control": control_numbers,
        },
        methods=(
            "Beside the intervals of correlations stand BCa bootstraps over units,"
            " expanded for their number, Hesterberg (2015), and analytic ones:"
            " Fisher’s, with the variance of Bonett and Wright (2000) for Spearman and"
            " Kendall."
        ),
        brief=False,
    )


def _coefficient(one: CorrelationResult) -> tuple[str, ...]:
    return (
        METHOD_WORDS[one.method],
        number(one.estimate),
        interval(one.ci_low, one.ci_high),
        interval(one.bootstrap_low, one.bootstrap_high),
        interval(one.analytic_low, one.analytic_high),
        one.note or probability(one.p_value),
    )


def _control(
    both: pd.DataFrame, table: pd.DataFrame, rng: np.random.Generator, level: float
) -> tuple[tuple[str, ...], object]:
    try:
        found = layer_control(both, table, rng=rng, level=level)
    except DataContractError as error:
        return (f"No same-layer control: {error}",), None
    if found.control_mean is None:
        return (f"No same-layer control: {found.note}.",), numbers_of(found)
    if found.n_left_out > found.n_units:
        return (
            "No same-layer control: for"
            f" {found.n_left_out} of {found.n_left_out + found.n_units} units no other"
            " unit of their layer has a score. Give the scores of whole layers.",
        ), None
    left_out = f"; {found.n_left_out} left out" if found.n_left_out else ""
    return (
        "With the MIS of a random other unit of the same layer instead of the unit’s"
        f" own, the correlation is {number(found.control_mean)} on average, and below"
        f" {number(found.control_high)} in {found.level:.0%} of"
        f" {found.n_draws:,} draws, where the units’ own scores reach"
        f" {number(found.estimate)} ({counted(found.n_units, 'unit')} of"
        f" {counted(found.n_layers, 'layer')}{left_out};"
        f" {probability(found.p_value)}).",
    ), numbers_of(found)


def prediction_section(
    found: Agreement,
    table: pd.DataFrame,
    scores: Scores | None,
    *,
    rng: np.random.Generator,
    level: float,
) -> Section:
    """Score MIS as a prediction of single answers."""
    made = compare_predictions(
        found.inclusion.main,
        table,
        rng=rng,
        tasks=None if scores is None else scores.tasks,
        level=level,
        n_resamples=RESAMPLES,
    )
    rows = tuple(
        (
            str(row["predictor"]),
            _with_interval(row, "brier"),
            _with_interval(row, "brier_excess"),
            _with_interval(row, "log_loss"),
            _with_interval(row, "log_loss_excess"),
        )
        for row in made.table.to_dict("records")
    )
    basis = (
        f"{counted(made.n_trials, 'answer')} to {counted(made.n_units, 'unit')};"
        " less is better, and below 0 the machine is better than the other."
    )
    return Section(
        name="prediction",
        title="MIS as a prediction of single answers",
        said=(basis, *((f"{made.note}.",) if made.note else ())),
        tables=(Table(header=PREDICTION_HEADER, rows=rows),),
        numbers=numbers_of(made),
        methods="Brier scores and log-losses have BCa intervals over units.",
        brief=False,
    )


def _with_interval(row: Mapping[Any, Any], name: str) -> str:
    within = interval(row[f"{name}_low"], row[f"{name}_high"])
    value = number(row[name])
    return f"{value} ({within})" if within else value


def comparison_section(
    found: Agreement,
    others: Mapping[str, pd.DataFrame],
    *,
    rng: np.random.Generator,
    level: float,
) -> Section:
    """Compare several machine scores on the same units."""
    his = found.units[["unit", "his"]]
    made, family = compare_all_scores(
        his, others, rng=rng, level=level, n_resamples=RESAMPLES
    )
    corrected = dict(_holm(family))
    rows = tuple(_compared(one, corrected) for one in made)
    header = (
        "scores",
        "r of the first",
        "of the second",
        "between them",
        "difference",
        "95% interval",
        "Williams p",
        "Steiger p",
        "Holm p",
        "units",
    )
    names = ", ".join(others)
    return Section(
        name="score_comparison",
        title="Which score agrees better with people",
        said=(f"Scores: {names}. Each pair over the units that both scored.",),
        tables=(
            Table(header=header, rows=rows),
            *((family_table(family),) if family is not None else ()),
        ),
        numbers={"pairs": numbers_of(made), "family": numbers_of(family)},
        methods=(
            "Scores were compared by the tests of Williams (1959) and Steiger (1980)"
            " for correlations that share a variable, and by a paired bootstrap over"
            " units."
        ),
    )


def _holm(family: Family | None) -> list[tuple[str, float]]:
    if family is None:
        return []
    table = family.table
    return list(zip(table["test"], table["p_holm"], strict=True))


def _compared(one: ScoreComparison, corrected: Mapping[str, float]) -> tuple[str, ...]:
    holm = next(
        (
            p_value
            for name, p_value in corrected.items()
            if one.score_a in name and one.score_b in name
        ),
        None,
    )
    return (
        f"{one.score_a} and {one.score_b}",
        number(one.correlation_a),
        number(one.correlation_b),
        number(one.correlation_between),
        number(one.difference),
        interval(one.ci_low, one.ci_high) or one.note or "",
        probability(one.williams_p),
        probability(one.steiger_p),
        probability(holm),
        str(one.n_units),
    )
