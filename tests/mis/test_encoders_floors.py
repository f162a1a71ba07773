import numpy as np
import pytest
from PIL import Image

from data.errors import DataContractError
from mis.encoders import load_encoder


def picture(colour):
    return Image.new("RGB", (224, 224), colour)


def noise(seed):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (224, 224, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", ["pixels", "colour-histogram"])
def test_floors_are_unit_norm_for_every_image(name):
    encoder = load_encoder(name)
    features = encoder.embed([picture("black"), picture("#808080"), noise(0)])
    assert features.shape == (3, encoder.n_features)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)


def test_pixels_of_opposite_colours_are_opposite():
    features = load_encoder("pixels").embed([picture("black"), picture("white")])
    assert features[0] @ features[1] == pytest.approx(-1)


def test_colours_count_wherever_they_are_and_pixels_where_they_are():
    image = noise(1)
    turned = image.transpose(Image.Transpose.ROTATE_180)
    same = {}
    for name in ("pixels", "colour-histogram"):
        features = load_encoder(name).embed([image, turned])
        same[name] = features[0] @ features[1]
    assert same["colour-histogram"] == pytest.approx(1, abs=1e-6)
    assert abs(same["pixels"]) < 0.2


def test_the_cosine_of_histograms_is_the_bhattacharyya_coefficient():
    half = picture("black")
    half.paste("white", (0, 0, 224, 112))
    features = load_encoder("colour-histogram").embed([half, picture("black")])
    assert features[0] @ features[1] == pytest.approx(np.sqrt(0.5), abs=1e-6)


def test_weights_for_a_floor_are_refused(tmp_path):
    with pytest.raises(DataContractError, match=r"'pixels' has no weights.*Leave"):
        load_encoder("pixels", weights=tmp_path)
