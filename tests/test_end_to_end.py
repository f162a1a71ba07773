"""From photographs to a report: what is planted comes out, and nothing else does."""

import json
import subprocess
import sys

import pandas as pd
import pytest
from scipy import stats

import unitscope
from data.selections import read_selection
from tests.line import STEPS, crop_photographs

PLANTED = {"easiest": 0.95, "random": 0.75, "hardest": 0.5}


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """Images, recording, tasks, scores, selection and study of a real network."""
    photographs = crop_photographs(tmp_path_factory.mktemp("photographs"))
    out = tmp_path_factory.mktemp("line")
    command = [sys.executable, "-c", STEPS, str(photographs), str(out), "8"]
    subprocess.run(command, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def groups(line):
    units = read_selection(line / "selection").units
    return dict(zip(units["unit"], units["group"], strict=True))


@pytest.fixture(scope="module")
def report_of(line, tmp_path_factory):
    """Serve the study, let observers walk it, export, validate; the report's JSON."""

    def run(*observer, sessions=24):
        out = tmp_path_factory.mktemp("answers")
        study, database = str(line / "study"), f"sqlite:///{out / 'answers.sqlite'}"
        simulated = ["simulate", study, "--serve", "--database", database]
        simulated += ["--sessions", str(sessions), *observer]
        export, report = str(out / "export"), str(out / "report")
        criteria = out / "criteria.toml"
        # Sessions of 13 trials: IMI's 5 answers in either row are for 45.
        criteria.write_text("min_row_answers = 1\n")
        for command in (
            simulated,
            ["export", study, "--database", database, "--out", export],
            ["validate", export, str(line / "scores"), "--criteria", str(criteria),
             "--out", report],
        ):  # fmt: skip
            assert unitscope.main(command) == 0, command
        return json.loads((out / "report" / "report.json").read_text()), out

    return run


@pytest.fixture(scope="module")
def planted(groups, report_of, tmp_path_factory):
    table = tmp_path_factory.mktemp("table") / "units.csv"
    rows = [(unit, PLANTED[group]) for unit, group in groups.items()]
    pd.DataFrame(rows, columns=["unit", "proportion_correct"]).to_csv(
        table, index=False
    )
    return report_of("--observer", "table", "--table", str(table), "--seed", "1")


@pytest.mark.slow
def test_planted_difficulty_comes_out_within_its_interval(planted, groups):
    units = pd.read_csv(planted[1] / "report" / "units.csv")
    assert len(units) == 9
    for row in units.itertuples():
        test = stats.binomtest(int(row.n_correct), int(row.n_trials))
        interval = test.proportion_ci(0.999)
        assert interval.low <= PLANTED[groups[row.unit]] <= interval.high


@pytest.mark.slow
def test_every_report_begins_with_the_fact_that_programs_answered(planted):
    report, out = planted
    assert report["simulated"].startswith("SIMULATED: 24 of 24 sessions")
    text = (out / "report" / "report.txt").read_text()
    assert text.startswith("SIMULATED: 24 of 24 sessions")
    participants = pd.read_csv(out / "export" / "responses.csv")["participant_id"]
    assert participants.str.startswith("simulated-").all()


@pytest.mark.slow
def test_guessing_gives_neither_agreement_nor_groups(report_of):
    agreement, groups = [], []
    for seed in range(4):
        report, _ = report_of("--observer", "guess", "--seed", str(seed), sessions=12)
        agreement.append(report["correlations"][0]["p_value"])
        groups.append(report["groups"]["p_value"])
    # At the nominal rate, two of four below .05 happen once in 70 runs.
    assert sum(p < 0.05 for p in agreement) < 2, agreement
    assert sum(p < 0.05 for p in groups) < 2, groups
