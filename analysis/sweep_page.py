"""The report of a sweep as a page that needs nothing but itself, and as a folder."""

from pathlib import Path

import pandas as pd

from analysis.blocks import Section
from analysis.citations import references
from analysis.page import figure_values, render, svg_of, write_page, write_table
from analysis.report import section_lines
from analysis.sweep import SweepFindings
from analysis.wording import counted
from data.files import whole_folder
from data.formats import Header, software_versions, write_header

SOFTWARE = ("numpy", "pandas", "scipy", "scikit-posthocs", "matplotlib")


def summary(found: SweepFindings) -> str:
    """Return what the sweep holds, in a sentence."""
    n_units, n_scored = len(found.units), int(found.units["mis"].notna().sum())
    failed = (found.failed["status"] == "failed").sum()
    pending = (found.failed["status"] == "pending").sum()
    return (
        f"{counted(len(found.networks), 'network')} with {counted(n_units, 'unit')},"
        f" {n_scored:,} of them scored; {failed} failed, {pending} pending."
    )


def sweep_text(found: SweepFindings, sections: tuple[Section, ...]) -> str:
    """Return the report for a terminal."""
    lines = [summary(found), ""]
    for section in sections:
        if section.brief:
            lines += [*section_lines(section), ""]
    return "\n".join(lines)


def write_sweep_report(
    folder: Path,
    found: SweepFindings,
    sections: tuple[Section, ...],
    *,
    sweep: Header,
    seed: int,
    drop_ends: bool,
) -> None:
    """Write ``report.html``, ``.txt`` and ``.json``, and ``figures/`` with their data.

    Parameters
    ----------
    sweep : Header
        Of the sweep.
    """
    drawn = {k: one for section in sections for k, one in section.figures.items()}
    svgs = {name: svg_of(one.figure) for name, one in drawn.items()}
    methods = _methods(sections, sweep, drop_ends)
    page = render(
        "sweep.html.j2",
        notice=None,
        title=f"A sweep of {counted(len(found.networks), 'network')}",
        summary=summary(found),
        sections=sections,
        methods=methods,
        references=references(methods),
        **figure_values(drawn, svgs),
    )
    header = Header(
        format="sweep-report",
        version=1,
        config={"drop_ends": drop_ends, "sweep": dict(sweep.config)},
        seed=seed,
        made_from=dict(sweep.made_from),
        software=software_versions(*SOFTWARE),
    )
    numbers = {section.name: dict(section.numbers) for section in sections}
    with whole_folder(folder) as part:
        write_header(part / "report.json", header, numbers=numbers, methods=methods)
        write_page(part, page, sweep_text(found, sections), drawn, svgs)
        write_table(part / "networks.csv", pd.DataFrame(found.networks))


def _methods(sections: tuple[Section, ...], sweep: Header, drop_ends: bool) -> str:
    config = sweep.config
    ends = (
        "The first and the last recorded layer of each network were left out."
        if drop_ends
        else "All recorded layers count, the first and the last too."
    )
    said = [
        f"Every unit has {config['n_tasks']} tasks with"
        f" {config['n_explanations']} explanations of each polarity, scored with"
        f" {config['encoder']}. {ends} Relative depth is a layer’s place in the order"
        " in which the network defines its layers.",
        *(section.methods for section in sections),
    ]
    return " ".join(one for one in said if one)
