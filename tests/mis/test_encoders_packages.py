"""Encoders of real packages, where they are installed, with weights made here."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from data.errors import DataContractError, MissingExtraError
from data.package_networks import let_torchvision_load
from mis.encoders import load_encoder
from mis.encoders.protocol import by_features, encoder_fingerprint

PACKAGES = ("timm", "torchvision", "open_clip", "lpips")
pytestmark = [
    pytest.mark.skipif(
        any(find_spec(one) is None for one in PACKAGES),
        reason=f"needs {', '.join(PACKAGES)}",
    ),
    pytest.mark.filterwarnings("ignore"),  # what these packages warn of is theirs
]


def noise(n, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, (n, 224, 224, 3), dtype=np.uint8)
    return [Image.fromarray(one) for one in values]


@pytest.fixture(scope="module")
def models():
    let_torchvision_load()
    import torchvision

    return torchvision.models


@pytest.fixture(scope="module")
def trunks(models, tmp_path_factory):
    """A folder with torchvision's files for LPIPS, filled at random."""
    folder = tmp_path_factory.mktemp("trunks")
    torch.manual_seed(0)
    for name, file in (
        ("alexnet", "alexnet-owt-7be5be79.pth"),
        ("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth"),
    ):
        torch.save(models.get_model(name).state_dict(), folder / file)
    return folder


@pytest.mark.parametrize("trunk", ["alex", "squeeze"])
def test_lpips_is_the_packages_own_distance(trunks, trunk):
    encoder = load_encoder(f"lpips-{trunk}", weights=trunks)
    first, second = noise(2), noise(2, seed=1)
    found = encoder.similarity(encoder.embed(first), encoder.embed(second))
    batches = []
    for images in (first, second):
        small = [one.resize((64, 64), Image.Resampling.BICUBIC) for one in images]
        array = np.stack([np.asarray(one) for one in small]).transpose(0, 3, 1, 2)
        batches.append(torch.from_numpy(array).float() / 127.5 - 1)
    with torch.inference_mode():
        expected = encoder.network(*batches).flatten().numpy()
    np.testing.assert_allclose(-found, expected, rtol=1e-4)
    assert by_features(encoder)


def test_lpips_without_its_trunk_names_file_and_publisher(tmp_path):
    with pytest.raises(
        MissingExtraError, match=r"alexnet-owt-7be5be79\.pth is not there.*download"
    ):
        load_encoder("lpips-alex", weights=tmp_path)


def test_a_trunk_of_another_network_is_refused(trunks):
    with pytest.raises(DataContractError, match=r"does not fit 'alex'.*missing"):
        load_encoder("lpips-alex", weights=trunks / "squeezenet1_1-b8a52dc0.pth")


def test_weights_that_are_cut_off_are_refused(trunks, tmp_path):
    whole = (trunks / "squeezenet1_1-b8a52dc0.pth").read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataContractError, match="may be cut off"):
        load_encoder("torchvision:squeezenet1_1@features", weights=path)


def test_a_layer_is_pooled_and_unit_norm(models, trunks):
    path = trunks / "squeezenet1_1-b8a52dc0.pth"
    encoder = load_encoder("torchvision:squeezenet1_1@features.5", weights=path)
    network = models.get_model("squeezenet1_1").eval()
    network.load_state_dict(torch.load(path, weights_only=True))
    images = noise(2)
    with torch.inference_mode():
        maps = network.features[:6](encoder.prepared(images)).mean(dim=(2, 3))
    expected = torch.nn.functional.normalize(maps, dim=1).numpy()
    np.testing.assert_allclose(encoder.embed(images), expected, atol=1e-6)


def test_other_weights_are_another_fingerprint(trunks, models, tmp_path):
    name = "torchvision:squeezenet1_1@features"
    before = load_encoder(name, weights=trunks / "squeezenet1_1-b8a52dc0.pth")
    torch.save(models.get_model("squeezenet1_1").state_dict(), tmp_path / "other.pth")
    after = load_encoder(name, weights=tmp_path / "other.pth")
    assert encoder_fingerprint(before) != encoder_fingerprint(after)


@pytest.mark.parametrize(
    ("name", "n_features"),
    [
        ("timm:resnet10t", 512),
        ("timm:resnet10t@layer2", 128),
        ("timm:vit_tiny_patch16_224@blocks.3", 192),
        ("torchvision:resnet18", 512),
        ("open_clip:ViT-S-32-alt", 256),
    ],
)
def test_networks_of_packages_go_by_name_and_layer(name, n_features):
    encoder = load_encoder(name, weights="random")
    assert encoder.n_features == n_features
    features = encoder.embed(noise(2))
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("timm:resnet10", r"no network 'resnet10'\. Did you mean"),
        ("timm:resnet10t@layr2", r"no layer 'layr2'\. Did you mean 'layer2'"),
        ("torchvision:resnet17", "Did you mean 'resnet1"),
        ("torchvision:squeezenet1_1", "must be named as NAME@LAYER"),
        ("open_clip:ViT-S-31", "no model 'ViT-S-31'"),
    ],
)
def test_what_is_not_there_is_refused_with_near_names(name, text):
    with pytest.raises(DataContractError, match=text):
        load_encoder(name, weights="random")


def test_a_network_without_weights_is_refused():
    with pytest.raises(DataContractError, match="--weights must be 'download'"):
        load_encoder("timm:resnet10t")


DREAMSIM_TYPES = ("ensemble", "clip_vitb32", "dino_vitb16", "dino_vitb16_patch")

HUB = """
dependencies = ["torch"]

def dino_vitb16(pretrained=True):
    from dreamsim.feature_extraction.vision_transformer import vit_base
    import torch
    torch.manual_seed(1)
    return vit_base(patch_size=16, num_classes=0)
"""


@pytest.fixture(scope="module")
def dreamsim_weights(tmp_path_factory):
    """Weights of the real shapes, at random, where DreamSim looks for its own."""
    if find_spec("dreamsim") is None:
        pytest.skip("needs dreamsim")
    let_torchvision_load()
    from dreamsim.config import dreamsim_args
    from dreamsim.feature_extraction.vision_transformer import DINOHead, vit_base
    from dreamsim.model import PerceptualModel
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("dreamsim")
    torch.manual_seed(0)
    for trunk, side in (("clip", 32), ("clip", 16), ("open_clip", 16)):
        clip = vit_base(patch_size=side, num_classes=0)
        clip.pos_drop = torch.nn.LayerNorm(768)
        state = clip.state_dict() | {"proj": torch.randn(768, 512) / 28}
        path = folder / f"{trunk}_vitb{side}_pretrain.pth.tar"
        torch.save({"state_dict": state}, path)
    head = {f"module.head.{k}": v for k, v in DINOHead(768, 2048).state_dict().items()}
    weight = "module.head.last_layer.weight"
    head.setdefault(weight, torch.randn(2048, 256))
    torch.save({"student": head}, folder / "dino_vitb16_pretrain.pth")
    repository = folder / "facebookresearch_dino_main"
    repository.mkdir()
    (repository / "hubconf.py").write_text(HUB)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "dino_vitbase16_pretrain.pth").touch()
    for variant in DREAMSIM_TYPES:
        settings = dreamsim_args["model_config"][variant]
        model = PerceptualModel(**settings, device="cpu", load_dir=str(folder))
        config = LoraConfig(
            r=4, lora_alpha=1, lora_dropout=0.1, bias="none", target_modules=["qkv"]
        )
        adapted = get_peft_model(model, config)
        for name, one in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(one, std=0.02)
        network = variant.removesuffix("_patch")
        kind = "patch" if variant.endswith("_patch") else "single"
        tag = "ensemble" if variant == "ensemble" else f"{network}_{kind}"
        adapted.save_pretrained(folder / f"{tag}_lora")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("variant", DREAMSIM_TYPES)
def test_dreamsim_gives_the_packages_own_distances(dreamsim_weights, variant):
    name = "dreamsim"
    if variant != "ensemble":
        name = f"dreamsim-{variant.replace('_', '-')}"
    encoder = load_encoder(name, weights=dreamsim_weights)
    images = noise(2)
    features = encoder.embed(images)
    assert features.shape == (2, encoder.n_features)
    first, second = (
        torch.from_numpy(np.array(one)).permute(2, 0, 1)[None].float() / 255
        for one in images
    )
    with torch.inference_mode():
        expected = float(encoder.network(first, second))
    assert 1 - features[0] @ features[1] == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_dreamsims_weights_that_are_cut_off_are_refused(dreamsim_weights, tmp_path):
    for one in dreamsim_weights.iterdir():
        (tmp_path / one.name).symlink_to(one)
    path = tmp_path / "clip_vitb32_pretrain.pth.tar"
    path.unlink()
    path.write_bytes((dreamsim_weights / path.name).read_bytes()[:1000])
    with pytest.raises(
        DataContractError, match=r"clip_vitb32 can't be made from .*Its"
    ):
        load_encoder("dreamsim-clip-vitb32", weights=tmp_path)


@pytest.mark.slow
def test_the_selfcheck_runs_to_its_end_with_made_up_weights(
    dreamsim_weights, shared, capsys
):
    from mis.selfcheck_command import main

    options = ["--images", str(shared / "data" / "dreamsim_pair")]
    options += ["--weights", str(dreamsim_weights)]
    assert main(["dreamsim-clip-vitb32", *options]) in {0, 1}
    assert "ref_1.png to img_b_1.png: " in capsys.readouterr().out
    assert "dreamsim" in sys.modules
