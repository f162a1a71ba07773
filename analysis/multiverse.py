"""Every reported number under every reasonable set of exclusion criteria."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.comparison import SIGNIFICANCE_LEVEL
from analysis.criteria_sets import CriteriaSet, criteria_sets
from analysis.inclusion import CRITERION_WORDS, Inclusion
from analysis.multiverse_numbers import Counts, report_numbers
from data.exclusion import CRITERIA, IMI, ExclusionCriteria, judged_again

Array = NDArray[np.float64]


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
    counts = Counts.of(answers, sessions)
    known = units.set_index("unit").reindex(counts.units)
    numbers = pd.concat(
        [
            report_numbers(counts, outcomes[one], known, seed, level).assign(set=number)
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


def _set_table(
    sets: Sequence[CriteriaSet],
    place: NDArray[np.intp],
    outcomes: NDArray[np.bool_],
    counts: Counts,
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
