"""LPIPS in its authors' package: a perceptual distance of two images."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from data.errors import MissingExtraError
from data.files import bytes_hash, file_hash
from data.package_networks import let_torchvision_load
from data.weights import put_state, read_state
from mis.encoders.patches import SIDE, patches, resized
from mis.encoders.protocol import squared_distance
from mis.encoders.trunks import trunk_path


@dataclass(frozen=True, eq=False)
class Lpips:
    """Negated LPIPS of two images, each reduced to 64 × 64 pixels.

    LPIPS is the mean over positions of the weighted squared difference of
    channel-normalised activations, summed over layers. Its weights are not negative,
    so with the root of weight and share of positions in the features it is the
    squared distance of two vectors.
    """

    network: Any
    config: Mapping[str, str]
    n_features: int
    device: str = "cpu"
    batch_size: int = 16
    is_squared_distance: bool = True

    def resized(self, image: Image.Image) -> Image.Image:
        """Return a display image in the size that the network sees."""
        return resized(image)

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Map images to (n, n_features) features whose squared distance is LPIPS."""
        with torch.inference_mode():
            return features(self.network, patches(images, self.device))

    def similarity(
        self, first: NDArray[np.floating], second: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Return the negated distance of each pair, in (-inf, 0]; 0 is identical."""
        return -squared_distance(first, second)


def features(network: Any, images: Tensor) -> NDArray[np.float32]:
    """Map (n, 3, height, width) images in [-1, 1] to features of an LPIPS network."""
    found = []
    outputs = network.net(network.scaling_layer(images))
    for maps, head in zip(outputs, network.lins, strict=True):
        norm = maps.square().sum(dim=1, keepdim=True).sqrt()
        scale = (head.model[-1].weight / (maps.shape[2] * maps.shape[3])).sqrt()
        found.append((maps / (norm + 1e-10) * scale).flatten(1))
    return torch.cat(found, dim=1).cpu().numpy()


def load(variant: str, weights: Path | None = None, device: str = "cpu") -> Lpips:
    """Load ``alex``, ``vgg`` or ``squeeze``; the package has all but the trunk.

    Parameters
    ----------
    weights : Path, optional
        Torchvision's file of the trunk, a folder that holds it, or ``download``.

    Raises
    ------
    MissingExtraError
        The package or the trunk is not there.
    DataContractError
        The file is broken or of another network.
    """
    path = trunk_path(variant, weights, f"lpips-{variant}")
    if find_spec("lpips") is None:
        raise MissingExtraError(
            f"The encoder 'lpips-{variant}' needs the package 'lpips'."
            " Install it with: pip install -e '.[dreamsim]'"
        )
    let_torchvision_load()
    with warnings.catch_warnings():
        # The package asks torchvision in a way that is deprecated.
        warnings.simplefilter("ignore")
        import lpips

        network = lpips.LPIPS(net=variant, pnet_rand=True, verbose=False)
    put_state(network.net, _renamed(read_state(path), network.net), path, variant)
    network.eval().requires_grad_(False).to(device)
    with torch.inference_mode():
        blank = torch.zeros(1, 3, SIDE, SIDE, device=device)
        n_features = features(network, blank).shape[1]
    heads = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{variant}.pth"
    hashes = f"{file_hash(path)} {file_hash(heads)}"
    return Lpips(
        network=network,
        n_features=n_features,
        device=device,
        config={
            "weights": path.name,
            "weights_sha256": bytes_hash(hashes.encode()),
            "preprocessing": f"display image, bicubic to {SIDE}, to [-1, 1]",
            "features": f"{variant} trunk; squared distance of features is LPIPS 0.1",
            "packages": " ".join(
                f"{one} {version(one)}" for one in ("torch", "pillow", "lpips")
            ),
        },
    )


def _renamed(state: Mapping[str, Tensor], trunk: Any) -> dict[str, Tensor]:
    """Return torchvision's features.N under the trunk's names sliceK.N."""
    renamed = {}
    for name in trunk.state_dict():
        source = f"features.{name.partition('.')[2]}"
        if source in state:
            renamed[name] = state[source]
    return renamed
