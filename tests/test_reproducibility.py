"""The same seed gives the same bytes, in another process and with other batches."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.files import folder_hash
from data.recordings import read_recording
from data.tasks import TaskConfig, draw_tasks

STEPS = """
import sys
from pathlib import Path
import unitscope

photographs, out, batch_size = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
step = {name: str(out / name) for name in
        ("images", "recording", "tasks", "scores", "selection", "study")}
for command in (
    ["images", "--folder", str(photographs), "--out", step["images"]],
    ["record", "--images", step["images"], "--layers", "_blocks.2,_blocks.10",
     "--n-extremes", "12", "--batch-size", batch_size, "--seed", "3",
     "--out", step["recording"]],
    ["tasks", step["recording"], "--n-tasks", "4", "--n-explanations", "2",
     "--seed", "3", "--out", step["tasks"]],
    ["score", step["tasks"], "--images", step["images"], "--encoder",
     "efficientnet-lite2", "--features", str(out / "features"), "--out",
     step["scores"]],
    ["select", "--scores", step["scores"], "--n", "3", "--seed", "3", "--out",
     step["selection"]],
    ["compile", step["tasks"], "--images", step["images"], "--selection",
     step["selection"], "--scores", step["scores"], "--study-id", "twice",
     "--slots", "4", "--main-trials", "9", "--catch-trials", "2", "--seed", "3",
     "--out", step["study"]],
):
    status = unitscope.main(command)
    if status:
        sys.exit(f"{command[0]} ended with {status}")
"""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Crops of the photographs that a package ships: small, real and distinct."""
    import skimage

    root = tmp_path_factory.mktemp("photographs")
    source = Path(skimage.__file__).parent / "data"
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg"):
        image = Image.open(source / name).convert("RGB").resize((390, 390))
        for corner in range(9):
            left, top = 130 * (corner % 3), 130 * (corner // 3)
            crop = image.crop((left, top, left + 130, top + 130))
            crop.save(root / f"{name.partition('.')[0]}-{corner}.png")
    return root


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
    for step, header in (
        ("tasks", "tasks.json"),
        ("scores", "scores.json"),
        ("study", "study.json"),
    ):
        content = json.loads((first / step / header).read_text())
        assert content["made_from"], step
        assert all(value for value in content["made_from"].values()), step
        assert content["version"] == 1


@pytest.mark.slow
def test_a_header_is_enough_to_make_the_tasks_again(first):
    header = json.loads((first / "tasks" / "tasks.json").read_text())
    recording = read_recording(first / "recording")
    again = draw_tasks(recording, TaskConfig(**header["config"]), seed=header["seed"])
    with np.load(first / "tasks" / "tasks.npz") as written:
        np.testing.assert_array_equal(again.queries, written["queries"])
