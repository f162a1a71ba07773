"""One study's human scores against a machine's: everything a report tells."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from analysis.comparison import GroupComparison, compare_groups, group_order
from analysis.correlation import CorrelationResult, correlation
from analysis.his import (
    ConditionScore,
    condition_score,
    human_interpretability,
    proportions,
    with_proportions,
)
from analysis.inclusion import Inclusion, include
from analysis.noise_ceiling import NoiseCeiling, disattenuated, split_half_ceiling
from data.errors import DataContractError
from data.exclusion import ExclusionCriteria
from data.responses import Responses
from data.units import near_names


@dataclass(frozen=True, eq=False, kw_only=True)
class Agreement:
    """How people scored a study's units, and how well a machine foretold it.

    Attributes
    ----------
    inclusion : Inclusion
        Which sessions count.
    units : DataFrame
        One row a unit with answers: 'unit', 'group', 'n_correct', 'n_trials', 'his',
        'ci_low', 'ci_high' (Wilson), 'mis' (NaN where there is none), 'n_simulated'
        (answers that programs gave).
    score : ConditionScore
        HIS over all units with answers.
    answers : DataFrame
        One row: 'n_correct', 'n_trials', 'proportion_correct', 'ci_low', 'ci_high'
        (Wilson) over all answers.
    by_confidence : DataFrame
        The same for each 'confidence'.
    correlations : tuple of CorrelationResult
        Pearson and Spearman over the units with both scores.
    ceiling : NoiseCeiling
        Of the units with both scores.
    disattenuated : float or None
        The Pearson correlation as if HIS had no noise.
    groups : GroupComparison or None
        None where units are in fewer than two groups.
    without_score : tuple of str
        Units that people answered and the machine did not score.
    n_without_answers : int
        Units that the machine scored and nobody who counts answered.
    condition : str
        Explanation method and difficulty of the tasks.
    """

    inclusion: Inclusion
    units: pd.DataFrame = field(repr=False)
    score: ConditionScore
    answers: pd.DataFrame = field(repr=False)
    by_confidence: pd.DataFrame = field(repr=False)
    correlations: tuple[CorrelationResult, ...]
    ceiling: NoiseCeiling
    disattenuated: float | None
    groups: GroupComparison | None
    without_score: tuple[str, ...]
    n_without_answers: int
    condition: str


def agreement(
    responses: Responses,
    scores: pd.DataFrame,
    *,
    criteria: ExclusionCriteria,
    seed: int,
    groups: Mapping[str, str] | None = None,
    explanation_method: str | None = None,
    difficulty: str | None = None,
    level: float = 0.95,
) -> Agreement:
    """Score a study's units by people and hold a machine's scores against them.

    Parameters
    ----------
    scores : DataFrame
        'unit' and 'mis', as in :data:`data.scores.MIS`.
    groups : mapping of unit to group, optional
        The groups of the responses otherwise.
    explanation_method, difficulty : str, optional
        The condition to look at, where the responses mix several.

    Raises
    ------
    DataContractError
        No main trial counts, several conditions are mixed, a unit is in two groups,
        or no unit has both scores.
    """
    inclusion = include(responses, criteria)
    if inclusion.main.empty:
        raise DataContractError(_nothing_counts(inclusion))
    main = _in_condition(inclusion.main, explanation_method, difficulty)
    complete = _in_condition(inclusion.complete, explanation_method, difficulty)
    inclusion = replace(inclusion, main=main, complete=complete)
    condition = _condition(main)
    units = _joined(human_interpretability(main, level=level), scores)
    units.insert(1, "group", units["unit"].map(groups or _groups(main)))
    units["n_simulated"] = units["unit"].map(main.groupby("unit")["simulated"].sum())
    both = units.dropna(subset=["mis"])
    rngs = _rngs(seed)
    correlations = tuple(
        correlation(
            both["mis"], both["his"], method=method, rng=rngs[method], level=level
        )
        for method in ("pearson", "spearman")
    )
    ceiling = split_half_ceiling(
        main[main["unit"].isin(both["unit"])], rng=rngs["ceiling"]
    )
    counted = pd.DataFrame(
        {"n_correct": [main["correct"].sum()], "n_trials": [len(main)]}
    )
    return Agreement(
        inclusion=inclusion,
        units=units,
        score=condition_score(units, rng=rngs["his"], level=level),
        answers=with_proportions(counted, level=level),
        by_confidence=proportions(main, "confidence", level=level),
        correlations=correlations,
        ceiling=ceiling,
        disattenuated=disattenuated(correlations[0].estimate, ceiling),
        groups=_comparison(units, rngs["groups"], level),
        without_score=tuple(units.loc[units["mis"].isna(), "unit"]),
        n_without_answers=int(
            (~scores.dropna(subset=["mis"])["unit"].isin(units["unit"])).sum()
        ),
        condition=condition,
    )


def _in_condition(
    main: pd.DataFrame, explanation_method: str | None, difficulty: str | None
) -> pd.DataFrame:
    """Keep the main trials of one condition; sessions were judged by all of theirs."""
    wanted = {"explanation_method": explanation_method, "difficulty": difficulty}
    for column, value in wanted.items():
        found = sorted(main[column].unique())
        if value is not None and value not in found:
            raise DataContractError(
                f"No main trial that counts has the {column.replace('_', ' ')}"
                f" {value!r}; there are {found}. Name one of these."
            )
        main = main if value is None else main[main[column] == value]
    return main


def _nothing_counts(inclusion: Inclusion) -> str:
    steps = inclusion.funnel.set_index("step")["n_sessions"]
    rules = inclusion.criteria[inclusion.criteria["n_excluded"] > 0]
    named = ", ".join(
        f"{n} for {rule}"
        for rule, n in zip(rules["rule"], rules["n_excluded"], strict=True)
    )
    fell = f" Excluded: {named}." if named else ""
    return (
        f"No main trial counts: sessions opened {steps['opened']}, complete"
        f" {steps['complete']}, not excluded {steps['counted']}.{fell} Wait for more"
        " sessions, or set other rules with --criteria."
    )


def _condition(main: pd.DataFrame) -> str:
    conditions = main.value_counts(["explanation_method", "difficulty"], sort=False)
    table = conditions.reset_index().itertuples(index=False)
    words = [f"{method} {difficulty} ({n} answers)" for method, difficulty, n in table]
    if len(words) > 1:
        named = ", ".join(words)
        raise DataContractError(
            f"The responses mix {len(words)} conditions: {named}; a correlation"
            " is over units of one. Name it with --explanation-method and --difficulty."
        )
    first = main.iloc[0]
    return f"{first['explanation_method']} explanations, {first['difficulty']} queries"


def _groups(main: pd.DataFrame) -> dict[str, str]:
    named = main[["unit", "group"]].dropna().drop_duplicates()
    twice = named[named["unit"].duplicated()]
    if len(twice):
        raise DataContractError(
            f"Unit {twice['unit'].iloc[0]!r} is in more than one group; a unit must be"
            " in one. Give the groups with --selection."
        )
    return dict(zip(named["unit"], named["group"], strict=True))


def _joined(his: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    units = his.merge(scores[["unit", "mis"]], on="unit", how="left", validate="1:1")
    if units["mis"].isna().all():
        first = str(his["unit"].iloc[0])
        raise DataContractError(
            f"None of the {len(his)} units with answers has a score, such as {first!r}."
            f" {near_names(first, map(str, scores['unit']))} Give the scores of this"
            " study's units."
        )
    return units


def _comparison(
    units: pd.DataFrame, rng: np.random.Generator, level: float
) -> GroupComparison | None:
    if len(group_order(units["group"].dropna())) < 2:
        return None
    return compare_groups(units, rng=rng, level=level)


def _rngs(seed: int) -> dict[str, np.random.Generator]:
    """Return one generator a question, so that one can't shift another's numbers."""
    names = ("his", "pearson", "spearman", "ceiling", "groups")
    children = np.random.SeedSequence(seed).spawn(len(names))
    return {
        name: np.random.default_rng(child)
        for name, child in zip(names, children, strict=True)
    }
