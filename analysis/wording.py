"""Results in words: the rows, sentences and limits that every form of report shares."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.agreement import Agreement
from analysis.comparison import SIGNIFICANCE_LEVEL, GroupComparison
from analysis.correlation import CorrelationResult
from analysis.inclusion import Inclusion
from analysis.noise_ceiling import NoiseCeiling
from analysis.resampling import N_RESAMPLES

STEP_WORDS: Mapping[str, str] = {
    "opened": "opened",
    "complete": "completed",
    "counted": "counted",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of a report.

    Attributes
    ----------
    label : str
    value : str
    interval : str
        Empty where there is none.
    basis : str
        What it is computed from.
    """

    label: str
    value: str
    interval: str
    basis: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """A requirement and whether it holds.

    Attributes
    ----------
    name : str
    value : float or None
        What was found; None fails.
    required : float
        Least value that passes.
    """

    name: str
    value: float | None
    required: float

    @property
    def holds(self) -> bool:
        """Whether the value reaches what is required."""
        return self.value is not None and self.value >= self.required


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with a true minus, or a dash where there is none."""
    if value is None or pd.isna(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """Return ``low to high``, or nothing where there is no interval."""
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return ""
    return f"{number(low, digits)} to {number(high, digits)}"


def probability(value: float | None) -> str:
    """Return a p-value with its sign of relation; a dash where there is none."""
    if value is None or pd.isna(value):
        return "–"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def counted(n: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def headline(found: Agreement) -> list[Row]:
    """Return the numbers that a reader looks for first."""
    score, answers = found.score, found.answers.iloc[0]
    sessions = counted(found.inclusion.n_sessions, "session")
    return [
        Row(
            label="HIS, mean over units",
            value=number(score.his),
            interval=interval(score.ci_low, score.ci_high),
            basis=counted(score.n_units, "unit"),
        ),
        Row(
            label="Proportion correct of all answers",
            value=number(answers["proportion_correct"]),
            interval=interval(answers["ci_low"], answers["ci_high"]),
            basis=f"{counted(score.n_trials, 'answer')}, {sessions}",
        ),
        *(correlation_row(one) for one in found.correlations),
        *ceiling_rows(found.ceiling),
        Row(
            label="Pearson r with the noise of HIS taken out",
            value=number(found.disattenuated),
            interval="",
            basis="r / noise ceiling; not instead of r",
        ),
    ]


def summary(found: Agreement) -> str:
    """Return the result in one sentence."""
    pearson, ceiling = found.correlations[0], found.ceiling.correlation
    if pearson.estimate is None:
        return f"MIS and HIS were not correlated: {pearson.note}."
    within = interval(pearson.ci_low, pearson.ci_high, 2)
    said = f"Over {counted(pearson.n_units, 'unit')}, MIS and HIS correlate with r ="
    said += f" {number(pearson.estimate, 2)}" + (f" ({within})" if within else "")
    if ceiling is None:
        return f"{said}; how much a perfect score would reach can’t be told."
    return f"{said}; a perfect score would reach about {number(ceiling, 2)}."


def correlation_row(one: CorrelationResult) -> Row:
    """Return one correlation of MIS and HIS."""
    name = {"pearson": "Pearson r", "spearman": "Spearman rho"}[one.method]
    basis = counted(one.n_units, "unit")
    if one.p_value is not None:
        basis += f", {probability(one.p_value)}"
    return Row(
        label=f"MIS and HIS, {name}",
        value=number(one.estimate),
        interval=interval(one.ci_low, one.ci_high),
        basis=f"{basis}; {one.note}" if one.note else basis,
    )


def ceiling_rows(ceiling: NoiseCeiling) -> list[Row]:
    """Return the reliability of HIS and the ceiling that follows from it."""
    basis = counted(ceiling.n_units, "unit")
    if ceiling.n_left_out:
        basis += f"; {ceiling.n_left_out} with a single session left out"
    noted = f"{basis}; {ceiling.note}" if ceiling.note else basis
    return [
        Row(
            label="Reliability of HIS (split halves, Spearman–Brown)",
            value=number(ceiling.reliability),
            interval="",
            basis=noted,
        ),
        Row(
            label="Noise ceiling of the correlation",
            value=number(ceiling.correlation),
            interval="",
            basis="what a perfect score would reach",
        ),
    ]


def omnibus(groups: GroupComparison) -> str:
    """Return Kruskal–Wallis in one sentence."""
    if groups.statistic is None:
        return f"Groups were not tested: {groups.note}."
    noted = f" ({groups.note})" if groups.note else ""
    return (
        f"Kruskal–Wallis: H({groups.df}) = {number(groups.statistic, 2)},"
        f" {probability(groups.p_value)}, epsilon² = {number(groups.epsilon_squared)}"
        f" over {counted(groups.n_units, 'unit')}{noted}."
    )


def pair_sentences(groups: GroupComparison) -> list[str]:
    """Return each pair's verdict in words."""
    return [pair_sentence(pair) for _, pair in groups.pairs.iterrows()]


def pair_sentence(pair: pd.Series) -> str:
    """Return one pair's verdict: which group is higher, by how much, how sure."""
    a, b, difference = pair["group_a"], pair["group_b"], pair["difference"]
    within = interval(pair["ci_low"], pair["ci_high"])
    numbers = f"{within or 'no interval'}; Holm {probability(pair['p_holm'])}"
    if pd.notna(pair["p_holm"]) and pair["p_holm"] < SIGNIFICANCE_LEVEL:
        side = "below" if difference < 0 else "above"
        return f"{a} is {side} {b} by {number(abs(difference))} ({_flipped(pair)})"
    return f"{a} and {b}: no difference shown, {number(difference)} ({numbers})"


def _flipped(pair: pd.Series) -> str:
    """Return the interval of the difference's size, as the sentence states it."""
    low, high = pair["ci_low"], pair["ci_high"]
    if pair["difference"] < 0:
        low, high = -high, -low
    within = interval(low, high) or "no interval"
    return f"{within}; Holm {probability(pair['p_holm'])}"


def funnel_sentences(found: Agreement) -> list[str]:
    """Return each step from opened to counted sessions."""
    sentences = []
    for _, step in found.inclusion.funnel.iterrows():
        lost = f" ({step['lost']})" if step["lost"] else ""
        name = STEP_WORDS[step["step"]]
        sentences.append(f"{counted(step['n_sessions'], 'session')} {name}{lost}")
    if found.inclusion.n_test_runs:
        runs = counted(found.inclusion.n_test_runs, "test run")
        sentences.append(f"{runs} left out from the start")
    return sentences


def warnings_of(found: Agreement) -> list[str]:
    """Return what is missing on one side: units without scores, and the reverse."""
    said = []
    if found.without_score:
        n = len(found.without_score)
        shown = ", ".join(found.without_score[:3]) + (" and others" if n > 3 else "")
        said.append(
            f"{counted(n, 'unit')} with answers {'has' if n == 1 else 'have'} no score"
            f" and no part in the correlation: {shown}."
        )
    if found.n_without_answers:
        n = found.n_without_answers
        has = "has" if n == 1 else "have"
        said.append(f"{counted(n, 'scored unit')} {has} no answers that count.")
    return said


def limits(found: Agreement) -> list[str]:
    """Return what the numbers do not say."""
    said = []
    if found.inclusion.n_simulated:
        said.append(
            "Programs gave these answers. The numbers show that the path from images to"
            " report works; they say nothing about people."
        )
    chosen = {"easiest", "hardest"} & set(found.units["group"].dropna())
    if chosen:
        named = " and ".join(sorted(chosen))
        said.append(
            f"The {named} units were chosen by their MIS. Over such units MIS and HIS"
            " correlate more than over units drawn at random."
        )
    said += [
        "The intervals of HIS over units, of correlations and of differences resample"
        " units. They tell how the numbers vary with other units answered by the same"
        " people, not with other people.",
        "Wilson intervals take answers as independent, though each person gives many.",
        "The noise ceiling and the correlation without noise are estimates too; with"
        " few units both are rough, and the second can exceed 1.",
    ]
    return said + [
        warning for warning in warnings_of(found) if "correlation" in warning
    ]


def methods(
    found: Agreement,
    *,
    machine: str | None,
    seed: int,
    criteria: str,
    software: Mapping[str, str],
    more: Sequence[str] = (),
) -> str:
    """Return the methods in words, ready for a paper.

    Parameters
    ----------
    more : sequence of str
        What further sections of the report say about their methods.
    """
    groups = (
        "Groups were compared over unit scores by the test of Kruskal and Wallis"
        " (1952) (effect size epsilon² = H / (n − 1)), and all pairs by Conover’s test,"
        " Conover (1999), with Holm’s correction, Holm (1979)."
    )
    sentences = [
        found.inclusion.simulated_notice,
        _session_sentence(found.inclusion, criteria),
        "HIS, the score of Zimmermann et al. (2023), is the proportion correct of a"
        " unit’s main trials in these sessions, with intervals of Wilson (1927);"
        " practice, catch and instructed trials do not count"
        f" ({found.condition}). The mean over units weighs each unit alike. Its"
        " interval and those of differences are BCa bootstraps over units, Efron"
        f" (1987), with {N_RESAMPLES:,} resamples; those of correlations are jackknifes"
        " over units on Fisher’s z, Miller (1974).",
        f"MIS, the score of Zimmermann et al. (2024), is given by {machine}."
        if machine
        else None,
        f"Reliability is the mean correlation of {found.ceiling.n_splits:,} random"
        " halves of each unit’s sessions, stepped up by Spearman–Brown; its root is the"
        " noise ceiling. Dividing Pearson’s r by the ceiling takes out the noise of"
        " HIS; MIS is taken as free of noise.",
        groups if found.groups else None,
        *more,
        f"All intervals are {found.score.level:.0%}. Seed {seed}.",
        "Computed with SciPy, Virtanen et al. (2020), statsmodels, Seabold and Perktold"
        " (2010), and scikit-posthocs, Terpilowski (2019):",
        ", ".join(" ".join(one) for one in software.items()) + ".",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _session_sentence(inclusion: Inclusion, criteria: str) -> str:
    opened = counted(int(inclusion.funnel["n_sessions"].iloc[0]), "session")
    verb = "counts" if inclusion.n_sessions == 1 else "count"
    said = f"Of {opened}, {inclusion.n_sessions} {verb}: complete"
    rules = "; ".join(inclusion.criteria["rule"])
    if not rules:
        return f"{said}; no session was excluded."
    return (
        f"{said} and not excluded (criteria: {criteria}), where these exclude: {rules}."
    )


def text_table(rows: Iterable[Sequence[str]], header: Sequence[str] = ()) -> list[str]:
    """Return lines with columns aligned to the left, numbers of words unwrapped."""
    table = [list(header), *map(list, rows)] if header else [list(row) for row in rows]
    if not table:
        return []
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in table
    ]
