"""A report in three forms from the same results: text, JSON and one HTML page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from analysis import wording
from analysis.agreement import Agreement
from analysis.blocks import Section, records
from analysis.calibration import Calibration
from analysis.citations import references
from analysis.wording import Check
from data.formats import Header, software_versions, write_header

SOFTWARE = ("numpy", "pandas", "scipy", "statsmodels", "scikit-posthocs", "matplotlib")


@dataclass(frozen=True, eq=False, kw_only=True)
class Report:
    """Results and what a reader needs to know about them.

    Attributes
    ----------
    agreement : Agreement
    calibration : Calibration or None
        None where the scores of single tasks are not known.
    checks : tuple of Check
        What was required, and whether it holds.
    machine : str or None
        What gave the scores, in words; None where they do not tell.
    seed : int
    criteria : str
        The exclusion criteria as the user named them.
    inputs : mapping of str to str
        Kind of input ('responses', 'scores', 'selection') to its path.
    made_from : mapping of str to str
        Kind of input to its fingerprint.
    sections : tuple of Section
        Further questions and their answers, in the order of the page.
    software : mapping of str to str
        Version of each package that the numbers depend on.
    """

    agreement: Agreement
    calibration: Calibration | None
    checks: tuple[Check, ...]
    machine: str | None
    seed: int
    criteria: str
    inputs: Mapping[str, str]
    made_from: Mapping[str, str]
    sections: tuple[Section, ...] = ()
    software: Mapping[str, str] = field(
        default_factory=lambda: software_versions(*SOFTWARE)
    )

    @property
    def holds(self) -> bool:
        """Whether everything that was required holds."""
        return all(check.holds for check in self.checks)

    @property
    def methods(self) -> str:
        """The methods in words."""
        return wording.methods(
            self.agreement,
            machine=self.machine,
            seed=self.seed,
            criteria=self.criteria,
            software=self.software,
            more=[section.methods for section in self.sections],
        )


def text_report(report: Report) -> str:
    """Return the report for a terminal; its first line says what is simulated."""
    found = report.agreement
    notice = found.inclusion.simulated_notice
    lines = [notice, ""] if notice else []
    lines += [wording.summary(found), ""]
    rows = [(r.label, r.value, r.interval, r.basis) for r in wording.headline(found)]
    lines += wording.text_table(rows, ("", "value", "95% interval", "basis"))
    if found.groups:
        lines += ["", *wording.text_table(group_rows(found), GROUP_HEADER)]
        lines += [wording.omnibus(found.groups)]
        lines += [f"  {sentence}" for sentence in wording.pair_sentences(found.groups)]
    lines += ["", *wording.funnel_sentences(found)]
    lines += [
        f"  {wording.counted(row['n_excluded'], 'session')}: {row['rule']}"
        for row in records(found.inclusion.criteria)
        if row["n_excluded"]
    ]
    for section in report.sections:
        if section.brief:
            lines += ["", *section_lines(section)]
    if report.checks:
        lines += ["", *wording.text_table(check_rows(report.checks), CHECK_HEADER)]
    return "\n".join(lines) + "\n"


def section_lines(section: Section) -> list[str]:
    """Return a section for a terminal."""
    lines = [section.title]
    for table in section.tables:
        lines += [f"  {line}" for line in wording.text_table(table.rows, table.header)]
    return lines + [f"  {sentence}" for sentence in section.said]


GROUP_HEADER = ("group", "units", "HIS", "95% interval", "MIS")
CHECK_HEADER = ("check", "value", "required", "verdict")


def group_rows(found: Agreement) -> list[tuple[str, ...]]:
    """Return one row a group: units, HIS with interval, and mean MIS beside it."""
    if found.groups is None:
        return []
    mis = found.units.groupby("group")["mis"].mean()
    return [
        (
            str(row["group"]),
            str(row["n_units"]),
            wording.number(row["his"]),
            wording.interval(row["ci_low"], row["ci_high"]),
            wording.number(mis[row["group"]]),
        )
        for _, row in found.groups.groups.iterrows()
    ]


def check_rows(checks: Sequence[Check]) -> list[tuple[str, ...]]:
    """Return one row a check."""
    return [
        (
            check.name,
            wording.number(check.value),
            f"at least {wording.number(check.required)}",
            "holds" if check.holds else "fell short",
        )
        for check in checks
    ]


def json_report(report: Report) -> dict[str, Any]:
    """Return every number of the report as JSON values; null where there is none."""
    found = report.agreement
    inclusion = found.inclusion
    return {
        "simulated": inclusion.simulated_notice,
        "n_sessions": inclusion.n_all,
        "n_simulated_sessions": inclusion.n_simulated,
        "n_test_runs": inclusion.n_test_runs,
        "n_counted_sessions": inclusion.n_sessions,
        "condition": found.condition,
        "summary": wording.summary(found),
        "his": asdict(found.score),
        "answers": records(found.answers)[0],
        "by_confidence": records(found.by_confidence),
        "correlations": [asdict(one) for one in found.correlations],
        "noise_ceiling": asdict(found.ceiling),
        "pearson_without_noise": found.disattenuated,
        "groups": _groups_json(found),
        "calibration": _calibration_json(report.calibration),
        "exclusion": {
            "funnel": records(inclusion.funnel),
            "criteria": records(inclusion.criteria),
            "excluded": records(inclusion.excluded),
            "judged": records(inclusion.judged),
        },
        "units": records(found.units),
        "units_without_score": list(found.without_score),
        "n_scores_without_answers": found.n_without_answers,
        "checks": [asdict(check) | {"holds": check.holds} for check in report.checks],
        "methods": report.methods,
        "references": references(report.methods),
        "limits": wording.limits(found),
        "inputs": dict(report.inputs),
        **{section.name: dict(section.numbers) for section in report.sections},
    }


def _groups_json(found: Agreement) -> dict[str, Any] | None:
    groups = found.groups
    if groups is None:
        return None
    return {
        "groups": records(groups.groups),
        "pairs": records(groups.pairs),
        "verdicts": wording.pair_sentences(groups),
        "kruskal_wallis_h": groups.statistic,
        "df": groups.df,
        "p_value": groups.p_value,
        "epsilon_squared": groups.epsilon_squared,
        "n_units": groups.n_units,
        "note": groups.note,
    }


def _calibration_json(found: Calibration | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "bins": records(found.bins),
        "brier_score": found.brier_score,
        "brier_of_mean": found.brier_of_mean,
        "n_tasks": found.n_tasks,
        "n_trials": found.n_trials,
    }


def write_json_report(path: Path, report: Report) -> None:
    """Write the JSON with its header, whole or not at all."""
    header = Header(
        format="report",
        version=1,
        config={"criteria": report.criteria},
        seed=report.seed,
        made_from=report.made_from,
        software=report.software,
    )
    write_header(path, header, **json_report(report))
