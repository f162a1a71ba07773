"""Margins of tasks, from image features or from pairs of images; NumPy only."""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.tasks import NEGATIVE, POSITIVE

Features = NDArray[np.floating]
Indices = NDArray[np.integer]
Strategy = Literal["gather", "gram"]
PairSimilarity = Callable[[Indices, Indices], NDArray[np.floating]]
"""Maps (n_pairs,) first and second image indices to their (n_pairs,) similarity."""

# Small enough for a core's cache, where the sums over explanations are made.
_CHUNK_BYTES = 2**20
_PAIR_CHUNK_BYTES = 64 * 2**20
_GRAM_BYTES = 2 * 2**30
_CACHE_LINE = 64
_MATRIX_BLOCK = 128


def task_margins(similarity: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return by how much each task's queries fit their own explanations better.

    Parameters
    ----------
    similarity : (..., 2, 2, n_explanations) array
        The first of the three axes is the query's polarity, the second the
        explanation's (POSITIVE, NEGATIVE). Higher is more alike.

    Returns
    -------
    (...) array
        Above zero where the machine observer answers correctly.

    Notes
    -----
    MIS paper §3: the difference of Δ₊ and Δ₋, with the mean as aggregator.
    """
    fit = similarity.mean(axis=-1)
    preference = fit[..., POSITIVE] - fit[..., NEGATIVE]
    return preference[..., POSITIVE] - preference[..., NEGATIVE]


def task_margins_from_features(
    features: Features,
    queries: Indices,
    explanations: Indices,
    *,
    strategy: Strategy | None = None,
) -> NDArray[np.float32]:
    """Return the margin of every task under the cosine similarity of its images.

    With unit-norm features a task is one dot product, ``(q+ − q−) · (m+ − m−)``,
    where ``m`` is the mean feature of the explanations of one polarity. Both
    strategies are exact and agree to 1e-5.

    Parameters
    ----------
    features : (n_images, n_features) float32 or float16 array
        Unit-norm rows; may be memory-mapped.
    queries : (n_units, n_tasks, 2) int array
        Rows of ``features``; last axis POSITIVE, NEGATIVE.
    explanations : (n_units, n_tasks, 2, n_explanations) int array
        Rows of ``features``.
    strategy : "gather", "gram" or None
        Gather rows of the features, or look similarities up in their Gram matrix.
        None takes what :func:`cheaper_strategy` says.

    Returns
    -------
    (n_units, n_tasks) float32 array
        In [-4, 4]; above zero where the machine observer answers correctly.
    """
    if strategy is None:
        strategy = cheaper_strategy(
            n_images=len(features),
            n_features=features.shape[1],
            n_units=len(queries),
            n_tasks=explanations.shape[1],
            n_explanations=explanations.shape[3],
            itemsize=features.dtype.itemsize,
        )
    margins = np.empty(queries.shape[:2], dtype=np.float32)
    if strategy == "gram":
        rows = np.asarray(features, dtype=np.float32)
        gram = rows @ rows.T
        for chunk in _unit_chunks(explanations, bytes_per_pair=8 + 4 + 4):
            first, second = _pairs(queries[chunk], explanations[chunk])
            margins[chunk] = task_margins(gram[first, second])
        return margins
    for chunk in _unit_chunks(queries, bytes_per_pair=2 * 4 * features.shape[1]):
        margins[chunk] = _gathered(features, queries[chunk], explanations[chunk])
    return margins


def _gathered(
    features: Features, queries: Indices, explanations: Indices
) -> NDArray[np.float32]:
    # One stratum at a time, so that no (n_tasks, 2, n_explanations, n_features)
    # block is ever held.
    total = features[explanations[..., 0]].astype(np.float32)
    for stratum in range(1, explanations.shape[-1]):
        total += features[explanations[..., stratum]]
    contrast = total[..., POSITIVE, :] - total[..., NEGATIVE, :]
    query = features[queries].astype(np.float32, copy=False)
    contrast *= query[..., POSITIVE, :] - query[..., NEGATIVE, :]
    return contrast.sum(axis=-1) / np.float32(explanations.shape[-1])


def task_margins_from_pairs(
    similarity: PairSimilarity, queries: Indices, explanations: Indices
) -> NDArray[np.float32]:
    """Return the margin of every task under a similarity of two images.

    For similarities that are no dot product of features, such as a negated LPIPS or
    DISTS distance: every query is compared with every explanation of its task. A
    pair that occurs in several tasks of a chunk of units is compared once.

    Parameters
    ----------
    similarity : callable
        Symmetric; maps the image indices of (n_pairs,) pairs to their similarity.
    queries, explanations : int arrays
        As in :func:`task_margins_from_features`.
    """
    margins = np.empty(queries.shape[:2], dtype=np.float32)
    n_images = int(max(queries.max(initial=0), explanations.max(initial=0))) + 1
    for chunk in _unit_chunks(
        explanations, bytes_per_pair=64, chunk_bytes=_PAIR_CHUNK_BYTES
    ):
        first, second = _pairs(queries[chunk], explanations[chunk])
        first, second = np.broadcast_arrays(first, second)
        low = np.minimum(first, second).astype(np.int64)
        key = low * n_images + np.maximum(first, second)
        distinct, where = np.unique(key, return_inverse=True)
        values = np.asarray(similarity(distinct // n_images, distinct % n_images))
        margins[chunk] = task_margins(values[where].reshape(key.shape))
    return margins


def cheaper_strategy(
    *,
    n_images: int,
    n_features: int,
    n_units: int,
    n_tasks: int,
    n_explanations: int,
    itemsize: int = 4,
) -> Strategy:
    """Return the strategy that moves fewer bytes; "gather" where Gram is too large."""
    sizes = {
        "n_units": n_units,
        "n_tasks": n_tasks,
        "n_explanations": n_explanations,
    }
    gather = gather_bytes(n_features=n_features, itemsize=itemsize, **sizes)
    gram = gram_bytes(n_images=n_images, n_features=n_features, **sizes)
    fits = 4 * n_images**2 <= _GRAM_BYTES
    return "gram" if fits and gram < gather else "gather"


def gather_bytes(
    *, n_units: int, n_tasks: int, n_explanations: int, n_features: int, itemsize: int
) -> int:
    """Return the bytes of all feature rows that the tasks name."""
    return n_units * n_tasks * 2 * (n_explanations + 1) * n_features * itemsize


def gram_bytes(
    *, n_units: int, n_tasks: int, n_explanations: int, n_images: int, n_features: int
) -> int:
    """Return the bytes to make the Gram matrix and to look similarities up in it.

    A matrix product reads each operand once a block of the other; a look-up moves a
    whole cache line.
    """
    product = n_images**2 * (4 + 2 * 4 * n_features // _MATRIX_BLOCK)
    return product + n_units * n_tasks * 4 * n_explanations * _CACHE_LINE


def _pairs(queries: Indices, explanations: Indices) -> tuple[Indices, Indices]:
    """Return indices that broadcast to (n_units, n_tasks, 2, 2, n_explanations)."""
    return queries[..., :, None, None], explanations[..., None, :, :]


def _unit_chunks(
    indices: Indices, *, bytes_per_pair: int, chunk_bytes: int | None = None
) -> Iterator[slice]:
    """Cut the units so that what a chunk needs stays in bounded memory."""
    per_unit = max(1, 2 * indices[0].size * bytes_per_pair) if len(indices) else 1
    step = max(1, (chunk_bytes or _CHUNK_BYTES) // per_unit)
    for start in range(0, len(indices), step):
        yield slice(start, start + step)
