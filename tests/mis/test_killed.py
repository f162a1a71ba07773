"""A run that is killed at any point goes on to the same bytes."""

import multiprocessing
import os
import signal
from dataclasses import replace

import pytest

from data.files import folder_hash
from data.tasks import TaskConfig, draw_tasks, write_tasks
from mis import features, score_command
from tests.data.toy import recording_of
from tests.mis.toys import ColourHistogram, image_set_of, one_colour

N_POINTS = 20
CONFIG = TaskConfig(n_tasks=4, n_explanations=3)


@pytest.fixture
def folder(tmp_path, rng, monkeypatch):
    """Tasks on 64 images, whose features are written in eight chunks."""
    images = image_set_of(
        tmp_path / "images", {f"{one:02}.png": one_colour(one) for one in range(64)}
    )
    recording = recording_of(rng.normal(size=(6, 64)), n_extremes=20)
    recording = replace(
        recording,
        image_ids=images.image_ids,
        content=tuple(images.manifest["sha256"]),
    )
    write_tasks(tmp_path / "tasks", draw_tasks(recording, CONFIG, seed=0))
    monkeypatch.setattr(features, "_CHUNK_BYTES", 1)
    monkeypatch.setattr(
        score_command, "load_encoder", lambda name, weights, device: ColourHistogram()
    )
    return tmp_path


def arguments(folder, out):
    options = ["--images", str(folder / "images"), "--encoder", "efficientnet-lite0"]
    options += ["--features", str(out / "features"), "--out", str(out / "scores")]
    return [str(folder / "tasks"), *options]


def killed_at(point, words):
    """Run the command; when a file reaches the disk for the nth time, die of it."""
    write, written = os.fsync, 0

    def fsync(file):
        nonlocal written
        if written == point:
            os.kill(os.getpid(), signal.SIGKILL)
        written += 1
        write(file)

    os.fsync = fsync
    os._exit(score_command.main(words))


@pytest.mark.slow
def test_features_and_scores_of_a_killed_run_end_with_the_same_bytes(folder):
    whole = folder / "whole"
    assert score_command.main(arguments(folder, whole)) == 0
    fork = multiprocessing.get_context("fork")
    n_killed = 0
    for point in range(N_POINTS):
        out = folder / f"killed-{point}"
        run = fork.Process(target=killed_at, args=(point, arguments(folder, out)))
        run.start()
        run.join()
        n_killed += run.exitcode == -signal.SIGKILL
        assert score_command.main(arguments(folder, out)) == 0
        assert folder_hash(out / "scores") == folder_hash(whole / "scores")
        for path in sorted((whole / "features").glob("*/features.bin")):
            found = out / path.relative_to(whole)
            assert found.read_bytes() == path.read_bytes()
    assert n_killed >= N_POINTS - 2
