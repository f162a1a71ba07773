import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import data.task_blocks
from data.files import folder_hash
from data.images import read_image_set
from data.scores import read_scores
from data.tasks import TaskConfig, read_tasks, write_tasks
from mis.encoders import load_encoder
from mis.encoders.protocol import padded
from mis.features import fill_store, open_store
from mis.score_command import main
from tests.mis import reference
from tests.mis.toys import image_set_from, image_set_of, one_colour, tasks_of

CONFIG = TaskConfig(n_tasks=2, n_explanations=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tasks of five units on twenty real photographs; the last unit is constant."""
    folder = tmp_path_factory.mktemp("photographs")
    package = Path(find_spec("foolbox").submodule_search_locations[0]) / "data"
    for path in package.glob("imagenet_*.jpg"):
        shutil.copy(path, folder)
    names = sorted(path.name for path in folder.iterdir())
    image_set = image_set_from(folder / "images", folder, names)
    activations = np.random.default_rng(0).normal(size=(5, 20))
    activations[4] = 1
    tasks = tasks_of(activations, CONFIG, image_set=image_set)
    write_tasks(folder / "tasks", tasks)
    return folder


@pytest.fixture(scope="module")
def task_set(folder):
    return read_tasks(folder / "tasks")


@pytest.fixture(scope="module")
def command(folder):
    """Run the command on the photographs; options of the same name win."""

    def run(out, *options, encoder="efficientnet-lite2", tasks=None, images=None):
        return main(
            [
                str(tasks or folder / "tasks"),
                *("--images", str(images or folder / "images")),
                *("--encoder", encoder, "--out", str(out), *options),
            ]
        )

    return run


@pytest.fixture(scope="module")
def scored(command, folder):
    assert command(folder / "scores") == 0
    return folder / "scores"


def test_the_last_line_tells_what_was_made_and_where(scored, command, capsys):
    assert command(scored) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    mean = read_scores(scored).units["mis"].mean()
    assert "4 units scored, 1 without a score" in line
    assert f"mean MIS {mean:.3f}" in line
    assert line.endswith(f"{scored}/mis.parquet")


def test_features_lie_beside_the_image_set(scored, folder):
    stores = [path.name for path in (folder / "features").iterdir()]
    assert any(name.startswith("efficientnet-lite2-") for name in stores)


def test_what_is_already_there_is_not_made_again(scored, command, capsys):
    before = (scored / "mis.parquet").stat().st_mtime_ns
    assert command(scored) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert (scored / "mis.parquet").stat().st_mtime_ns == before


def test_another_tau_is_made_again(command, tmp_path, scored):
    shutil.copytree(scored, tmp_path / "scores")
    assert command(tmp_path / "scores", "--tau", "0.05") == 0
    changed, before = read_scores(tmp_path / "scores"), read_scores(scored)
    assert changed.header.config["tau"] == 0.05
    assert changed.header.config["tau_source"] == "given"
    assert not changed.units["mis"].equals(before.units["mis"])
    assert changed.tasks["margin"].equals(before.tasks["margin"])


def test_the_header_holds_encoder_tau_and_what_the_scores_were_made_from(
    scored, folder
):
    header = read_scores(scored).header
    assert header.config["encoder"] == "efficientnet-lite2"
    assert header.config["tau"] == 0.16
    assert "not calibrated" in header.config["tau_source"]
    images = read_image_set(folder / "images")
    assert header.made_from == {
        "images": images.fingerprint,
        "tasks": folder_hash(folder / "tasks"),
    }


def features_of(encoder, folder):
    image_set = read_image_set(folder / "images")
    images = [image_set.display(name) for name in image_set.image_ids]
    batches = [images[:16], padded(images[16:], 16)]
    return np.concatenate([encoder.embed(batch) for batch in batches])[: len(images)]


def test_scores_of_photographs_agree_with_the_reference(scored, task_set, folder):
    encoder = load_encoder("efficientnet-lite2")
    f = reference.cosine(features_of(encoder, folder))
    expected = [
        reference.unit_score(f, task_set.queries[row], task_set.explanations[row], 0.16)
        for row in range(4)
    ]
    found = read_scores(scored).units["mis"]
    np.testing.assert_allclose(found[:4], expected, atol=1e-5)
    assert np.isnan(found[4])


def test_pairwise_scores_of_photographs_agree_with_the_reference(
    command, task_set, folder, tmp_path
):
    assert command(tmp_path / "scores", encoder="st-lpips") == 0
    encoder = load_encoder("st-lpips")
    features = features_of(encoder, folder)

    def f(x, y):
        return float(encoder.similarity(features[[x]], features[[y]])[0])

    scores = read_scores(tmp_path / "scores")
    tau = scores.header.config["tau"]
    expected = [
        reference.unit_score(f, task_set.queries[row], task_set.explanations[row], tau)
        for row in range(4)
    ]
    np.testing.assert_allclose(scores.units["mis"][:4], expected, atol=1e-5)


def test_swapping_the_polarity_of_every_task_leaves_every_score_as_it_was(
    command, scored, task_set, tmp_path
):
    swapped = replace(
        task_set,
        queries=task_set.queries[..., ::-1].copy(),
        explanations=task_set.explanations[:, :, ::-1].copy(),
    )
    write_tasks(tmp_path / "tasks", swapped)
    assert command(tmp_path / "scores", tasks=tmp_path / "tasks") == 0
    after, before = read_scores(tmp_path / "scores"), read_scores(scored)
    assert after.units.equals(before.units)
    assert after.tasks.equals(before.tasks)


def scored_in_another_process(folder, out, *, encoder, features, n_threads):
    arguments = [str(folder / "tasks"), "--images", str(folder / "images")]
    arguments += ["--encoder", encoder, "--out", str(out)]
    arguments += ["--features", str(features)]
    code = "import sys; from mis.score_command import main; sys.exit(main())"
    threads = {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": str(n_threads)}
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | threads,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("encoder", ["efficientnet-lite2", "st-lpips"])
def test_another_process_with_other_stored_features_gives_the_same_bytes(
    encoder, folder, command, tmp_path
):
    assert command(tmp_path / "first", encoder=encoder) == 0
    # The second finds some features there, so it embeds the rest in other batches;
    # and features of an image that is none of the tasks'.
    loaded, images = load_encoder(encoder), read_image_set(folder / "images")
    store = open_store(tmp_path / "features", encoder, loaded)
    other = image_set_of(tmp_path / "other", {"blue.png": one_colour(3)})
    fill_store(store, loaded, other, other.image_ids)
    fill_store(store, loaded, images, images.image_ids[3:8])
    scored_in_another_process(
        folder,
        tmp_path / "second",
        encoder=encoder,
        features=tmp_path / "features",
        n_threads=torch.get_num_threads(),
    )
    assert folder_hash(tmp_path / "first") == folder_hash(tmp_path / "second")


@pytest.mark.parametrize(
    "options",
    [[], ["--method", "hard-accuracy"], ["--method", "top-similarity"]],
    ids=lambda options: options[-1] if options else "mis",
)
def test_units_that_are_read_two_at_a_time_give_the_same_bytes(
    command, tmp_path, monkeypatch, options
):
    assert command(tmp_path / "whole", *options) == 0
    monkeypatch.setattr(data.task_blocks, "BLOCK", 2)
    assert command(tmp_path / "blocks", *options) == 0
    assert folder_hash(tmp_path / "whole") == folder_hash(tmp_path / "blocks")


def test_pairs_that_are_read_two_units_at_a_time_give_the_same_bytes(
    command, tmp_path, monkeypatch
):
    options = ["--memory", "0.01"]  # too little to store the features of pairs
    assert command(tmp_path / "whole", *options, encoder="st-lpips") == 0
    monkeypatch.setattr(data.task_blocks, "BLOCK", 2)
    assert command(tmp_path / "blocks", *options, encoder="st-lpips") == 0
    assert folder_hash(tmp_path / "whole") == folder_hash(tmp_path / "blocks")


def test_another_number_of_threads_gives_the_same_up_to_rounding(folder, tmp_path):
    margins = []
    for n_threads in (1, 2):
        scored_in_another_process(
            folder,
            tmp_path / f"{n_threads}",
            encoder="efficientnet-lite2",
            features=tmp_path / f"features-{n_threads}",
            n_threads=n_threads,
        )
        margins.append(read_scores(tmp_path / f"{n_threads}").tasks["margin"])
    np.testing.assert_allclose(margins[0], margins[1], atol=1e-5)


def test_tasks_of_units_that_all_have_none_are_scored_with_nan(
    command, folder, tmp_path, capsys
):
    images = read_image_set(folder / "images")
    write_tasks(
        tmp_path / "tasks", tasks_of(np.zeros((2, 20)), CONFIG, image_set=images)
    )
    assert command(tmp_path / "scores", tasks=tmp_path / "tasks") == 0
    assert "0 units scored, 2 without a score" in capsys.readouterr().out
    units = read_scores(tmp_path / "scores").units
    assert units["mis"].isna().all()
    assert units["reason"].str.startswith("constant").all()


def refused(capsys, tmp_path, status):
    """Return the one line on stderr of a command that wrote nothing."""
    assert status == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert not (tmp_path / "scores").exists()
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in err
    return lines[0]


def test_a_task_set_that_is_not_there_is_named(command, tmp_path, capsys):
    status = command(tmp_path / "scores", tasks=tmp_path / "none")
    assert "none/tasks.json does not exist" in refused(capsys, tmp_path, status)


def test_an_unknown_encoder_is_named(command, tmp_path, capsys):
    status = command(tmp_path / "scores", encoder="efficientnet-lite")
    assert "is no encoder. Did you mean" in refused(capsys, tmp_path, status)


def test_dreamsim_is_the_default_and_fails_at_once_without_weights(
    folder, tmp_path, capsys
):
    arguments = [str(folder / "tasks"), "--images", str(folder / "images")]
    arguments += ["--weights", str(tmp_path), "--out", str(tmp_path / "scores")]
    line = refused(capsys, tmp_path, main(arguments))
    assert "DreamSim's weights are not in" in line
    assert "https://github.com/ssundaram21/dreamsim/releases" in line


@pytest.mark.parametrize("tau", ["0", "-1", "nan"])
def test_a_tau_that_is_not_above_zero_is_refused(command, tmp_path, capsys, tau):
    status = command(tmp_path / "scores", "--tau", tau)
    assert "'tau' is" in refused(capsys, tmp_path, status)


def test_another_image_set_is_refused(command, folder, tmp_path, capsys):
    names = sorted(path.name for path in folder.glob("imagenet_*.jpg"))[:-3]
    image_set_from(tmp_path / "images", folder, names)
    status = command(tmp_path / "scores", images=tmp_path / "images")
    line = refused(capsys, tmp_path, status)
    assert "lacks 3 of the 20 images of the tasks, first 'imagenet_17_" in line


def test_images_with_other_content_under_the_same_names_are_refused(
    command, folder, tmp_path, capsys
):
    root = tmp_path / "photographs"
    root.mkdir()
    names = sorted(path.name for path in folder.glob("imagenet_*.jpg"))
    for name, other in zip(names, [names[1], names[0], *names[2:]], strict=True):
        shutil.copy(folder / other, root / name)
    image_set_from(tmp_path / "images", root, names)
    status = command(tmp_path / "scores", images=tmp_path / "images")
    line = refused(capsys, tmp_path, status)
    assert "2 images of the image set" in line
    assert "'imagenet_00_" in line


def test_an_image_that_is_gone_is_refused(command, folder, tmp_path, capsys):
    root = tmp_path / "photographs"
    root.mkdir()
    names = sorted(path.name for path in folder.glob("imagenet_*.jpg"))
    for name in names:
        shutil.copy(folder / name, root)
    image_set_from(tmp_path / "images", root, names)
    (root / names[5]).unlink()
    options = ("--features", str(tmp_path / "features"))
    status = command(tmp_path / "scores", *options, images=tmp_path / "images")
    assert f"{names[5]} is in the image set but not on disk" in refused(
        capsys, tmp_path, status
    )
