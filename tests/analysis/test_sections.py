"""Every section of a report on small studies, also those where there is little."""

import re

import numpy as np
import pytest

from analysis.agreement import agreement
from analysis.citations import REFERENCES, references
from analysis.page import figures, write_report
from analysis.report import Report, json_report, text_report
from analysis.study import study_sections
from data.exclusion import IMI
from data.files import write_json
from tests.analysis.toy import toy_responses, toy_scores, toy_units

UNITS = toy_units(24)
TRUTH = dict(zip(UNITS, np.linspace(0.55, 0.97, 24), strict=True))
GROUPS = dict(
    zip(UNITS, ["hardest"] * 8 + ["random"] * 8 + ["easiest"] * 8, strict=True)
)


def reported(truth=TRUTH, *, n_sessions=14, groups=None, others=None):
    toy = toy_responses(
        truth,
        rng=np.random.default_rng(2),
        n_sessions=n_sessions,
        n_catch=12,
        groups=groups,
        simulated=False,
        sessions={0: {"catch": 0.2}},
    )
    table = toy_scores(truth)
    found = agreement(toy, table, criteria=IMI, seed=0)
    sections = study_sections(
        toy, found, table, criteria=IMI, seed=0, others=others or {}
    )
    return Report(
        agreement=found,
        calibration=None,
        checks=(),
        machine=None,
        seed=0,
        criteria="imi",
        inputs={},
        made_from={},
        sections=sections,
    )


@pytest.fixture(scope="module")
def report():
    rng = np.random.default_rng(0)
    worse = toy_scores({unit: p + rng.normal(0, 0.01) for unit, p in TRUTH.items()})
    worse["mis"] = rng.uniform(0.5, 1, len(worse))
    return reported(groups=GROUPS, others={"good": toy_scores(TRUTH), "random": worse})


NAMES = [
    "agreement",
    "prediction",
    "score_comparison",
    "pairs",
    "contrast",
    "depth",
    "scores",
    "reliability",
    "sensitivity",
    "confidence",
    "response_times",
    "course",
    "mixed_model",
    "multiverse",
    "plan",
]


def test_a_report_answers_every_question(report):
    assert [section.name for section in report.sections] == NAMES


def test_every_section_has_words_or_a_table(report):
    for section in report.sections:
        assert section.said or section.tables
        for table in section.tables:
            assert all(len(row) == len(table.header) for row in table.rows)


def test_every_number_can_be_written_as_json(report, tmp_path):
    content = json_report(report)
    assert set(NAMES) <= set(content)
    write_json(tmp_path / "report.json", content)


def test_every_figure_has_the_data_behind_it_on_the_page_and_as_csv(report, tmp_path):
    folder = tmp_path / "report"
    write_report(folder, report)
    page = (folder / "report.html").read_text()
    drawn = figures(report)
    assert {"scatter", "groups", "depth", "confidence", "multiverse"} <= set(drawn)
    assert page.count("Data of this figure") == len(drawn)
    for name, one in drawn.items():
        assert len(one.data)
        lines = (folder / "figures" / f"{name}.csv").read_text().splitlines()
        assert len(lines) == len(one.data) + 1
        assert (folder / "figures" / f"{name}.svg").exists()
    assert (folder / "report.txt").read_text() == text_report(report)


def test_the_better_score_is_told(report):
    section = next(one for one in report.sections if one.name == "score_comparison")
    (row,) = section.tables[0].rows
    assert row[0] == "good and random"
    assert float(row[1]) > 0.8
    assert row[6] == "p < 0.001"


def test_the_family_of_tests_is_on_the_page(report):
    section = next(one for one in report.sections if one.name == "pairs")
    captions = [table.caption for table in section.tables]
    assert any("Declared family of 3 tests" in one for one in captions)


def test_what_the_methods_cite_is_listed_in_full(report):
    cited = references(report.methods)
    for short in ("Wilson (1927)", "Efron (1987)", "Holm (1979)", "Owen (2007)"):
        assert short in report.methods
        assert REFERENCES[short] in cited


@pytest.mark.parametrize(
    ("truth", "n_sessions"),
    [
        ({UNITS[0]: 0.8, UNITS[1]: 0.6}, 3),
        ({UNITS[0]: 0.8}, 2),
        (dict.fromkeys(UNITS[:6], 1.0), 4),
        (dict.fromkeys(UNITS[:6], 0.7), 4),
    ],
    ids=["two units", "one unit, one session", "all right", "a constant score"],
)
def test_too_little_is_said_instead_of_a_number(truth, n_sessions, tmp_path):
    report = reported(truth, n_sessions=n_sessions)
    write_report(tmp_path / "report", report)
    text = text_report(report)
    assert "nan" not in text
    assert not re.search(r"\bNone\b(?! of)", text)
    page = (tmp_path / "report/report.html").read_text()
    body = page[page.index("<body>") :]
    assert ">nan" not in body
    assert not re.search(r"\bNone\b(?! of)", body)
