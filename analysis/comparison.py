"""Which groups of units people score differently."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pingouin import multicomp
from scikit_posthocs import posthoc_conover
from scipy.stats import kruskal

from analysis.families import SIGNIFICANCE_LEVEL as SIGNIFICANCE_LEVEL
from analysis.resampling import N_RESAMPLES, bca_interval

USUAL_ORDER = ("hardest", "random", "easiest")
FEWEST_UNITS = 2

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class GroupComparison:
    """Any difference between groups, and which pairs differ.

    Attributes
    ----------
    groups : DataFrame
        One row a group: 'group', 'n_units', 'his' (unweighted mean), 'ci_low',
        'ci_high' (BCa over units; NaN where there is none).
    pairs : DataFrame
        One row a pair: 'group_a', 'group_b', 'difference' (HIS of a minus b),
        'ci_low', 'ci_high' (BCa over units), 'p_raw' (Conover), 'p_holm'.
    statistic, p_value : float or None
        Kruskal–Wallis H and its p; None where ``note`` says why.
    df : int
        Degrees of freedom: groups less one.
    epsilon_squared : float or None
        Share of the variance of the ranks that the groups explain, in [0, 1].
    n_units : int
        Units in the test.
    level : float
        Coverage of the intervals.
    note : str or None
        What limits the result.
    """

    groups: pd.DataFrame = field(repr=False)
    pairs: pd.DataFrame = field(repr=False)
    statistic: float | None
    p_value: float | None
    df: int
    epsilon_squared: float | None
    n_units: int
    level: float
    note: str | None = None


def compare_groups(
    scores: pd.DataFrame,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> GroupComparison:
    """Test whether groups of units differ in HIS, and which pairs do.

    Parameters
    ----------
    scores : DataFrame
        One row a unit: 'group' (units without one do not take part), 'his'.

    Notes
    -----
    IMI's tests: Kruskal–Wallis over unit scores, then Conover's test of all pairs
    with Holm's correction. Epsilon squared is H / (n − 1).
    """
    grouped = scores.dropna(subset=["group"])
    names = group_order(grouped["group"])
    samples = {
        # One order, so that a seed gives the same resamples however units are listed.
        name: np.sort(grouped.loc[grouped["group"] == name, "his"].to_numpy("float64"))
        for name in names
    }
    resample = partial(bca_interval, rng=rng, level=level, n_resamples=n_resamples)
    groups = _group_table(samples, resample)
    tested = {
        name: values for name, values in samples.items() if len(values) >= FEWEST_UNITS
    }
    note = _note(samples, tested)
    pairs = _pair_differences(tested, resample)
    n_units = sum(map(len, tested.values()))
    statistic = p_value = epsilon_squared = None
    if len(tested) > 1 and np.ptp(np.concatenate(list(tested.values()))) > 0:
        statistic, p_value = map(float, kruskal(*tested.values()))
        epsilon_squared = statistic / (n_units - 1)
        pairs = with_conover(pairs, tested)
    return GroupComparison(
        groups=groups,
        pairs=pairs,
        statistic=statistic,
        p_value=p_value,
        df=max(len(tested) - 1, 0),
        epsilon_squared=epsilon_squared,
        n_units=n_units,
        level=level,
        note=note,
    )


def group_order(groups: Sequence[str] | pd.Series) -> list[str]:
    """Return each group once: hardest, random, easiest, then others by name."""
    found = sorted(set(groups))
    usual = [name for name in USUAL_ORDER if name in found]
    return usual + [name for name in found if name not in USUAL_ORDER]


def with_conover(pairs: pd.DataFrame, samples: dict[str, Array]) -> pd.DataFrame:
    """Add Conover's p-values to a table of pairs, raw and corrected by Holm.

    Parameters
    ----------
    pairs : DataFrame
        'group_a', 'group_b'.
    samples : dict of group to (n_units,) array
        All groups that are ranked together.
    """
    table = pd.DataFrame(
        [(name, value) for name, values in samples.items() for value in values],
        columns=["group", "his"],
    )
    # Groups that are each constant leave no variance within: t is then infinite.
    with np.errstate(divide="ignore"):
        matrix = posthoc_conover(table, val_col="his", group_col="group")
    keys = list(zip(pairs["group_a"], pairs["group_b"], strict=True))
    raw = [float(matrix.loc[key]) for key in keys]
    return pairs.assign(p_raw=raw, p_holm=multicomp(raw, method="holm")[1])


def _note(samples: dict[str, Array], tested: dict[str, Array]) -> str | None:
    if len(tested) < 2:
        return (
            f"a comparison needs two groups of at least {FEWEST_UNITS} units;"
            f" there are {len(tested)}"
        )
    if np.ptp(np.concatenate(list(tested.values()))) == 0:
        return "every unit has the same HIS, so the groups can't be ranked"
    small = [name for name in samples if name not in tested]
    if small:
        return f"left out for having a single unit: {', '.join(small)}"
    return None


def _group_table(
    samples: dict[str, Array], resample: partial[tuple[float, float] | None]
) -> pd.DataFrame:
    rows = []
    for name, values in samples.items():
        interval = resample((values,), np.mean)
        low, high = interval or (np.nan, np.nan)
        rows.append((name, len(values), float(values.mean()), low, high))
    return pd.DataFrame(rows, columns=["group", "n_units", "his", "ci_low", "ci_high"])


def _pair_differences(
    samples: dict[str, Array], resample: partial[tuple[float, float] | None]
) -> pd.DataFrame:
    rows = []
    for a, b in combinations(samples, 2):
        pair = (samples[a], samples[b])
        interval = resample(pair, _difference)
        low, high = interval or (np.nan, np.nan)
        rows.append((a, b, float(pair[0].mean() - pair[1].mean()), low, high))
    columns = ["group_a", "group_b", "difference", "ci_low", "ci_high"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_raw=np.nan, p_holm=np.nan)


def _difference(first: Array, second: Array, axis: int = -1) -> Array:
    return first.mean(axis=axis) - second.mean(axis=axis)
