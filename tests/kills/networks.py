"""A trained network and an encoder that are quick, so that kills meet real work."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from stimuli.networks import load_network

LAYERS = "_conv_stem,_blocks.3,_blocks.10,_conv_head"
START_LAYERS = "0,2,3,4"


def small() -> tuple[torch.nn.Module, Callable[[Image.Image], torch.Tensor]]:
    """EfficientNet-Lite0 as it was trained, on 64 × 64 pixels."""
    return load_network("efficientnet-lite0").module, lambda image: _pixels(image, 64)


def start() -> tuple[torch.nn.Module, Callable[[Image.Image], torch.Tensor]]:
    """Its first three blocks alone, where many processes are to share few cores."""
    module = small()[0]
    blocks = module._blocks[:3]  # type: ignore[index]
    first = torch.nn.Sequential(module._conv_stem, module._bn0, *blocks)  # type: ignore[arg-type]
    return first, lambda image: _pixels(image, 32)


def _pixels(image: Image.Image, side: int) -> torch.Tensor:
    array = np.array(image.resize((side, side)).convert("RGB"), dtype=np.float32)
    return (torch.from_numpy(array.transpose(2, 0, 1).copy()) - 127) / 128


@dataclass
class Stem:
    """EfficientNet-Lite0's first layer, unpooled: a store fills in several chunks."""

    module: torch.nn.Module
    batch_size: int = 4
    n_features: int = 32 * 56 * 56
    config: Mapping[str, str] = field(default_factory=dict)

    @torch.inference_mode()
    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        batch = torch.stack([_pixels(image, 112) for image in images])
        rows = self.module(batch).flatten(1)
        return torch.nn.functional.normalize(rows, dim=1).numpy()


def stem() -> Stem:
    network = load_network("efficientnet-lite0")
    first = torch.nn.Sequential(network.module._conv_stem, network.module._bn0)  # type: ignore[arg-type]
    return Stem(first, config={"weights": network.weights_hash})
