"""Margins of tasks, from image features or from pairs of images; NumPy only."""

from collections.abc import Callable, Iterable, Iterator
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from data.tasks import NEGATIVE, POSITIVE
from mis.kernels import Features, Indices, cuts, make_kernel
from mis.plan import Plan, PlanOptions, Sizes, make_plan

PairSimilarity = Callable[[Indices, Indices], NDArray[np.floating]]
"""Maps (n_pairs,) first and second image indices to their (n_pairs,) similarity."""

_PAIR_CHUNK_BYTES = 64 * 2**20


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
    rows: Indices | None = None,
    plan: Plan | None = None,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return the margin of every task under the cosine similarity of its images.

    With unit-norm features a task is one dot product, ``(q+ − q−) · (m+ − m−)``,
    where ``m`` is the mean feature of the explanations of one polarity. All ways to
    compute it are exact and agree to 1e-5.

    Parameters
    ----------
    features : (n_stored, n_features) float32 or float16 array
        Unit-norm rows; may be memory-mapped. Sums are made in float32.
    queries : (n_units, n_tasks, 2) int array
        Image indices; last axis POSITIVE, NEGATIVE. May be memory-mapped.
    explanations : (n_units, n_tasks, 2, n_explanations) int array
        Image indices; may be memory-mapped.
    rows : (n_indices,) int array, optional
        Row of ``features`` of each image index, -1 where no task names it. None: the
        indices are rows.
    plan : Plan, optional
        None takes what :func:`plan_of` says.
    out : (n_units, n_tasks) float32 array, optional
        Filled and returned; may be memory-mapped.

    Returns
    -------
    (n_units, n_tasks) float32 array
        In [-4, 4]; above zero where the machine observer answers correctly.
    """
    if out is None:
        out = np.empty(queries.shape[:2], dtype=np.float32)
    if not out.size:
        return out
    plan = plan or plan_of(features, queries, explanations, rows=rows)
    kernel = make_kernel(features, plan, rows=rows)
    return kernel(queries, explanations, out)


def streamed_margins(
    features: Features,
    tasks: Iterable[tuple[Indices, Indices]],
    *,
    plan: Plan,
    rows: Indices | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Yield the margins of one block of units after the other.

    For more units than memory holds: only one block of tasks is looked at at a time,
    and what does not depend on units, as the Gram matrix, is made once.

    Parameters
    ----------
    tasks : iterable of (queries, explanations)
        As in :func:`task_margins_from_features`, for some units each.
    plan : Plan
        Made with the number of all units.
    """
    kernel = make_kernel(features, plan, rows=rows)
    for queries, explanations in tasks:
        yield kernel(queries, explanations)


def plan_of(
    features: Features,
    queries: Indices,
    explanations: Indices,
    *,
    rows: Indices | None = None,
    **options: Unpack[PlanOptions],
) -> Plan:
    """Return the plan for these tasks; see :func:`mis.plan.make_plan`."""
    n_images = len(features) if rows is None else int(np.count_nonzero(rows >= 0))
    sizes = Sizes(
        n_images=n_images,
        n_features=features.shape[1],
        n_units=len(queries),
        n_tasks=explanations.shape[1],
        n_explanations=explanations.shape[3],
        itemsize=features.dtype.itemsize,
    )
    return make_plan(sizes, **options)


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
    per_unit = 2 * 64 * explanations[:1].size
    for chunk in cuts(len(queries), max(1, _PAIR_CHUNK_BYTES // max(1, per_unit))):
        first, second = _pairs(queries[chunk], explanations[chunk])
        first, second = np.broadcast_arrays(first, second)
        low = np.minimum(first, second).astype(np.int64)
        key = low * n_images + np.maximum(first, second)
        distinct, where = np.unique(key, return_inverse=True)
        values = np.asarray(similarity(distinct // n_images, distinct % n_images))
        margins[chunk] = task_margins(values[where].reshape(key.shape))
    return margins


def _pairs(queries: Indices, explanations: Indices) -> tuple[Indices, Indices]:
    """Return indices that broadcast to (n_units, n_tasks, 2, 2, n_explanations)."""
    return queries[..., :, None, None], explanations[..., None, :, :]
