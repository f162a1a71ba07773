"""What every encoder offers, whatever network is behind it."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.files import bytes_hash, file_hash


class ImageEncoder(Protocol):
    """Maps images to features, always in batches of one size.

    Attributes
    ----------
    config : mapping
        All that the features depend on: weights, preprocessing, packages.
    n_features : int
    batch_size : int
        Images that :meth:`embed` takes at once. Fixed, because the last bits of a
        feature depend on the batch's shape.
    """

    @property
    def config(self) -> Mapping[str, str]: ...  # noqa: D102

    @property
    def n_features(self) -> int: ...  # noqa: D102

    @property
    def batch_size(self) -> int: ...  # noqa: D102

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Map ``batch_size`` display images to (batch_size, n_features) features.

        Rows are unit-norm, unless the encoder is a :class:`PairwiseEncoder`.
        """
        ...


@runtime_checkable
class PairwiseEncoder(Protocol):
    """An image encoder whose similarity is no cosine of its features."""

    def similarity(
        self, first: NDArray[np.floating], second: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Compare (n_pairs, n_features) rows pairwise; higher is more alike."""
        ...


def by_features(encoder: ImageEncoder) -> bool:
    """Return whether margins follow from the features, without looking at pairs.

    They do for cosines. They do as well where similarity is a negated squared
    distance, ``-‖q − e‖²``: in a task's margin each norm comes once with either sign,
    which leaves ``2 (q+ − q−) · (m+ − m−)``, twice the margin of dot products.
    """
    pairs = isinstance(encoder, PairwiseEncoder)
    return not pairs or getattr(encoder, "is_squared_distance", False)


def squared_distance(
    first: NDArray[np.floating], second: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Return the (n_pairs,) squared distances of rows."""
    difference = np.subtract(first, second, dtype=np.float32)
    return np.square(difference, out=difference).sum(axis=1)


def encoder_fingerprint(encoder: ImageEncoder) -> str:
    """Return a hash that changes with anything the features depend on."""
    return bytes_hash(json.dumps(dict(encoder.config), sort_keys=True).encode())


def described(
    *, weights: Path, preprocessing: str, features: str, packages: Sequence[str]
) -> dict[str, str]:
    """Return an encoder's ``config``.

    Parameters
    ----------
    weights : Path
        File of the weights; its hash is taken.
    preprocessing, features : str
        What is done before and after the network, in words.
    packages : sequence of str
        Packages whose version the features depend on.
    """
    return {
        "weights": weights.name,
        "weights_sha256": file_hash(weights),
        "preprocessing": preprocessing,
        "features": features,
        "packages": " ".join(f"{name} {version(name)}" for name in packages),
    }


def padded(images: Sequence[Image.Image], batch_size: int) -> list[Image.Image]:
    """Repeat the last image until the batch is full."""
    return [*images, *[images[-1]] * (batch_size - len(images))]


def pixels(images: Sequence[Image.Image]) -> NDArray[np.uint8]:
    """Return (n, height, width, 3) RGB values of images of one size."""
    return np.stack([np.asarray(image.convert("RGB")) for image in images])
