import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from data.errors import DataContractError
from data.recordings import read_recording
from data.units import UnitId
from stimuli.directions import DirectionSet, read_directions
from stimuli.networks import load_network
from stimuli.record import RecordConfig, record
from stimuli.record_command import main
from stimuli.reductions import LayerReader
from tests.stimuli.toy import image_set_of, save_pictures

N_CHANNELS, N_UNITS = 6, 9


@pytest.fixture
def arrays(rng):
    """Every array that any kind needs, by name."""
    shapes = {
        "directions": (N_UNITS, N_CHANNELS),
        "W_enc": (N_CHANNELS, N_UNITS),
        "b_dec": (N_CHANNELS,),
        **dict.fromkeys(("b_enc", "r_mag", "b_mag", "b_gate"), (N_UNITS,)),
    }
    made = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    made["threshold"] = np.abs(rng.normal(size=N_UNITS))
    made["k"] = np.array(3)
    return {name: np.asarray(one, dtype=np.float32) for name, one in made.items()}


KINDS = {
    "directions": ("directions",),
    "relu": ("W_enc", "b_enc", "b_dec"),
    "gated": ("W_enc", "b_dec", "r_mag", "b_mag", "b_gate"),
    "top-k": ("W_enc", "b_enc", "b_dec", "k"),
    "jump-relu": ("W_enc", "b_enc", "threshold"),
}


def plain_encode(kind, w, x):
    """One place, one unit at a time, from the formulas."""
    if kind == "directions":
        return np.array([float(np.sum(row * x)) for row in w["directions"]])
    x = x - w.get("b_dec", 0)
    product = np.array([np.dot(w["W_enc"][:, unit], x) for unit in range(N_UNITS)])
    if kind == "gated":
        size = np.maximum(product * np.exp(w["r_mag"]) + w["b_mag"], 0)
        return np.where(product + w["b_gate"] > 0, size, 0)
    pre = product + w["b_enc"]
    if kind == "jump-relu":
        return np.where(pre > w["threshold"], pre, 0)
    if kind == "top-k":
        kept = np.argsort(-pre)[: int(w["k"])]
        return np.array([max(pre[i], 0) if i in kept else 0 for i in range(N_UNITS)])
    return np.maximum(pre, 0)


def set_of(arrays, kind, reduction="mean", layer="conv"):
    weights = {name: torch.tensor(arrays[name]) for name in KINDS[kind]}
    return DirectionSet(
        layer=layer, name="d", kind=kind, weights=weights, reduction=reduction
    )


@pytest.fixture(scope="module")
def network():
    return load_network("tests.stimuli.toy:toy")


@pytest.fixture(scope="module")
def pixels():
    return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(2)) - 0.5


@pytest.mark.parametrize("reduction", ["mean", "max", "first"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_agrees_with_its_formula_place_by_place(
    arrays, network, pixels, kind, reduction
):
    weights = {name: arrays[name].astype(np.float64) for name in KINDS[kind]}
    made = set_of(arrays, kind, reduction)
    with LayerReader(network.module, (), {}, directions=[made]) as reader:
        values = reader(pixels)[0]["conv/d"]
    maps = network.module.conv(pixels).double().flatten(2).transpose(1, 2).numpy()
    for image, places in enumerate(maps):
        if reduction == "first":
            expected = plain_encode(kind, weights, places.mean(axis=0))
        else:
            encoded = np.array([plain_encode(kind, weights, x) for x in places])
            expected = encoded.mean(0) if reduction == "mean" else encoded.max(0)
        np.testing.assert_allclose(values[image], expected, rtol=1e-4, atol=1e-5)


def test_many_places_are_encoded_in_parts_without_a_difference(
    arrays, network, pixels, monkeypatch
):
    made = set_of(arrays, "top-k")
    with LayerReader(network.module, (), {}, directions=[made]) as reader:
        whole = reader(pixels)[0]["conv/d"]
        monkeypatch.setattr("stimuli.directions._CHUNK_BYTES", 1)
        parts = reader(pixels)[0]["conv/d"]
    np.testing.assert_allclose(whole, parts, rtol=1e-6)


def test_directions_of_tokens_are_read_at_every_token(arrays, network, pixels):
    made = set_of(arrays, "relu", "max", layer="tokens")
    with LayerReader(network.module, (), {}, directions=[made]) as reader:
        values = reader(pixels)[0]["tokens/d"]
    module = network.module
    tokens = module.tokens(module.relu(module.conv(pixels)))
    np.testing.assert_allclose(values, made.encode(tokens).amax(dim=1), rtol=1e-5)


@pytest.mark.parametrize("suffix", [".npz", ".pt", ".safetensors"])
def test_every_file_form_gives_the_same_set(arrays, tmp_path, suffix):
    path = tmp_path / f"sae{suffix}"
    kept = {name: arrays[name] for name in KINDS["relu"]}
    tensors = {name: torch.tensor(one) for name, one in kept.items()}
    if suffix == ".npz":
        np.savez(path, **kept)
    elif suffix == ".pt":
        torch.save(tensors, path)
    else:
        save_file(tensors, path)
    made = read_directions(path, layer="conv")
    assert (made.name, made.kind, made.key) == ("sae", "relu", "conv/sae")
    for name, one in kept.items():
        np.testing.assert_array_equal(made.weights[name], one)


def test_the_names_of_a_linear_encoder_are_known_and_turned(arrays, tmp_path):
    encoder = torch.nn.Linear(N_CHANNELS, N_UNITS)
    state = {f"encoder.{name}": one for name, one in encoder.state_dict().items()}
    torch.save(state | {"W_dec": torch.zeros(2, 2)}, tmp_path / "a.pt")
    made = read_directions(tmp_path / "a.pt", layer="conv")
    x = torch.tensor(arrays["b_dec"])
    torch.testing.assert_close(made.encode(x), encoder(x).relu())


def test_an_npy_file_is_a_matrix_of_directions(arrays, tmp_path):
    np.save(tmp_path / "nmf.npy", arrays["directions"])
    made = read_directions(tmp_path / "nmf.npy", layer="conv")
    assert (made.kind, made.n_units, made.n_channels) == ("directions", 9, 6)


@pytest.mark.parametrize(
    ("names", "kind"), [(names, kind) for kind, names in KINDS.items()]
)
def test_the_arrays_of_a_file_decide_its_kind(arrays, tmp_path, names, kind):
    np.savez(tmp_path / "a.npz", **{name: arrays[name] for name in names})
    assert read_directions(tmp_path / "a.npz", layer="conv").kind == kind


def spoiled(arrays, names, **changed):
    return {name: arrays[name] for name in names} | changed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda a: spoiled(a, ["W_enc"]), r"lacks \['b_enc'\]; a 'relu' set needs"),
        (
            lambda a: spoiled(a, ["W_enc", "b_gate", "r_mag"]),
            r"lacks \['b_mag'\]; a 'gated' set",
        ),
        (
            lambda a: spoiled(a, [*KINDS["top-k"], "threshold"]),
            r"mixes \['jump-relu', 'top-k'\]",
        ),
        (
            lambda a: spoiled(a, ["b_enc"], W_emc=a["W_enc"]),
            r"holds 'W_emc'.*Did you mean 'W_enc'",
        ),
        (
            lambda a: spoiled(a, ["W_enc"], b_enc=a["b_dec"]),
            r"'b_enc' .* has the shape \(6,\); it must have \(9,\)",
        ),
        (
            lambda a: spoiled(a, KINDS["top-k"], k=np.array(10)),
            r"'k' .* is 10; it must be in \[1, 9\]",
        ),
        (
            lambda a: spoiled(a, ["W_enc"], b_enc=np.full(9, np.nan)),
            r"'b_enc' .* not finite",
        ),
        (lambda a: {"directions": np.zeros(6)}, r"matrix of shape \(6,\)"),
    ],
)
def test_arrays_that_make_no_kind_are_refused(arrays, tmp_path, content, message):
    np.savez(tmp_path / "a.npz", **content(arrays))
    with pytest.raises(DataContractError, match=message):
        read_directions(tmp_path / "a.npz", layer="conv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", r"must end in one of"),
        ("a.npy", b"no", r"not a whole NPY file"),
        ("a.pt", b"no", r"can't be read as weights of torch"),
        ("a.safetensors", b"no", r"not a whole safetensors file"),
        ("missing.npy", None, r"does not exist"),
    ],
)
def test_files_that_are_no_directions_are_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataContractError, match=message):
        read_directions(tmp_path / name, layer="conv")


def test_directions_of_another_layer_are_refused(arrays, network, pixels):
    made = set_of(arrays, "relu", layer="head")
    reader = LayerReader(network.module, (), {}, directions=[made])
    with reader, pytest.raises(DataContractError, match=r"6 channels.*'head' has 4"):
        reader(pixels)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"name": "a/b"}, "without '/'"), ({"reduction": "men"}, "Did you mean 'mean'")],
)
def test_a_set_out_of_range_is_refused(arrays, change, message):
    with pytest.raises(DataContractError, match=message):
        DirectionSet(**vars(set_of(arrays, "relu")) | change)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("directions")
    return image_set_of(save_pictures(folder / "pictures", 24))


def test_directions_are_units_of_the_same_recording(arrays, images, network):
    unit = UnitId("toy", "conv/d", 4)
    config = RecordConfig(
        layers=("conv",),
        n_extremes=5,
        directions=(set_of(arrays, "directions"),),
        full=(unit, *(UnitId("toy", "conv", channel) for channel in range(6))),
    )
    made, _ = record(images, network, config, seed=0)
    assert len(made.units) == 6 + 9
    channels = np.array([made.full[UnitId("toy", "conv", c)] for c in range(6)])
    expected = arrays["directions"][4] @ channels
    np.testing.assert_allclose(made.full[unit], expected, rtol=1e-4, atol=1e-5)
    assert made.header.config["directions"][0]["kind"] == "directions"


def test_two_sets_of_one_name_are_refused(arrays):
    twice = (set_of(arrays, "relu"), set_of(arrays, "gated"))
    with pytest.raises(DataContractError, match="must have names of their own"):
        RecordConfig(layers=(), directions=twice)


def test_the_command_records_a_sparse_autoencoder(arrays, images, tmp_path, capsys):
    np.savez(tmp_path / "sae.npz", **{name: arrays[name] for name in KINDS["top-k"]})
    place = str(images.root.parent / "pictures-set")
    options = ["--images", place, "--network", "tests.stimuli.toy:toy"]
    options += ["--directions", f"conv={tmp_path / 'sae.npz'}", "--n-extremes", "5"]
    assert main([*options, "--out", str(tmp_path / "out")]) == 0
    assert "9 units of 1 layers" in capsys.readouterr().out
    assert read_recording(tmp_path / "out").units[8] == UnitId("toy", "conv/sae", 8)


def test_an_option_without_a_file_is_refused_in_one_line(images, tmp_path, capsys):
    options = ["--images", str(images.root.parent / "pictures-set")]
    options += ["--network", "tests.stimuli.toy:toy", "--directions", "conv"]
    assert main([*options, "--out", str(tmp_path / "out")]) == 2
    assert "it must be LAYER=FILE" in capsys.readouterr().err
