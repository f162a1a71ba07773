import numpy as np
import pytest
import torch
from PIL import Image

from data.errors import DataContractError
from stimuli.networks import imagenet_preprocess, load_network, weights_hash
from tests.stimuli.toy import toy_module

HERE = "tests.stimuli.toy"


def test_a_function_may_return_a_network_and_its_preprocessing():
    network = load_network(f"{HERE}:toy")
    assert network.name == "toy"
    assert network.preprocess(Image.new("RGB", (40, 30))).shape == (3, 16, 16)


def test_a_network_alone_gets_the_display_crop_on_imagenets_scale():
    network = load_network(f"{HERE}:toy_module")
    assert network.preprocess is imagenet_preprocess
    grey = imagenet_preprocess(Image.new("RGB", (300, 260), (124, 116, 104)))
    assert grey.shape == (3, 224, 224)
    np.testing.assert_allclose(grey, 0, atol=0.01)


def test_a_loaded_network_is_in_evaluation_mode_without_gradients():
    module = load_network(f"{HERE}:toy").module
    assert not module.training
    assert not any(weight.requires_grad for weight in module.parameters())


def test_a_function_in_the_current_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "my_network_file.py").write_text(
        "import torch\ndef net():\n    return torch.nn.Conv2d(3, 2, 1)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere"])
    assert load_network("my_network_file:net").name == "net"


def test_the_name_of_the_units_can_be_given():
    assert load_network(f"{HERE}:toy", name="mine").name == "mine"


def test_a_name_with_the_separator_of_unit_names_is_refused():
    with pytest.raises(DataContractError, match=r"'a::b'.*without '::'"):
        load_network(f"{HERE}:toy", name="a::b")


def test_the_weights_hash_tells_one_changed_weight():
    module = toy_module()
    before = weights_hash(module)
    assert before == weights_hash(toy_module())
    with torch.no_grad():
        module.head.weight[0, 0] += 1e-3
    assert weights_hash(module) != before


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            "efficientnet-lite9",
            r"'efficientnet-lite9' is not known.*mean 'eff",
        ),
        ("no_such_module:f", r"'no_such_module' of .* can't be imported"),
        (f"{HERE}:toi", r"has no function 'toi'. Did you mean 'toy'"),
        (f"{HERE}:not_a_network", r"returned str; it must return a torch.nn.Module"),
        (f"{HERE}:wrong_preprocessing", r"returned int as preprocessing"),
        (f"{HERE}:failing", r"raised RuntimeError: no weights here"),
    ],
)
def test_what_is_no_network_is_refused_with_its_reason(network, message):
    with pytest.raises(DataContractError, match=message):
        load_network(network)


@pytest.mark.parametrize(("number", "side"), [(0, 224), (1, 240), (2, 260)])
def test_efficientnet_lite_comes_with_weights_and_its_own_crop(number, side):
    network = load_network(f"efficientnet-lite{number}")
    white = Image.new("RGB", (500, 300), "white")
    pixels = network.preprocess(white)
    assert pixels.shape == (3, side, side)
    np.testing.assert_allclose(pixels, 1.0)


def test_efficientnet_lite_sees_the_centre_of_the_image():
    edges = np.zeros((256, 256, 3), dtype=np.uint8)
    edges[16:240, 16:240] = 255
    pixels = load_network("efficientnet-lite0").preprocess(Image.fromarray(edges))
    np.testing.assert_allclose(pixels, 1.0)
