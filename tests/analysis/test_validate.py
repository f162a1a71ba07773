import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.validate import build_parser, main
from data.formats import Header
from data.responses import write_responses
from data.scores import Scores, write_scores
from data.selections import Selection, write_selection
from tests.analysis.toy import toy_responses, toy_scores, toy_units

ROOT = Path(__file__).resolve().parents[2]
UNITS = toy_units(9)
MIS = dict(zip(UNITS, np.linspace(0.97, 0.5, 9), strict=True))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with an export, scores and a selection."""
    folder = tmp_path_factory.mktemp("made")
    toy = toy_responses(MIS, rng=np.random.default_rng(1), n_sessions=12)
    write_responses(folder / "export", toy, pd.DataFrame({"rt": [1.0]}))
    tasks = toy.responses.loc[toy.responses["kind"] == "main"]
    tasks = tasks[["task_id", "unit", "task_number"]].drop_duplicates()
    tasks = tasks.rename(columns={"task_number": "number"})
    tasks = tasks.assign(margin=0.1, probability=tasks["unit"].map(MIS))
    scores = Scores(
        units=toy_scores(MIS),
        tasks=tasks,
        header=Header(
            format="scores", version=1, config={"encoder": "toy", "tau": 0.16}
        ),
    )
    write_scores(folder / "scores", scores)
    units = toy_scores(MIS, group=["x", "y", "z"] * 3, reason="because")
    header = Header(format="selection", version=1, config={}, seed=0)
    write_selection(folder / "selection", Selection(units=units, header=header))
    toy_scores(MIS).to_csv(folder / "scores.csv", index=False)
    return folder


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made, tmp_path / "copy")


def run(*arguments):
    return main([str(one) for one in arguments])


def test_without_arguments_published_numbers_are_reproduced(capsys):
    assert run() == 0
    shown = capsys.readouterr().out
    for expected in ("0.922", "0.6293", "0.5866", "0.820", "0.3428", "0.3895"):
        assert expected in shown
    assert "not reproduced" not in shown
    assert "8 of 8 checkable claims reproduced; " in shown
    for line in ("GoogLeNet      0.879    0.851 to 0.900  a", "ConvNeXT", "SIMULATED"):
        assert line in shown


def test_a_changed_published_number_falls_short(monkeypatch, tmp_path, capsys):
    import data.published as published

    folder = shutil.copytree(published.FOLDER, tmp_path / "published")
    path = folder / "claims.json"
    path.write_text(path.read_text().replace("0.6293", "0.7293"))
    monkeypatch.setattr(published.read_claims, "__defaults__", (folder,))
    assert run() == 1
    shown = capsys.readouterr().out
    assert "not reproduced" in shown
    assert "7 of 8" in shown


def test_claims_are_written_with_their_verdicts(tmp_path):
    assert run("--json", tmp_path / "claims.json") == 0
    content = json.loads((tmp_path / "claims.json").read_text())
    assert content["format"] == "unitscope/claims"
    checked = [claim for claim in content["claims"] if claim["checkable"]]
    kinds = [(claim["kind"], claim["verdict"]) for claim in checked]
    assert (
        kinds == [("published", "reproduced")] * 2 + [("reference", "reproduced")] * 6
    )
    names = {"claim", "source", "published", "ours", "ci_low", "ci_high", "tolerance"}
    assert names <= set(checked[0])


def test_a_claim_without_its_data_says_what_it_needs(tmp_path):
    run("--json", tmp_path / "claims.json")
    content = json.loads((tmp_path / "claims.json").read_text())
    missing = [claim for claim in content["claims"] if not claim["checkable"]]
    assert all(claim["ours"] is None for claim in missing)
    assert {claim["verdict"] for claim in missing} >= {
        "needs data: raw CSV of Experiment I (--borowski DIR)",
        "needs data: raw CSV of Experiment II (--borowski DIR)",
        "needs data: IMI’s responses_main.csv (--imi CSV)",
    }


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, str(ROOT / "analysis/validate.py")],
        [sys.executable, "-m", "analysis.validate"],
        [str(Path(sys.executable).with_name("unitscope")), "validate"],
    ],
    ids=["as a file", "as a module", "as a command"],
)
def test_it_runs_in_three_ways_from_another_folder(command, made, tmp_path):
    done = subprocess.run(
        [*command, made / "export", made / "scores"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0] == (
        "SIMULATED: 12 of 12 sessions were answered by programs, not people."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_study_gives_a_report_and_all_numbers(made, tmp_path, capsys):
    out, numbers = tmp_path / "report", tmp_path / "numbers.json"
    arguments = [made / "export", made / "scores", "--out", out, "--json", numbers]
    assert run(*arguments, "--selection", made / "selection") == 0
    printed = capsys.readouterr().out
    assert printed.endswith(f"\nReport: {out / 'report.html'}\n")
    told = (out / "report.txt").read_text()
    assert printed == f"{told}\nReport: {out / 'report.html'}\n"
    assert {path.name for path in out.iterdir()} == {
        "report.html",
        "report.txt",
        "report.json",
        "units.csv",
        "figures",
    }
    content = json.loads(numbers.read_text())
    assert content == json.loads((out / "report.json").read_text())
    assert [row["group"] for row in content["groups"]["groups"]] == ["x", "y", "z"]
    assert set(content["made_from"]) == {"responses", "scores", "selection"}
    assert content["calibration"]["n_trials"] == 108
    assert "is given by encoder toy, tau 0.16." in content["methods"]


def test_scores_can_be_a_plain_table(made, capsys):
    assert run(made / "export", made / "scores.csv") == 0
    assert "MIS and HIS, Pearson r" in capsys.readouterr().out


def test_criteria_can_be_switched_off(made, tmp_path):
    run(
        made / "export", made / "scores", "--criteria", "none", "--json", tmp_path / "j"
    )
    assert json.loads((tmp_path / "j").read_text())["exclusion"]["criteria"] == []


@pytest.mark.parametrize(("least", "status"), [("0.5", 0), ("0.999", 1)])
def test_the_status_tells_whether_the_least_r_is_reached(made, least, status, capsys):
    assert run(made / "export", made / "scores", "--min-r", least) == status
    verdict = "holds" if status == 0 else "fell short"
    assert capsys.readouterr().out.splitlines()[-1].endswith(verdict)


def test_units_without_a_partner_are_named_on_stderr(copy, capsys):
    scores = toy_scores({**MIS, "toy::more::0": 0.5}).iloc[1:]
    scores.to_csv(copy / "scores.csv", index=False)
    assert run(copy / "export", copy / "scores.csv") == 0
    said = capsys.readouterr().err
    assert (
        "note: 1 unit with answers has no score and no part in the correlation:"
        f" {UNITS[0]}.\n" in said
    )
    assert "note: 1 scored unit has no answers that count." in said


def refused(capsys, *arguments):
    """Run, and return the one line on stderr that says why it could not."""
    assert run(*arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    lines = [
        line for line in streams.err.splitlines() if not line.startswith("Reading")
    ]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


def edited(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


def test_text_in_a_score_is_refused(copy, capsys):
    path = edited(copy / "scores.csv", "0.97", "high")
    line = refused(capsys, copy / "export", path)
    assert "column 'mis' holds high in data row 1" in line


def test_a_score_table_without_its_column_is_refused(copy, capsys):
    line = refused(capsys, copy / "export", edited(copy / "scores.csv", "mis", "score"))
    assert "lacks the columns ['mis']" in line


def test_a_score_table_of_other_units_is_refused(copy, capsys):
    path = copy / "scores.csv"
    path.write_text(path.read_text().replace("toy::", "other::"))
    line = refused(capsys, copy / "export", path)
    assert "None of the 9 units with answers has a score" in line


def test_a_csv_without_imis_columns_is_refused(copy, capsys):
    path = copy / "answers.csv"
    path.write_text("unit,correct\ntoy::a::0,True\n")
    line = refused(capsys, path, copy / "scores.csv")
    assert "unknown columns" in line
    assert "a CSV of IMI or of Borowski et al. 2021" in line


def test_a_real_row_with_text_in_a_number_is_refused(copy, shared, capsys):
    path = copy / "answers.csv"
    shutil.copy(shared / "data/imi_rows/imi_one_full_row.csv", path)
    path.chmod(0o644)
    line = refused(capsys, edited(path, "5954.0", "fast"), copy / "scores.csv")
    assert "'rt'" in line
    assert "fast" in line


def test_a_table_that_is_neither_export_nor_csv_is_refused(copy, capsys):
    path = copy / "export/responses.parquet"
    line = refused(capsys, path, copy / "scores.csv")
    assert "Give the folder that it lies in" in line


def test_an_export_of_another_version_is_refused(copy, capsys):
    edited(copy / "export/export.json", '"version": 1', '"version": 9')
    line = refused(capsys, copy / "export", copy / "scores.csv")
    assert "of version 9" in line


def test_an_error_leaves_nothing_written(copy, capsys):
    (copy / "scores.csv").write_text("unit,mis\nother::a::0,0.5\n")
    refused(
        capsys,
        copy / "export",
        copy / "scores.csv",
        "--out",
        copy / "report",
        "--json",
        copy / "numbers.json",
    )
    assert not (copy / "report").exists()
    assert not (copy / "numbers.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--min-r", "0.5"], "--min-r needs RESPONSES and SCORES"),
        ([ROOT], "the scores are missing"),
        ([ROOT, "--responses", ROOT], "the responses are given twice"),
        ([ROOT, ROOT, "--borowski", ROOT], "give one of them"),
        ([ROOT, ROOT, "--min-r", "2"], "'2' is not a number in [-1, 1]"),
        ([ROOT, ROOT, "--min-r", "nan"], "'nan' is not a number in [-1, 1]"),
        ([ROOT, ROOT, "--min-r", "0,5"], "'0,5' is not a number in [-1, 1]"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(*arguments)
    assert said in capsys.readouterr().err


def test_a_path_that_is_not_there_is_one_line(capsys):
    assert run("nowhere", "nowhere") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: nowhere does not exist.")


def test_inputs_can_be_named(made, capsys):
    run(made / "export", made / "scores")
    by_place = capsys.readouterr().out
    run("--responses", made / "export", "--scores", made / "scores")
    assert capsys.readouterr().out == by_place


@pytest.fixture(scope="module")
def borowski(shared):
    return shared / "data/borowski2021_experiment1"


def test_the_claims_about_experiment_one_hold_on_its_raw_answers(
    borowski, shared, tmp_path
):
    mis = shared / "data/googlenet_mis/googlenet_per_unit_mis_dreamsim_natural.csv"
    path = tmp_path / "claims.json"
    assert run("--borowski", borowski, "--scores", mis, "--json", path) == 0
    claims = json.loads(path.read_text())["claims"]
    checked = {one["claim"]: one for one in claims if one["checkable"]}
    assert len(checked) == 23
    for name, expected, two_se in (
        ("natural", 0.922, 0.018),
        ("synthetic", 0.82, 0.043),
        ("no explanations", 0.431, 0.061),
    ):
        mean = checked[f"proportion correct, {name}, mean over participants"]
        assert round(mean["ours"], 3) == expected
        spread = checked[f"2 standard errors over participants, {name}"]
        assert round(spread["ours"], 3) == two_se
    needs = {one["verdict"] for one in claims if not one["checkable"]}
    assert "needs data: raw CSV of Experiment I (--borowski DIR)" not in needs
    assert "needs data: raw CSV of Experiment II (--borowski DIR)" in needs


def test_a_report_of_claims_holds_cells_models_and_the_studies(
    borowski, tmp_path, capsys
):
    out = tmp_path / "report"
    assert run("--borowski", borowski, "--out", out) == 0
    printed = capsys.readouterr().out
    told = (out / "report.txt").read_text()
    assert printed == f"{told}\nReport: {out / 'report.html'}\n"
    content = json.loads((out / "claims.json").read_text())
    cells = {one["explanation_method"]: one for one in content["cells"]["cells"]}
    assert round(cells["natural"]["proportion_correct"], 3) == 0.922
    assert round(cells["none"]["two_se"], 3) == 0.061
    assert content["models"]["simulated_unit_scores"]
    assert "unit scores SIMULATED with the published" in told
    assert content["within"]["people"]["n_blocks"] == 10
    page = (out / "report.html").read_text()
    linked = set(re.findall(r'href="([^"#]+)"', page))
    assert linked == {
        "experiment_1_natural/report.html",
        "experiment_1_synthetic/report.html",
    }
    for one in linked:
        study = (out / one).with_suffix(".json")
        assert json.loads(study.read_text())["n_counted_sessions"] == 10


def test_a_changed_raw_answer_falls_short(borowski, tmp_path, capsys):
    path = tmp_path / "answers.csv"
    released = next(iter(borowski.glob("*main_practice*.csv")))
    table = pd.read_csv(released, index_col=0)
    main = (table["trial_type"] == "main") & (table["instr_type"] == "natural")
    wrong = main & ~table["correct"]
    table.loc[wrong, "correct"] = True
    table.loc[wrong, "response"] = table["correct_response"]
    sign = table["response"].map({"a": -1, "b": 1})
    table["conf_rating"] = table["abs_conf_rating"] * sign
    table.to_csv(path)
    assert run("--borowski", tmp_path) == 1
    assert "not reproduced" in capsys.readouterr().out


def test_scores_that_no_claim_is_about_are_refused(made, capsys):
    line = refused(capsys, "--scores", made / "scores.csv")
    assert "holds scores of toy; claims are about GoogLeNet" in line


def test_every_option_is_explained():
    for action in build_parser()._actions:
        assert action.help
