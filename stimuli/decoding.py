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

_AHEAD = 2  # batches that are decoded while a network runs on another


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
    ids = images.image_ids[start:stop]
    with ThreadPoolExecutor(max_workers=workers) as loaders:

        def ahead(first: int) -> None:
            names = ids[first : first + batch_size]
            loads = [loaders.submit(_load, images, networks, one) for one in names]
            if loads:
                # Behind its images in the queue, so that it never waits for a thread.
                waiting.append(loaders.submit(_together, loads))

        try:
            for first in range(0, min(_AHEAD * batch_size, len(ids)), batch_size):
                ahead(first)
            for first in range(0, len(ids), batch_size):
                batch = waiting.popleft().result()
                ahead(first + _AHEAD * batch_size)
                yield batch
        finally:
            loaders.shutdown(wait=False, cancel_futures=True)


def _together(
    loads: Sequence[Future[tuple[torch.Tensor, ...]]],
) -> tuple[torch.Tensor, ...]:
    loaded = zip(*(one.result() for one in loads), strict=True)
    return tuple(_stacked(one) for one in loaded)


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
