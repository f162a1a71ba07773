"""DISTS against the formulas and against torchmetrics' own network."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from data.errors import DataContractError, MissingExtraError
from mis.encoders import load_encoder
from mis.encoders.protocol import by_features

STAGES = [[64, 64], [128, 128], [256] * 3, [512] * 3, [512] * 3]


def vgg_layers():
    """VGG-16's convolutions as torchvision lists them, filled at random."""
    torch.manual_seed(0)
    layers, n_in = [], 3
    for widths in STAGES:
        for width in widths:
            layers += [nn.Conv2d(n_in, width, 3, padding=1), nn.ReLU(inplace=True)]
            nn.init.kaiming_normal_(layers[-2].weight)
            nn.init.normal_(layers[-2].bias, std=0.1)
            n_in = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def layers():
    return vgg_layers()


@pytest.fixture(scope="module")
def trunk(layers, tmp_path_factory):
    path = tmp_path_factory.mktemp("trunk") / "vgg16-397923af.pth"
    state = {f"features.{name}": one for name, one in layers.state_dict().items()}
    torch.save(state | {"classifier.6.bias": torch.zeros(1000)}, path)
    return path


@pytest.fixture(scope="module")
def encoder(trunk):
    return load_encoder("dists", weights=trunk)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (7, 7, 3), dtype=np.uint8)
    smooth = Image.fromarray(grey).resize((224, 224), Image.Resampling.BICUBIC)
    noise = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
    return [smooth, Image.fromarray(noise), smooth.rotate(90), smooth]


@pytest.fixture(scope="module")
def features(encoder, images):
    return encoder.embed(images)


def test_it_is_the_distance_of_torchmetrics_network(
    encoder, features, layers, images, monkeypatch
):
    from torchmetrics.functional.image import dists

    # Its trunk comes from the internet, through a package that need not be here.
    monkeypatch.setattr(dists, "_TORCHVISION_AVAILABLE", True)
    weights = SimpleNamespace(DEFAULT=None)
    monkeypatch.setattr(dists, "VGG16_Weights", weights, raising=False)
    network = SimpleNamespace(features=layers)
    monkeypatch.setattr(dists, "vgg16", lambda weights: network, raising=False)
    theirs = dists.DISTSNetwork().eval()
    batch = np.stack([np.asarray(one) for one in images]).transpose(0, 3, 1, 2)
    batch = torch.from_numpy(batch).float() / 255
    first, second = [0, 0, 1], [1, 2, 2]
    expected = theirs(batch[first], batch[second]).detach().numpy()
    found = encoder.similarity(features[first], features[second])
    np.testing.assert_allclose(-found, expected, atol=2e-6)
    assert expected.min() > 0.01


def test_it_agrees_with_the_papers_formulas_in_float64(
    encoder, features, layers, images
):
    def maps_of(image):
        values = np.asarray(image, dtype=np.float64).transpose(2, 0, 1) / 255
        found = [values]
        mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        maps = torch.from_numpy(
            (values - np.reshape(mean, (3, 1, 1))) / np.reshape(deviation, (3, 1, 1))
        )
        for layer in layers:
            if isinstance(layer, nn.MaxPool2d):
                found.append(maps.numpy())
                window = torch.from_numpy(np.hanning(5)[1:-1])
                blur = torch.outer(window, window)[None, None] / 4
                power = nn.functional.conv2d(
                    maps[:, None] ** 2, blur, stride=2, padding=1
                )
                maps = (power[:, 0] + 1e-12).sqrt()
            elif isinstance(layer, nn.Conv2d):
                maps = nn.functional.conv2d(
                    maps, layer.weight.double(), layer.bias.double(), padding=1
                )
            else:
                maps = maps.clamp(min=0)
        return found

    alike, place = 0.0, 0
    for one, other in zip(maps_of(images[0]), maps_of(images[2]), strict=True):
        for x, y in zip(one, other, strict=True):
            texture = (2 * x.mean() * y.mean() + 1e-6) / (
                x.mean() ** 2 + y.mean() ** 2 + 1e-6
            )
            covariance = (x * y).mean() - x.mean() * y.mean()
            structure = (2 * covariance + 1e-6) / (x.var() + y.var() + 1e-6)
            alike += encoder.alpha[place] * texture + encoder.beta[place] * structure
            place += 1
    found = encoder.similarity(features[:1], features[2:3])
    assert found == pytest.approx(alike - 1, abs=1e-5)


def test_an_image_is_as_near_to_itself_as_can_be(encoder, features):
    same = encoder.similarity(features[[0, 1]], features[[3, 1]])
    np.testing.assert_allclose(same, 0, atol=1e-5)
    assert encoder.similarity(features[:1], features[1:2])[0] < -0.1


def test_its_pairs_have_to_be_looked_at(encoder, features):
    assert features.shape == (4, encoder.n_features)
    assert not by_features(encoder)
    assert encoder.alpha.sum() + encoder.beta.sum() == pytest.approx(1)


def test_without_its_trunk_file_and_publisher_are_named(tmp_path):
    with pytest.raises(
        MissingExtraError, match=r"vgg16-397923af\.pth is not there.*'dists'.*download"
    ):
        load_encoder("dists", weights=tmp_path)


def test_a_trunk_of_another_network_is_refused(tmp_path):
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(DataContractError, match=r"does not fit 'VGG-16'"):
        load_encoder("dists", weights=tmp_path / "other.pth")
