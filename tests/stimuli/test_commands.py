"""``record``, ``tasks`` and ``select`` as a user calls them, also in the wrong way."""

import os
import subprocess
import sys

import pandas as pd
import pytest

from data.files import folder_hash
from data.recordings import read_recording
from data.selections import read_selection
from data.tasks import read_tasks
from stimuli.record_command import main as record
from stimuli.select_command import main as select
from stimuli.tasks_command import main as tasks
from tests.conftest import ROOT
from tests.stimuli.toy import image_set_of, save_pictures

TOY = ["--network", "tests.stimuli.toy:toy"]
FEW = ["--n-extremes", "20"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    image_set_of(save_pictures(folder / "pictures", 45))
    return str(folder / "pictures-set")


@pytest.fixture(scope="module")
def recording(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("recording") / "recording"
    options = ["--layers", "conv, relu", "--n-extremes", "20", "--full", "toy::conv::2"]
    assert record(["--images", images, *TOY, *options, "--out", str(out)]) == 0
    return out


@pytest.fixture
def scores(tmp_path):
    path = tmp_path / "scores.csv"
    rows = [f"toy::conv::{index},{index / 10}" for index in range(10)]
    path.write_text("unit,mis\n" + "\n".join([*rows, "toy::conv::10,"]) + "\n")
    return path


def error_of(capsys):
    """Return the one line on stderr that says what is wrong."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert not any(line.startswith("Traceback") for line in lines)
    return lines[-1]


def test_record_says_what_it_made(images, tmp_path, capsys):
    out = tmp_path / "recording"
    options = ["--layers", "conv,relu", "--n-extremes", "20"]
    assert record(["--images", images, *TOY, *options, "--out", str(out)]) == 0
    assert capsys.readouterr().out == (
        f"12 units of 2 layers, 20 images at each end of 45\nRecording: {out}\n"
    )


def test_a_written_recording_holds_the_full_activations_asked_for(recording):
    full = read_recording(recording).full
    assert [str(unit) for unit in full] == ["toy::conv::2"]


def test_layers_can_be_listed_without_images(capsys):
    assert record([*TOY, "--list-layers"]) == 0
    assert "conv  Conv2d" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layers", "convv", *FEW], "error: Layer 'convv' is not in"),
        (["--layers", "conv", "--n-extremes", "23"], "45 images; 'n_extremes' 23"),
        (["--layers", "conv", "--reduction", "class_token"], "must be LAYER=NAME"),
        (["--layers", "conv", "--full", "conv"], "conv does not exist"),
        (["--layers", "conv", *FEW, "--check-labels"], "No image has a label"),
        ([], "'--layers' is missing"),
    ],
)
def test_record_refuses_in_one_line_and_writes_nothing(
    images, tmp_path, capsys, options, message
):
    out = tmp_path / "recording"
    assert record(["--images", images, *TOY, *options, "--out", str(out)]) == 2
    assert message in error_of(capsys)
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_changed_stops_the_recording_by_name(tmp_path, capsys):
    image_set_of(save_pictures(tmp_path / "pictures", 45))
    path = tmp_path / "pictures" / "0041.png"
    path.write_bytes(path.read_bytes()[:100])
    options = ["--layers", "conv", "--n-extremes", "20"]
    place = ["--images", str(tmp_path / "pictures-set"), "--out", str(tmp_path / "r")]
    assert record([*place, *TOY, *options]) == 2
    assert "0041.png has changed" in error_of(capsys)
    assert not (tmp_path / "r").exists()


def test_tasks_tell_constant_and_tied_units_apart(recording, tmp_path, capsys):
    out = tmp_path / "tasks"
    options = ["--n-tasks", "2", "--n-explanations", "9"]
    assert tasks([str(recording), *options, "--out", str(out)]) == 0
    table = read_tasks(out).table
    n_constant = table["reason"].str.startswith("constant").sum()
    n_tied = table["reason"].str.startswith("too few").sum()
    assert n_constant == 1
    assert n_tied >= 1
    assert capsys.readouterr().out.startswith(
        f"{12 - n_constant - n_tied} of 12 units have 2 tasks each;"
        f" {n_constant} are constant, {n_tied} have tied queries\n"
    )


def test_tasks_of_listed_units_alone(recording, tmp_path):
    (tmp_path / "units.csv").write_text("unit\ntoy::conv::2\n")
    options = ["--n-tasks", "2", "--units", str(tmp_path / "units.csv")]
    assert tasks([str(recording), *options, "--out", str(tmp_path / "tasks")]) == 0
    assert [str(u) for u in read_tasks(tmp_path / "tasks").units] == ["toy::conv::2"]


def test_a_percentile_is_taken_as_difficulty(recording, tmp_path):
    (tmp_path / "units.csv").write_text("unit\ntoy::conv::2\n")
    options = ["--n-tasks", "2", "--n-explanations", "2", "--difficulty", "85"]
    where = ["--units", str(tmp_path / "units.csv"), "--out", str(tmp_path / "tasks")]
    assert tasks([str(recording), *options, *where]) == 0
    assert read_tasks(tmp_path / "tasks").config.difficulty == 85


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--n-tasks", "3"], "45 images"),
        (["--n-tasks", "0"], "'n_tasks' is 0"),
        (["--n-tasks", "2", "--n-explanations", "2", "--difficulty", "85"], "--full"),
        (["--difficulty", "40"], "'difficulty' is 40"),
    ],
)
def test_tasks_refuse_in_one_line(recording, tmp_path, capsys, options, message):
    out = tmp_path / "tasks"
    assert tasks([str(recording), *options, "--out", str(out)]) == 2
    assert message in error_of(capsys)
    assert list(tmp_path.iterdir()) == []


def test_tasks_refuse_a_folder_that_is_no_recording(images, tmp_path, capsys):
    assert tasks([images, "--out", str(tmp_path / "tasks")]) == 2
    assert "recording.json does not exist" in error_of(capsys)


def test_a_difficulty_that_is_no_number_shows_the_usage(recording, tmp_path, capsys):
    options = [str(recording), "--out", str(tmp_path), "--difficulty", "hard"]
    with pytest.raises(SystemExit) as stopped:
        tasks(options)
    assert stopped.value.code == 2
    assert "'hard' is neither 'easy' nor a percentile" in capsys.readouterr().err


def test_select_says_what_it_chose(scores, tmp_path, capsys):
    out = tmp_path / "selection"
    options = ["--scores", str(scores), "--n", "2", "--groups", "easiest,hardest"]
    assert select([*options, "--out", str(out)]) == 0
    assert capsys.readouterr().out == (
        "easiest: 2 units, MIS 0.800 to 0.900\n"
        "hardest: 2 units, MIS 0.000 to 0.100\n"
        f"Selection: {out}\n"
    )
    assert read_selection(out).header.made_from["scores"]


def test_select_leaves_out_an_earlier_selection(scores, tmp_path):
    options = ["--scores", str(scores), "--n", "2"]
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    assert select([*options, "--groups", "easiest", "--out", first]) == 0
    exclude = ["--exclude", first, "--groups", "easiest"]
    assert select([*options, *exclude, "--out", second]) == 0
    chosen = read_selection(tmp_path / "second").units["unit"].tolist()
    assert chosen == ["toy::conv::7", "toy::conv::6"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--n", "4"], "10 scored units are left"),
        (["--groups", "best"], "Group 'best' is not known"),
        (["--layers", "conv,relu"], "Layer 'relu' has no unit"),
    ],
)
def test_select_refuses_in_one_line(scores, tmp_path, capsys, options, message):
    out = tmp_path / "selection"
    assert select(["--scores", str(scores), *options, "--out", str(out)]) == 2
    assert message in error_of(capsys)
    assert not out.exists()


def test_select_names_a_score_that_is_text(tmp_path, capsys):
    (tmp_path / "scores.csv").write_text("unit,mis\ntoy::conv::0,high\n")
    options = ["--scores", str(tmp_path / "scores.csv"), "--out", str(tmp_path / "s")]
    assert select(options) == 2
    assert "'mis' holds high" in error_of(capsys)


ALL_STEPS = """
import sys
import unitscope

images, scores, out, batch_size = sys.argv[1:]
toy = ["--network", "tests.stimuli.toy:toy", "--layers", "conv,relu"]
size = ["--n-extremes", "20", "--batch-size", batch_size, "--full", "toy::conv::2"]
record = ["record", "--images", images, *toy, *size, "--seed", "3"]
tasks = ["tasks", out + "/recording", "--n-tasks", "2", "--seed", "3"]
select = ["select", "--scores", scores, "--n", "2", "--seed", "3"]
made = {"recording": record, "tasks": tasks, "selection": select}
for name, command in made.items():
    if unitscope.main([*command, "--out", f"{out}/{name}"]):
        sys.exit(name)
"""


def test_the_same_seed_gives_the_same_bytes_in_another_process(
    images, scores, tmp_path
):
    hashes = []
    for hash_seed in ("1", "2"):
        out = tmp_path / hash_seed
        subprocess.run(
            [sys.executable, "-c", ALL_STEPS, images, str(scores), str(out), "8"],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        made = ("recording", "tasks", "selection")
        hashes.append([folder_hash(out / name) for name in made])
    assert hashes[0] == hashes[1]


def test_scores_of_units_without_tasks_are_passed_over(scores, tmp_path):
    table = pd.read_csv(scores)
    assert table["mis"].isna().sum() == 1
    out = tmp_path / "selection"
    options = ["--scores", str(scores), "--n", "10", "--groups", "random"]
    assert select([*options, "--out", str(out)]) == 0
    assert "toy::conv::10" not in set(read_selection(out).units["unit"])
