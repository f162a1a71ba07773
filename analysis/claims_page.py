"""The report of claims: a table of verdicts, and what the numbers come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.blocks import Drawn, Section, Table
from analysis.citations import references
from analysis.claims import Claim
from analysis.claims_report import (
    CLAIM_HEADER,
    claim_lines,
    claim_rows,
    claim_sources,
    claims_json,
    studies,
    verdict_sentence,
)
from analysis.page import figure_values, render, svg_of, write_page, write_report
from analysis.report import Report, section_lines
from data.files import whole_folder
from data.formats import Header, software_versions, write_header

SOFTWARE = ("numpy", "pandas", "scipy", "statsmodels", "scikit-posthocs", "matplotlib")


@dataclass(frozen=True, eq=False, kw_only=True)
class ClaimsReport:
    """Claims with their verdicts, and the studies that they are about.

    Attributes
    ----------
    claims : tuple of Claim
    sections : tuple of Section
    reports : mapping of str to Report
        Name of its folder to the whole report of a study, where its answers are
        given.
    inputs : mapping of str to str
        Kind of input to its path.
    made_from : mapping of str to str
        Kind of input to its fingerprint.
    seed : int
    """

    claims: tuple[Claim, ...]
    sections: tuple[Section, ...]
    reports: Mapping[str, Report]
    inputs: Mapping[str, str]
    made_from: Mapping[str, str]
    seed: int
    software: Mapping[str, str] = field(
        default_factory=lambda: software_versions(*SOFTWARE)
    )

    @property
    def methods(self) -> str:
        """The methods in words."""
        said = [
            "Ours is computed from the data that ship or were given, by the functions"
            " that any study is analysed with; a claim is reproduced where ours lies"
            " within the tolerance of the published number.",
            *(section.methods for section in self.sections),
            f"Seed {self.seed}.",
            ", ".join(" ".join(one) for one in self.software.items()) + ".",
        ]
        return " ".join(one for one in said if one)


def claims_text(report: ClaimsReport) -> str:
    """Return the report for a terminal: the studies, then the claims."""
    lines: list[str] = []
    for section in report.sections:
        lines += [*section_lines(section), ""]
    return "\n".join([*lines, *claim_lines(report.claims)]) + "\n"


def claims_content(report: ClaimsReport) -> dict[str, Any]:
    """Return the JSON values of the report."""
    return {
        "claims": claims_json(report.claims),
        "summary": verdict_sentence(report.claims),
        "methods": report.methods,
        "inputs": dict(report.inputs),
        **{section.name: dict(section.numbers) for section in report.sections},
    }


def write_claims_json(path: Path, report: ClaimsReport) -> None:
    """Write the JSON with its header, whole or not at all."""
    header = Header(
        format="claims",
        version=2,
        config={},
        seed=report.seed,
        made_from=report.made_from,
        software=report.software,
    )
    write_header(path, header, **claims_content(report))


def write_claims_report(folder: Path, report: ClaimsReport) -> None:
    """Write the page, its text, its numbers and figures, and the studies' reports."""
    drawn = {
        name: one
        for section in report.sections
        for name, one in section.figures.items()
    }
    svgs = {name: svg_of(one.figure) for name, one in drawn.items()}
    page = claims_html(report, drawn, svgs)
    with whole_folder(folder) as part:
        write_claims_json(part / "claims.json", report)
        write_page(part, page, claims_text(report), drawn, svgs)
        for name, one in report.reports.items():
            write_report(part / name, one)


def claims_html(
    report: ClaimsReport, drawn: Mapping[str, Drawn], svgs: Mapping[str, str]
) -> str:
    """Return the page."""
    return render(
        "claims.html.j2",
        notice=None,
        summary=verdict_sentence(report.claims),
        claims=claim_tables(report.claims),
        sources=claim_sources(report.claims),
        sections=report.sections,
        studies=[
            (name, one.agreement.condition.capitalize())
            for name, one in report.reports.items()
        ],
        methods=report.methods,
        references=references(report.methods),
        **figure_values(drawn, svgs),
    )


def claim_tables(claims: Sequence[Claim]) -> list[tuple[str, Table]]:
    """Return each study with its claims."""
    rows = list(zip(claims, claim_rows(claims), strict=True))
    return [
        (
            study,
            Table(
                header=CLAIM_HEADER,
                rows=tuple(row for claim, row in rows if claim.study == study),
            ),
        )
        for study in studies(claims)
    ]
