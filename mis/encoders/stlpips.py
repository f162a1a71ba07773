"""Shift-tolerant LPIPS: a perceptual distance of two images, trained on people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from data.errors import MissingExtraError
from data.weights import put_state, read_state
from mis.encoders.patches import SIDE, patches, resized
from mis.encoders.protocol import described, squared_distance

_FILE = "alex_shift_tolerant.pth"


class _Blur(nn.Module):
    """Low-pass filter and halve, so that a shift changes little."""

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", torch.empty(channels, 1, 3, 3))

    def forward(self, maps: Tensor) -> Tensor:
        wide = functional.pad(maps, (2, 2, 2, 2), mode="reflect")
        return functional.conv2d(wide, self.filt, stride=2, groups=maps.shape[1])


class _Scaling(nn.Module):
    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.empty(1, 3, 1, 1))
        self.register_buffer("scale", torch.empty(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.shift) / self.scale


class ShiftTolerantAlex(nn.Module):
    """The trunk and the non-negative channel weights of its five layers.

    Names follow the weights file, which is loaded strictly. Kettunen's and Zhang's
    LPIPS is the mean over positions of the weighted squared difference of
    channel-normalised activations, summed over layers; taking the root of weight and
    share of positions into the features makes it a squared Euclidean distance.
    """

    def __init__(self) -> None:
        super().__init__()
        pool = nn.MaxPool2d(kernel_size=3, stride=1)
        stages = [
            [
                ("0", nn.Conv2d(3, 64, 11, padding=2)),
                ("1", _Blur(64)),
                ("2", nn.ReLU()),
            ],
            [
                ("3", pool),
                ("4", _Blur(64)),
                ("5", nn.Conv2d(64, 192, 5, padding=2)),
                ("6", nn.ReLU()),
            ],
            [
                ("7", pool),
                ("8", _Blur(192)),
                ("9", nn.Conv2d(192, 384, 3, padding=1)),
                ("10", nn.ReLU()),
            ],
            [("11", nn.Conv2d(384, 256, 3, padding=1)), ("12", nn.ReLU())],
            [("13", nn.Conv2d(256, 256, 3, padding=1)), ("14", nn.ReLU())],
        ]
        self.scaling_layer = _Scaling()
        self.net = nn.Module()
        for number, stage in enumerate(stages):
            part = nn.Sequential()
            for name, module in stage:
                part.add_module(name, module)
            self.net.add_module(f"slice{number + 1}", part)
            head = nn.Sequential(
                nn.Dropout(), nn.Conv2d(_width(stage), 1, 1, bias=False)
            )
            self.add_module(f"lin{number}", nn.ModuleDict({"model": head}))

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, 3, height, width) images in [-1, 1] to (n, n_features) features."""
        maps, features = self.scaling_layer(images), []
        for number in range(5):
            maps = self.net.get_submodule(f"slice{number + 1}")(maps)
            weight = self.get_parameter(f"lin{number}.model.1.weight")
            norm = maps.square().sum(dim=1, keepdim=True).sqrt()
            positions = maps.shape[2] * maps.shape[3]
            scale = (weight.clamp(min=0) / positions).sqrt()
            features.append((maps / (norm + 1e-10) * scale).flatten(1))
        return torch.cat(features, dim=1)


def _width(stage: Sequence[tuple[str, nn.Module]]) -> int:
    return [one.out_channels for _, one in stage if isinstance(one, nn.Conv2d)][-1]


@dataclass(frozen=True, eq=False)
class ShiftTolerantLpips:
    """Negated ST-LPIPS distance of two images, each reduced to 64 × 64 pixels."""

    network: ShiftTolerantAlex
    config: Mapping[str, str]
    n_features: int
    device: str = "cpu"
    batch_size: int = 16
    is_squared_distance: bool = True

    def resized(self, image: Image.Image) -> Image.Image:
        """Return a display image in the size that the network sees."""
        return resized(image)

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Map images to (n, n_features) features whose distance is ST-LPIPS."""
        with torch.inference_mode():
            return self.network(patches(images, self.device)).cpu().numpy()

    def similarity(
        self, first: NDArray[np.floating], second: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Return the negated distance of each pair, in (-inf, 0]; 0 is identical."""
        return -squared_distance(first, second)


def load(
    variant: str, weights: Path | None = None, device: str = "cpu"
) -> ShiftTolerantLpips:
    """Load the AlexNet variant from its package, which is not imported.

    Raises
    ------
    MissingExtraError
        The package or the file is not there.
    """
    path = _weights_path(weights)
    network = ShiftTolerantAlex()
    put_state(network, read_state(path), path, "st-lpips")
    network.eval().requires_grad_(False).to(device)
    with torch.inference_mode():
        n_features = network(torch.zeros(1, 3, SIDE, SIDE, device=device)).shape[1]
    return ShiftTolerantLpips(
        network=network,
        n_features=n_features,
        device=device,
        config=described(
            weights=path,
            preprocessing=f"display image, bicubic to {SIDE}, to [-1, 1]",
            features=f"{variant} trunk; squared distance of features is ST-LPIPS",
            packages=("torch", "pillow"),
        ),
    )


def _weights_path(folder: Path | None) -> Path:
    if folder is None:
        spec = find_spec("stlpips_pytorch")
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtraError(
                "The encoder 'st-lpips' needs the package 'stlpips-pytorch', which"
                " holds its weights. Install it with: pip install -e '.[score]'"
            )
        folder = Path(spec.submodule_search_locations[0]) / "weights" / "vST0.0"
    if not (folder / _FILE).is_file():
        raise MissingExtraError(
            f"{folder} holds no {_FILE}; the weights of 'st-lpips' are looked for"
            " there. Name their folder with --weights, or leave the option out."
        )
    return folder / _FILE
