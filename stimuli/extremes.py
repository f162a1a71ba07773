"""The extreme images and the statistics of many units, in bounded memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.recordings import TieOrder
from data.units import UnitId
from stimuli.unit_statistics import BlockTotals, RunningStatistics, block_totals

BLOCK = 256
"""Images that are gathered before they are merged.

A constant, so that sums are added in the same order whatever the batch size is.
"""

_PENDING = 64
"""Candidates a unit that wait until they are put among its extremes together."""

_SIGN = np.uint32(0x80000000)


def rank_codes(
    value: NDArray[np.float32], key: NDArray[np.uint32]
) -> NDArray[np.uint64]:
    """Return numbers in the order of the values, equal ones in that of their keys.

    A sort of these is a sort by value, then by key: the upper 32 bits are the float's
    own bits, turned so that they count upwards; the lower 32 bits are the key.
    """
    # Adding zero makes -0.0 the 0.0 that it is equal to.
    bits = (value + np.float32(0)).view(np.int32)
    turned = (bits >> 31).view(np.uint32) | _SIGN
    code = (bits.view(np.uint32) ^ turned).astype(np.uint64)
    code <<= np.uint64(32)
    code |= key
    return code


def coded_values(code: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Return the values that :func:`rank_codes` were made of."""
    ordered = (code >> np.uint64(32)).astype(np.uint32)
    bits = np.where(ordered >= _SIGN, ordered ^ _SIGN, ~ordered)
    return bits.view(np.float32)


class RunningExtremes:
    """The highest or lowest rank codes of every unit so far.

    Which images are kept depends on values and keys alone: not on the order in which
    images come, nor on what is merged with what.
    """

    def __init__(self, n_units: int, n_kept: int, *, highest: bool) -> None:
        self._n_kept = n_kept
        self._highest = highest
        self._code = np.empty((n_units, 0), dtype=np.uint64)
        self._sorted = False
        # No finite activation has the code of this.
        self._none = np.uint64(0) if highest else np.uint64(2**64 - 1)
        self._pending = np.full((n_units, _PENDING), self._none)
        self._n_pending = np.zeros(n_units, dtype=np.int64)
        self._edge = np.empty((n_units, 1), dtype=np.uint64)

    def merge(self, code: NDArray[np.uint64]) -> None:
        """Take in (n_units, n) codes."""
        if self._code.shape[1] < self._n_kept:
            self._keep(code)
            return
        passing, n_new = self._passing(code)
        if (self._n_pending + n_new).max() > _PENDING:
            self._settle()
            passing, n_new = self._passing(code)
        if n_new.max() > _PENDING:
            self._keep(code)
            return
        rows, columns = np.nonzero(passing)
        first = np.cumsum(n_new) - n_new
        slot = self._n_pending[rows] + np.arange(len(rows)) - first[rows]
        self._pending[rows, slot] = code[rows, columns]
        self._n_pending += n_new

    def ranked(self) -> NDArray[np.uint64]:
        """Return (n_units, n_kept) codes, the most extreme first."""
        self._settle()
        if not self._sorted:
            self._code.sort(axis=1)
            self._sorted = True
        return self._code[:, ::-1] if self._highest else self._code

    def restore(self, code: NDArray[np.uint64]) -> None:
        """Go on from what :meth:`ranked` returned; nothing may be merged before."""
        self._keep(code)

    def _passing(
        self, code: NDArray[np.uint64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        passing = code > self._edge if self._highest else code < self._edge
        return passing, np.count_nonzero(passing, axis=1)

    def _settle(self) -> None:
        width = int(self._n_pending.max(initial=0))
        if width:
            self._keep(self._pending[:, :width])
            self._pending[:, :width] = self._none
            self._n_pending[:] = 0

    def _keep(self, code: NDArray[np.uint64]) -> None:
        both = np.concatenate([self._code, code], axis=1)
        spare = both.shape[1] - self._n_kept
        if spare >= 0:
            last = spare if self._highest else self._n_kept - 1
            both.partition(last, axis=1)
            self._edge = both[:, last : last + 1].copy()
            both = both[:, spare:] if self._highest else both[:, : self._n_kept]
        self._code, self._sorted = np.ascontiguousarray(both), False


class LayerStream:
    """Everything that is kept of one layer while its activations go by.

    Memory: see :func:`bytes_per_unit`, however many images there are; and one
    activation an image for each unit in ``full``.

    Parameters
    ----------
    units : sequence of UnitId
    n_kept : int
        Images at each end.
    n_images : int
        Images of the whole set.
    full : sequence of UnitId
        Units whose activations to all images are kept.
    seed : int
        Breaks ties.
    n_map_statistics : int
        Further numbers that come with each activation, to be averaged.
    first_image : int
        Index of the image that comes first; a multiple of :data:`BLOCK`.
    totals : list or None
        Takes every block's statistics, for who joins those of several streams.
    """

    def __init__(
        self,
        units: Sequence[UnitId],
        *,
        n_kept: int,
        n_images: int,
        full: Sequence[UnitId],
        seed: int,
        n_map_statistics: int = 0,
        first_image: int = 0,
        totals: list[BlockTotals] | None = None,
    ) -> None:
        self.units = tuple(units)
        self.top = RunningExtremes(len(units), n_kept, highest=True)
        self.bottom = RunningExtremes(len(units), n_kept, highest=False)
        self.statistics = RunningStatistics(len(units))
        self.full = {unit: np.zeros(n_images, dtype=np.float32) for unit in full}
        self._order = TieOrder(units, seed=seed)
        self._channels = [unit.channel for unit in full]
        self._waiting = np.zeros((BLOCK, len(units)), dtype=np.float32)
        shape = (BLOCK, len(units), n_map_statistics)
        self._maps_waiting = np.zeros(shape, dtype=np.float32)
        self._map_sums = np.zeros(shape[1:])
        self._n_waiting = 0
        self._n_merged = self._first = first_image
        self._totals = totals

    def add(
        self,
        values: NDArray[np.float32],
        maps: NDArray[np.float32] | None = None,
    ) -> None:
        """Take in (n_batch, n_units) activations of the next images.

        Parameters
        ----------
        values : (n_batch, n_units) array
        maps : (n_batch, n_units, n_map_statistics) array
            None where the layer has no maps; their statistics are NaN then.

        Raises
        ------
        ActivationError
            A whole block's activations are not all finite.
        """
        start = self._n_merged + self._n_waiting
        for channel, kept in zip(self._channels, self.full.values(), strict=True):
            kept[start : start + len(values)] = values[:, channel]
        done = 0
        while done < len(values):
            n = min(BLOCK - self._n_waiting, len(values) - done)
            here = slice(self._n_waiting, self._n_waiting + n)
            self._waiting[here] = values[done : done + n]
            self._maps_waiting[here] = np.nan if maps is None else maps[done : done + n]
            self._n_waiting += n
            done += n
            if self._n_waiting == BLOCK:
                self.flush()

    def flush(self) -> None:
        """Merge what is waiting; called at the end, too."""
        if not self._n_waiting:
            return
        value = np.ascontiguousarray(self._waiting[: self._n_waiting].T)
        first = self._n_merged
        if not np.isfinite(value).all():
            unit, image = np.argwhere(~np.isfinite(value))[0]
            raise ActivationError(
                self.units[unit], first + int(image), value[unit, image]
            )
        totals = block_totals(value)
        index = np.arange(first, first + self._n_waiting)
        code = rank_codes(value, self._order.keys(index))
        self.top.merge(code)
        self.bottom.merge(code)
        self.statistics.join(totals)
        maps = self._maps_waiting[: self._n_waiting].sum(axis=0, dtype=np.float64)
        if self._totals is not None:
            self._totals.append(replace(totals, maps=maps))
        self._map_sums += maps
        self._n_merged += self._n_waiting
        self._n_waiting = 0

    def join(
        self,
        top: NDArray[np.uint64],
        bottom: NDArray[np.uint64],
        totals: Sequence[BlockTotals],
        full: NDArray[np.float32],
    ) -> None:
        """Take in what another stream has of the images that come next.

        All that is added up is added block by block, in the order of the images, so
        streams that are joined end with the bytes of one that saw all images.

        Parameters
        ----------
        top, bottom : (n_units, n) arrays
            Rank codes that the other stream kept.
        totals : sequence of BlockTotals
            Of each of its blocks.
        full : (n_full, n_images_of_it) array
            Activations of the units that are kept in full, in their order.
        """
        self.top.merge(top)
        self.bottom.merge(bottom)
        n_images = sum(block.count for block in totals)
        for kept, values in zip(self.full.values(), full, strict=True):
            kept[self._n_merged : self._n_merged + n_images] = values
        for block in totals:
            self.statistics.join(block)
            if block.maps is not None:
                self._map_sums += block.maps
        self._n_merged += n_images

    def extremes(self) -> dict[str, NDArray[np.int32] | NDArray[np.float32]]:
        """Return the arrays of a recording, 'top_index' to 'bottom_value'."""
        arrays: dict[str, NDArray[np.int32] | NDArray[np.float32]] = {}
        for name, end in (("top", self.top), ("bottom", self.bottom)):
            code = np.ascontiguousarray(end.ranked())
            keys = (code & np.uint64(0xFFFFFFFF)).astype(np.uint32)
            arrays[f"{name}_index"] = self._order.images(keys)
            arrays[f"{name}_value"] = coded_values(code)
        return arrays

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Return (n_units,) arrays of all statistics but those of maps."""
        return {**self.statistics.columns(), "tie_share": self._tie_share()}

    def map_means(self) -> NDArray[np.float64]:
        """Return (n_units, n_map_statistics) means over all images."""
        return self._map_sums / max(self._n_merged - self._first, 1)

    def _tie_share(self) -> NDArray[np.float64]:
        shares = []
        for end in (self.top, self.bottom):
            value = coded_values(end.ranked())
            same = value[:, 1:] == value[:, :-1]
            tied = np.pad(same, ((0, 0), (1, 0))) | np.pad(same, ((0, 0), (0, 1)))
            shares.append(tied.mean(axis=1))
        return np.mean(shares, axis=0)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return all that :meth:`restore` needs to go on as if never stopped."""
        full = np.array(list(self.full.values()), dtype=np.float32)
        return {
            "top": self.top.ranked(),
            "bottom": self.bottom.ranked(),
            "waiting": self._waiting[: self._n_waiting],
            "maps_waiting": self._maps_waiting[: self._n_waiting],
            "map_sums": self._map_sums,
            "n_merged": np.array(self._n_merged),
            "full": full,
            **{f"sum{key}": one for key, one in self.statistics.state().items()},
        }

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what :meth:`state` returned; nothing may be added before."""
        self.top.restore(state["top"].astype(np.uint64))
        self.bottom.restore(state["bottom"].astype(np.uint64))
        self._n_waiting = len(state["waiting"])
        self._waiting[: self._n_waiting] = state["waiting"]
        self._maps_waiting[: self._n_waiting] = state["maps_waiting"]
        self._map_sums = state["map_sums"].astype(np.float64)
        self._n_merged = int(state["n_merged"])
        for kept, saved in zip(self.full.values(), state["full"], strict=True):
            kept[:] = saved
        sums = {key[3:]: one for key, one in state.items() if key.startswith("sum_")}
        self.statistics.restore(sums)


def bytes_per_unit(n_kept: int, *, n_map_statistics: int = 0) -> int:
    """Return what a stream holds for one unit, with what it needs for a moment."""
    ends = 2 * (n_kept + _PENDING + 2) * 8
    waiting = BLOCK * 4 * (1 + n_map_statistics)
    # Where all units are of one layer, a merge copies them all at once.
    merging = (n_kept + BLOCK) * 8 + 3 * BLOCK * 8
    # At the end: the sorted codes, and the recording's indices and values.
    last = 2 * n_kept * (8 + 8)
    name = 500
    return ends + waiting + max(merging, last) + 10 * 8 + name + 2 * n_kept * 8


class ActivationError(Exception):
    """A unit's activation is not finite; has the unit, the image, the value."""

    def __init__(self, unit: UnitId, image: int, value: float) -> None:
        super().__init__(f"{unit} is {value} for image {image}")
        self.unit, self.image, self.value = unit, image, value
