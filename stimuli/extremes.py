"""The extreme images and the statistics of many units, in bounded memory."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.recordings import tie_keys
from data.units import UnitId

BLOCK = 256
"""Images that are gathered before they are merged.

A constant, so that sums are added in the same order whatever the batch size is.
"""


class RunningExtremes:
    """The highest or lowest activations of every unit so far, with their images.

    Ordered by value, then by key; the order of images plays no part.

    Attributes
    ----------
    index : (n_units, n_kept) int32 array
    value : (n_units, n_kept) float32 array
    """

    def __init__(self, n_units: int, n_kept: int, *, highest: bool) -> None:
        self._n_kept = n_kept
        self._sign = np.float32(-1 if highest else 1)
        self.index = np.empty((n_units, 0), dtype=np.int32)
        self.value = np.empty((n_units, 0), dtype=np.float32)
        self._key = np.empty((n_units, 0), dtype=np.uint64)

    def merge(
        self,
        value: NDArray[np.float32],
        index: NDArray[np.int32],
        key: NDArray[np.uint64],
    ) -> None:
        """Take in (n_units, n) activations of the (n,) images at ``index``."""
        values = np.concatenate([self.value, value], axis=1)
        keys = np.concatenate([self._key, key], axis=1)
        indices = np.concatenate(
            [self.index, np.broadcast_to(index, value.shape)], axis=1
        )
        order = np.lexsort((keys, self._sign * values), axis=-1)[:, : self._n_kept]
        self.value = np.take_along_axis(values, order, axis=1)
        self.index = np.take_along_axis(indices, order, axis=1)
        self._key = np.take_along_axis(keys, order, axis=1)


class RunningStatistics:
    """Count, extremes, mean and spread of every unit so far, in float64.

    Blocks are joined by the pairwise update of Chan, Golub and LeVeque (1983).
    """

    def __init__(self, n_units: int) -> None:
        self._count = 0
        self._mean = np.zeros(n_units)
        self._squares = np.zeros(n_units)
        self._minimum = np.full(n_units, np.inf, dtype=np.float32)
        self._maximum = np.full(n_units, -np.inf, dtype=np.float32)
        self._at_minimum = np.zeros(n_units, dtype=np.int64)

    def merge(self, value: NDArray[np.float32]) -> None:
        """Take in (n_units, n) activations."""
        exact = value.astype(np.float64)
        n_new, total = value.shape[1], self._count + value.shape[1]
        mean = exact.mean(axis=1)
        difference = mean - self._mean
        self._squares += ((exact - mean[:, None]) ** 2).sum(axis=1)
        self._squares += difference**2 * self._count * n_new / total
        self._mean += difference * n_new / total
        lowest = np.minimum(self._minimum, value.min(axis=1))
        self._at_minimum[lowest < self._minimum] = 0
        self._at_minimum += (value == lowest[:, None]).sum(axis=1)
        self._minimum = lowest
        self._maximum = np.maximum(self._maximum, value.max(axis=1))
        self._count = total

    def table(self, units: Sequence[UnitId]) -> pd.DataFrame:
        """Return one row a unit, as :data:`data.recordings.STATISTICS` says."""
        return pd.DataFrame(
            {
                "unit": [str(unit) for unit in units],
                "minimum": self._minimum.astype(np.float64),
                "maximum": self._maximum.astype(np.float64),
                "mean": self._mean,
                "sd": np.sqrt(self._squares / self._count),
                "share_at_minimum": self._at_minimum / self._count,
            }
        )


class LayerStream:
    """Everything that is kept of one layer while its activations go by.

    Memory: 2 * n_kept + BLOCK activations a unit, however many images there are; and
    one activation an image for each unit in ``full``.
    """

    def __init__(
        self,
        units: Sequence[UnitId],
        *,
        n_kept: int,
        n_images: int,
        full: Sequence[UnitId],
        seed: int,
    ) -> None:
        self.units = tuple(units)
        self.top = RunningExtremes(len(units), n_kept, highest=True)
        self.bottom = RunningExtremes(len(units), n_kept, highest=False)
        self.statistics = RunningStatistics(len(units))
        self.full = {unit: np.empty(n_images, dtype=np.float32) for unit in full}
        self._channels = [unit.channel for unit in full]
        self._seed = seed
        self._waiting = np.empty((len(units), BLOCK), dtype=np.float32)
        self._n_waiting = self._n_merged = 0

    def add(self, values: NDArray[np.float32]) -> None:
        """Take in (n_batch, n_units) activations of the next images."""
        start = self._n_merged + self._n_waiting
        for channel, kept in zip(self._channels, self.full.values(), strict=True):
            kept[start : start + len(values)] = values[:, channel]
        while len(values):
            room = BLOCK - self._n_waiting
            taken, values = values[:room], values[room:]
            stop = self._n_waiting + len(taken)
            self._waiting[:, self._n_waiting : stop] = taken.T
            self._n_waiting = stop
            if stop == BLOCK:
                self.flush()

    def flush(self) -> None:
        """Merge what is waiting; called at the end, too."""
        if not self._n_waiting:
            return
        value = self._waiting[:, : self._n_waiting]
        first = self._n_merged
        index = np.arange(first, first + self._n_waiting, dtype=np.int32)
        key = tie_keys(self.units, index, seed=self._seed)
        # One order for both ends: of equal activations the smaller key is the weaker.
        self.top.merge(value, index, ~key)
        self.bottom.merge(value, index, key)
        self.statistics.merge(value)
        self._n_merged += self._n_waiting
        self._n_waiting = 0
