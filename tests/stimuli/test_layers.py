import numpy as np
import pytest
import torch
from torch import nn

from data.errors import DataContractError
from stimuli.layers import LayerRead, choose_layers, matching_paths
from stimuli.reductions import LayerReader, to_arrays


class Block(nn.Module):
    """Runs one activation twice, as EfficientNet's blocks do."""

    def __init__(self, n):
        super().__init__()
        self.conv1 = nn.Conv2d(n, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps):
        maps = self.relu(self.bn1(self.conv1(maps)))
        return self.relu(self.bn2(self.conv2(maps)))


class Heads(nn.Module):
    """Returns a mapping with a tuple inside."""

    def forward(self, maps):
        return {"mean": maps.mean(dim=(2, 3)), "both": (maps, maps.flatten(2)), "n": 3}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Block(3), Block(4))
        self.heads = Heads()
        self.head = nn.Linear(4, 5)
        self.alias = self.head
        self.idle = nn.Conv2d(3, 3, 1)

    def forward(self, images):
        return self.head(self.heads(self.blocks(images))["mean"])


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    made = Net().eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.1, 2)
            nn.init.uniform_(module.weight, -1, 1)
            nn.init.uniform_(module.bias, -1, 1)
    return made.requires_grad_(False)


@pytest.fixture(scope="module")
def batch():
    return torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def chosen(net, batch, *asked):
    return choose_layers(net, asked, batch).layers


@pytest.mark.parametrize(
    ("asked", "paths"),
    [
        ("blocks.*.conv?", 4),
        ("@conv", 5),
        ("@norm", 4),
        ("@linear", 1),
        ("@block", 2),
        ("@all", 12),
    ],
)
def test_patterns_and_groups_match_by_path_and_type(net, asked, paths):
    assert len(matching_paths(net, asked)) == paths


def test_block_outputs_are_the_items_of_a_sequence_that_hold_weights(net):
    assert matching_paths(net, "@block") == ("blocks.0", "blocks.1")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("blocs.*", r"No layer of the network matches 'blocs.\*'. Did you mean 'block"),
        ("@convs", r"'@convs' is not known.*Did you mean '@conv'"),
    ],
)
def test_what_matches_nothing_offers_near_names(net, asked, message):
    with pytest.raises(DataContractError, match=message):
        matching_paths(net, asked)


def test_a_group_that_a_network_lacks_is_no_fault_where_another_matches():
    net, batch = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3)), torch.zeros(1, 3, 8, 8)
    assert chosen(net, batch, "@linear", "@conv", "@norm") == ("0",)
    with pytest.raises(DataContractError, match=r"No layer .* matches '@linear'"):
        chosen(net, batch, "@linear", "@norm")
    with pytest.raises(DataContractError, match=r"No layer .* matches 'block\.\*'"):
        chosen(net, batch, "@conv", "block.*")


def test_a_module_under_two_paths_is_matched_once(net):
    assert matching_paths(net, "@linear") == ("head",)


def test_a_pattern_takes_every_run_of_a_module(net, batch):
    assert chosen(net, batch, "blocks.*.relu") == (
        "blocks.0.relu#1",
        "blocks.0.relu#2",
        "blocks.1.relu#1",
        "blocks.1.relu#2",
    )


def test_a_pattern_takes_every_tensor_that_a_module_returns(net, batch):
    names = chosen(net, batch, "head?")
    assert names == ("heads[mean]", "heads[both][0]", "heads[both][1]")


def test_a_layer_named_and_matched_is_recorded_once(net, batch):
    assert chosen(net, batch, "head", "@linear") == ("head",)


def test_what_a_group_matches_and_does_not_run_is_left_out_with_its_reason(net, batch):
    made = choose_layers(net, ["@conv"], batch)
    assert "idle" not in made.layers
    assert made.left_out == {"idle": "does not run when the network sees an image"}


def test_a_pattern_of_layers_that_never_run_is_refused(net, batch):
    with pytest.raises(DataContractError, match=r"None of the 1 layers.*'idle'"):
        choose_layers(net, ["idl*"], batch)


def test_the_look_at_a_pass_leaves_no_hooks(net, batch):
    chosen(net, batch, "@all")
    assert not any(module._forward_hooks for module in net.modules())


def read(net, batch, *layers, **options):
    with LayerReader(net, layers, {}, **options) as reader:
        return reader(batch)[0]


def test_runs_of_one_module_are_read_apart(net, batch):
    values = read(net, batch, "blocks.0.relu#1", "blocks.0.relu#2")
    block = net.blocks[0]
    first = block.relu(block.bn1(block.conv1(batch)))
    second = block(batch)
    for name, maps in (("#1", first), ("#2", second)):
        expected = maps.mean(dim=(2, 3)).numpy()
        np.testing.assert_allclose(values[f"blocks.0.relu{name}"], expected, rtol=1e-5)


def test_an_element_of_a_tuple_inside_a_mapping_is_read(net, batch):
    values = read(net, batch, "heads[both][1]", "heads[mean]")
    tokens = net.blocks(batch).flatten(2).mean(dim=1).numpy()
    np.testing.assert_allclose(values["heads[both][1]"], tokens, rtol=1e-5)
    assert values["heads[mean]"].shape == (3, 4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("heads", r"returns dict; it must return one tensor. Name 'heads\[mean\]' or"),
        ("heads[median]", r"has no element '\[median\]'. Name 'heads\[mean\]'"),
        ("heads[both][7]", r"has no element '\[7\]'"),
        ("blocks.0.relu#3", r"run 3 of a module that runs 2 times"),
        ("head#0", r"run 0 of a module that runs 1 times"),
    ],
)
def test_what_is_no_output_is_refused_with_those_there_are(net, batch, name, message):
    with pytest.raises(DataContractError, match=message):
        read(net, batch, name)


@pytest.mark.parametrize("name", ["", "conv#", "conv[0", "conv#1#2"])
def test_a_name_that_cannot_be_read_is_refused(name):
    with pytest.raises(DataContractError, match=r"can't be read; it must be a module"):
        LayerRead.parse(name)


def test_the_mean_of_a_normalisation_follows_from_its_input(net, batch):
    with_input = read(net, batch, "blocks.0.conv1", "blocks.0.bn1")["blocks.0.bn1"]
    alone = read(net, batch, "blocks.0.bn1")["blocks.0.bn1"]
    assert not np.array_equal(with_input, alone)
    np.testing.assert_allclose(with_input, alone, rtol=1e-5, atol=1e-6)


class ChangedBetween(nn.Module):
    """Changes what a layer returned in place, before the normalisation sees it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.same = nn.Identity()

    def forward(self, images):
        maps = self.conv(images)
        maps.clamp_(min=0)
        return self.same(self.bn(maps))


def test_an_input_changed_in_place_is_not_taken_for_the_one_that_was_reduced(batch):
    torch.manual_seed(1)
    net = ChangedBetween().eval().requires_grad_(False)
    values = read(net, batch, "conv", "bn")["bn"]
    expected = net(batch).mean(dim=(2, 3)).numpy()
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


def test_a_tensor_that_two_layers_return_is_reduced_once(batch):
    net = ChangedBetween().eval().requires_grad_(False)
    values = read(net, batch, "bn", "same")
    assert values["bn"] is not None
    assert np.shares_memory(values["bn"], values["same"])


def test_maps_are_not_kept_for_the_short_cuts(net, batch):
    with LayerReader(net, ("blocks.0.conv1", "blocks.0.bn1"), {}) as reader:
        reader(batch)
        kept = [known[0]() for known in reader._known._by_id.values()]
    assert kept == [None] * len(kept)


class Swapped(nn.Module):
    """A block that works with channels last, as those of Swin and ConvNeXt do."""

    def __init__(self, n_channels, *, back):
        super().__init__()
        self.norm = nn.LayerNorm(n_channels)
        self.fc = nn.Linear(n_channels, 5)
        self.back = back

    def forward(self, maps):
        maps = self.fc(self.norm(maps.permute(0, 2, 3, 1)))
        return maps.permute(0, 3, 1, 2) if self.back else maps


@pytest.mark.parametrize("side", [3, 5, 8])
@pytest.mark.parametrize("back", [True, False])
def test_channels_are_found_where_the_layer_has_them(back, side):
    block = nn.Sequential(Swapped(3, back=back)).eval().requires_grad_(False)
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with LayerReader(block, ("0.norm", "0.fc"), {}) as reader:
        values, _ = reader(images)
    assert set(reader.used.values()) == {"spatial_mean_channels_last"}
    expected = block[0].fc(block[0].norm(images.permute(0, 2, 3, 1))).mean(dim=(1, 2))
    np.testing.assert_allclose(values["0.fc"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("back", "name"), [(True, "spatial_mean"), (False, "spatial_mean_channels_last")]
)
def test_a_block_has_its_channels_where_its_last_layer_s_number_stands(back, name):
    block = nn.Sequential(Swapped(3, back=back)).eval().requires_grad_(False)
    with LayerReader(block, ("0",), {}) as reader:
        values, _ = reader(torch.rand(2, 3, 8, 8))
    assert (reader.used["0"], values["0"].shape) == (name, (2, 5))


def test_one_transfer_brings_what_one_a_layer_would():
    rng = torch.Generator().manual_seed(0)
    read = {
        name: torch.rand(3, n, generator=rng)
        for name, n in {"a": 4, "b": 1, "c": 2}.items()
    }
    apart, together = (to_arrays(read, together=one) for one in (False, True))
    assert list(apart) == list(together)
    for name, values in apart.items():
        np.testing.assert_array_equal(values, together[name])
