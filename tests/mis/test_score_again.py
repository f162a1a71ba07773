"""The command on margins that are stored, and with other methods."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from data.errors import DataContractError
from data.formats import Header
from data.recordings import write_recording
from data.scores import Scores, read_score_table, read_scores
from data.tasks import TaskConfig, draw_tasks, write_tasks
from mis.methods import METHODS
from mis.score import rescored, unit_scores
from mis.score_command import main
from tests.data.toy import recording_of
from tests.mis.toys import image_set_of, one_colour

CONFIG = TaskConfig(n_tasks=4, n_explanations=3)
ON_IMAGES = ["interpretability-index", "top-similarity", "monosemanticity"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images, a recording, tasks and scores with margins; the last unit is constant."""
    folder = tmp_path_factory.mktemp("scored")
    images = image_set_of(
        folder / "images", {f"{one:02}.png": one_colour(one) for one in range(64)}
    )
    activations = np.random.default_rng(0).normal(size=(6, 64))
    activations[5] = 1
    recording = recording_of(activations, n_extremes=20)
    recording = replace(
        recording,
        image_ids=images.image_ids,
        content=tuple(images.manifest["sha256"]),
        statistics=recording.statistics.assign(sparsity=np.linspace(0, 0.5, 6)),
    )
    write_recording(folder / "recording", recording)
    write_tasks(folder / "tasks", draw_tasks(recording, CONFIG, seed=0))
    assert scored(folder, folder / "scores") == 0
    return folder


def scored(folder, out, *options):
    arguments = [str(folder / "tasks"), "--images", str(folder / "images")]
    arguments += ["--encoder", "efficientnet-lite0", "--out", str(out), *options]
    return main(arguments)


def again(folder, out, *options):
    return main(["--margins", str(folder / "scores"), "--out", str(out), *options])


def test_another_tau_from_margins_is_what_scoring_with_it_gives(folder, tmp_path):
    assert again(folder, tmp_path / "again", "--tau", "0.05") == 0
    assert scored(folder, tmp_path / "anew", "--tau", "0.05") == 0
    found, expected = read_scores(tmp_path / "again"), read_scores(tmp_path / "anew")
    assert found.units.equals(expected.units)
    assert found.tasks.equals(expected.tasks)
    assert found.header.made_from["tasks"] == expected.header.made_from["tasks"]


def test_the_first_tasks_alone_are_scored(folder, tmp_path):
    assert again(folder, tmp_path / "again", "--first", "2") == 0
    found, before = read_scores(tmp_path / "again"), read_scores(folder / "scores")
    expected, _ = unit_scores(before.margins[:, :2], tau=0.16)
    np.testing.assert_array_equal(found.units["mis"][:5], expected)
    assert found.units["n_tasks"].tolist() == [2] * 5 + [0]
    first = before.tasks[before.tasks["number"] < 2].reset_index(drop=True)
    assert found.tasks.equals(first)


def test_hard_accuracy_is_a_score_of_its_own(folder, tmp_path):
    assert again(folder, tmp_path / "hard", "--method", "hard-accuracy") == 0
    units = read_scores(tmp_path / "hard").units
    assert units["mis"].equals(read_scores(folder / "scores").units["hard_accuracy"])


@pytest.mark.parametrize("n_tasks", [0, 5])
def test_more_tasks_than_there_are_margins_of_are_refused(
    folder, tmp_path, capsys, n_tasks
):
    assert again(folder, tmp_path / "again", "--first", str(n_tasks)) == 2
    assert "it must be in 1 to 4" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


def test_scores_without_margins_are_refused():
    header = Header(format="scores", version=1, config={})
    scores = Scores(units=pd.DataFrame({"unit": [], "mis": []}), header=header)
    with pytest.raises(DataContractError, match="hold no margins"):
        rescored(scores, tau=0.1, header=scores.header)


@pytest.mark.parametrize("method", ON_IMAGES)
def test_another_method_gives_a_score_table_of_the_same_units(
    folder, tmp_path, method, capsys
):
    options = ("--method", method, "--recording", str(folder / "recording"))
    assert scored(folder, tmp_path / "other", *options) == 0
    assert f"mean {method}" in capsys.readouterr().out
    table = read_score_table(tmp_path / "other")
    before = read_score_table(folder / "scores")
    assert table["unit"].equals(before["unit"])
    assert table["mis"].notna().tolist() == before["mis"].notna().tolist()
    config = read_scores(tmp_path / "other").header.config
    assert config["method"] == method
    assert config["source"] == METHODS[method].source


def test_sparsity_needs_no_images_and_has_the_same_units(folder, tmp_path):
    arguments = [str(folder / "tasks"), "--method", "sparsity"]
    arguments += ["--recording", str(folder / "recording")]
    assert main([*arguments, "--out", str(tmp_path / "sparsity")]) == 0
    table = read_score_table(tmp_path / "sparsity")
    np.testing.assert_allclose(table["mis"][:5], np.linspace(0, 0.5, 6)[:5])
    assert np.isnan(table["mis"][5])
    assert table["reason"][5].startswith("constant")


def test_scores_of_units_alone_say_that_they_hold_no_tasks(folder, tmp_path):
    options = ("--method", "top-similarity")
    assert scored(folder, tmp_path / "other", *options) == 0
    scores = read_scores(tmp_path / "other")
    assert not scores.has_tasks
    with pytest.raises(DataContractError, match="hold no margins; scores of a method"):
        scores.tasks  # noqa: B018


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--method", "monosemanticity"], "--recording is not given"),
        (["--encoder", "st-lpips", "--method", "top-similarity"], "needs cosines of"),
        (["--memory", "0.0000001"], "do not hold one feature of"),
        (["--device", "cuda:99"], "'cuda:99' can't be used"),
        (["--tau", "none.json"], "must be a number above 0 or a file"),
    ],
)
def test_what_does_not_fit_together_is_refused(folder, tmp_path, capsys, options, text):
    assert scored(folder, tmp_path / "scores", *options) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "scores").exists()


@pytest.mark.parametrize("missing", ["TASKS", "--images", "--out"])
def test_what_is_missing_is_named(folder, capsys, missing):
    given = {"--images": str(folder / "images"), "--out": str(folder / "new")}
    tasks = [] if missing == "TASKS" else [str(folder / "tasks")]
    pairs = [one for pair in given.items() if pair[0] != missing for one in pair]
    assert main([*tasks, *pairs]) == 2
    assert f"{missing} is not given" in capsys.readouterr().err


def test_explain_says_how_margins_are_computed(folder, tmp_path, capsys):
    assert scored(folder, tmp_path / "scores", "--explain", "--strategy", "gram") == 0
    err = capsys.readouterr().err
    assert "gather would move" in err
    assert "chosen: gram, as asked; numpy on cpu" in err


def test_every_method_is_listed_with_its_source(capsys):
    assert main(["--list-methods"]) == 0
    out = capsys.readouterr().out
    assert all(f"{name}: " in out for name in METHODS)
    assert "arXiv 2504.02821" in out
