"""Kernels: margins of many tasks from image features, on NumPy or on torch."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from data.tasks import NEGATIVE, POSITIVE
from mis.plan import Plan

Features = NDArray[np.floating]
Indices = NDArray[np.integer]
Margins = NDArray[np.float32]
_Work = Callable[[NDArray[np.int32], NDArray[np.int32]], Margins]

# Small enough for a core's own cache, where the sums over explanations are made.
_CHUNK_BYTES = 2**20
_ROW_BLOCK = 4096


class Kernel:
    """Maps tasks of some units to their margins, as often as asked."""

    def __init__(
        self, work: _Work, place: NDArray[np.int32] | None, memory: int
    ) -> None:
        self._work, self._place = work, place
        self._block_bytes = max(2**20, memory // 16)

    def __call__(
        self, queries: Indices, explanations: Indices, out: Margins | None = None
    ) -> Margins:
        """Return (n_units, n_tasks) margins; indices as in :func:`make_kernel`."""
        if out is None:
            out = np.empty(queries.shape[:2], dtype=np.float32)
        if not out.size:
            return out
        per_unit = 4 * (queries[0].size + explanations[0].size)
        for block in cuts(len(queries), max(1, self._block_bytes // per_unit)):
            out[block] = self._work(
                self._rows(queries[block]), self._rows(explanations[block])
            )
        return out

    def _rows(self, indices: Indices) -> NDArray[np.int32]:
        if self._place is None:
            return np.ascontiguousarray(indices, dtype=np.int32)
        return self._place.take(indices)


def make_kernel(features: Features, plan: Plan, *, rows: Indices | None) -> Kernel:
    """Return the function that maps tasks to margins by a plan.

    Parameters
    ----------
    features : (n_stored, n_features) float32 or float16 array
        Unit-norm rows; may be memory-mapped. Sums are made in float32.
    rows : (n_indices,) int array, optional
        Row of each image index of the tasks, -1 where no task names it. None: the
        indices are rows.

    Notes
    -----
    Rows of float16 features are off by up to 2^-11 of each value, so that a margin of
    unit-norm features is off by at most 4 · 2^-10, and by some 1e-5 as a rule.
    """
    used, place = _used(rows, len(features))
    slabs = _Slabs(features, used, plan.columns)
    maker = _numpy_kernel if plan.backend == "numpy" else _torch_kernel
    return Kernel(maker(slabs, plan), place, plan.memory)


def _used(
    rows: Indices | None, n_stored: int
) -> tuple[Indices | None, NDArray[np.int32] | None]:
    """Return the stored rows in use, and where among them each index is."""
    if rows is None:
        return None, None
    named = rows >= 0
    if named.all() and np.array_equal(rows, np.arange(n_stored)):
        return None, None
    place = np.cumsum(named, dtype=np.int32) - np.int32(1)
    return rows[named], place


class _Slabs:
    """All images' features, some columns at a time."""

    def __init__(self, features: Features, used: Indices | None, columns: int) -> None:
        self._features, self._used, self._columns = features, used, columns
        self.n_images = len(features) if used is None else len(used)
        self.n_features = features.shape[1]
        self._only: NDArray[np.float32] | None = None

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        if self._columns >= self.n_features:
            if self._only is None:
                self._only = self._slab(0)
            yield self._only
            return
        for start in range(0, self.n_features, self._columns):
            yield self._slab(start)

    def _slab(self, start: int) -> NDArray[np.float32]:
        stop = min(start + self._columns, self.n_features)
        slab = np.empty((self.n_images, stop - start), dtype=np.float32)
        for row in range(0, self.n_images, _ROW_BLOCK):
            end = min(row + _ROW_BLOCK, self.n_images)
            part: slice | Indices = slice(row, end)
            if self._used is not None:
                part = self._used[row:end]
            slab[row:end] = self._features[part, start:stop]
        return slab


def cuts(n: int, step: int) -> list[slice]:
    """Return slices of ``step`` that cover ``n``."""
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


def in_threads(
    work: Callable[[slice], None],
    pieces: Sequence[slice],
    n_threads: int,
    begin: Callable[[], object] = lambda: None,
) -> None:
    """Work on every piece; ``begin`` is called once in each thread."""
    if n_threads == 1 or len(pieces) == 1:
        for piece in pieces:
            work(piece)
        return
    with ThreadPoolExecutor(n_threads, initializer=begin) as pool:
        for _ in pool.map(work, pieces):
            pass


def n_cores() -> int:
    """Return how many threads to work in: OMP_NUM_THREADS, or the cores there are."""
    named = os.environ.get("OMP_NUM_THREADS", "")
    if named.isdecimal() and int(named) > 0:
        return int(named)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _per_chunk(bytes_per_unit: int) -> int:
    return max(1, _CHUNK_BYTES // bytes_per_unit)


def _numpy_kernel(slabs: _Slabs, plan: Plan) -> _Work:
    if plan.strategy == "gram":
        gram = np.zeros((slabs.n_images, slabs.n_images), dtype=np.float32)
        for slab in slabs:
            gram += slab @ slab.T
        return _NumpyGram(gram)
    return _NumpyGather(slabs)


class _NumpyGram:
    def __init__(self, gram: NDArray[np.float32]) -> None:
        self._gram, self._n_images = gram.ravel(), len(gram)

    def __call__(self, queries: Indices, explanations: Indices) -> Margins:
        margins = np.empty(queries.shape[:2], dtype=np.float32)
        n_explanations = np.float32(explanations.shape[-1])

        def work(chunk: slice) -> None:
            first = queries[chunk].astype(np.int64) * self._n_images
            where = first[..., None, None] + explanations[chunk][:, :, None]
            fit = self._gram.take(where).sum(axis=-1)
            preference = fit[..., POSITIVE] - fit[..., NEGATIVE]
            margins[chunk] = preference[..., POSITIVE] - preference[..., NEGATIVE]
            margins[chunk] /= n_explanations

        step = _per_chunk(2 * explanations[0].size * 12)
        in_threads(work, cuts(len(queries), step), n_cores())
        return margins


class _NumpyGather:
    def __init__(self, slabs: _Slabs) -> None:
        self._slabs = slabs

    def __call__(self, queries: Indices, explanations: Indices) -> Margins:
        margins = np.zeros(queries.shape[:2], dtype=np.float32)
        for slab in self._slabs:

            def work(chunk: slice, slab: NDArray[np.float32] = slab) -> None:
                margins[chunk] += _gathered(slab, queries[chunk], explanations[chunk])

            step = _per_chunk(queries[0].size * 8 * slab.shape[1])
            in_threads(work, cuts(len(queries), step), n_cores())
        margins /= np.float32(explanations.shape[-1])
        return margins


def _gathered(
    slab: NDArray[np.float32], queries: Indices, explanations: Indices
) -> Margins:
    # One stratum at a time, so that no (n_tasks, 2, n_explanations, n_features)
    # block is ever held.
    total = slab[explanations[..., 0]]
    for stratum in range(1, explanations.shape[-1]):
        total += slab[explanations[..., stratum]]
    contrast = total[..., POSITIVE, :] - total[..., NEGATIVE, :]
    query = slab[queries]
    contrast *= query[..., POSITIVE, :] - query[..., NEGATIVE, :]
    return contrast.sum(axis=-1)


def _torch_kernel(slabs: _Slabs, plan: Plan) -> _Work:
    from mis.torch_kernels import TorchGather, TorchGram, checked_device

    device = checked_device(plan.device)
    if plan.strategy == "gram":
        return TorchGram(slabs, slabs.n_images, device)
    return TorchGather(slabs, device)
