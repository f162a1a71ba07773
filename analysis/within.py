"""The same participants, or the same units, under several conditions."""

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pingouin import multicomp
from scikit_posthocs import posthoc_conover_friedman
from scipy.stats import friedmanchisquare, wilcoxon

from analysis.correlation import CorrelationResult, correlation
from analysis.resampling import N_RESAMPLES, bca_interval, participant_of
from data.errors import DataContractError

FEWEST_BLOCKS = 3
FEWEST_PAIRS = 6
"""With 5 pairs Wilcoxon's smallest two-sided p is 0.0625."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class WithinComparison:
    """Conditions that every block (a participant, or a unit) met.

    Attributes
    ----------
    conditions : DataFrame
        One row a condition: 'condition', 'mean' (over blocks), 'ci_low', 'ci_high'
        (BCa over blocks; NaN where there is none), 'mean_rank'.
    pairs : DataFrame
        One row a pair: 'condition_a', 'condition_b', 'difference' (a minus b),
        'ci_low', 'ci_high' (BCa over blocks), 'p_raw' (Conover), 'p_holm'.
    statistic, p_value : float or None
        Friedman's chi-squared and its p; None where ``note`` says why.
    df : int
    kendall_w : float or None
        How far blocks agree on the order of conditions, in [0, 1].
    n_blocks : int
        Blocks that met every condition.
    n_left_out : int
        Blocks that did not.
    level : float
    note : str or None
    """

    conditions: pd.DataFrame = field(repr=False)
    pairs: pd.DataFrame = field(repr=False)
    statistic: float | None
    p_value: float | None
    df: int
    kendall_w: float | None
    n_blocks: int
    n_left_out: int
    level: float
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class PairedConditions:
    """The same units under two conditions, such as natural and synthetic.

    Attributes
    ----------
    condition_a, condition_b : str
    mean_a, mean_b : float or None
    difference : float or None
        Mean of a minus b over units; None where ``note`` says why.
    ci_low, ci_high : float or None
        BCa over units.
    share_higher : float or None
        Share of units that score higher under a, equal scores counted half.
    wilcoxon_p : float or None
        Signed ranks, two-sided; units with equal scores take no part.
    correlation : CorrelationResult
        Spearman: do units that are easy under a stay easy under b.
    n_units : int
    n_left_out : int
        Units with one condition only.
    level : float
    note : str or None
    """

    condition_a: str
    condition_b: str
    mean_a: float | None
    mean_b: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    share_higher: float | None
    wilcoxon_p: float | None
    correlation: CorrelationResult
    n_units: int
    n_left_out: int
    level: float
    note: str | None = None


def participant_scores(
    main: pd.DataFrame, condition: str = "explanation_method"
) -> pd.DataFrame:
    """Return each participant's proportion correct under each condition.

    Parameters
    ----------
    main : DataFrame
        Main trials that count: 'session_id', 'participant_id', 'correct' and the
        condition's column.

    Returns
    -------
    DataFrame
        One row a participant, one column a condition; NaN where never met.
    """
    named = main.assign(participant=participant_of(main))
    return named.pivot_table(
        index="participant", columns=condition, values="correct", aggfunc="mean"
    ).astype("float64")


def compare_within(
    blocks: pd.DataFrame,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> WithinComparison:
    """Test whether conditions differ within blocks, and which pairs do.

    Parameters
    ----------
    blocks : DataFrame
        One row a block, one column a condition, as :func:`participant_scores` returns
        it. Blocks that lack a condition take no part.

    Raises
    ------
    DataContractError
        There are fewer than two conditions.

    Notes
    -----
    Friedman's test, then Conover's t-tests of rank sums with Holm's correction; W is
    chi-squared / (blocks × (conditions − 1)).
    """
    if blocks.shape[1] < 2:
        raise DataContractError(
            f"There is 1 condition, {list(blocks.columns)}; a comparison within"
            " participants needs at least 2. Compare groups of units instead."
            if blocks.shape[1]
            else "There are no conditions; a comparison needs at least 2."
        )
    whole = blocks.dropna().astype("float64")
    # One order, so that a seed gives the same resamples however blocks are listed.
    whole = whole.sort_values(list(whole.columns))
    values = whole.to_numpy("float64")
    names = [str(name) for name in whole.columns]
    n_blocks, k = values.shape
    note = _why_undefined(values)
    statistic = p_value = w = None
    matrix = None
    if note is None:
        matrix = _conover(values)
        if k > 2:
            statistic, p_value = map(float, friedmanchisquare(*values.T))
            w = statistic / (n_blocks * (k - 1))
        else:
            note = "Friedman's test needs three conditions; see the pair"
    return WithinComparison(
        conditions=_conditions(whole, names, rng, level, n_resamples),
        pairs=_pairs(values, names, matrix, rng, level, n_resamples),
        statistic=statistic,
        p_value=p_value,
        df=k - 1,
        kendall_w=w,
        n_blocks=n_blocks,
        n_left_out=len(blocks) - n_blocks,
        level=level,
        note=note,
    )


def compare_paired(
    scores: pd.DataFrame,
    condition_a: str,
    condition_b: str,
    *,
    rng: np.random.Generator,
    condition: str = "explanation_method",
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> PairedConditions:
    """Compare HIS of the same units under two conditions.

    Parameters
    ----------
    scores : DataFrame
        One row a unit and condition: 'unit', 'his' and the condition's column.
    """
    wide = scores.pivot(index="unit", columns=condition, values="his")
    for name in (condition_a, condition_b):
        if name not in wide:
            raise DataContractError(
                f"No unit has the {condition.replace('_', ' ')} {name!r}; there are"
                f" {sorted(map(str, wide.columns))}. Name two of these."
            )
    wide = wide[[condition_a, condition_b]].dropna(how="all")
    both = wide.dropna()
    a, b = both[condition_a].to_numpy("float64"), both[condition_b].to_numpy("float64")
    interval, note = None, None
    if len(both) < FEWEST_PAIRS:
        note = (
            f"a paired comparison needs at least {FEWEST_PAIRS} units with both; there"
            f" are {len(both)}"
        )
    else:
        interval = bca_interval(
            (a - b,), np.mean, rng=rng, level=level, n_resamples=n_resamples
        )
    low, high = interval or (None, None)
    differs = np.any(a != b)
    return PairedConditions(
        condition_a=condition_a,
        condition_b=condition_b,
        mean_a=None if note else float(a.mean()),
        mean_b=None if note else float(b.mean()),
        difference=None if note else float((a - b).mean()),
        ci_low=low,
        ci_high=high,
        share_higher=None if note else float((0.5 + np.sign(a - b) / 2).mean()),
        wilcoxon_p=float(wilcoxon(a, b).pvalue) if differs and not note else None,
        correlation=correlation(
            a, b, method="spearman", rng=rng, level=level, n_resamples=n_resamples
        ),
        n_units=len(both),
        n_left_out=len(wide) - len(both),
        level=level,
        note=note,
    )


def _why_undefined(values: Array) -> str | None:
    if len(values) < FEWEST_BLOCKS:
        return (
            f"the comparison needs at least {FEWEST_BLOCKS} participants who met every"
            f" condition; there are {len(values)}"
        )
    if (np.ptp(values, axis=1) == 0).all():
        return "every participant has the same score under every condition"
    return None


def _conover(values: Array) -> Array:
    # Blocks that all order the conditions alike leave no variance: t is infinite.
    with np.errstate(divide="ignore", invalid="ignore"):
        return posthoc_conover_friedman(values).to_numpy("float64")


def _conditions(
    whole: pd.DataFrame,
    names: list[str],
    rng: np.random.Generator,
    level: float,
    n_resamples: int,
) -> pd.DataFrame:
    values = whole.to_numpy("float64")
    ranks = whole.rank(axis=1).mean().to_numpy("float64")
    rows = []
    for place, name in enumerate(names):
        own = values[:, place]
        interval = bca_interval(
            (own,), np.mean, rng=rng, level=level, n_resamples=n_resamples
        )
        low, high = interval or (np.nan, np.nan)
        mean = float(own.mean()) if len(own) else np.nan
        rows.append((name, mean, low, high, float(ranks[place])))
    columns = ["condition", "mean", "ci_low", "ci_high", "mean_rank"]
    return pd.DataFrame(rows, columns=columns)


def _pairs(
    values: Array,
    names: list[str],
    matrix: Array | None,
    rng: np.random.Generator,
    level: float,
    n_resamples: int,
) -> pd.DataFrame:
    rows = []
    for a, b in combinations(range(len(names)), 2):
        apart = values[:, a] - values[:, b]
        interval = bca_interval(
            (apart,), np.mean, rng=rng, level=level, n_resamples=n_resamples
        )
        low, high = interval or (np.nan, np.nan)
        raw = np.nan if matrix is None else matrix[a, b]
        mean = float(apart.mean()) if len(apart) else np.nan
        rows.append((names[a], names[b], mean, low, high, raw))
    columns = ["condition_a", "condition_b", "difference", "ci_low", "ci_high", "p_raw"]
    table = pd.DataFrame(rows, columns=columns)
    if matrix is None:
        return table.assign(p_holm=np.nan)
    return table.assign(p_holm=multicomp(table["p_raw"].to_numpy(), method="holm")[1])
