"""Decoding ahead: images come as batches while networks run on earlier ones."""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from PIL import Image

from data.errors import DataContractError
from data.images import ImageSet
from stimuli.networks import Network

WORKERS = 4
"""Threads that decode. Pillow lets go of the interpreter while it decodes and
resizes, and torch while it computes, so threads do what processes would, without
copying pixels between them."""


def batches(
    images: ImageSet,
    networks: Sequence[Network],
    batch_size: int,
    *,
    start: int = 0,
    stop: int | None = None,
    workers: int = WORKERS,
) -> Generator[tuple[torch.Tensor, ...]]:
    """Yield, for each network, (n, channels, height, width), in the set's order.

    Every image is decoded once, whatever the number of networks.

    Parameters
    ----------
    start, stop : int
        First image, and the one after the last (the set's end by default).
    workers : int
        Threads; two batches are decoded ahead.
    """
    waiting: deque[Future[tuple[torch.Tensor, ...]]] = deque()
    ids = iter(images.image_ids[start:stop])
    with ThreadPoolExecutor(max_workers=workers) as loaders:
        try:
            while True:
                for image_id in ids:
                    waiting.append(loaders.submit(_load, images, networks, image_id))
                    if len(waiting) >= 2 * batch_size:
                        break
                if not waiting:
                    return
                n = min(batch_size, len(waiting))
                loaded = [waiting.popleft().result() for _ in range(n)]
                yield tuple(_stacked(one) for one in zip(*loaded, strict=True))
        finally:
            for one in waiting:
                one.cancel()


def _load(
    images: ImageSet, networks: Sequence[Network], image_id: str
) -> tuple[torch.Tensor, ...]:
    image = images.load(image_id)
    return tuple(_preprocessed(network, image) for network in networks)


def _preprocessed(network: Network, image: Image.Image) -> torch.Tensor:
    loaded = network.preprocess(image)
    if not isinstance(loaded, torch.Tensor) or loaded.ndim != 3:
        shape = f" of shape {tuple(loaded.shape)}" if hasattr(loaded, "shape") else ""
        raise DataContractError(
            f"The preprocessing of {network.name!r} gives"
            f" {type(loaded).__name__}{shape}; it must give a tensor"
            " (channels, height, width)."
        )
    return loaded


def _stacked(loaded: Sequence[torch.Tensor]) -> torch.Tensor:
    shapes = {tuple(one.shape) for one in loaded}
    if len(shapes) > 1:
        raise DataContractError(
            f"The network's preprocessing gives images of the shapes {sorted(shapes)};"
            " all must have one shape. Crop or resize in it."
        )
    return torch.stack(list(loaded))
