"""Encoders without a network: what colours and places alone tell of two images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.errors import DataContractError
from mis.encoders.protocol import pixels

_SIDE = 32
_SHADES = 8


@dataclass(frozen=True, eq=False)
class Floor:
    """Features that an image has without any training; a floor for encoders."""

    features: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    side: int | None
    config: Mapping[str, str]
    n_features: int
    batch_size: int = 16

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Map display images to (n, n_features) unit-norm features."""
        if self.side is not None:
            size = (self.side, self.side)
            images = [one.resize(size, Image.Resampling.BOX) for one in images]
        return np.stack([self.features(one) for one in pixels(images)])


def plain_pixels(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the values of (height, width, 3) pixels around mid-grey, unit-norm."""
    # Mid-grey lies between two values, so that no image has the norm 0.
    values = image.astype(np.float32).ravel() - np.float32(127.5)
    return values / np.linalg.norm(values)


def colour_histogram(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the roots of the shares of 8 × 8 × 8 colours, unit-norm.

    The cosine of two of them is the Bhattacharyya coefficient of the histograms.
    """
    shade = image.reshape(-1, 3).astype(np.int64) * _SHADES // 256
    colour = shade @ np.array([_SHADES**2, _SHADES, 1])
    shares = np.bincount(colour, minlength=_SHADES**3) / len(colour)
    return np.sqrt(shares).astype(np.float32)


def load(variant: str, weights: Path | None = None, device: str = "cpu") -> Floor:
    """Load ``pixels`` or ``colour-histogram``; the device has no part.

    Raises
    ------
    DataContractError
        Weights were given.
    """
    if weights is not None:
        raise DataContractError(
            f"The encoder {variant!r} has no weights; --weights is {str(weights)!r}."
            " Leave the option out."
        )
    packages = f"numpy {version('numpy')} pillow {version('pillow')}"
    if variant == "pixels":
        return Floor(
            features=plain_pixels,
            side=_SIDE,
            n_features=3 * _SIDE**2,
            config={
                "weights": "none",
                "preprocessing": f"display image, means of boxes to {_SIDE}",
                "features": "RGB around mid-grey, unit norm",
                "packages": packages,
            },
        )
    return Floor(
        features=colour_histogram,
        side=None,
        n_features=_SHADES**3,
        config={
            "weights": "none",
            "preprocessing": "display image",
            "features": f"roots of the shares of {_SHADES} ** 3 colours",
            "packages": packages,
        },
    )
