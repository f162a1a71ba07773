"""Similarities of pairs whose features are too large to keep: made block by block."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from data.images import ImageSet
from mis.batches import Batches, decoded_ahead, loader
from mis.encoders.protocol import PairwiseEncoder

_PAIR_BYTES = 2**20
"""Of rows at a time: what a core's own cache holds."""


Batched = Sequence[NDArray[np.floating]]
"""Features in (n, n_features) batches, all but the last of the same number of rows."""


def compared(
    encoder: PairwiseEncoder,
    first: tuple[Batched, NDArray[np.integer]],
    second: tuple[Batched, NDArray[np.integer]],
) -> NDArray[np.float32]:
    """Compare features pairwise, some pairs at a time.

    Parameters
    ----------
    first, second : (batches, rows)
        Features, and (n_pairs,) rows, counted through the batches.
    """
    (one, one_rows), (other, other_rows) = first, second
    step = max(1, _PAIR_BYTES // (4 * one[0].shape[1]))
    values = [np.empty(0, dtype=np.float32)]
    for start in range(0, len(one_rows), step):
        cut = slice(start, start + step)
        values.append(
            encoder.similarity(_rows(one, one_rows[cut]), _rows(other, other_rows[cut]))
        )
    return np.concatenate(values)


def _rows(batches: Batched, rows: NDArray[np.integer]) -> NDArray[np.floating]:
    """Return rows as a matrix; a single one, which may be large, is not copied."""
    if len(batches) == 1 and len(rows) > 1:
        return batches[0][rows]
    places = [divmod(int(row), len(batches[0])) for row in rows]
    found = [batches[batch][row : row + 1] for batch, row in places]
    return found[0] if len(found) == 1 else np.concatenate(found)


@dataclass(eq=False, kw_only=True)
class FreshPairs:
    """Compares images in pairs and holds the features of two blocks of them at most.

    The images are cut into blocks of whole batches; pairs are taken in the order of
    their two blocks, so that with n blocks each image runs through the network at most
    n times for a set of pairs. An image is always in the same batch of the same size,
    so the values do not depend on ``memory``, to the last bit.

    Attributes
    ----------
    batches : Batches
        Of a pairwise encoder.
    image_set : ImageSet
    image_ids : sequence of str
        What indices point to.
    used : (n_used,) int array
        Sorted indices of all images that are compared.
    memory : int
        Bytes that features may take.
    """

    batches: Batches
    image_set: ImageSet
    image_ids: Sequence[str]
    used: NDArray[np.integer] = field(repr=False)
    memory: int
    n_embedded: int = 0
    _blocks: dict[int, Batched] = field(default_factory=dict, repr=False)

    @property
    def block_size(self) -> int:
        """Images in a block: whole batches, two blocks within the memory."""
        size = self.batches.encoder.batch_size
        fit = self.memory // (8 * self.batches.encoder.n_features)
        return max(1, fit // size) * size

    def similarity(
        self, first: NDArray[np.integer], second: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        """Map the image indices of (n_pairs,) pairs to their similarity."""
        encoder = self.batches.encoder
        assert isinstance(encoder, PairwiseEncoder)
        places = [np.searchsorted(self.used, one) for one in (first, second)]
        one, other = (place // self.block_size for place in places)
        order = np.lexsort((other, one))
        starts = np.flatnonzero(
            np.diff(one[order], prepend=-1) | np.diff(other[order], prepend=-1)
        )
        values = np.empty(len(first), dtype=np.float32)
        for start, stop in pairwise([*starts.tolist(), len(order)]):
            pairs = order[start:stop]
            blocks = [int(block[pairs[0]]) for block in (one, other)]
            self._hold(blocks)
            sides = [
                (self._blocks[block], place[pairs] % self.block_size)
                for block, place in zip(blocks, places, strict=True)
            ]
            values[pairs] = compared(encoder, sides[0], sides[1])
        return values

    def _hold(self, blocks: Sequence[int]) -> None:
        self._blocks = {key: one for key, one in self._blocks.items() if key in blocks}
        for block in blocks:
            if block not in self._blocks:
                self._blocks[block] = self._embedded(block)

    def _embedded(self, block: int) -> Batched:
        size = self.batches.encoder.batch_size
        start = block * self.block_size
        names = [
            self.image_ids[index]
            for index in self.used[start : start + self.block_size]
        ]
        self.n_embedded += len(names)
        load = loader(self.image_set, self.batches.encoder)
        images = decoded_ahead(load, names, ahead=2 * size)
        # Kept as they come: to copy them takes a tenth of what the network does.
        return [
            self.batches.embed([next(images) for _ in names[row : row + size]])
            for row in range(0, len(names), size)
        ]
