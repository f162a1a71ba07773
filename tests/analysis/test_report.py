import json
import re
from dataclasses import replace

import numpy as np
import pytest

from analysis.agreement import agreement
from analysis.calibration import calibration
from analysis.inclusion import NO_CRITERIA
from analysis.page import figures, html_report, svg_of, write_report
from analysis.report import Report, json_report, text_report, write_json_report
from analysis.wording import Check
from data.errors import DataContractError
from data.exclusion import IMI
from data.formats import read_header
from tests.analysis.toy import toy_responses, toy_scores, toy_units

UNITS = toy_units(9)
MIS = dict(zip(UNITS, np.linspace(0.97, 0.5, 9), strict=True))
GROUPS = dict(zip(UNITS, ["a"] * 3 + ["b <i>&"] * 3 + ["c"] * 3, strict=True))


def reported(*, simulated=True, mis=MIS, groups=GROUPS, checks=(), criteria=IMI):
    rng = np.random.default_rng(1)
    toy = toy_responses(
        MIS,
        rng=rng,
        n_sessions=12,
        groups=groups,
        simulated=simulated,
        sessions={0: {"catch": 0.2}, 1: {"status": "withdrawn"}},
    )
    found = agreement(toy, toy_scores(mis), criteria=criteria, seed=0)
    tasks = found.inclusion.main[["task_id"]].drop_duplicates()
    tasks = tasks.assign(probability=rng.uniform(0.5, 1, len(tasks)))
    return Report(
        agreement=found,
        calibration=calibration(found.inclusion.main, tasks),
        checks=tuple(checks),
        machine=None,
        seed=0,
        criteria="imi",
        inputs={"responses": "export"},
        made_from={"responses": "0" * 64},
    )


@pytest.fixture(scope="module")
def report():
    return reported()


@pytest.fixture(scope="module")
def written(report, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written") / "report"
    write_report(folder, report)
    return folder


def body_of(folder):
    page = (folder / "report.html").read_text()
    return re.sub(r"\s+", " ", page[page.index("<body>") :])


NOTICE = "SIMULATED: 12 of 12 sessions were answered by programs, not people."


def test_the_first_line_of_each_form_says_what_is_simulated(report, written):
    assert text_report(report).splitlines()[0] == NOTICE
    assert body_of(written).startswith(
        f'<body> <p class="notice" role="alert">{NOTICE}'
    )
    page = (written / "report.html").read_text()
    assert "<title>SIMULATED: " in page
    assert json.loads((written / "report.json").read_text())["simulated"] == NOTICE


def test_answers_of_people_carry_no_such_line(tmp_path):
    report = reported(simulated=False)
    write_report(tmp_path / "report", report)
    assert "SIMULATED" not in text_report(report)
    assert "SIMULATED" not in (tmp_path / "report/report.html").read_text()
    assert json_report(report)["simulated"] is None


def test_the_page_needs_nothing_but_itself(written):
    page = (written / "report.html").read_text()
    assert not re.search(r"<(script|link|img|iframe|object|embed)\b", page)
    assert "@import" not in page
    references = re.findall(r'(?:\bsrc|href)="([^"]*)"|url\(([^)]*)\)', page)
    assert references
    assert all(one.startswith("#") for pair in references for one in pair if one)


def test_ids_of_the_figures_do_not_clash_and_all_references_are_met(written):
    page = (written / "report.html").read_text()
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    targets = re.findall(r'href="#([^"]+)"', page) + re.findall(
        r"url\(#([^)]+)\)", page
    )
    assert set(targets) <= set(ids)


def test_a_page_can_be_without_groups_criteria_and_calibration(report, tmp_path):
    bare = replace(reported(groups=None, criteria=NO_CRITERIA), calibration=None)
    write_report(tmp_path / "report", bare)
    assert "<h2>Groups</h2>" in html_of(report)
    assert "<h2>Groups</h2>" not in html_of(bare)
    assert {path.stem for path in (tmp_path / "report/figures").iterdir()} == {
        "scatter",
        "funnel",
    }


def html_of(report):
    drawn = figures(report)
    svgs = {name: svg_of(one.figure) for name, one in drawn.items()}
    return html_report(report, drawn, svgs)


def test_methods_say_what_is_simulated(report):
    assert report.methods.startswith(NOTICE)


def test_names_are_escaped_on_the_page(written):
    page = (written / "report.html").read_text()
    assert "b <i>&" not in page
    assert "b &lt;i&gt;&amp;" in page


def test_the_page_holds_every_unit_exclusion_and_method(report, written):
    body = body_of(written)
    for unit in UNITS:
        assert unit in body
    assert "fewer than 80% of catch trials right" in body
    assert "s000" in body
    assert "with Holm’s correction, Holm (1979). All intervals" in body
    assert "Seed 0." in body


def test_json_holds_the_numbers_of_the_results(report, written):
    header, own = read_header(written / "report.json", format="report", versions=(1,))
    found = report.agreement
    assert header.seed == 0
    assert header.made_from == {"responses": "0" * 64}
    assert own["correlations"][0]["estimate"] == found.correlations[0].estimate
    assert own["noise_ceiling"]["correlation"] == found.ceiling.correlation
    assert own["his"]["his"] == found.score.his
    assert [unit["his"] for unit in own["units"]] == found.units["his"].tolist()
    assert len(own["groups"]["pairs"]) == 3
    assert own["exclusion"]["excluded"][0]["criteria"] == "catch_trials"
    assert own["calibration"]["n_trials"] == 90


def test_json_has_null_where_there_is_no_number(tmp_path):
    report = reported(mis=MIS | {UNITS[0]: np.nan}, groups=None)
    write_json_report(tmp_path / "report.json", report)
    own = json.loads((tmp_path / "report.json").read_text())
    assert own["units"][0]["mis"] is None
    assert own["units"][0]["group"] is None
    assert own["groups"] is None


def test_the_same_results_give_the_same_bytes(report, written, tmp_path):
    write_report(tmp_path / "again", report)
    for name in ("report.html", "report.json", "units.csv", "figures/scatter.svg"):
        assert (tmp_path / "again" / name).read_bytes() == (written / name).read_bytes()


def test_a_report_replaces_an_older_one_but_no_other_folder(report, tmp_path):
    folder = tmp_path / "report"
    write_report(folder, report)
    write_report(folder, report)
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter.txt").write_text("mine")
    with pytest.raises(DataContractError, match="did not write"):
        write_report(foreign, report)
    assert (foreign / "chapter.txt").read_text() == "mine"


def test_a_requirement_that_is_missed_is_told():
    low = Check(name="Pearson r of MIS and HIS", value=0.2, required=0.5)
    report = reported(checks=[low])
    assert not report.holds
    line = text_report(report).splitlines()[-1]
    assert line.split() == [
        *low.name.split(),
        "0.200",
        "at",
        "least",
        "0.500",
        "fell",
        "short",
    ]


def test_a_requirement_on_an_unknown_number_fell_short():
    assert not Check(name="r", value=None, required=-1).holds


def test_figures_are_written_as_svg_without_a_date(report):
    drawn = figures(report)
    assert list(drawn) == ["scatter", "groups", "calibration", "funnel"]
    assert "<dc:date>" not in svg_of(drawn["scatter"].figure)
