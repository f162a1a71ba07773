"""The report's numbers for any set of sessions, with the intervals of theory."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pingouin import multicomp
from scikit_posthocs import posthoc_conover
from scipy.stats import kruskal, norm, pearsonr, sem, spearmanr, t

from analysis.comparison import group_order
from analysis.correlation import FEWEST_UNITS
from analysis.noise_ceiling import split_half_ceiling

Array = NDArray[np.float64]

ROWS_OF_SPLITS = 1_000_000


@dataclass(frozen=True, eq=False)
class Counts:
    """Answers by session and unit, counted once for all sets."""

    session: NDArray[np.intp]
    unit: NDArray[np.intp]
    n_correct: Array
    n_trials: Array
    units: tuple[str, ...]

    @classmethod
    def of(cls, answers: pd.DataFrame, sessions: Sequence[str]) -> "Counts":
        """Count right answers and answers; sessions are numbered as given."""
        counts = answers.groupby(["unit", "session_id"], sort=True, as_index=False).agg(
            n_correct=("correct", "sum"), n_trials=("correct", "size")
        )
        code, units = pd.factorize(counts["unit"], sort=True)
        place = pd.Index(sessions).get_indexer(pd.Index(counts["session_id"]))
        return cls(
            session=place,
            unit=code,
            n_correct=counts["n_correct"].to_numpy(dtype="float64"),
            n_trials=counts["n_trials"].to_numpy(dtype="float64"),
            units=tuple(units),
        )

    def by_unit(self, rows: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Return right answers and answers of each unit."""
        unit, n = self.unit[rows], len(self.units)
        right = np.bincount(unit, weights=self.n_correct[rows], minlength=n)
        asked = np.bincount(unit, weights=self.n_trials[rows], minlength=n)
        return right.astype("float64"), asked.astype("float64")


def report_numbers(
    counts: Counts,
    kept: NDArray[np.bool_],
    known: pd.DataFrame,
    seed: int,
    level: float,
) -> pd.DataFrame:
    """Return the report's numbers when only these sessions count."""
    rows = kept[counts.session]
    right, asked = counts.by_unit(rows)
    seen = asked > 0
    his = right[seen] / asked[seen]
    mis = known["mis"].to_numpy(dtype="float64")[seen]
    group = known["group"].to_numpy(dtype="object")[seen]
    both = np.isfinite(mis)
    found = [
        ("his", *_mean(his, level)),
        ("proportion_correct", *_share(right.sum(), asked.sum(), level)),
        ("pearson", *_pearson(mis[both], his[both], level)),
        ("spearman", *_spearman(mis[both], his[both], level)),
        *_ceiling(counts, rows, both_units=np.flatnonzero(seen)[both], seed=seed),
        *_groups(his, group, level),
    ]
    table = pd.DataFrame(
        found, columns=["number", "estimate", "ci_low", "ci_high", "p_value"]
    )
    return _with_disattenuated(table)


Row = tuple[float, float, float, float]


_NONE: Row = (np.nan, np.nan, np.nan, np.nan)


def _mean(values: Array, level: float) -> Row:
    if not len(values):
        return _NONE
    mean = float(values.mean())
    if len(values) < 2:
        return mean, np.nan, np.nan, np.nan
    half = float(t.ppf((1 + level) / 2, len(values) - 1) * sem(values))
    return mean, mean - half, mean + half, np.nan


def _share(right: float, asked: float, level: float) -> Row:
    from statsmodels.stats.proportion import proportion_confint

    if not asked:
        return _NONE
    low, high = proportion_confint(right, asked, alpha=1 - level, method="wilson")
    return right / asked, float(low), float(high), np.nan


def _pearson(x: Array, y: Array, level: float) -> Row:
    if _undefined(x, y):
        return _NONE
    found = pearsonr(x, y)
    low, high = found.confidence_interval(level)
    return float(found.statistic), float(low), float(high), float(found.pvalue)


def _spearman(x: Array, y: Array, level: float) -> Row:
    if _undefined(x, y):
        return _NONE
    rho, p_value = map(float, spearmanr(x, y))
    half = norm.ppf((1 + level) / 2) * np.sqrt((1 + rho**2 / 2) / (len(x) - 3))
    with np.errstate(divide="ignore"):
        z = np.arctanh(rho)
    return rho, float(np.tanh(z - half)), float(np.tanh(z + half)), p_value


def _undefined(x: Array, y: Array) -> bool:
    return len(x) < FEWEST_UNITS or np.ptp(x) == 0 or np.ptp(y) == 0


def _ceiling(
    counts: Counts,
    rows: NDArray[np.bool_],
    *,
    both_units: NDArray[np.intp],
    seed: int,
) -> list[tuple[str, float, float, float, float]]:
    use = rows & np.isin(counts.unit, both_units)
    n = counts.n_trials[use].astype("int64")
    right = np.repeat(counts.n_correct[use], n)
    within = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
    answers = pd.DataFrame(
        {
            "unit": np.repeat(counts.unit[use], n),
            "session_id": np.repeat(counts.session[use], n),
            "correct": within < right,
        }
    )
    n_splits = int(np.clip(ROWS_OF_SPLITS // max(len(answers), 1), 20, 200))
    found = split_half_ceiling(
        answers, n_splits=n_splits, rng=np.random.default_rng(seed)
    )
    values = {"reliability": found.reliability, "noise_ceiling": found.correlation}
    return [
        (name, np.nan if value is None else value, np.nan, np.nan, np.nan)
        for name, value in values.items()
    ]


def _with_disattenuated(table: pd.DataFrame) -> pd.DataFrame:
    value = table.set_index("number")["estimate"]
    row = {
        "number": "pearson_without_noise",
        "estimate": value["pearson"] / value["noise_ceiling"],
    }
    return pd.concat([table, pd.DataFrame([row])], ignore_index=True)


def _groups(
    his: Array, group: NDArray[np.object_], level: float
) -> list[tuple[str, float, float, float, float]]:
    """Return Kruskal–Wallis and each pair's difference with Conover's Holm p."""
    named = pd.notna(group)
    names = group_order(pd.Series(group[named], dtype="object"))
    samples = {name: his[group == name] for name in names}
    tested = {name: own for name, own in samples.items() if len(own) > 1}
    if len(names) < 2:
        return []
    pairs = list(combinations(names, 2))
    p_values = dict.fromkeys(pairs, np.nan)
    omnibus = _NONE
    values = np.concatenate(list(tested.values()) or [np.empty(0)])
    if len(tested) > 1 and np.ptp(values) > 0:
        statistic, p_value = map(float, kruskal(*tested.values()))
        omnibus = (statistic, np.nan, np.nan, p_value)
        p_values |= _holm(tested)
    rows = [("kruskal_wallis_h", *omnibus)]
    for pair in pairs:
        a, b = (samples[name] for name in pair)
        difference = _welch(a, b, level)
        rows.append((f"{pair[0]} − {pair[1]}", *difference, p_values[pair]))
    return rows


def _holm(tested: Mapping[str, Array]) -> dict[tuple[str, str], float]:
    table = pd.DataFrame(
        [(name, value) for name, own in tested.items() for value in own],
        columns=["group", "his"],
    )
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        matrix = posthoc_conover(table, val_col="his", group_col="group")
    pairs = list(combinations(tested, 2))
    raw = [float(matrix.loc[pair]) for pair in pairs]
    return dict(zip(pairs, multicomp(raw, method="holm")[1], strict=True))


def _welch(a: Array, b: Array, level: float) -> tuple[float, float, float]:
    if not (len(a) and len(b)):
        return np.nan, np.nan, np.nan
    difference = float(a.mean() - b.mean())
    if len(a) < 2 or len(b) < 2:
        return difference, np.nan, np.nan
    parts = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
    if parts.sum() == 0:
        return difference, difference, difference
    df = parts.sum() ** 2 / (parts**2 / [len(a) - 1, len(b) - 1]).sum()
    half = float(t.ppf((1 + level) / 2, df) * np.sqrt(parts.sum()))
    return difference, difference - half, difference + half
