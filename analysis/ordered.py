"""Whether groups of units rise in the order that was declared: Jonckheere–Terpstra."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scikit_posthocs import test_jonckheere as jonckheere
from scipy.stats import rankdata

from analysis.comparison import USUAL_ORDER
from analysis.resampling import N_RESAMPLES, bca_interval
from data.errors import DataContractError

FEWEST_UNITS = 2
N_PERMUTATIONS = 9999
PERMUTATIONS_AT_ONCE = 1000

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class OrderedContrast:
    """Groups in their declared order, and how far scores follow it.

    Attributes
    ----------
    groups : DataFrame
        One row a group, in the declared order: 'group', 'n_units', 'his' (mean).
    steps : DataFrame
        One row a step up: 'lower', 'higher', 'difference' (HIS of the higher less the
        lower), 'ci_low', 'ci_high' (BCa over units; NaN where there is none).
    concordance : float or None
        Share of pairs of units from two groups that stand in the declared order,
        equal scores counted half; ½ without any order, 1 with all.
    ci_low, ci_high : float or None
        BCa over units within groups.
    statistic : float or None
        J: that number of pairs.
    z : float or None
        J less its expectation over its standard deviation, corrected for ties.
    p_two_sided, p_increasing : float or None
        Normal; the second only asks for a rise.
    p_permutation : float or None
        Of a rise, by shuffling units over groups: (1 + b) / (1 + m).
    n_units : int
    level : float
    note : str or None
    """

    groups: pd.DataFrame = field(repr=False)
    steps: pd.DataFrame = field(repr=False)
    concordance: float | None
    ci_low: float | None
    ci_high: float | None
    statistic: float | None
    z: float | None
    p_two_sided: float | None
    p_increasing: float | None
    p_permutation: float | None
    n_units: int
    level: float
    note: str | None = None


def ordered_contrast(
    scores: pd.DataFrame,
    *,
    rng: np.random.Generator,
    order: Sequence[str] = USUAL_ORDER,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
    n_permutations: int = N_PERMUTATIONS,
) -> OrderedContrast:
    """Test the interventional contrast: the declared groups rise in their order.

    Parameters
    ----------
    scores : DataFrame
        One row a unit: 'group', 'his'. Units of other groups take no part.
    order : sequence of str
        From the group that should score lowest to that which should score highest,
        declared before looking at the scores.

    Raises
    ------
    DataContractError
        No unit is in one of the groups of ``order``.
    """
    samples = {
        name: np.sort(scores.loc[scores["group"] == name, "his"].to_numpy("float64"))
        for name in order
    }
    for name, own in samples.items():
        if not len(own):
            found = sorted(map(str, scores["group"].dropna().unique()))
            raise DataContractError(
                f"No unit is in the group {name!r}; there are {found}. Name the groups"
                " to compare, from lowest to highest."
            )
    values = list(samples.values())
    note = _why_undefined(samples)
    concordance = low = high = statistic = z = two_sided = rising = shuffled = None
    if note is None:
        statistic = _pairs_in_order(*values)
        n_pairs = sum(len(a) * len(b) for a, b in combinations(values, 2))
        concordance = statistic / n_pairs
        interval = bca_interval(
            values, _concordance, rng=rng, level=level, n_resamples=n_resamples
        )
        low, high = interval or (None, None)
        with warnings.catch_warnings():
            # It tells that it corrects for ties.
            warnings.simplefilter("ignore", UserWarning)
            two_sided, z = jonckheere(values)
            rising, _ = jonckheere(values, alternative="greater")
        shuffled = _permutation_p(values, statistic, rng, n_permutations)
    return OrderedContrast(
        groups=pd.DataFrame(
            {
                "group": list(samples),
                "n_units": [len(one) for one in values],
                "his": [float(one.mean()) for one in values],
            }
        ),
        steps=_steps(samples, rng, level, n_resamples),
        concordance=concordance,
        ci_low=low,
        ci_high=high,
        statistic=statistic,
        z=z,
        p_two_sided=two_sided,
        p_increasing=rising,
        p_permutation=shuffled,
        n_units=sum(map(len, values)),
        level=level,
        note=note,
    )


def _why_undefined(samples: dict[str, Array]) -> str | None:
    if len(samples) < 2:
        return "an order needs at least two groups"
    small = [name for name, one in samples.items() if len(one) < FEWEST_UNITS]
    if small:
        named = ", ".join(small)
        return f"each group needs at least {FEWEST_UNITS} units; too few in {named}"
    if np.ptp(np.concatenate(list(samples.values()))) == 0:
        return "every unit has the same HIS, so the groups can't be ordered"
    return None


def _pairs_in_order(*values: Array) -> float:
    return float(
        sum(
            (a[:, None] < b).sum() + (a[:, None] == b).sum() / 2
            for a, b in combinations(values, 2)
        )
    )


def _concordance(*values: Array, axis: int = -1) -> Array:
    """Return the concordance of resamples; ``axis`` is the last one."""
    pairs = list(combinations(values, 2))
    in_order = sum(_mann_whitney(a, b, axis) for a, b in pairs)
    return in_order / sum(a.shape[axis] * b.shape[axis] for a, b in pairs)


def _mann_whitney(a: Array, b: Array, axis: int) -> Array:
    """Count pairs where b is higher, from the ranks of both together."""
    shape = np.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    a, b = (np.broadcast_to(one, (*shape, one.shape[-1])) for one in (a, b))
    ranks = rankdata(np.concatenate([a, b], axis=axis), axis=axis)
    n = b.shape[axis]
    return ranks[..., a.shape[axis] :].sum(axis=axis) - n * (n + 1) / 2


def _permutation_p(
    values: Sequence[Array], statistic: float, rng: np.random.Generator, n: int
) -> float:
    pooled = np.concatenate(values)
    labels = np.repeat(np.arange(len(values)), [len(one) for one in values])
    wins = (pooled[:, None] < pooled) + (pooled[:, None] == pooled) / 2
    reached = 0
    for start in range(0, n, PERMUTATIONS_AT_ONCE):
        n_now = min(PERMUTATIONS_AT_ONCE, n - start)
        shuffled = rng.permuted(np.tile(labels, (n_now, 1)), axis=1)
        is_in = [(shuffled == group).astype("float64") for group in range(len(values))]
        drawn = sum(
            ((low @ wins) * high).sum(axis=1) for low, high in combinations(is_in, 2)
        )
        # Halves are exact; their sums by matrix products are not always.
        reached += int((drawn >= statistic - 1e-6).sum())
    return float((1 + reached) / (1 + n))


def _difference(higher: Array, lower: Array, axis: int = -1) -> Array:
    return higher.mean(axis=axis) - lower.mean(axis=axis)


def _steps(
    samples: dict[str, Array], rng: np.random.Generator, level: float, n: int
) -> pd.DataFrame:
    rows = []
    names = list(samples)
    for lower, higher in pairwise(names):
        pair = (samples[higher], samples[lower])
        interval = bca_interval(pair, _difference, rng=rng, level=level, n_resamples=n)
        low, high = interval or (np.nan, np.nan)
        rows.append((lower, higher, float(_difference(*pair)), low, high))
    columns = ["lower", "higher", "difference", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns)
