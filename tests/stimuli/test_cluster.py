"""A cluster gives one machine's bytes, whatever happens to its workers."""

import pytest
import torch

from data.errors import DataContractError
from data.recordings import write_recording
from data.units import UnitId
from stimuli import shards as shards_module
from stimuli.cluster import job_settings, open_cluster
from stimuli.directions import DirectionSet
from stimuli.networks import load_network
from stimuli.record import RecordConfig, record
from stimuli.record_command import main
from stimuli.record_config import Job
from stimuli.shards import Shard, joined, record_shard, shards_of
from tests.stimuli.toy import image_set_of, save_pictures, toy_module, toy_preprocess

# Dask closes its sockets after its loop is gone.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

N_IMAGES, BATCH_SIZE = 800, 6
NETWORK = "tests.stimuli.toy:toy"
OPTIONS = {"seed": 3, "batch_size": BATCH_SIZE}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    labels = [f"{one % 4} kind" for one in range(N_IMAGES)]
    return image_set_of(save_pictures(folder / "pictures", N_IMAGES), labels=labels)


@pytest.fixture(scope="module")
def job():
    weights = {"directions": torch.eye(6)}
    config = RecordConfig(
        layers=("conv", "relu", "tokens"),
        n_extremes=10,
        full=(UnitId("toy", "relu", 1),),
        directions=(
            DirectionSet(layer="conv", name="d", kind="directions", weights=weights),
        ),
        map_statistics=True,
    )
    return Job(network=load_network(NETWORK), config=config, check_labels=True)


@pytest.fixture(scope="module")
def whole(images, job, tmp_path_factory):
    """What one pass gives: the files of the recording, and the label check."""
    made, check = record(images, job.network, job.config, check_labels=True, **OPTIONS)
    folder = tmp_path_factory.mktemp("whole") / "recording"
    write_recording(folder, made)
    return files_of(folder), check


def files_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def recorded(images, job, shards, folder):
    for shard in shards:
        record_shard(images, job, shard, folder, device="cpu", workers=2, **OPTIONS)


def made_by_of(images, job):
    from stimuli.passes import NetworkPass

    return NetworkPass(images, job, device="cpu", **OPTIONS).made_by


def test_shards_end_where_blocks_and_batches_end():
    shards = shards_of(5000, n_each=1000, batch_size=6)
    assert [one.first % 256 for one in shards] == [0] * len(shards)
    assert [one.first % 6 for one in shards] == [0] * len(shards)
    assert [one.stop for one in shards[:-1]] == [one.first for one in shards[1:]]
    assert (shards[0].first, shards[-1].stop) == (0, 5000)
    assert all(one.stop - one.first >= 1000 for one in shards[:-1])


def test_joined_shards_are_one_pass_bit_for_bit(images, job, whole, tmp_path):
    shards = shards_of(N_IMAGES, n_each=1, batch_size=2)
    assert len(shards) == 4
    options = OPTIONS | {"batch_size": 2}
    made, check = record(images, job.network, job.config, check_labels=True, **options)
    write_recording(tmp_path / "one", made)
    for shard in reversed(shards):
        record_shard(
            images, job, shard, tmp_path / "shards", device="cpu", workers=2, **options
        )
    from stimuli.passes import NetworkPass

    made_by = NetworkPass(images, job, device="cpu", **options).made_by
    again, same = joined(
        images, job, shards[::-1], tmp_path / "shards", seed=3, made_by=made_by
    )
    write_recording(tmp_path / "joined", again)
    assert files_of(tmp_path / "joined") == files_of(tmp_path / "one")
    assert same == check == whole[1]
    assert check.n_right > 0


def test_a_shard_that_stands_is_not_recorded_again(images, job, tmp_path, monkeypatch):
    shard = Shard(first=768, stop=800)
    recorded(images, job, [shard], tmp_path)
    before = files_of(tmp_path)

    def refuse(*_, **__):
        raise AssertionError("images were read")

    monkeypatch.setattr(shards_module, "batches", refuse)
    recorded(images, job, [shard], tmp_path)
    assert files_of(tmp_path) == before


def test_a_shard_recorded_twice_has_the_same_content(images, job, tmp_path):
    shard = Shard(first=768, stop=800)
    for name in ("a", "b"):
        recorded(images, job, [shard], tmp_path / name)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_a_shard_of_other_settings_is_refused(images, job, tmp_path):
    shard = Shard(first=768, stop=800)
    recorded(images, job, [shard], tmp_path)
    made_by = made_by_of(images, job) | {"seed": 4}
    with pytest.raises(DataContractError, match=r"with 'seed' 3; now it is 4"):
        joined(images, job, [shard], tmp_path, seed=4, made_by=made_by)


def test_a_missing_shard_is_told(images, job, tmp_path):
    with pytest.raises(DataContractError, match=r"000000768-000000800.npz does not"):
        joined(
            images,
            job,
            [Shard(first=768, stop=800)],
            tmp_path,
            seed=3,
            made_by=made_by_of(images, job),
        )


def command(images, out, *more):
    place = str(images.root.parent / "pictures-set")
    options = ["--images", place, "--network", NETWORK, "--layers", "conv,relu,tokens"]
    options += ["--n-extremes", "10", "--batch-size", "4", "--seed", "3"]
    options += ["--map-statistics", "--check-labels", "--out", str(out)]
    return [*options, *more]


CLUSTER = ("--cluster", "local:2", "--shard-images", "256")


@pytest.mark.slow
def test_what_a_worker_finds_wrong_is_said_in_one_line(images, tmp_path, capsys):
    words = command(images, tmp_path / "out", *CLUSTER)
    words[words.index(NETWORK)] = "tests.stimuli.test_cluster:not_finite"
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "activations must be finite" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def not_finite():
    module = toy_module()
    with torch.no_grad():
        module.conv.bias[2] = torch.nan
    return module, toy_preprocess


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("two", r"'--cluster' is 'two'; it must be local:N"),
        ("local:0", r"'local:0'; it must name how many"),
        ("local:", r"'local:'; it must name how many"),
        ("slurm:none.toml", r"none.toml does not exist"),
    ],
)
def test_a_cluster_that_is_none_is_refused(text, message):
    with pytest.raises(DataContractError, match=message), open_cluster(text):
        pass


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs = 2", r"lacks \['cores', 'memory'\]"),
        ('jobs = 2\ncores = 1\nmemory = "2GB"\nqeue = "a"', r"settings \['qeue'\]"),
        ("jobs =", "is no TOML"),
    ],
)
def test_wrong_settings_of_a_job_system_are_refused(tmp_path, text, message):
    path = tmp_path / "slurm.toml"
    path.write_text(text)
    with pytest.raises(DataContractError, match=message):
        job_settings(path, "slurm")


def test_settings_of_slurm_reach_its_job_script(tmp_path):
    path = tmp_path / "slurm.toml"
    text = (
        'jobs = 2\ncores = 4\nmemory = "16GB"\nqueue = "gpu"\nwalltime = "02:00:00"\n'
    )
    path.write_text(text + 'job_extra_directives = ["--gres=gpu:1"]\n')
    from dask_jobqueue import SLURMCluster

    settings = job_settings(path, "slurm")
    assert settings.pop("jobs") == 2
    with SLURMCluster(**settings, scheduler_options={"dashboard_address": ":0"}) as one:
        script = one.job_script()
    for line in ("-p gpu", "-t 02:00:00", "--gres=gpu:1", "--cpus-per-task=4"):
        assert f"#SBATCH {line}" in script
