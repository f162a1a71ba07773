"""Networks, devices and sizes that would give wrong numbers, or none."""

import numpy as np
import pytest
import torch
from torch import nn

from data.errors import DataContractError
from data.recordings import read_recording
from data.units import UnitId
from stimuli.networks import Network, load_network
from stimuli.record import RecordConfig, record, record_together
from stimuli.record_command import main
from stimuli.record_config import Job
from tests.stimuli.toy import image_set_of, save_pictures, toy_preprocess

N_IMAGES = 40
TOY = "tests.stimuli.toy:toy"
FULL = tuple(UnitId("toy", "conv", channel) for channel in range(6))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    return image_set_of(save_pictures(folder / "pictures", N_IMAGES))


def network_of(module):
    return Network(
        name="toy", module=module.eval(), preprocess=toy_preprocess, weights_hash=""
    )


def recorded(images, network, *layers, batch_size=8, tell=None, **config):
    config = RecordConfig(layers=layers, **{"n_extremes": 10} | config)
    options = {"tell": tell} if tell else {}
    return record(images, network, config, seed=0, batch_size=batch_size, **options)[0]


def test_several_networks_decode_every_image_once(images, monkeypatch):
    loaded = []
    load = type(images).load
    monkeypatch.setattr(
        type(images), "load", lambda self, name: loaded.append(name) or load(self, name)
    )
    config = RecordConfig(layers=("conv",), n_extremes=10)
    jobs = [
        Job(network=load_network(TOY, name=name), config=config) for name in ("a", "b")
    ]
    made = record_together(images, jobs, seed=0)
    assert sorted(loaded) == sorted(images.image_ids)
    assert [one.units[0].model for one, _ in made] == ["a", "b"]
    means = [one.statistics["mean"] for one, _ in made]
    np.testing.assert_array_equal(*means)


class Limited(nn.Module):
    """Has no room for more images at once than a limit."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit
        self.toy = load_network(TOY).module

    def forward(self, images):
        if len(images) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return self.toy(images)


@pytest.mark.parametrize("layers", ["toy.conv", "toy.c*"])
def test_too_large_a_batch_is_halved_and_said_so(images, layers):
    lines = []
    full = tuple(UnitId("toy", "toy.conv", channel) for channel in range(6))
    small, whole = (
        recorded(images, network_of(Limited(n)), layers, full=full, tell=lines.append)
        for n in (3, 99)
    )
    for unit in full:
        np.testing.assert_allclose(small.full[unit], whole.full[unit], rtol=1e-5)
    said = [line for line in lines if "out of memory" in line]
    assert "with 8 images a batch; going on with 4" in said[0]
    assert "with 4 images a batch; going on with 2" in said[1]
    assert len(said) == 2


def test_memory_that_runs_out_in_the_middle_loses_nothing(images):
    class Later(Limited):
        def forward(self, batch):
            self.limit -= 1
            return super().forward(batch) if self.limit > 4 else self.small(batch)

        def small(self, batch):
            if len(batch) > 2:
                raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried")
            return self.toy(batch)

    full = tuple(UnitId("toy", "toy.conv", channel) for channel in range(6))
    late, whole = (
        recorded(images, network_of(kind), "toy.conv", full=full)
        for kind in (Later(12), Limited(99))
    )
    for unit in full:
        np.testing.assert_allclose(late.full[unit], whole.full[unit], rtol=1e-5)
    np.testing.assert_array_equal(late.top_index, whole.top_index)


def test_no_room_for_one_image_is_refused(images):
    with pytest.raises(DataContractError, match="no room for a single image of 'toy'"):
        recorded(images, network_of(Limited(0)), "toy.conv")


def test_units_that_need_more_memory_than_there_is_are_refused_with_the_numbers(images):
    config = RecordConfig(layers=("@conv",), n_extremes=10)
    job = Job(network=load_network(TOY), config=config, memory_bytes=5000)
    message = r"6 units of 1 layers with 10 images at each end need 0\.00 GB.*--n-extr"
    with pytest.raises(DataContractError, match=message):
        record_together(images, [job], seed=0)


def test_how_many_units_and_how_much_memory_is_said_before_the_pass(images):
    lines = []
    recorded(images, load_network(TOY), "conv", "head", tell=lines.append)
    assert lines[0].startswith("toy: 10 units of 2 layers; 0.00 GB of memory")


class Random(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)

    def forward(self, images):
        return nn.functional.dropout(self.conv(images), training=True)


class ByBatch(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)

    def forward(self, images):
        maps = self.conv(images)
        return maps - maps.mean(dim=0, keepdim=True)


def test_dropout_that_stays_on_is_noticed(images):
    net = network_of(nn.Sequential(Random(), nn.ReLU()))
    with pytest.raises(DataContractError, match=r"'0' gives other.*dropout"):
        recorded(images, net, "0")


@pytest.mark.parametrize("kind", ["by_batch", "position"])
def test_activations_that_depend_on_the_batch_are_noticed(images, kind):
    first = ByBatch() if kind == "by_batch" else Position()
    net = network_of(nn.Sequential(first, nn.ReLU()))
    with pytest.raises(DataContractError, match=r"'1' gives other.* whole batch"):
        recorded(images, net, "1")


class Position(nn.Module):
    """Adds to each image a number that its place in the batch decides."""

    def forward(self, images):
        place = torch.arange(len(images), dtype=images.dtype)
        return images + place[:, None, None, None]


def test_normalisation_by_the_batch_is_refused(images):
    norm = nn.BatchNorm2d(3, track_running_stats=False)
    with pytest.raises(DataContractError, match="'0' of the network 'toy' normalises"):
        recorded(images, network_of(nn.Sequential(norm)), "0")


def test_the_module_in_training_mode_is_named(images):
    network = load_network(TOY)
    network.module.tokens.train()
    with pytest.raises(DataContractError, match="module 'tokens' of the network 'toy'"):
        recorded(images, network, "conv")


def test_weights_without_values_are_refused(images):
    with torch.device("meta"):
        module = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(DataContractError, match=r"'0.weight' .* has no values"):
        recorded(images, network_of(module), "0")


def test_the_second_name_of_a_module_is_told_from_an_unknown_one(images):
    module = load_network(TOY).module
    module.again = module.conv
    with pytest.raises(DataContractError, match="'again' is the same module as 'conv'"):
        recorded(images, network_of(module), "again")


def test_half_precision_is_near_and_written_down(images):
    whole = recorded(images, load_network(TOY), "conv", full=FULL)
    half = recorded(images, load_network(TOY), "conv", full=FULL, precision="bfloat16")
    assert half.header.config["precision"] == "bfloat16"
    for unit in FULL:
        difference = np.abs(whole.full[unit] - half.full[unit]).max()
        assert 0 < difference < 0.05 * np.abs(whole.full[unit]).max()


def test_a_precision_that_is_none_is_refused():
    with pytest.raises(DataContractError, match="'precision' is 'int8'"):
        RecordConfig(layers=("conv",), precision="int8")


def test_sparsity_and_contrast_of_maps_are_those_of_a_plain_loop(images):
    network = load_network(TOY)
    table = recorded(images, network, "relu", map_statistics=True).statistics
    pixels = torch.stack([network.preprocess(images.load(i)) for i in images.image_ids])
    maps = network.module.relu(network.module.conv(pixels)).numpy()
    for channel, own in enumerate(maps.transpose(1, 0, 2, 3)):
        pairs = [
            abs(one[y, x] - one[y + dy, x + dx])
            for one in own
            for dy, dx in ((0, 1), (1, 0))
            for y in range(one.shape[0] - dy)
            for x in range(one.shape[1] - dx)
        ]
        assert table["map_sparsity"][channel] == pytest.approx((own <= 0).mean())
        assert table["local_contrast"][channel] == pytest.approx(
            np.mean(pairs), rel=1e-4
        )
    assert table["sparsity"][0] == 1


def test_map_statistics_are_missing_where_they_were_not_asked_for(images):
    table = recorded(images, load_network(TOY), "relu").statistics
    assert table[["map_sparsity", "local_contrast"]].isna().all(axis=None)


def test_tokens_have_sparsity_and_no_contrast(images):
    table = recorded(
        images, load_network(TOY), "tokens", map_statistics=True
    ).statistics
    assert table["map_sparsity"].notna().all()
    assert table["local_contrast"].isna().all()


def test_a_layer_without_maps_has_no_statistics_of_maps(images):
    table = recorded(images, load_network(TOY), "head", map_statistics=True).statistics
    assert table[["map_sparsity", "local_contrast"]].isna().all(axis=None)


def test_the_command_records_networks_into_a_folder_each(images, tmp_path, capsys):
    options = [
        "--images",
        str(images.root.parent / "pictures-set"),
        "--n-extremes",
        "9",
    ]
    options += ["--network", TOY, "--network", TOY, "--name", "a", "--name", "b"]
    options += ["--layers", "@conv", "--layers", "@linear"]
    assert main([*options, "--out", str(tmp_path / "out")]) == 0
    assert read_recording(tmp_path / "out" / "a").units[0].layer == "conv"
    assert read_recording(tmp_path / "out" / "b").units[0].layer == "head"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--network", TOY], r"The networks are called \['toy', 'toy'\]"),
        (
            ["--network", TOY, "--network", TOY, "--name", "a", "--name", "b"],
            "'--name' is given 2 times for 3 networks",
        ),
    ],
)
def test_networks_that_can_not_be_told_apart_are_refused(
    images, tmp_path, capsys, options, message
):
    place = ["--images", str(images.root.parent / "pictures-set"), "--layers", "@conv"]
    out = ["--network", TOY, "--out", str(tmp_path / "out")]
    assert main([*place, *options, *out]) == 2
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(capsys.readouterr().err)
