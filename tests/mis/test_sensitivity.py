import json
from dataclasses import replace
from html import escape

import numpy as np
import pandas as pd
import pytest

from data.recordings import write_recording
from data.tasks import TaskConfig, draw_tasks
from mis import sensitivity, sensitivity_command
from mis.margins import task_margins_from_features
from mis.score import unit_scores
from mis.sensitivity_command import main
from mis.sensitivity_setting import reference
from tests.data.toy import recording_of
from tests.mis.toys import image_set_of, one_colour

CONFIG = TaskConfig(n_tasks=6, n_explanations=3)
N_IMAGES = 200


@pytest.fixture
def features(rng):
    features = rng.normal(size=(N_IMAGES, 12)).astype(np.float32)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


@pytest.fixture
def recording(rng, features):
    """Units that see one direction of the features each, through noise."""
    noise = rng.normal(size=(12, N_IMAGES)) * 0.2
    return recording_of(features.T + noise, n_extremes=80)


@pytest.fixture
def setting(recording, features):
    def margins_of(tasks):
        return task_margins_from_features(features, tasks.queries, tasks.explanations)

    return reference(
        recording, CONFIG, margins_of, tau=0.2, seed=3, encoder="toy", most_units=9
    )


def test_the_reference_is_what_scoring_gives_to_the_units_chosen(setting, recording):
    assert len(setting.units) == 9
    tasks = draw_tasks(recording, CONFIG, seed=3)
    rows = [tasks.row(unit) for unit in setting.units]
    expected = unit_scores(setting.margins_of(tasks), tau=0.2)[0][rows]
    np.testing.assert_array_equal(setting.scores, expected)


@pytest.mark.parametrize(
    ("analysis", "column", "most"),
    [
        (sensitivity.number_of_tasks, "n_tasks", 6),
        (sensitivity.number_of_explanations, "n_explanations", 3),
    ],
)
def test_both_settings_end_at_the_reference(setting, analysis, column, most):
    table = analysis(setting).table
    last = table[table[column] == most]
    assert last["setting"].tolist() == ["first", "rebuilt"]
    np.testing.assert_allclose(last["mean_difference"], 0, atol=1e-7)
    assert (table[table[column] < most]["mean_difference"] > 0).all()


def test_the_first_tasks_are_those_of_the_reference_and_rebuilt_ones_are_not(
    setting, recording
):
    table = sensitivity.number_of_tasks(setting).table
    row = table[table["n_tasks"] == 2].set_index("setting")["mean_mis"]
    first = unit_scores(setting.margins[:, :2], tau=0.2)[0].mean()
    assert row["first"] == pytest.approx(first)
    config = replace(CONFIG, n_tasks=2)
    anew = draw_tasks(recording, config, seed=3, units=setting.units)
    expected = unit_scores(setting.margins_of(anew), tau=0.2)[0].mean()
    assert row["rebuilt"] == pytest.approx(expected)


def test_tau_goes_from_hard_accuracy_to_chance_through_the_reference(setting):
    table = sensitivity.temperature(setting).table
    near_hard = abs(table["mean_mis"].iloc[0] - table["hard_accuracy"].iloc[0])
    assert near_hard < 0.02
    chance = unit_scores(setting.margins, tau=3.2)[0]
    assert table["tau"].iloc[-1] == pytest.approx(3.2)
    assert table["mean_mis"].iloc[-1] == pytest.approx(chance.mean())
    assert table["tau"].iloc[len(table) // 2] == pytest.approx(0.2)
    assert table["mean_difference"].iloc[len(table) // 2] == 0


def test_the_standard_error_is_that_of_the_mean_over_tasks(setting):
    table = sensitivity.seeds(setting, n_seeds=3).table
    p = 1 / (1 + np.exp(-setting.margins[0].astype(float) / 0.2))
    expected = np.sqrt(((p - p.mean()) ** 2).sum() / 5 / 6)
    assert table["standard_error"][0] == pytest.approx(expected)
    assert (table["sd_over_seeds"] > 0).all()


def test_units_that_ties_leave_without_a_score_are_shown_with_the_one_they_would_have(
    rng, features
):
    activations = np.vstack([features.T, np.zeros((4, N_IMAGES))])
    for row in range(12, 16):
        # Fewer images above zero than a unit's positive end takes.
        activations[row, rng.permutation(N_IMAGES)[:10]] = 1.0
    recording = recording_of(activations, n_extremes=40)
    setting = reference(
        recording,
        CONFIG,
        lambda tasks: task_margins_from_features(
            features, tasks.queries, tasks.explanations
        ),
        tau=0.2,
        seed=0,
        encoder="toy",
        most_units=100,
    )
    table = sensitivity.ties(setting, {}).table
    assert table["reported"].sum() == 4
    assert (table.loc[table["reported"], "tie_share"] > 0.5).all()
    other = recording_of(activations, n_extremes=40, seed=9)
    both = sensitivity.ties(setting, {"other": other})
    again = both.table.pivot_table(index="unit", columns="order", values="mis")
    change = (again["other"] - again["this recording"]).abs()
    tied = both.table.set_index("unit").groupby(level=0)["tie_share"].first() > 0
    assert (change[~tied] < 1e-7).all()
    assert (change[tied] > 0).any()


def test_a_part_of_the_images_gives_what_a_recording_over_that_part_would(
    setting, recording, features
):
    table = sensitivity.image_set_size(setting).table
    assert table["share"].iloc[0] == 1
    assert table["mean_difference"].iloc[0] < 1e-7
    last = table.iloc[-1]
    assert last["n_images"] < N_IMAGES
    order = np.random.default_rng([3, N_IMAGES]).permutation(N_IMAGES)
    kept = order < round(last["share"] * N_IMAGES)
    rows = [recording.row(unit) for unit in setting.units]
    n = int(last["n_tasks"]) * 4
    part = sensitivity._part(recording, rows, kept, n)
    for place, row in enumerate(rows):
        left = [one for one in recording.top_index[row] if kept[one]][:n]
        assert part.top_index[place].tolist() == left


def test_other_encoders_score_the_same_tasks_with_their_own_tau(setting):
    found = sensitivity.encoders(
        setting, {"half": (lambda tasks: setting.margins_of(tasks) / 2, 0.1)}
    )
    np.testing.assert_allclose(found.table["half"], found.table["toy"], atol=1e-7)
    assert "tau = 0.2" not in found.fixed


@pytest.fixture
def folder(tmp_path, rng):
    """An image set of colours and a recording over it."""
    images = image_set_of(
        tmp_path / "images", {f"{one:02}.png": one_colour(one) for one in range(64)}
    )
    recording = recording_of(rng.normal(size=(12, 64)), n_extremes=24)
    recording = replace(
        recording,
        image_ids=images.image_ids,
        content=tuple(images.manifest["sha256"]),
    )
    write_recording(tmp_path / "recording", recording)
    return tmp_path


def command(folder, *options):
    arguments = [str(folder / "recording"), "--images", str(folder / "images")]
    arguments += ["--encoder", "efficientnet-lite0", "--n-explanations", "3"]
    return main([*arguments, "--out", str(folder / "out"), *options])


def test_the_command_writes_a_table_and_a_figure_each_and_a_page(folder, capsys):
    assert command(folder, "--seeds", "2", "--formats", "svg", "png", "pdf") == 0
    out = folder / "out"
    found = json.loads((out / "sensitivity.json").read_text())
    page = (out / "sensitivity.html").read_text()
    for name, one in found["analyses"].items():
        assert len(pd.read_csv(out / f"{name}.csv"))
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (out / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert f"{name}.svg" in page
        assert f"Held fixed: {escape(one['fixed'])}" in page
    assert len(found["analyses"]) == 7
    assert "Number of tasks" in capsys.readouterr().out
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert command(folder, "--seeds", "2", "--formats", "svg", "png", "pdf") == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_more_tasks_than_were_recorded_are_refused(folder, capsys):
    assert command(folder, "--n-tasks", "20") == 2
    assert "lower 'n_tasks'" in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_a_recording_over_other_images_is_refused(folder, rng, capsys):
    other = recording_of(rng.normal(size=(12, 64)), n_extremes=24)
    write_recording(folder / "other", other)
    assert command(folder, "--recordings", str(folder / "other")) == 2
    assert "is over other images than" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_refused(folder, capsys):
    assert command(folder, "--device", "cuda:99") == 2
    assert "'cuda:99' can't be used" in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_the_encoder_and_the_margins_are_computed_on_the_device(folder, monkeypatch):
    devices = []

    def noted(function):
        def with_note(*given, **options):
            devices.append((function.__name__, options["device"]))
            return function(*given, **options)

        return with_note

    for name in ("load_encoder", "margin_plan"):
        known = getattr(sensitivity_command, name)
        monkeypatch.setattr(sensitivity_command, name, noted(known))
    assert command(folder, "--device", "cpu:0", "--seeds", "1") == 0
    assert set(devices) == {("load_encoder", "cpu:0"), ("margin_plan", "cpu:0")}
