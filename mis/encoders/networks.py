"""Networks of timm, torchvision and open_clip as encoders, at any of their layers."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from data.errors import DataContractError
from data.images import DISPLAY_SIDE
from data.package_networks import PACKAGES, make_package_network
from data.units import near_names
from mis.encoders.protocol import pixels

_MEAN, _SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How a network wants its images: side in pixels; mean and sd of each colour."""

    side: int = DISPLAY_SIDE
    mean: tuple[float, ...] = _MEAN
    sd: tuple[float, ...] = _SD

    def __call__(self, images: Sequence[Image.Image]) -> Tensor:
        """Return (n, 3, side, side) images; the whole display image is kept."""
        size = (self.side, self.side)
        resized = [
            one if one.size == size else one.resize(size, Image.Resampling.BICUBIC)
            for one in images
        ]
        batch = torch.from_numpy(pixels(resized)).permute(0, 3, 1, 2).float() / 255
        mean, sd = (torch.tensor(one).reshape(3, 1, 1) for one in (self.mean, self.sd))
        return (batch - mean) / sd


@dataclass(frozen=True, eq=False)
class NetworkEncoder:
    """The pooled output of a network or of one of its layers, as unit-norm vectors."""

    network: nn.Module
    layer: str | None
    prepared: Callable[[Sequence[Image.Image]], Tensor]
    config: Mapping[str, str]
    n_features: int
    device: str = "cpu"
    batch_size: int = 16

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Map display images to (n, n_features) unit-norm features."""
        batch = self.prepared(images).to(self.device)
        found = pooled(output(self.network, self.layer, batch), self.layer)
        return functional.normalize(found.float(), dim=1).cpu().numpy()


def load(
    variant: str, weights: Path | None = None, device: str = "cpu"
) -> NetworkEncoder:
    """Load ``PACKAGE:NAME`` or ``PACKAGE:NAME@LAYER``.

    Parameters
    ----------
    weights : Path, optional
        A file with a state dict, ``download`` (from where the package has them) or
        ``random``. It must be given.

    Raises
    ------
    DataContractError
        There is no such network or layer, or the weights don't fit.
    MissingExtraError
        The package is not installed.
    """
    package, _, rest = variant.partition(":")
    name, _, layer = rest.partition("@")
    made = make_package_network(
        f"{package}:{name}", None if weights is None else str(weights)
    )
    network, scale = made.module, Scale(side=made.side, mean=made.mean, sd=made.sd)
    if package == "timm" and not layer:
        network.reset_classifier(0)
    elif package == "torchvision" and not layer:
        layer = _before_the_classes(network)
    preprocessing = f"display image, bicubic to {scale.side}, mean {scale.mean}"
    return _encoder(
        network,
        layer or None,
        scale,
        device=device,
        config={
            "weights": Path(str(weights)).name,
            "preprocessing": f"{preprocessing}, sd {scale.sd}",
            "features": f"{variant}: pooled, unit norm",
            "packages": " ".join(
                f"{one} {version(one)}"
                for one in ("torch", "pillow", PACKAGES[package])
            ),
        },
    )


def from_module(made: object, name: str, device: str) -> NetworkEncoder:
    """Return the encoder of a torch module, or of it and its preprocessing.

    Without preprocessing, display images come on ImageNet's scale.

    Raises
    ------
    DataContractError
        It is neither.
    """
    pair = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    module, preprocess = pair
    if not isinstance(module, nn.Module):
        raise DataContractError(
            f"{name!r} returned {type(module).__name__}; it must return an encoder, a"
            " torch.nn.Module, or a pair of a module and its preprocessing."
        )
    if preprocess is None:
        return _encoder(
            module,
            None,
            Scale(),
            device=device,
            config={"preprocessing": "display image, ImageNet's mean and sd"},
        )

    def prepared(images: Sequence[Image.Image]) -> Tensor:
        return torch.stack([preprocess(one) for one in images])

    config = {"preprocessing": f"second value of {name}"}
    return _encoder(module, None, prepared, device=device, config=config)


def _encoder(
    network: nn.Module,
    layer: str | None,
    prepared: Callable[[Sequence[Image.Image]], Tensor],
    *,
    device: str,
    config: Mapping[str, str],
) -> NetworkEncoder:
    network.eval().requires_grad_(False).to(device)
    if layer is not None:
        known = [name for name, _ in network.named_modules() if name]
        if layer not in known:
            raise DataContractError(
                f"The network has no layer {layer!r}. {near_names(layer, known)}"
            )
    blank = [Image.new("RGB", (DISPLAY_SIDE, DISPLAY_SIDE))] * 2
    found = output(network, layer, prepared(blank).to(device))
    return NetworkEncoder(
        network=network,
        layer=layer,
        prepared=prepared,
        config={**config, "weights_sha256": _state_hash(network)},
        n_features=pooled(found, layer).shape[1],
        device=device,
    )


def output(network: nn.Module, layer: str | None, images: Tensor) -> Tensor:
    """Return what a layer gives, or the network where ``layer`` is None."""
    kept: list[object] = []
    with torch.inference_mode():
        if layer is None:
            kept.append(network(images))
        else:
            module = network.get_submodule(layer)
            hook = module.register_forward_hook(lambda *seen: kept.append(seen[2]))
            try:
                network(images)
            finally:
                hook.remove()
    if not kept or not isinstance(kept[-1], Tensor):
        what = type(kept[-1]).__name__ if kept else "nothing: it does not run"
        raise DataContractError(
            f"Layer {layer!r} of the network gives {what}; it must give one tensor."
            " Name a layer inside it."
        )
    return kept[-1]


def pooled(found: Tensor, layer: str | None) -> Tensor:
    """Return (n, n_features) values: means over places of maps, or over tokens.

    Parameters
    ----------
    found : Tensor
        (n, channels, height, width), (n, tokens, channels) or (n, channels).
    """
    if found.ndim == 4:
        return found.mean(dim=(2, 3))
    if found.ndim == 3:
        return found.mean(dim=1)
    if found.ndim == 2:
        return found
    raise DataContractError(
        f"Layer {layer!r} of the network gives the shape {tuple(found.shape)}; it must"
        " be (n, channels), (n, tokens, channels) or (n, channels, height, width)."
        " Name another layer."
    )


def _state_hash(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _before_the_classes(network: nn.Module) -> str:
    """Return the last layer before the last linear one that runs through places."""
    names = [name for name, _ in network.named_modules() if name]
    pools = [one for one in names if one.rpartition(".")[2] in {"avgpool", "encoder"}]
    if not pools:
        raise DataContractError(
            "Which layer of the torchvision network to take is not known; it must be"
            f" named as NAME@LAYER. {near_names('features', names)}"
        )
    return pools[-1]
