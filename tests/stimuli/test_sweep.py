"""A sweep runs many networks, keeps failures, and goes on where it was stopped."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from data.errors import DataContractError
from data.files import folder_hash, read_json
from data.sweeps import read_sweep, read_sweep_file
from stimuli import sweep as sweep_module
from stimuli.sweep_command import main
from tests.conftest import ROOT
from tests.stimuli.toy import image_set_of, save_pictures, toy_module

TOP = """
images = "pictures-set"
layers = "conv"
encoder = "efficientnet-lite0"
n_tasks = 3
n_explanations = 2
"""
TOY = '\n[[network]]\nnetwork = "tests.stimuli.toy:toy"\n'
FAILING = '\n[[network]]\nnetwork = "tests.stimuli.toy:failing"\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    image_set_of(save_pictures(folder / "pictures", 24))
    return folder


def models(place, text, name="models"):
    path = place / f"{name}.toml"
    path.write_text(TOP + text)
    return path


def arguments(place, path, out):
    return [str(path), "--out", str(out), "--features", str(place / "features")]


def results_of(folder):
    """Return what must be the same bytes however often a sweep was stopped."""
    steps = sorted(one for one in folder.glob("runs/*/*") if one.is_dir())
    tables = [folder / "networks.csv", folder / "layers.csv"]
    found = {str(one.relative_to(folder)): folder_hash(one) for one in steps}
    return found | {one.name: one.read_bytes() for one in tables}


@pytest.fixture(scope="module")
def finished(place):
    text = FAILING + TOY + 'layers = "tokens,conv"\naccuracy = 0.5\nepoch = 3\n'
    path = models(place, text)
    assert main(arguments(place, path, place / "finished")) == 1
    return path, place / "finished"


def test_a_network_that_fails_keeps_its_reason_and_the_others_go_on(finished):
    table = read_sweep(finished[1]).networks.set_index("model")
    assert table["status"].to_dict() == {"failing": "failed", "toy": "done"}
    assert "raised RuntimeError: no weights here" in table.loc["failing", "reason"]
    assert table.loc["failing", "reason"].startswith("recording: ")
    assert pd.isna(table.loc["failing", "mis"])


def test_a_line_says_what_the_scores_of_its_network_say(finished):
    results = read_sweep(finished[1])
    row = results.networks.set_index("model").loc["toy"]
    units = pd.read_parquet(results.run("toy") / "scores" / "mis.parquet")
    conv = units["unit"].str.startswith("toy::conv::")
    assert row["n_units"] == len(units) == 12
    assert row["n_scored"] == units["mis"].notna().sum()
    assert row["n_constant"] == units["reason"].str.startswith("constant").sum() > 0
    assert row["mis"] == pytest.approx(units["mis"].mean())
    assert row["mis_conv"] == pytest.approx(units.loc[conv, "mis"].mean())
    assert row["mis_other"] == pytest.approx(units.loc[~conv, "mis"].mean())
    assert (row["accuracy"], row["epoch"]) == (0.5, 3)


def test_layers_have_their_type_and_their_place(finished):
    layers = read_sweep(finished[1]).layers.set_index("layer")
    assert layers["layer_type"].to_dict() == {"conv": "conv", "tokens": "other"}
    # As the network defines them, not as models.toml names them.
    assert layers["position"].to_dict() == {"conv": 0, "tokens": 1}


def test_what_is_done_or_failed_is_not_run_again(finished, place, monkeypatch):
    def refuse(*_):
        raise AssertionError("a step was run")

    before = results_of(finished[1])
    with monkeypatch.context() as patch:
        patch.setattr(sweep_module, "_called", refuse)
        assert main(arguments(place, finished[0], finished[1])) == 1
        with pytest.raises(AssertionError, match="a step was run"):
            main([*arguments(place, finished[0], finished[1]), "--retry"])
    assert results_of(finished[1]) == before


def test_other_settings_make_a_network_pending(finished, place):
    other = models(place, TOY + 'layers = "conv"\n', "other")
    for path, states in ((finished[0], ["failed", "done"]), (other, ["pending"])):
        sweep = read_sweep_file(path)
        fingerprint = read_json(finished[1] / "sweep.json")["made_from"]["images"]
        runs = [
            sweep_module.planned(sweep, one, finished[1], fingerprint=fingerprint)
            for one in sweep.networks
        ]
        assert [sweep_module.state_of(run) for run in runs] == states


CHANGING = """
import torch
from tests.stimuli.toy import toy_module, toy_preprocess


def net():
    return toy_module(), toy_preprocess


class Encoder:
    n_features, batch_size, config = 4, 8, {}

    def embed(self, images):
        rows = [[*image.resize((1, 1)).getpixel((0, 0)), 9.0] for image in images]
        return torch.nn.functional.normalize(torch.tensor(rows)).numpy()


def encoder():
    return Encoder()
"""


@pytest.fixture
def changing(place, tmp_path, monkeypatch):
    """A sweep whose network, encoder and weights are files that may change."""
    for name in ("a_network", "an_encoder"):
        (tmp_path / f"{name}.py").write_text(CHANGING)
    torch.save(toy_module().state_dict(), tmp_path / "net.pt")
    (tmp_path / "encoder.pt").write_text("weights")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    top = TOP.replace("efficientnet-lite0", "an_encoder:encoder")
    top = top.replace("pictures-set", str(place / "pictures-set"))
    top += 'encoder_weights = "encoder.pt"\n'
    network = '\n[[network]]\nnetwork = "a_network:net"\nweights = "net.pt"\n'
    path = tmp_path / "models.toml"
    path.write_text(top + network)
    return path


def state_of(path):
    sweep = read_sweep_file(path)
    out = path.parent / "out"
    run = sweep_module.planned(sweep, sweep.networks[0], out, fingerprint="images")
    return sweep_module.state_of(run), run


@pytest.mark.parametrize(
    "name", ["a_network.py", "an_encoder.py", "net.pt", "encoder.pt"]
)
def test_a_file_that_a_network_or_the_encoder_is_made_of_makes_it_pending(
    changing, name
):
    run = state_of(changing)[1]
    Path(run.folder).mkdir(parents=True)
    sweep_module._write_state(run, "done", None)
    assert state_of(changing)[0] == "done"
    with (changing.parent / name).open("ab") as file:
        file.write(b"\n# changed\n")
    assert state_of(changing)[0] == "pending"


@pytest.mark.parametrize(
    ("name", "kept"),
    [("an_encoder.py", ["recording", "tasks"]), ("a_network.py", []), ("net.pt", [])],
)
def test_another_encoder_leaves_recordings_and_tasks_and_another_network_nothing(
    changing, name, kept
):
    run = state_of(changing)[1]
    for step in sweep_module.STEPS:
        (Path(run.folder) / step).mkdir(parents=True)
    sweep_module._write_state(run, "done", None)
    with (changing.parent / name).open("ab") as file:
        file.write(b"\n# changed\n")
    changed = state_of(changing)[1]
    sweep_module._start_anew(changed)
    found = [one for one in sweep_module.STEPS if (Path(run.folder) / one).exists()]
    assert found == kept
    assert state_of(changing)[0] == "pending"


def test_what_a_killed_step_left_half_written_is_removed(changing):
    folder = Path(state_of(changing)[1].folder)
    (folder / ".recording.x1").mkdir(parents=True)
    (folder / ".recording.x1" / "extremes.npz").write_text("half")
    (folder / ".recording.unfinished.npz.7.part").write_text("half")
    (folder / "lock").touch()
    sweep_module._remove_half_written(folder)
    assert [one.name for one in folder.iterdir()] == ["lock"]


def test_a_sweep_that_was_made_before_sources_were_looked_at_stands(finished):
    assert not {"encoder_weights", "encoder_source"} & set(
        read_json(finished[1] / "runs" / "toy" / "run.json")["config"]
    )


@pytest.mark.slow
def test_a_network_whose_code_changed_is_recorded_anew(changing, place):
    path = changing
    path.write_text(path.read_text().replace('encoder_weights = "encoder.pt"\n', ""))
    words = ["sweep", *arguments(place, path, path.parent / "out")]

    def swept():
        run = [sys.executable, "-m", "unitscope", *words]
        where = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run(run, check=True, cwd=path.parent, env=where, capture_output=True)
        own = path.parent / "out" / "runs" / "net"
        return folder_hash(own / "recording"), folder_hash(own / "scores")

    before = swept()
    assert swept() == before
    code = path.parent / "a_network.py"
    text = (
        code.read_text() + "\n\ndef other(image):\n    return -toy_preprocess(image)\n"
    )
    code.write_text(text.replace("toy_module(), toy_preprocess", "toy_module(), other"))
    after = swept()
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_checkpoints_are_networks_of_their_own(place):
    text = TOY + "".join(
        f'[[network.checkpoint]]\nepoch = {one}\nweights = "e{one}.pt"\n'
        for one in (0, 1)
    )
    sweep = read_sweep_file(models(place, text, "checkpoints"))
    assert [one.name for one in sweep.networks] == ["toy@0", "toy@1"]
    assert sweep.networks[1].weights == str(place / "e1.pt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"entry 'network' is missing"),
        (TOY + "epochs = 3", r"entry 'network.0.epochs' is 3: extra inputs"),
        (TOY + "accuracy = 76.1", r"entry 'network.0.accuracy' is 76.1"),
        (TOY + TOY, r"network name 'toy' occurs twice"),
        (TOY + 'name = "a::b"', r"'a::b' can't name a folder and units"),
        (TOY + "name = ", r"is no TOML"),
    ],
)
def test_a_wrong_models_file_is_refused(place, text, message):
    with pytest.raises(DataContractError, match=message):
        read_sweep_file(models(place, text, "wrong"))


def test_a_network_without_layers_is_refused(tmp_path):
    path = tmp_path / "models.toml"
    path.write_text('images = "images"' + TOY)
    with pytest.raises(DataContractError, match=r"toy:toy' has no 'layers'"):
        read_sweep_file(path)


def test_a_folder_of_something_else_is_left_alone(place, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert main(arguments(place, models(place, TOY, "one"), tmp_path)) == 2
    assert "holds files of something else" in capsys.readouterr().err
