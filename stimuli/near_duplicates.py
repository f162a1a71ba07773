"""Photographs that look the same, so that no query is also an explanation."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_SIDE = 16
"""Side of the difference hash: 16 × 16 = 256 bits."""

NEAR_BITS = 14
"""Images whose hashes differ in at most so many of the 256 bits look the same."""


def difference_hash(image: Image.Image) -> NDArray[np.uint64]:
    """Return the 256 bits of an image's difference hash as (4,) uint64.

    The signs of horizontal brightness differences in a 17 × 16 thumbnail.
    """
    from imagehash import dhash

    bits = dhash(image, hash_size=HASH_SIDE).hash
    return np.packbits(bits.reshape(-1)).view(np.uint64)


def near_duplicates(
    hashes: NDArray[np.uint64], *, bits: int = NEAR_BITS
) -> dict[int, tuple[int, int]]:
    """Find the images that repeat an earlier one; the first of each is kept.

    Parameters
    ----------
    hashes : (n_images, 4) uint64 array
    bits : int
        In [0, 256]; two images at most so many bits apart look the same.

    Returns
    -------
    dict of int to (int, int)
        For each image to drop: the kept image it repeats, and their distance in
        bits.

    Notes
    -----
    Every image is compared with all that are kept: the time grows with the square
    of their number, about 20 s for 50,000.
    """
    kept: list[int] = []
    kept_hashes = np.empty_like(hashes)
    dropped = {}
    for index, one in enumerate(hashes):
        known = kept_hashes[: len(kept)]
        distances = np.bitwise_count(known ^ one).sum(axis=1, dtype=np.int64)
        nearest = int(distances.argmin()) if kept else -1
        if kept and distances[nearest] <= bits:
            dropped[index] = (kept[nearest], int(distances[nearest]))
        else:
            kept_hashes[len(kept)] = one
            kept.append(index)
    return dropped


def stacked(hashes: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Return hashes as (n_images, 4), also where there are none."""
    return np.array(hashes, dtype=np.uint64).reshape(-1, HASH_SIDE**2 // 64)
