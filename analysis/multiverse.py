"""Every reported number under every reasonable set of exclusion criteria."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pingouin import multicomp
from scikit_posthocs import posthoc_conover
from scipy.stats import kruskal, norm, pearsonr, sem, spearmanr, t

from analysis.comparison import SIGNIFICANCE_LEVEL, group_order
from analysis.correlation import FEWEST_UNITS
from analysis.criteria_sets import CriteriaSet, criteria_sets
from analysis.inclusion import CRITERION_WORDS, Inclusion
from analysis.noise_ceiling import split_half_ceiling
from data.exclusion import CRITERIA, IMI, ExclusionCriteria, judged_again

Array = NDArray[np.float64]


ROWS_OF_SPLITS = 1_000_000


@dataclass(frozen=True, eq=False, kw_only=True)
class Multiverse:
    """What becomes of the numbers and conclusions when other sessions count.

    Attributes
    ----------
    sets : DataFrame
        One row a distinct outcome, the reported one first: 'set' (from 0), 'label',
        'n_sets' (sets of criteria that leave the same sessions), 'n_sessions',
        'n_answers', and for each criterion the share of these sets that have it on.
    numbers : DataFrame
        One row a distinct outcome and number: 'set', 'number', 'estimate', 'ci_low',
        'ci_high', 'p_value' (NaN where there is none).
    conclusions : DataFrame
        One row a conclusion: 'conclusion', 'number', 'reported' (whether it holds
        with the criteria that the report uses), 'n_alike', 'n_sets' (sets in which
        the conclusion is the reported one, of all that can tell), 'hangs_on' (in
        words; empty where the conclusion is the same in all).
    verdicts : DataFrame
        One row a distinct outcome and number: 'set', 'number', 'conclusion' (null
        where too little is left to tell).
    n_sets : int
        Sets of criteria that were tried.
    level : float
    """

    sets: pd.DataFrame = field(repr=False)
    numbers: pd.DataFrame = field(repr=False)
    conclusions: pd.DataFrame = field(repr=False)
    verdicts: pd.DataFrame = field(repr=False)
    n_sets: int
    level: float


def multiverse(
    inclusion: Inclusion,
    answers: pd.DataFrame,
    units: pd.DataFrame,
    *,
    criteria: ExclusionCriteria,
    seed: int,
    level: float = 0.95,
) -> Multiverse:
    """Compute the report's numbers for every reasonable set of criteria.

    Parameters
    ----------
    inclusion : Inclusion
        With the values that sessions were judged by.
    answers : DataFrame
        Main trials of all complete sessions, excluded ones too, in the condition of
        the report: 'session_id', 'unit', 'correct'.
    units : DataFrame
        'unit', 'mis' (NaN where there is none), 'group' (null where there is none).
    criteria : ExclusionCriteria
        The reported ones.

    Notes
    -----
    Intervals are those of theory, not of resamples: Student's t over units for HIS
    and for differences (Welch), Fisher's z for correlations.
    """
    sets = criteria_sets(criteria)
    sessions = list(inclusion.judged["session_id"].unique())
    kept = _kept_sessions(inclusion.judged, sessions, sets)
    outcomes, place = np.unique(kept, axis=0, return_inverse=True)
    place = place.ravel()
    order = _by_first(place)
    place = np.argsort(order)[place]
    counts = _Counts.of(answers, sessions)
    known = units.set_index("unit").reindex(counts.units)
    numbers = pd.concat(
        [
            _numbers(counts, outcomes[one], known, seed, level).assign(set=number)
            for number, one in enumerate(order)
        ],
        ignore_index=True,
    )
    table = _set_table(sets, place, outcomes[order], counts)
    verdicts = _all_verdicts(numbers)
    return Multiverse(
        sets=table,
        numbers=numbers[["set", "number", "estimate", "ci_low", "ci_high", "p_value"]],
        conclusions=_conclusions(verdicts, sets, place),
        verdicts=verdicts,
        n_sets=len(sets),
        level=level,
    )


def _by_first(place: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the outcomes in the order in which sets first give them."""
    _, first = np.unique(place, return_index=True)
    return np.argsort(first)


def _kept_sessions(
    judged: pd.DataFrame, sessions: Sequence[str], sets: Sequence[CriteriaSet]
) -> NDArray[np.bool_]:
    """Return (n_sets, n_sessions): whether the session counts."""
    by_name = dict(iter(judged.groupby("criterion")))
    broken: dict[tuple[str, tuple[tuple[str, Any], ...]], NDArray[np.bool_]] = {}
    for one in sets:
        for setting in one.settings:
            if setting not in broken:
                name, own = setting
                table = by_name[name].set_index("session_id").loc[list(sessions)]
                again = judged_again(table.reset_index(), replace(IMI, **dict(own)))
                broken[setting] = again.to_numpy(dtype="bool")
    nobody = np.zeros(len(sessions), dtype="bool")
    return np.array(
        [
            ~np.logical_or.reduce([broken[own] for own in one.settings] or [nobody])
            for one in sets
        ]
    )


@dataclass(frozen=True, eq=False)
class _Counts:
    """Answers by session and unit, counted once for all sets."""

    session: NDArray[np.intp]
    unit: NDArray[np.intp]
    n_correct: Array
    n_trials: Array
    units: tuple[str, ...]

    @classmethod
    def of(cls, answers: pd.DataFrame, sessions: Sequence[str]) -> "_Counts":
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


def _numbers(
    counts: _Counts,
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
    counts: _Counts,
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


def _set_table(
    sets: Sequence[CriteriaSet],
    place: NDArray[np.intp],
    outcomes: NDArray[np.bool_],
    counts: _Counts,
) -> pd.DataFrame:
    rows = []
    for number, kept in enumerate(outcomes):
        own = [one for one, at in zip(sets, place, strict=True) if at == number]
        n_answers = int(counts.n_trials[kept[counts.session]].sum())
        on = {name: np.mean([name in one.names for one in own]) for name in CRITERIA}
        rows.append(
            {
                "set": number,
                "label": own[0].label,
                "n_sets": len(own),
                "n_sessions": int(kept.sum()),
                "n_answers": n_answers,
                **on,
            }
        )
    return pd.DataFrame(rows)


def _all_verdicts(numbers: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for name, own in numbers.groupby("number", sort=False):
        said = _verdicts(str(name), own)
        if said is not None:
            parts.append(own[["set", "number"]].assign(conclusion=said))
    return pd.concat(parts, ignore_index=True)


def _conclusions(
    verdicts: pd.DataFrame, sets: Sequence[CriteriaSet], place: NDArray[np.intp]
) -> pd.DataFrame:
    """Compare each conclusion of each set with the reported one."""
    rows = []
    for name, own in verdicts.groupby("number", sort=False):
        by_set = own.set_index("set")["conclusion"]
        of_sets = by_set.reindex(list(place))
        reported = of_sets.iloc[0]
        if pd.isna(reported):
            continue
        known = of_sets.notna().to_numpy()
        alike = (of_sets == reported).to_numpy() & known
        rows.append(
            {
                "conclusion": reported,
                "number": name,
                "n_alike": int(alike.sum()),
                "n_sets": int(known.sum()),
                "hangs_on": _hangs_on(sets, alike, known),
            }
        )
    columns = ["conclusion", "number", "n_alike", "n_sets", "hangs_on"]
    return pd.DataFrame(rows, columns=columns)


def _verdicts(name: str, own: pd.DataFrame) -> pd.Series | None:
    """Return each outcome's conclusion in words; None where a number has none."""
    low, high, p_value = own["ci_low"], own["ci_high"], own["p_value"]
    if name in {"pearson", "spearman"}:
        label = {"pearson": "Pearson r", "spearman": "Spearman rho"}[name]
        return _side(
            low,
            high,
            f"{label} of MIS and HIS is above 0",
            f"{label} is below 0",
            f"{label} of MIS and HIS may be 0",
        )
    if name == "his":
        shifted = (low - 0.5, high - 0.5)
        return _side(
            *shifted, "HIS is above chance", "HIS is below chance", "HIS may be chance"
        )
    if name == "kruskal_wallis_h":
        said = np.where(
            p_value < SIGNIFICANCE_LEVEL, "the groups differ", "no difference shown"
        )
        return pd.Series(said, own.index, dtype="object").where(p_value.notna())
    if " − " in name:
        a, b = name.split(" − ")
        sure = p_value < SIGNIFICANCE_LEVEL
        said = np.where(own["estimate"] > 0, f"{a} is above {b}", f"{a} is below {b}")
        said = np.where(sure, said, f"{a} and {b}: no difference shown")
        return pd.Series(said, own.index, dtype="object").where(p_value.notna())
    return None


def _side(
    low: pd.Series, high: pd.Series, above: str, below: str, between: str
) -> pd.Series:
    said = np.where(low > 0, above, np.where(high < 0, below, between))
    return pd.Series(said, low.index, dtype="object").where(low.notna())


def _hangs_on(
    sets: Sequence[CriteriaSet], alike: NDArray[np.bool_], known: NDArray[np.bool_]
) -> str:
    """Name the criteria that change the conclusion when nothing else is changed."""
    if alike[known].all():
        return ""
    place = {one.settings: number for number, one in enumerate(sets)}
    changed: dict[str, list[bool]] = {}
    for number, one in enumerate(sets):
        for setting in one.settings:
            without = tuple(own for own in one.settings if own != setting)
            other = place.get(without)
            if other is not None and known[number] and known[other]:
                pair = bool(alike[number] != alike[other])
                changed.setdefault(setting[0], []).append(pair)
    said = [
        f"{CRITERION_WORDS[name]} (with or without it the conclusion differs in"
        f" {sum(pairs)} of {len(pairs)} comparisons)"
        for name, pairs in sorted(changed.items(), key=lambda own: -np.mean(own[1]))
        if any(pairs)
    ]
    if said:
        return "; ".join(said)
    labels = [
        one.label
        for one, same, told in zip(sets, alike, known, strict=True)
        if told and not same
    ]
    return f"the threshold alone ({'; '.join(labels)})"
