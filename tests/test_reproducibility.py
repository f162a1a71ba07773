"""The same seed gives the same bytes, in another process and with other batches."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from data.files import folder_hash
from data.recordings import read_recording
from data.tasks import TaskConfig, draw_tasks
from tests.line import STEPS, crop_photographs


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    return crop_photographs(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="module")
def run(photographs, tmp_path_factory):
    def steps(hash_seed, batch_size):
        out = tmp_path_factory.mktemp("run")
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", STEPS, str(photographs), str(out), batch_size],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return out

    return steps


@pytest.fixture(scope="module")
def first(run):
    return run("1", "8")


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(first, run):
    second = run("2", "8")
    for step in ("recording", "tasks", "scores", "selection", "study"):
        assert folder_hash(first / step) == folder_hash(second / step), step


@pytest.mark.slow
def test_another_batch_size_gives_the_same_up_to_rounding(first, run):
    # A convolution may sum in another order: activations agree to 1e-5 of their size,
    # and an image can change its rank only where another's activation is that close.
    other = read_recording(run("1", "5") / "recording")
    one = read_recording(first / "recording")
    for end in ("top", "bottom"):
        values = getattr(one, f"{end}_value"), getattr(other, f"{end}_value")
        size = np.abs(values[0]).max(axis=1, keepdims=True)
        assert (np.abs(values[0] - values[1]) <= 1e-5 * size).all()
        images = getattr(one, f"{end}_index"), getattr(other, f"{end}_index")
        moved = images[0] != images[1]
        assert moved.mean() < 0.001


@pytest.mark.slow
def test_a_header_tells_what_a_file_was_made_from(first):
    for step, header, version in (
        ("tasks", "tasks.json", 1),
        ("scores", "scores.json", 2),
        ("study", "study.json", 2),
    ):
        content = json.loads((first / step / header).read_text())
        assert content["made_from"], step
        assert all(value for value in content["made_from"].values()), step
        assert content["version"] == version


@pytest.mark.slow
def test_a_header_is_enough_to_make_the_tasks_again(first):
    header = json.loads((first / "tasks" / "tasks.json").read_text())
    recording = read_recording(first / "recording")
    again = draw_tasks(recording, TaskConfig(**header["config"]), seed=header["seed"])
    with np.load(first / "tasks" / "tasks.npz") as written:
        np.testing.assert_array_equal(again.queries, written["queries"])
