"""Images through an encoder: decoded ahead, in batches that shrink when memory ends."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.command_line import say
from data.errors import DataContractError
from data.images import ImageSet
from mis.encoders.protocol import ImageEncoder, PairwiseEncoder, padded

_WORKERS = 2
_NORM_TOLERANCE = 1e-2


def loader(image_set: ImageSet, encoder: ImageEncoder) -> Callable[[str], Image.Image]:
    """Return what brings an image from its file to the encoder, in any thread.

    An encoder that offers ``resized`` gets images of its own size: what it would do
    to them while its network waits is done where they are decoded.
    """
    resized = getattr(encoder, "resized", None)
    if resized is None:
        return image_set.display
    return lambda name: resized(image_set.display(name))


def decoded_ahead(
    load: Callable[[str], Image.Image], names: Sequence[str], *, ahead: int
) -> Iterator[Image.Image]:
    """Yield images in order; threads decode up to ``ahead`` of them beforehand.

    Pillow lets go of the interpreter while it decodes, and torch while it computes.
    """
    waiting: deque[Future[Image.Image]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        try:
            for name in names:
                waiting.append(pool.submit(load, name))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


@dataclass
class Batches:
    """Feeds an encoder; remembers the batch that memory holds.

    Attributes
    ----------
    encoder : ImageEncoder
    size : int
        Images at once; starts as the encoder's own, and is halved as often as the
        device runs out of memory.
    """

    encoder: ImageEncoder
    size: int = 0

    def __post_init__(self) -> None:
        self.size = self.size or self.encoder.batch_size

    def embed(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Map any number of display images to (n, n_features) features.

        Raises
        ------
        DataContractError
            Features of another shape, or not unit-norm where their cosine counts; or
            memory does not hold one image.
        """
        done: list[NDArray[np.float32]] = []
        n_done = 0
        while n_done < len(images):
            batch = images[n_done : n_done + self.size]
            try:
                found = self.encoder.embed(padded(batch, self.size))
            except (RuntimeError, MemoryError) as error:
                self._halve(error)
                continue
            done.append(self._checked(np.asarray(found, dtype=np.float32), len(batch)))
            n_done += len(batch)
        return done[0] if len(done) == 1 else np.concatenate(done)

    def _halve(self, error: Exception) -> None:
        if not _is_out_of_memory(error):
            raise error
        if self.size == 1:
            raise DataContractError(
                "Memory does not hold one image in the encoder"
                f" ({str(error).splitlines()[0]}). Free memory, or take another"
                " --device."
            ) from error
        self.size //= 2
        say(f"Out of memory in the encoder: on with batches of {self.size}.")

    def _checked(
        self, found: NDArray[np.float32], n_images: int
    ) -> NDArray[np.float32]:
        expected = (self.size, self.encoder.n_features)
        if found.shape != expected:
            raise DataContractError(
                f"The encoder gave features of the shape {found.shape}; they must be"
                f" {expected}, one row an image. Check its 'embed' and 'n_features'."
            )
        found = found[:n_images]
        if isinstance(self.encoder, PairwiseEncoder):
            return found
        off = np.abs(np.linalg.norm(found, axis=1) - 1)
        if off[np.isfinite(off)].max(initial=0) > _NORM_TOLERANCE:
            raise DataContractError(
                f"The encoder's features have norms up to {1 + off.max():.3g} off 0;"
                " rows must be unit-norm, as their cosine is the similarity. Divide"
                " each by its norm, or offer 'similarity' for another comparison."
            )
        return found


def _is_out_of_memory(error: Exception) -> bool:
    # Torch has a class of its own for devices only; on the CPU the text must tell.
    texts = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(one in str(error) for one in texts)
