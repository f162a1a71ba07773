"""The reasonable sets of exclusion criteria around the one that a report uses."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from analysis.inclusion import CRITERION_WORDS, criterion_rule
from data.exclusion import CRITERIA, IMI, ExclusionCriteria

FIELDS: Mapping[str, tuple[str, ...]] = {
    "demo_trials": ("max_practice_rounds",),
    "catch_trials": ("min_catch_share",),
    "total_response_time": ("min_total_time_s", "max_total_time_s"),
    "row_variability": ("min_row_answers",),
    "instruction_time": ("min_instruction_time_s",),
    "instructed_trials": ("min_instructed_share",),
    "focus": ("max_focus_losses",),
    "median_response_time": ("min_median_rt_ms",),
    "participation": ("single_participation",),
}
"""The thresholds of each criterion."""

OTHER_SETTINGS: Mapping[str, tuple[Mapping[str, float], ...]] = {
    "demo_trials": ({"max_practice_rounds": 1}, {"max_practice_rounds": 5}),
    "catch_trials": ({"min_catch_share": 0.6}, {"min_catch_share": 1.0}),
    "total_response_time": (
        {"min_total_time_s": 90, "max_total_time_s": 3600},
        {"min_total_time_s": 200, "max_total_time_s": 1800},
    ),
    "row_variability": ({"min_row_answers": 1}, {"min_row_answers": 10}),
    "instruction_time": (
        {"min_instruction_time_s": 5},
        {"min_instruction_time_s": 30},
    ),
    "instructed_trials": ({"min_instructed_share": 0.5}, {"min_instructed_share": 1}),
    "focus": ({"max_focus_losses": 10}, {"max_focus_losses": 3}),
    "median_response_time": ({"min_median_rt_ms": 500}, {"min_median_rt_ms": 1000}),
}
"""Laxer and stricter thresholds that studies of this kind have used or could use."""


@dataclass(frozen=True, kw_only=True)
class CriteriaSet:
    """One set of criteria: how each is set, in words, and which are on.

    Attributes
    ----------
    label : str
    settings : tuple of str and mapping
        Name of each criterion and its thresholds; what is not named is off.
    """

    label: str
    settings: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]

    @property
    def names(self) -> frozenset[str]:
        """Which criteria are on."""
        return frozenset(name for name, _ in self.settings)


def criteria_sets(base: ExclusionCriteria) -> list[CriteriaSet]:
    """Return the reasonable sets around the reported one, which comes first.

    Notes
    -----
    All combinations of the criteria that the report or IMI uses, each on or off; the
    reported set with one threshold laxer or stricter; and the reported set with one
    of the other criteria added, or all of them.
    """
    reported = {name: _own(name, base) for name in CRITERIA if _is_on(name, base)}
    usual = {
        name: reported.get(name, _own(name, IMI))
        for name in CRITERIA
        if _is_on(name, base) or _is_on(name, IMI)
    }
    others = [name for name in CRITERIA if name not in usual]
    found = [_set("as reported", reported)]
    for on in product((True, False), repeat=len(usual)):
        kept = {
            name: own for (name, own), on in zip(usual.items(), on, strict=True) if on
        }
        found.append(_set(_kept_label(kept, usual), kept))
    for name in reported:
        for other in OTHER_SETTINGS.get(name, ()):
            found.append(_set(_threshold_label(name, other), reported | {name: other}))
    added = {name: OTHER_SETTINGS[name][0] for name in others}
    for name, own in added.items():
        label = f"also {_threshold_label(name, own)}"
        found.append(_set(label, reported | {name: own}))
    if len(added) > 1:
        found.append(_set("all criteria", usual | added))
    unique = {one.settings: one for one in reversed(found)}
    return [one for one in found if unique.get(one.settings) is one]


def _set(label: str, settings: Mapping[str, Mapping[str, Any]]) -> CriteriaSet:
    ordered = [name for name in CRITERIA if name in settings]
    return CriteriaSet(
        label=label,
        settings=tuple((name, tuple(settings[name].items())) for name in ordered),
    )


def _own(name: str, criteria: ExclusionCriteria) -> dict[str, Any]:
    return {one: getattr(criteria, one) for one in FIELDS[name]}


def _is_on(name: str, criteria: ExclusionCriteria) -> bool:
    return criterion_rule(name, criteria) is not None


def _kept_label(kept: Mapping[str, object], usual: Mapping[str, object]) -> str:
    off = [name for name in usual if name not in kept]
    if not off:
        return "all usual criteria"
    if not kept:
        return "no criterion"
    if len(kept) <= len(off):
        return "only " + _words(kept)
    return "without " + _words(off)


def _threshold_label(name: str, own: Mapping[str, Any]) -> str:
    rule = criterion_rule(name, replace(IMI, **own))
    return f"{CRITERION_WORDS[name]}: {rule}"


def _words(names: Iterable[str]) -> str:
    return ", ".join(CRITERION_WORDS[name] for name in names)
