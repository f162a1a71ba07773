"""Pairs of groups: letters, sign plot, and tests that ask for less than a model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scikit_posthocs import compact_letter_display
from scipy.stats import mannwhitneyu, rankdata, t

from analysis.comparison import GroupComparison, group_order
from analysis.families import SIGNIFICANCE_LEVEL, Family, Test, corrected

FEWEST_UNITS = 2

FEWEST_BRUNNER_MUNZEL = 10
"""Units a group, from which on Brunner and Munzel (2000) trust the t distribution."""

SIGN_CLASSES = ((0.001, "p < 0.001"), (0.01, "p < 0.01"), (0.05, "p < 0.05"))
"""The classes of IMI's sign plot; what is in none of them is not significant."""

NOT_SIGNIFICANT = "not significant"

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TwoGroups:
    """Whether units of one group tend to score higher than those of another.

    Attributes
    ----------
    group_a, group_b : str
    n_a, n_b : int
        Units.
    superiority : float or None
        Probability that a unit of a scores higher than one of b, equal scores counted
        half; in [0, 1], ½ for no tendency. None where ``note`` says why.
    superiority_low, superiority_high : float or None
        Brunner and Munzel's interval; None where no score of one group lies among
        those of the other.
    mann_whitney_u, mann_whitney_p : float or None
        U of group a, and the two-sided p of equal distributions.
    brunner_munzel_w, brunner_munzel_p : float or None
        The two-sided p of ½, which lets the spreads differ (t distribution).
    level : float
    note : str or None
    """

    group_a: str
    group_b: str
    n_a: int
    n_b: int
    superiority: float | None
    superiority_low: float | None
    superiority_high: float | None
    mann_whitney_u: float | None
    mann_whitney_p: float | None
    brunner_munzel_w: float | None
    brunner_munzel_p: float | None
    level: float
    note: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class PairwiseTests:
    """Every pair of groups, and the families that the tests make.

    Attributes
    ----------
    pairs : tuple of TwoGroups
    mann_whitney, brunner_munzel : Family or None
        None where no pair could be tested.
    """

    pairs: tuple[TwoGroups, ...]
    mann_whitney: Family | None = field(repr=False)
    brunner_munzel: Family | None = field(repr=False)


def compare_pairs(scores: pd.DataFrame, *, level: float = 0.95) -> PairwiseTests:
    """Test every pair of groups of units by itself, and correct for all pairs.

    Parameters
    ----------
    scores : DataFrame
        One row a unit: 'group' (units without one do not take part), 'his'.
    """
    grouped = scores.dropna(subset=["group"])
    samples = {
        name: grouped.loc[grouped["group"] == name, "his"].to_numpy("float64")
        for name in group_order(grouped["group"])
    }
    pairs = tuple(
        compare_two(samples[a], samples[b], group_a=a, group_b=b, level=level)
        for a, b in combinations(samples, 2)
    )
    return PairwiseTests(
        pairs=pairs,
        mann_whitney=_family("Mann–Whitney", "mann_whitney_p", pairs),
        brunner_munzel=_family("Brunner–Munzel", "brunner_munzel_p", pairs),
    )


def compare_two(
    first: ArrayLike,
    second: ArrayLike,
    *,
    group_a: str,
    group_b: str,
    level: float = 0.95,
) -> TwoGroups:
    """Test whether scores of the first group tend to be higher.

    Notes
    -----
    Brunner and Munzel 2000. Their test has no answer where the groups do not overlap
    at all; Mann and Whitney's has. With groups below 10 it finds a little too much
    (``analysis/coverage.md``), as they say themselves; the note tells.
    """
    a, b = np.asarray(first, dtype="float64"), np.asarray(second, dtype="float64")
    note = superiority = low = high = w = w_p = u = u_p = None
    if min(len(a), len(b)) < FEWEST_UNITS:
        note = f"each group needs at least {FEWEST_UNITS} units"
    elif np.ptp(np.concatenate([a, b])) == 0:
        note = "every unit has the same score"
    else:
        u, u_p = map(float, mannwhitneyu(a, b))
        superiority = u / (len(a) * len(b))
        error, df = _error(a, b)
        if error > 0:
            half = float(t.ppf((1 + level) / 2, df)) * error
            low, high = max(superiority - half, 0.0), min(superiority + half, 1.0)
            w = (superiority - 0.5) / error
            w_p = float(2 * t.sf(abs(w), df))
            if min(len(a), len(b)) < FEWEST_BRUNNER_MUNZEL:
                note = (
                    "Brunner and Munzel's test is rough below"
                    f" {FEWEST_BRUNNER_MUNZEL} units a group"
                )
        else:
            note = (
                "the groups do not overlap, so Brunner and Munzel's test has no error"
            )
    return TwoGroups(
        group_a=group_a,
        group_b=group_b,
        n_a=len(a),
        n_b=len(b),
        superiority=superiority,
        superiority_low=low,
        superiority_high=high,
        mann_whitney_u=u,
        mann_whitney_p=u_p,
        brunner_munzel_w=w,
        brunner_munzel_p=w_p,
        level=level,
        note=note,
    )


def compact_letters(
    found: GroupComparison, *, significance_level: float = SIGNIFICANCE_LEVEL
) -> pd.Series:
    """Give groups letters: those that share one were not shown to differ.

    Returns
    -------
    Series
        From group, in the order of ``found.groups``, to its letters, such as "ab";
        "a" stands with the highest mean. Empty text for a group that was not tested.
    """
    names = found.groups.sort_values("his", ascending=False)["group"].tolist()
    matrix = p_matrix(found, names)
    tested = [name for name in names if matrix.loc[name].notna().any()]
    letters = pd.Series("", index=found.groups["group"], name="letters", dtype=object)
    if len(tested) > 1:
        shown = compact_letter_display(
            matrix.loc[tested, tested].fillna(1.0), alpha=significance_level
        )
        letters.update(shown.str.replace(" ", ""))
    return letters


def p_matrix(
    found: GroupComparison, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return Holm's p-values as a symmetric table of groups; NaN where none is."""
    order = list(found.groups["group"] if names is None else names)
    place = {name: index for index, name in enumerate(order)}
    matrix = np.full((len(order), len(order)), np.nan)
    first = found.pairs["group_a"].map(place).to_numpy("int64")
    second = found.pairs["group_b"].map(place).to_numpy("int64")
    p_holm = found.pairs["p_holm"].to_numpy("float64")
    matrix[first, second] = matrix[second, first] = p_holm
    return pd.DataFrame(matrix, index=order, columns=order)


def sign_table(found: GroupComparison) -> pd.DataFrame:
    """Return the class of every pair's Holm p-value, as IMI's sign plot colours them.

    Returns
    -------
    DataFrame
        Groups × groups: an entry of :data:`SIGN_CLASSES`, "not significant", or ""
        on the diagonal and where no test was made.
    """
    return p_matrix(found).map(_sign_class)


def _sign_class(p_value: float) -> str:
    if pd.isna(p_value):
        return ""
    for bound, name in SIGN_CLASSES:
        if p_value < bound:
            return name
    return NOT_SIGNIFICANT


def _error(a: Array, b: Array) -> tuple[float, float]:
    """Return the standard error of the superiority, and its degrees of freedom."""
    ranks = rankdata(np.concatenate([a, b]))
    # How many of the other group lie below each unit.
    below_a = ranks[: len(a)] - rankdata(a)
    below_b = ranks[len(a) :] - rankdata(b)
    part_a = below_a.var(ddof=1) / (len(a) * len(b) ** 2)
    part_b = below_b.var(ddof=1) / (len(b) * len(a) ** 2)
    total = part_a + part_b
    if total == 0:
        return 0.0, 1.0
    df = total**2 / (part_a**2 / (len(a) - 1) + part_b**2 / (len(b) - 1))
    return float(np.sqrt(total)), float(df)


def _family(test: str, column: str, pairs: Sequence[TwoGroups]) -> Family | None:
    tests = [
        Test(name=f"{one.group_a} against {one.group_b}", p_value=getattr(one, column))
        for one in pairs
        if getattr(one, column) is not None
    ]
    return corrected(f"every pair of groups ({test})", tests) if tests else None
