"""A report as one page that needs nothing but itself, and as a folder."""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from analysis import plots, wording
from analysis.blocks import Drawn, records, shown
from analysis.citations import references
from analysis.figures import core_figures
from analysis.inclusion import CRITERION_WORDS
from analysis.report import (
    Report,
    check_rows,
    group_rows,
    text_report,
    write_json_report,
)
from data.files import whole_folder

TEMPLATES = Path(__file__).with_name("templates")


def write_report(folder: Path, report: Report) -> None:
    """Write the page, its text and its numbers, and every figure with its data.

    The folder holds ``report.html``, ``report.txt`` (what the command prints),
    ``report.json``, ``units.csv``, and ``figures/`` with an SVG and a CSV each.
    """
    drawn = figures(report)
    svgs = {name: svg_of(one.figure) for name, one in drawn.items()}
    page = html_report(report, drawn, svgs)
    with whole_folder(folder) as part:
        write_json_report(part / "report.json", report)
        write_page(part, page, text_report(report), drawn, svgs)
        write_table(part / "units.csv", report.agreement.units)


def write_page(
    part: Path,
    page: str,
    text: str,
    drawn: Mapping[str, Drawn],
    svgs: Mapping[str, str],
) -> None:
    """Write a page, its text and its figures into a folder that is being filled."""
    (part / "report.html").write_text(page, encoding="utf-8")
    (part / "report.txt").write_text(text, encoding="utf-8")
    (part / "figures").mkdir()
    for name, one in drawn.items():
        (part / "figures" / f"{name}.svg").write_text(svgs[name], encoding="utf-8")
        write_table(part / "figures" / f"{name}.csv", one.data)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV."""
    table.to_csv(path, index=False, lineterminator="\n")


def figures(report: Report) -> dict[str, Drawn]:
    """Draw every figure that the results allow."""
    drawn = core_figures(report.agreement, report.calibration)
    for section in report.sections:
        drawn |= section.figures
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


def html_report(
    report: Report, drawn: Mapping[str, Drawn], svgs: Mapping[str, str]
) -> str:
    """Return one page that needs nothing but itself."""
    found = report.agreement
    return render(
        "report.html.j2",
        notice=found.inclusion.simulated_notice,
        condition=found.condition,
        summary=wording.summary(found),
        headline=wording.headline(found),
        checks=check_rows(report.checks),
        **figure_values(drawn, svgs),
        sections=report.sections,
        group_rows=group_rows(found),
        omnibus=wording.omnibus(found.groups) if found.groups else "",
        pairs=wording.pair_sentences(found.groups) if found.groups else [],
        funnel=wording.funnel_sentences(found),
        criteria=records(found.inclusion.criteria),
        criterion_words=CRITERION_WORDS,
        excluded=records(_with_words(found.inclusion.excluded)),
        units=records(found.units.sort_values(["his", "unit"], ascending=False)),
        has_groups=bool(found.units["group"].notna().any()),
        warnings=wording.warnings_of(found),
        methods=report.methods,
        references=references(report.methods),
        limits=wording.limits(found),
        inputs=report.inputs,
        made_from=report.made_from,
    )


def figure_values(
    drawn: Mapping[str, Drawn], svgs: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the templates need to show figures and the data behind them."""
    return {
        "figures": {name: _inline(svg, name) for name, svg in svgs.items()},
        "drawn": drawn,
        "behind": {name: shown(one.data) for name, one in drawn.items()},
    }


def _with_words(excluded: pd.DataFrame) -> pd.DataFrame:
    words = [
        ", ".join(CRITERION_WORDS[name] for name in names.split(", "))
        for names in excluded["criteria"]
    ]
    return excluded.assign(criteria=words)


def render(template: str, **values: Any) -> str:
    """Return a page from a template; names are escaped, a missing value fails."""
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
