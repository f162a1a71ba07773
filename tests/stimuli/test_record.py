import numpy as np
import pytest
import torch

from data.errors import DataContractError
from data.recordings import tie_keys
from data.tasks import TaskConfig, draw_tasks
from data.units import UnitId
from stimuli.networks import Network, load_network
from stimuli.record import RecordConfig, record
from stimuli.reductions import LayerReader
from tests.stimuli.toy import image_set_of, save_pictures, toy_preprocess

N_IMAGES = 45


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("record")
    return image_set_of(save_pictures(folder / "pictures", N_IMAGES))


@pytest.fixture
def network():
    return load_network("tests.stimuli.toy:toy")


def network_of(module, name="odd"):
    return Network(
        name=name, module=module.eval(), preprocess=toy_preprocess, weights_hash=""
    )


def recorded(images, network, *layers, seed=0, batch_size=8, **config):
    config = RecordConfig(layers=layers, **{"n_extremes": 10} | config)
    return record(images, network, config, seed=seed, batch_size=batch_size)[0]


def whole_activations(images, network, layer):
    """All activations in one batch, read without hooks on any other layer."""
    pixels = torch.stack([network.preprocess(images.load(i)) for i in images.image_ids])
    with LayerReader(network.module, (layer,), {}) as reader:
        return reader(pixels)[0][layer]


def test_a_recording_ranks_images_as_a_full_sort_does(images, network):
    recording = recorded(images, network, "conv")
    values = whole_activations(images, network, "conv")
    keys = tie_keys(recording.units, np.arange(N_IMAGES), seed=0)
    for channel, key in enumerate(keys):
        order = np.lexsort((~key, -values[:, channel]))
        np.testing.assert_array_equal(recording.top_index[channel], order[:10])
        order = np.lexsort((key, values[:, channel]))
        np.testing.assert_array_equal(recording.bottom_index[channel], order[:10])


def test_a_layer_is_read_before_a_later_operation_changes_it_in_place(images, network):
    conv = recorded(images, network, "conv").statistics
    relu = recorded(images, network, "relu").statistics
    assert (conv["minimum"] < 0).any()
    assert (relu["minimum"] >= 0).all()


def test_units_are_named_by_network_layer_and_channel_in_the_order_asked(
    images, network
):
    units = recorded(images, network, "head", "conv").units
    assert units[0] == UnitId("toy", "head", 0)
    assert units[4] == UnitId("toy", "conv", 0)
    assert len(units) == 4 + 6


def test_a_recording_carries_what_made_it(images, network):
    header = recorded(images, network, "conv", "tokens", seed=5).header
    assert header.seed == 5
    assert header.made_from["images"] == images.fingerprint
    assert header.config["weights_hash"] == network.weights_hash
    assert header.config["reductions"] == {
        "conv": "spatial_mean",
        "tokens": "token_mean",
    }


def test_the_batch_size_changes_nothing_but_rounding(images, network):
    few, many = (
        recorded(images, network, "relu", batch_size=size, full=FULL)
        for size in (4, N_IMAGES)
    )
    for unit in FULL:
        np.testing.assert_allclose(few.full[unit], many.full[unit], rtol=1e-5)
        np.testing.assert_array_equal(few.full[unit] == 0, many.full[unit] == 0)
    # Silent on every image: all its ranks are ties, and only keys can break them.
    np.testing.assert_array_equal(few.bottom_index[0], many.bottom_index[0])
    np.testing.assert_array_equal(
        few.statistics["share_at_minimum"], many.statistics["share_at_minimum"]
    )


FULL = tuple(UnitId("toy", "relu", channel) for channel in range(6))


def test_a_last_batch_that_is_not_full_gives_the_same_activations(images, network):
    values = recorded(images, network, "conv", batch_size=44, full=CONV).full
    whole = whole_activations(images, network, "conv")
    for unit in CONV:
        np.testing.assert_allclose(values[unit], whole[:, unit.channel], rtol=1e-5)


CONV = tuple(UnitId("toy", "conv", channel) for channel in range(6))


def test_a_dead_unit_is_recorded_as_constant_and_gets_no_tasks(images, network):
    recording = recorded(images, network, "relu")
    assert recording.statistics["share_at_minimum"][0] == 1
    tasks = draw_tasks(recording, TaskConfig(n_tasks=2, n_explanations=4), seed=0)
    assert tasks.table["reason"][0].startswith("constant")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("token_mean", lambda tokens: tokens.mean(dim=1)),
        ("class_token", lambda tokens: tokens[:, 0]),
    ],
)
def test_tokens_are_reduced_as_named(network, name, expected):
    pixels = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    maps = network.module.relu(network.module.conv(pixels))
    with LayerReader(network.module, ("tokens",), {"tokens": name}) as reader:
        values, _ = reader(pixels)
    np.testing.assert_allclose(
        values["tokens"], expected(network.module.tokens(maps)).numpy(), rtol=1e-6
    )
    assert reader.used == {"tokens": name}


def test_token_mean_includes_the_class_token(network):
    pixels = torch.zeros(1, 3, 16, 16)
    with LayerReader(network.module, ("tokens",), {}) as reader:
        dead = reader(pixels)[0]["tokens"][0, 0]
    n_tokens = 1 + 6 * 6
    np.testing.assert_allclose(dead, 1 / n_tokens, rtol=1e-6)


class Permuted(torch.nn.Module):
    """A layer whose dimensions stand in another order."""

    def __init__(self, *order):
        super().__init__()
        self.order = order
        self.layer = torch.nn.Identity()

    def forward(self, images):
        maps = images if len(self.order) == 4 else images.flatten(2)
        return self.layer(maps.permute(self.order))


@pytest.mark.parametrize(
    ("order", "name"),
    [
        ((0, 2, 3, 1), "spatial_mean_channels_last"),
        ((2, 0, 1), "token_mean_tokens_first"),
    ],
)
def test_other_orders_of_dimensions_have_their_reduction(order, name):
    pixels = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with LayerReader(Permuted(*order).eval(), ("layer",), {"layer": name}) as reader:
        values, _ = reader(pixels)
    np.testing.assert_allclose(values["layer"], pixels.mean(dim=(2, 3)), rtol=1e-5)


def test_hooks_are_gone_after_the_pass(images, network):
    recorded(images, network, "conv")
    assert not network.module.conv._forward_hooks


def test_tokens_first_under_the_default_reduction_are_noticed(images):
    with pytest.raises(DataContractError, match=r"for 256 images of a batch of 8"):
        recorded(images, network_of(Permuted(2, 0, 1)), "layer")


def test_an_unknown_layer_offers_near_names(images, network):
    with pytest.raises(DataContractError, match=r"'convv' is not in.*mean 'conv'"):
        recorded(images, network, "convv")


def test_a_layer_that_does_not_run_is_refused(images, network):
    with pytest.raises(DataContractError, match="'unused' did not run"):
        recorded(images, network, "unused")


class Twice(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.relu = torch.nn.ReLU()

    def forward(self, images):
        return self.relu(self.relu(images) - 0.5)


def test_a_layer_that_runs_twice_is_refused(images):
    with pytest.raises(DataContractError, match="'relu' runs more than once"):
        recorded(images, network_of(Twice()), "relu")


class Recurrent(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 4, batch_first=True)

    def forward(self, images):
        return self.lstm(images.flatten(2).transpose(1, 2))[0]


def test_a_layer_that_returns_a_tuple_is_refused(images):
    with pytest.raises(DataContractError, match="'lstm' returns tuple"):
        recorded(images, network_of(Recurrent()), "lstm")


def test_a_reduction_for_another_shape_is_refused(images, network):
    with pytest.raises(DataContractError, match=r"'class_token' needs 3 dimensions"):
        recorded(images, network, "conv", reductions={"conv": "class_token"})


@pytest.mark.parametrize(
    ("reductions", "message"),
    [
        ({"conv": "spatial_maen"}, r"'spatial_maen'.*Did you mean 'spatial_mean'"),
        ({"relu": "spatial_mean"}, r"'relu', which is not recorded"),
    ],
)
def test_an_unknown_reduction_is_refused(images, network, reductions, message):
    with pytest.raises(DataContractError, match=message):
        recorded(images, network, "conv", reductions=reductions)


def test_activations_that_are_not_finite_name_channel_and_image(images, network):
    with torch.no_grad():
        network.module.conv.bias[4] = float("nan")
    with pytest.raises(
        DataContractError, match=r"Channel 4 of layer 'conv' is nan for image '0000"
    ):
        recorded(images, network, "conv")


def test_a_network_in_training_mode_is_refused(images, network):
    network.module.relu.train()
    with pytest.raises(DataContractError, match="in training mode"):
        recorded(images, network, "conv")


def test_too_small_a_set_is_refused_before_any_image_is_read(images, network):
    def never(image):
        raise AssertionError("an image was read")

    untouched = Network(
        name="toy", module=network.module, preprocess=never, weights_hash=""
    )
    with pytest.raises(DataContractError, match=r"45 images; 'n_extremes' 23.* 46"):
        recorded(images, untouched, "conv", n_extremes=23)


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        (UnitId("toy", "relu", 0), r"'toy::relu::0' can't be kept in full"),
        (UnitId("other", "conv", 0), r"'other::conv::0' can't be kept in full"),
        (UnitId("toy", "conv", 6), r"layer 'conv' has 6 channels, counted from 0"),
    ],
)
def test_a_unit_to_keep_in_full_must_be_recorded(images, network, unit, message):
    with pytest.raises(DataContractError, match=message):
        recorded(images, network, "conv", full=(unit,))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"n_extremes": 0}, r"'n_extremes' is 0"),
        ({"layers": ()}, r"'layers' is \[\]"),
        ({"layers": ("conv", "conv")}, r"each once"),
    ],
)
def test_a_configuration_out_of_range_is_refused(config, message):
    with pytest.raises(DataContractError, match=message):
        RecordConfig(**{"layers": ("conv",)} | config)


def test_a_batch_size_of_zero_is_refused(images, network):
    with pytest.raises(DataContractError, match="'batch_size' is 0"):
        recorded(images, network, "conv", batch_size=0)


def test_a_device_that_is_not_here_is_refused(images, network):
    config = RecordConfig(layers=("conv",), n_extremes=10)
    with pytest.raises(DataContractError, match="'device' is 'tpux'"):
        record(images, network, config, seed=0, device="tpux")


def test_preprocessing_to_several_shapes_is_refused(images, network):
    sizes = iter(range(10, 10 + N_IMAGES))
    uneven = Network(
        name="toy",
        module=network.module,
        preprocess=lambda image: torch.zeros(3, next(sizes), 16),
        weights_hash="",
    )
    with pytest.raises(DataContractError, match="all must have one shape"):
        recorded(images, uneven, "conv")


@pytest.mark.parametrize(
    ("preprocess", "message"),
    [
        (np.asarray, r"gives ndarray of shape \(20, 24, 3\); it must give a tensor"),
        (lambda image: torch.zeros(1, 3, 16, 16), r"gives Tensor of shape \(1, 3, 16"),
        (lambda image: torch.zeros(1, 16, 16), r"fails on a batch of shape \(8, 1, 16"),
    ],
)
def test_preprocessing_that_does_not_fit_the_network_is_refused(
    images, network, preprocess, message
):
    odd = Network(
        name="toy", module=network.module, preprocess=preprocess, weights_hash=""
    )
    with pytest.raises(DataContractError, match=message):
        recorded(images, odd, "conv")


def labelled(images, network):
    """Label every second image with the class that the network gives it."""
    pixels = torch.stack([network.preprocess(images.load(i)) for i in images.image_ids])
    classes = network.module(pixels).argmax(dim=1).tolist()
    return [f"{index} c" if i % 2 else None for i, index in enumerate(classes)]


def test_labels_that_start_with_a_class_index_are_checked(images, network, tmp_path):
    labels = labelled(images, network)
    labels[1] = "99 none"
    folder = save_pictures(tmp_path / "pictures", N_IMAGES)
    config = RecordConfig(layers=("conv",), n_extremes=10)
    _, check = record(
        image_set_of(folder, labels=labels),
        network,
        config,
        seed=0,
        batch_size=8,
        check_labels=True,
    )
    assert (check.n_labelled, check.n_right) == (N_IMAGES // 2, N_IMAGES // 2 - 1)


def test_labels_to_check_must_be_there(images, network):
    config = RecordConfig(layers=("conv",), n_extremes=10)
    with pytest.raises(DataContractError, match="No image has a label that starts"):
        record(images, network, config, seed=0, check_labels=True)
