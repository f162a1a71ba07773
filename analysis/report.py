"""A report in three forms from the same results: text, JSON and one HTML page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from analysis import plots, wording
from analysis.agreement import Agreement
from analysis.calibration import Calibration
from analysis.wording import Check
from data.files import whole_folder
from data.formats import Header, software_versions, write_header

TEMPLATES = Path(__file__).with_name("templates")

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
        for row in _records(found.inclusion.criteria)
        if row["n_excluded"]
    ]
    if report.checks:
        lines += ["", *wording.text_table(check_rows(report.checks), CHECK_HEADER)]
    return "\n".join(lines) + "\n"


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
        "answers": _records(found.answers)[0],
        "by_confidence": _records(found.by_confidence),
        "correlations": [asdict(one) for one in found.correlations],
        "noise_ceiling": asdict(found.ceiling),
        "pearson_without_noise": found.disattenuated,
        "groups": _groups_json(found),
        "calibration": _calibration_json(report.calibration),
        "exclusion": {
            "funnel": _records(inclusion.funnel),
            "criteria": _records(inclusion.criteria),
            "excluded": _records(inclusion.excluded),
            "judged": _records(inclusion.judged),
        },
        "units": _records(found.units),
        "units_without_score": list(found.without_score),
        "n_scores_without_answers": found.n_without_answers,
        "checks": [asdict(check) | {"holds": check.holds} for check in report.checks],
        "methods": report.methods,
        "limits": wording.limits(found),
        "inputs": dict(report.inputs),
    }


def _groups_json(found: Agreement) -> dict[str, Any] | None:
    groups = found.groups
    if groups is None:
        return None
    return {
        "groups": _records(groups.groups),
        "pairs": _records(groups.pairs),
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
        "bins": _records(found.bins),
        "brier_score": found.brier_score,
        "brier_of_mean": found.brier_of_mean,
        "n_tasks": found.n_tasks,
        "n_trials": found.n_trials,
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows with plain values; null for what is missing."""
    plain = table.astype(object).where(table.notna(), None)
    return [
        {str(name): _plain(value) for name, value in row.items()}
        for row in plain.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


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


def write_report(folder: Path, report: Report) -> None:
    """Write ``report.html``, ``.txt`` and ``.json``, ``units.csv`` and ``figures/``."""
    drawn = figures(report)
    svgs = {name: svg_of(figure) for name, figure in drawn.items()}
    with whole_folder(folder) as part:
        write_json_report(part / "report.json", report)
        (part / "report.txt").write_text(text_report(report), encoding="utf-8")
        page = html_report(report, svgs)
        (part / "report.html").write_text(page, encoding="utf-8")
        report.agreement.units.to_csv(
            part / "units.csv", index=False, lineterminator="\n"
        )
        (part / "figures").mkdir()
        for name, svg in svgs.items():
            (part / "figures" / f"{name}.svg").write_text(svg, encoding="utf-8")


def figures(report: Report) -> dict[str, Figure]:
    """Draw every figure that the results allow."""
    found = report.agreement
    simulated = found.inclusion.n_simulated > 0
    drawn = {"scatter": plots.scatter_figure(found.units, simulated=simulated)}
    if found.groups is not None:
        drawn["groups"] = plots.groups_figure(
            found.units, found.groups, simulated=simulated
        )
    if report.calibration is not None:
        drawn["calibration"] = plots.calibration_figure(
            report.calibration, simulated=simulated
        )
    drawn["funnel"] = plots.funnel_figure(found.inclusion)
    return drawn


def svg_of(figure: Figure) -> str:
    """Return a figure as SVG; the same figure gives the same text."""
    text = StringIO()
    with plots.style():
        figure.savefig(
            text,
            format="svg",
            metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
        )
    return text.getvalue()


def html_report(report: Report, svgs: Mapping[str, str]) -> str:
    """Return one page that needs nothing but itself."""
    found = report.agreement
    return _page(
        "report.html.j2",
        notice=found.inclusion.simulated_notice,
        condition=found.condition,
        summary=wording.summary(found),
        headline=wording.headline(found),
        checks=check_rows(report.checks),
        figures={name: _inline(svg, name) for name, svg in svgs.items()},
        group_rows=group_rows(found),
        omnibus=wording.omnibus(found.groups) if found.groups else "",
        pairs=wording.pair_sentences(found.groups) if found.groups else [],
        calibration=report.calibration,
        funnel=wording.funnel_sentences(found),
        criteria=_records(found.inclusion.criteria),
        criterion_words=wording.CRITERION_WORDS,
        excluded=_records(_with_words(found.inclusion.excluded)),
        confidence=_records(found.by_confidence),
        units=_records(found.units.sort_values(["his", "unit"], ascending=False)),
        has_groups=bool(found.units["group"].notna().any()),
        warnings=wording.warnings_of(found),
        methods=report.methods,
        limits=wording.limits(found),
        inputs=report.inputs,
        made_from=report.made_from,
    )


def _with_words(excluded: pd.DataFrame) -> pd.DataFrame:
    words = [
        ", ".join(wording.CRITERION_WORDS[name] for name in names.split(", "))
        for names in excluded["criteria"]
    ]
    return excluded.assign(criteria=words)


def _page(template: str, **values: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=wording.number, interval=wording.interval, counted=wording.counted
    )
    return environment.get_template(template).render(**values)


def _inline(svg: str, name: str) -> Markup:
    """Return the SVG's element alone, with ids that no other figure has."""
    element = svg[svg.index("<svg") :]
    for attribute in ('id="', 'href="#', "url(#"):
        element = element.replace(attribute, f"{attribute}{name}-")
    # Drawn by this program from numbers and names that matplotlib escapes.
    return Markup(element)
