import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from data.errors import DataContractError, MissingExtraError
from data.files import file_hash
from stimuli.networks import imagenet_preprocess, load_network, weights_hash
from tests.conftest import ROOT
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


def test_a_file_of_weights_is_put_into_the_network(tmp_path):
    changed = toy_module()
    with torch.no_grad():
        changed.head.weight[0, 0] = 7.0
    wrapped = {f"module.{key}": one for key, one in changed.state_dict().items()}
    torch.save({"state_dict": wrapped}, tmp_path / "weights.pt")
    loaded = load_network(f"{HERE}:toy", weights=str(tmp_path / "weights.pt"))
    assert loaded.module.head.weight[0, 0] == 7
    assert loaded.weights_hash == weights_hash(changed)


def test_weights_of_another_network_are_refused_with_what_does_not_fit(tmp_path):
    state = toy_module().state_dict() | {"head.bias": torch.zeros(9)}
    del state["conv.bias"]
    torch.save(state, tmp_path / "weights.pt")
    message = r"1 weights are missing, 1 have another shape, 0 are too many.*'conv.bias"
    with pytest.raises(DataContractError, match=message):
        load_network(f"{HERE}:toy", weights=str(tmp_path / "weights.pt"))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no", r"can't be read as weights of torch"), (None, r"does not exist")],
)
def test_files_that_hold_no_weights_are_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "weights.pt").write_bytes(content)
    with pytest.raises(DataContractError, match=message):
        load_network("efficientnet-lite0", weights=str(tmp_path / "weights.pt"))


def test_a_network_of_a_package_needs_to_be_told_its_weights():
    with pytest.raises(DataContractError, match=r"--weights must be 'download'"):
        load_network("timm:resnet18")


@pytest.mark.parametrize("package", ["timm", "torchvision", "open_clip"])
def test_a_package_that_is_missing_is_named(package, monkeypatch):
    monkeypatch.setattr("data.package_networks.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=f"package '{package}.*networks"):
        load_network(f"{package}:any", weights="random")


def test_weights_on_the_device_meta_are_refused(monkeypatch):
    def empty():
        with torch.device("meta"):
            return torch.nn.Conv2d(3, 2, 1)

    monkeypatch.setattr("tests.stimuli.toy.toy", empty)
    with pytest.raises(DataContractError, match="weights without values"):
        load_network(f"{HERE}:toy")


@pytest.mark.parametrize(
    ("package", "network"),
    [
        ("timm", "timm:resnet18"),
        ("torchvision", "torchvision:resnet18"),
        ("open_clip", "open_clip:ViT-B-32/openai"),
    ],
)
def test_networks_of_packages_bring_their_own_preprocessing(package, network):
    if find_spec(package) is None:
        pytest.skip(f"{package} is of the extra 'networks'")
    loaded = load_network(network, weights="random")
    assert loaded.preprocess(Image.new("RGB", (300, 260))).shape == (3, 224, 224)
    assert not any(module.training for module in loaded.module.modules())


def test_a_function_of_ones_own_is_known_by_its_source():
    network = load_network("tests.stimuli.toy:toy")
    assert network.config["source_sha256"] == file_hash(ROOT / "tests/stimuli/toy.py")
