"""DISTS: how alike two images are in structure and texture, trained on people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from data.errors import DataContractError, MissingExtraError
from data.files import bytes_hash, file_hash
from data.images import DISPLAY_SIDE
from data.weights import put_state, read_state
from mis.encoders.protocol import pixels
from mis.encoders.trunks import trunk_path

_STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Numbers of VGG-16's convolutions in torchvision's list of its layers."""

_WIDTHS = (64, 128, 256, 512, 512)
_N_CHANNELS = 3 + sum(_WIDTHS)
_STABLE = 1e-6
"""``c1`` and ``c2`` of the paper's formulas."""

_HEADS = Path("functional", "image", "dists_models", "weights.pt")


class DistsTrunk(nn.Module):
    """VGG-16 whose pooling is smooth; its weights are torchvision's, by their names."""

    mean: Tensor
    deviation: Tensor
    blur: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleDict()
        n_in = 3
        for numbers, width in zip(_STAGES, _WIDTHS, strict=True):
            for number in numbers:
                self.features[str(number)] = nn.Conv2d(n_in, width, 3, padding=1)
                n_in = width
        hann = torch.tensor([0.5, 1.0, 0.5])
        constants = {
            "mean": torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1),
            "deviation": torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1),
            "blur": torch.outer(hann, hann) / 4,
        }
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the (n, 3, height, width) images in [0, 1], then maps by stage."""
        yield images
        maps = (images - self.mean) / self.deviation
        for place, numbers in enumerate(_STAGES):
            maps = self._pooled(maps) if place else maps
            for number in numbers:
                maps = functional.relu(self.features[str(number)](maps))
            yield maps

    def _pooled(self, maps: Tensor) -> Tensor:
        n = maps.shape[1]
        blur = self.blur.expand(n, 1, 3, 3)
        power = functional.conv2d(maps.square(), blur, stride=2, padding=1, groups=n)
        return (power + 1e-12).sqrt()


@dataclass(frozen=True, eq=False)
class Dists:
    """Negated DISTS of two display images.

    DISTS is 1 minus a weighted mean, over the channels of the image and of five stages
    of VGG-16, of how alike two maps' means are (texture) and of how their values go
    together (structure): Ding, Ma, Wang and Simoncelli 2020, equations 4 to 6.

    Attributes
    ----------
    trunk : DistsTrunk
    alpha, beta : (1475,) float32 array
        Weights of texture and of structure by channel; they add up to 1.
    config : mapping
    side : int
        Pixels of the square images that the trunk sees.
    """

    trunk: DistsTrunk
    alpha: NDArray[np.float32]
    beta: NDArray[np.float32]
    config: Mapping[str, str]
    side: int = DISPLAY_SIDE
    device: str = "cpu"
    batch_size: int = 4

    @property
    def n_features(self) -> int:
        """Two moments of each channel, then the values of all maps."""
        return 2 * _N_CHANNELS + sum(n * size for n, size in self._shapes)

    @property
    def _shapes(self) -> list[tuple[int, int]]:
        """Channels of each stage, and positions of their maps."""
        sides = [self.side, self.side]
        for _ in _STAGES[1:]:
            sides.append((sides[-1] + 1) // 2)
        return [(n, side * side) for n, side in zip((3, *_WIDTHS), sides, strict=True)]

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Map images to (n, n_features) means, variances and centred maps.

        The maps are divided by the root of their positions, so that the covariance of
        two of them is their dot product.
        """
        batch = torch.from_numpy(pixels(images)).permute(0, 3, 1, 2).to(self.device)
        means, variances, centred = [], [], []
        with torch.inference_mode():
            for maps in self.trunk(batch.float() / 255):
                flat = maps.flatten(2)
                mean = flat.mean(dim=2, keepdim=True)
                own = (flat - mean) / flat.shape[2] ** 0.5
                means.append(mean[..., 0])
                variances.append(own.square().sum(dim=2))
                centred.append(own.flatten(1))
            return torch.cat([*means, *variances, *centred], dim=1).cpu().numpy()

    def similarity(
        self, first: NDArray[np.floating], second: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Return the negated distance of each pair; 0 is identical."""
        n = _N_CHANNELS
        (mean, variance), (mean_2, variance_2) = (
            (rows[:, :n], rows[:, n : 2 * n]) for rows in (first, second)
        )
        covariance, start = [], 2 * n
        for n_channels, size in self._shapes:
            stop = start + n_channels * size
            one, other = (
                rows[:, start:stop].reshape(-1, n_channels, size)
                for rows in (first, second)
            )
            covariance.append(np.einsum("pcs,pcs->pc", one, other))
            start = stop
        texture = _alike(mean * mean_2, mean**2 + mean_2**2)
        structure = _alike(np.concatenate(covariance, axis=1), variance + variance_2)
        return (texture @ self.alpha + structure @ self.beta - 1).astype(np.float32)


def _alike(
    product: NDArray[np.floating], squares: NDArray[np.floating]
) -> NDArray[np.floating]:
    return (2 * product + _STABLE) / (squares + _STABLE)


def load(variant: str, weights: Path | None = None, device: str = "cpu") -> Dists:
    """Load the trunk from a file, and the channels' weights from their package.

    Parameters
    ----------
    weights : Path, optional
        Torchvision's file of VGG-16, a folder that holds it, or ``download``.

    Raises
    ------
    MissingExtraError
        The package or the trunk is not there.
    DataContractError
        A file is broken or of another network.
    """
    heads = _heads_path()
    path = trunk_path(variant, weights, "dists")
    trunk = DistsTrunk()
    state = read_state(path)
    # The file has VGG's classifier too.
    own = {name: state[name] for name in trunk.state_dict() if name in state}
    put_state(trunk, own, path, "VGG-16")
    trunk.eval().requires_grad_(False).to(device)
    alpha, beta = _channel_weights(heads)
    hashes = f"{file_hash(path)} {file_hash(heads)}"
    return Dists(
        trunk=trunk,
        alpha=alpha,
        beta=beta,
        device=device,
        config={
            "weights": path.name,
            "weights_sha256": bytes_hash(hashes.encode()),
            "preprocessing": "display image, to [0, 1]",
            "features": "means, variances and centred maps of VGG-16's stages (DISTS)",
            "packages": " ".join(
                f"{one} {version(one)}" for one in ("torch", "pillow", "torchmetrics")
            ),
        },
    )


def _heads_path() -> Path:
    spec = find_spec("torchmetrics")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            "The encoder 'dists' needs the package 'torchmetrics', which holds the"
            " weights of its channels. Install it with: pip install -e '.[score]'"
        )
    # It is not imported: that takes long, and asks for torchvision.
    return Path(spec.submodule_search_locations[0]) / _HEADS


def _channel_weights(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    state = read_state(path)
    found = [
        state[name].flatten().numpy() for name in ("alpha", "beta") if name in state
    ]
    if [len(one) for one in found] != [_N_CHANNELS] * 2:
        raise DataContractError(
            f"{path} does not hold 'alpha' and 'beta' of {_N_CHANNELS} channels each."
            " Install the package torchmetrics again."
        )
    total = sum(one.sum(dtype=np.float64) for one in found)
    alpha, beta = ((one / total).astype(np.float32) for one in found)
    return alpha, beta
