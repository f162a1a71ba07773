"""Statistics of every unit's activations, joined block by block."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, kw_only=True)
class BlockTotals:
    """Statistics of the activations of one block of images.

    Attributes
    ----------
    count : int
        Images.
    mean, squares : (n_units,) float64 arrays
        Mean, and sum of squared differences from it.
    minimum, maximum : (n_units,) float32 arrays
    at_minimum, not_positive : (n_units,) int64 arrays
        Images whose activation is the block's minimum; is 0 or below.
    maps : (n_units, n_map_statistics) float64 array, optional
        Sums of the statistics of maps.
    """

    count: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]
    minimum: NDArray[np.float32]
    maximum: NDArray[np.float32]
    at_minimum: NDArray[np.int64]
    not_positive: NDArray[np.int64]
    maps: NDArray[np.float64] | None = None


def block_totals(value: NDArray[np.float32]) -> BlockTotals:
    """Return the statistics of (n_units, n) activations."""
    exact = value.astype(np.float64)
    mean = exact.mean(axis=1)
    exact -= mean[:, None]
    exact *= exact
    minimum = value.min(axis=1)
    return BlockTotals(
        count=value.shape[1],
        mean=mean,
        squares=exact.sum(axis=1),
        minimum=minimum,
        maximum=value.max(axis=1),
        at_minimum=np.count_nonzero(value == minimum[:, None], axis=1),
        not_positive=np.count_nonzero(value <= 0, axis=1),
    )


class RunningStatistics:
    """Count, extremes, mean and spread of every unit so far, in float64.

    Blocks are joined by the pairwise update of Chan, Golub and LeVeque (1983). Sums
    depend on the order of blocks, so they are joined in the order of the images.
    """

    def __init__(self, n_units: int) -> None:
        self._count = 0
        self._mean = np.zeros(n_units)
        self._squares = np.zeros(n_units)
        self._minimum = np.full(n_units, np.inf, dtype=np.float32)
        self._maximum = np.full(n_units, -np.inf, dtype=np.float32)
        self._at_minimum = np.zeros(n_units, dtype=np.int64)
        self._not_positive = np.zeros(n_units, dtype=np.int64)

    def join(self, block: BlockTotals) -> None:
        """Take in the next block."""
        total = self._count + block.count
        difference = block.mean - self._mean
        self._squares += block.squares
        self._squares += difference**2 * self._count * block.count / total
        self._mean += difference * block.count / total
        self._at_minimum[block.minimum < self._minimum] = 0
        as_low = block.minimum <= self._minimum
        self._at_minimum[as_low] += block.at_minimum[as_low]
        self._minimum = np.minimum(self._minimum, block.minimum)
        self._maximum = np.maximum(self._maximum, block.maximum)
        self._not_positive += block.not_positive
        self._count = total

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Return (n_units,) arrays, as :data:`data.recordings.STATISTICS` says."""
        return {
            "minimum": self._minimum.astype(np.float64),
            "maximum": self._maximum.astype(np.float64),
            "mean": self._mean,
            "sd": np.sqrt(self._squares / self._count),
            "share_at_minimum": self._at_minimum / self._count,
            "sparsity": self._not_positive / self._count,
        }

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of all sums."""
        return {name: np.array(value) for name, value in vars(self).items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what :meth:`state` returned."""
        for name in vars(self):
            value = state[name]
            setattr(self, name, value.copy() if value.ndim else value.item())
