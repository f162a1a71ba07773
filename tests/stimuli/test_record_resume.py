"""A recording that is stopped goes on, and ends with an undisturbed run's bytes."""

import numpy as np
import pytest
import torch

from data.errors import DataContractError
from data.recordings import write_recording
from data.units import UnitId
from stimuli.checkpoints import Checkpoint, Clock
from stimuli.directions import DirectionSet
from stimuli.networks import load_network
from stimuli.record import RecordConfig, record, record_together
from stimuli.record_config import Job
from tests.stimuli.toy import image_set_of, save_pictures

N_IMAGES, BATCH_SIZE = 45, 8
NETWORK = "tests.stimuli.toy:toy"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    return image_set_of(save_pictures(folder / "pictures", N_IMAGES))


@pytest.fixture
def config():
    weights = {"directions": torch.eye(6)}
    return RecordConfig(
        layers=("conv", "relu", "tokens"),
        n_extremes=10,
        full=(UnitId("toy", "relu", 1),),
        directions=(
            DirectionSet(layer="conv", name="d", kind="directions", weights=weights),
        ),
        map_statistics=True,
    )


class Stopped(Exception):
    """What a kill is to a test that goes on living."""


def stop_after(n_batches):
    left = [n_batches]

    def advance(_n_images):
        left[0] -= 1
        if left[0] < 0:
            raise Stopped

    return advance


def run(images, config, checkpoint, **options):
    options = {"seed": 0, "batch_size": BATCH_SIZE} | options
    network = load_network(NETWORK, name=options.pop("name", None))
    return record(images, network, config, checkpoint=checkpoint, **options)[0]


def files_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def undisturbed(images, config, tmp_path):
    write_recording(tmp_path / "undisturbed", run(images, config, None))
    return files_of(tmp_path / "undisturbed")


@pytest.mark.parametrize("stops", [[0], [1], [3], [5], [2, 2, 1]])
def test_a_stopped_recording_ends_with_the_same_bytes(
    images, config, tmp_path, undisturbed, stops
):
    checkpoint = Checkpoint(path=tmp_path / "out.unfinished.npz", minutes=0)
    for n_batches in stops:
        with pytest.raises(Stopped):
            run(images, config, checkpoint, advance=stop_after(n_batches))
    write_recording(tmp_path / "resumed", run(images, config, checkpoint))
    assert files_of(tmp_path / "resumed") == undisturbed


def test_a_recording_that_ends_leaves_nothing_of_its_checkpoint(tmp_path):
    checkpoint = Checkpoint(path=tmp_path / "out.unfinished.npz")
    checkpoint.write({}, {})
    # What a run that was killed while it wrote has left, and what is another's.
    (tmp_path / ".out.unfinished.npz.123.part").write_text("half")
    (tmp_path / ".other.unfinished.npz.123.part").write_text("half")
    checkpoint.remove()
    left = [path.name for path in tmp_path.iterdir()]
    assert left == [".other.unfinished.npz.123.part"]


def test_images_that_were_done_are_not_read_again(images, config, tmp_path):
    checkpoint = Checkpoint(path=tmp_path / "out.unfinished.npz", minutes=0)
    with pytest.raises(Stopped):
        run(images, config, checkpoint, advance=stop_after(3))
    done, lines = [], []
    run(images, config, checkpoint, advance=done.append, tell=lines.append)
    assert done[0] == 4 * BATCH_SIZE
    assert sum(done) == N_IMAGES
    assert "going on after 32 images" in lines[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, r"with 'seed' 0; now it is 1, and the two can't be mixed"),
        ({"batch_size": 4}, r"with 'batch_size' 8; now it is 4"),
        ({"name": "other"}, r"'name' 'toy'; now it is 'other'"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    images, config, tmp_path, options, message
):
    config = RecordConfig(layers=("conv",), n_extremes=10)
    checkpoint = Checkpoint(path=tmp_path / "out.unfinished.npz", minutes=0)
    with pytest.raises(Stopped):
        run(images, config, checkpoint, advance=stop_after(2))
    with pytest.raises(DataContractError, match=message):
        run(images, config, checkpoint, **options)


def test_images_that_changed_between_the_runs_are_refused(config, tmp_path):
    folder = save_pictures(tmp_path / "pictures", N_IMAGES)
    checkpoint = Checkpoint(path=tmp_path / "out.unfinished.npz", minutes=0)
    with pytest.raises(Stopped):
        run(image_set_of(folder), config, checkpoint, advance=stop_after(2))
    save_pictures(folder, N_IMAGES, seed=1)
    with pytest.raises(DataContractError, match="recording with 'images'"):
        run(image_set_of(folder), config, checkpoint)


def test_a_checkpoint_that_was_cut_off_is_refused(images, config, tmp_path):
    path = tmp_path / "out.unfinished.npz"
    checkpoint = Checkpoint(path=path, minutes=0)
    with pytest.raises(Stopped):
        run(images, config, checkpoint, advance=stop_after(2))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataContractError, match="not a whole NPZ file"):
        run(images, config, checkpoint)


def test_a_file_that_is_no_checkpoint_is_left_alone(images, config, tmp_path):
    np.savez(tmp_path / "out.unfinished.npz", mine=np.zeros(3))
    checkpoint = Checkpoint(path=tmp_path / "out.unfinished.npz", minutes=0)
    with pytest.raises(DataContractError, match="is no checkpoint of a recording"):
        run(images, config, checkpoint)


def test_a_checkpoint_is_due_after_its_minutes(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    clock = Clock(minutes=2)
    now[0] = 219.0
    assert not clock.is_due()
    now[0] = 221.0
    assert clock.is_due()
    assert not clock.is_due()


def test_networks_of_one_run_go_on_from_where_each_was(images, tmp_path):
    config = RecordConfig(layers=("conv", "head"), n_extremes=10)

    def jobs(minutes):
        return [
            Job(
                network=load_network(NETWORK, name=name),
                config=config,
                checkpoint=Checkpoint(path=tmp_path / f"{name}.npz", minutes=each),
            )
            for name, each in zip(("a", "b"), minutes, strict=True)
        ]

    options = {"seed": 0, "batch_size": BATCH_SIZE}
    plain = record_together(images, jobs((9, 9)), **options)
    with pytest.raises(Stopped):
        # The second saves after each batch, the first never: they are apart.
        record_together(images, jobs((9, 0)), advance=stop_after(3), **options)
    assert not (tmp_path / "a.npz").exists()
    again = record_together(images, jobs((9, 9)), **options)
    for (before, _), (after, _) in zip(plain, again, strict=True):
        np.testing.assert_array_equal(before.top_index, after.top_index)
        np.testing.assert_array_equal(before.top_value, after.top_value)
        assert before.statistics.equals(after.statistics)
