"""How often tests of groups find a difference where none is planted."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.comparison import compare_groups
from analysis.families import SIGNIFICANCE_LEVEL, Family
from analysis.his import human_interpretability
from analysis.ordered import ordered_contrast
from analysis.pairwise import FEWEST_BRUNNER_MUNZEL, compare_pairs
from analysis.scenarios import Scenario
from analysis.simulated_studies import GROUPS, simulated_study

N_PERMUTATIONS = 499
_NO_INTERVALS = 2
"""Resamples of intervals that nobody looks at."""


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """Whether one test of one simulated study found what is not there.

    Attributes
    ----------
    scenario, test : str
    rejected : bool
        At the significance level of 5%.
    claims : bool
        Whether the test claims to hold for groups of this size.
    """

    scenario: str
    test: str
    rejected: bool
    claims: bool = True


def false_findings(scenario: Scenario, rng: np.random.Generator) -> Iterator[Rejected]:
    """Test three groups of units that chance alone put together."""
    study = simulated_study(scenario.variances, scenario.design, rng=rng, groups=False)
    units = human_interpretability(study.answers())[["unit", "his"]]
    labels = np.array(GROUPS, dtype=object)[np.arange(len(units)) % len(GROUPS)]
    scores = units.assign(group=rng.permutation(labels))
    groups = compare_groups(scores, rng=rng, n_resamples=_NO_INTERVALS)
    pairs = compare_pairs(scores)
    order = ordered_contrast(
        scores, rng=rng, n_resamples=_NO_INTERVALS, n_permutations=N_PERMUTATIONS
    )
    p_values = {
        "Kruskal–Wallis": groups.p_value,
        "Conover, any pair (Holm)": _least(groups.pairs["p_holm"]),
        "Mann–Whitney, any pair (Holm)": _least_of(pairs.mann_whitney),
        "Brunner–Munzel, any pair (Holm)": _least_of(pairs.brunner_munzel),
        "Jonckheere–Terpstra, two-sided": order.p_two_sided,
        "Jonckheere–Terpstra, of a rise": order.p_increasing,
        "Jonckheere–Terpstra, by shuffling": order.p_permutation,
    }
    smallest = int(scores.groupby("group").size().min())
    for test, p_value in p_values.items():
        if p_value is not None:
            yield Rejected(
                scenario=scenario.name,
                test=test,
                rejected=bool(p_value <= SIGNIFICANCE_LEVEL),
                claims=smallest >= FEWEST_BRUNNER_MUNZEL or "Munzel" not in test,
            )


def _least(p_values: "pd.Series[float]") -> float | None:
    least = float(p_values.min())
    return None if np.isnan(least) else least


def _least_of(family: Family | None) -> float | None:
    return None if family is None else _least(family.table["p_holm"])
