"""What scoring needs of images: that they are the tasks' own, and their features."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from data.command_line import progress
from data.errors import DataContractError
from data.images import ImageSet
from data.tasks import TaskConfig, TaskSet
from mis.batches import Batches
from mis.encoders.protocol import ImageEncoder, PairwiseEncoder, by_features
from mis.features import fill_store, open_store
from mis.fresh_pairs import FreshPairs, compared
from mis.kernels import Kernel, make_kernel
from mis.margins import task_margins_from_features, task_margins_from_pairs
from mis.plan import DEFAULT_MEMORY, Plan, PlanOptions, Sizes, make_plan

_BLOCK = 2**14


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredFeatures:
    """Features of some images of a set, and where each is.

    Attributes
    ----------
    matrix : (n_stored, n_features) float array
        Memory-mapped.
    rows : (n_images,) int32 array
        Row of each image index, -1 where its features were not asked for.
    """

    matrix: NDArray[np.floating] = field(repr=False)
    rows: NDArray[np.int32] = field(repr=False)

    def of(self, indices: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the features of images, one more axis behind."""
        return np.asarray(self.matrix[self.rows[indices]], dtype=np.float32)


def used_images(tasks: TaskSet) -> NDArray[np.int64]:
    """Return the sorted image indices that the tasks name."""
    starts = range(0, len(tasks.units), _BLOCK)
    cuts = [slice(start, start + _BLOCK) for start in starts]
    blocks = ((tasks.queries[cut], tasks.explanations[cut]) for cut in cuts)
    return named_images(len(tasks.image_ids), blocks)


def named_images(
    n_images: int,
    blocks: Iterable[tuple[NDArray[np.integer], NDArray[np.integer]]],
) -> NDArray[np.int64]:
    """Return the sorted image indices in any of some arrays of indices."""
    named = np.zeros(n_images, dtype=np.bool_)
    for queries, explanations in blocks:
        named[queries] = True
        named[explanations] = True
    return np.flatnonzero(named)


def check_images(
    image_ids: Sequence[str],
    content: Sequence[str],
    image_set: ImageSet,
    used: NDArray[np.integer],
) -> None:
    """Check that the image set holds the images that the tasks were drawn from.

    Raises
    ------
    DataContractError
        An image is not in the set, or has other content there.
    """
    known = dict(zip(image_set.image_ids, image_set.manifest["sha256"], strict=True))
    names = [image_ids[index] for index in used]
    absent = [one for one in names if one not in known]
    if absent:
        raise DataContractError(
            f"The image set at {image_set.root} lacks {len(absent)} of the"
            f" {len(names)} images of the tasks, first {absent[0]!r}."
            " Give the image set that the tasks were drawn from."
        )
    other = [
        image_ids[index] for index in used if known[image_ids[index]] != content[index]
    ]
    if other:
        raise DataContractError(
            f"{len(other)} images of the image set at {image_set.root} are not those of"
            f" the tasks, first {other[0]!r}: their content is another. Give the image"
            " set that the tasks were drawn from, or record and draw the tasks again."
        )


def stored_features(
    image_ids: Sequence[str],
    content: Sequence[str],
    used: NDArray[np.integer],
    *,
    image_set: ImageSet,
    encoder: ImageEncoder,
    name: str,
    root: Path,
    dtype: str = "float32",
) -> StoredFeatures:
    """Compute what the store below ``root`` lacks, and return the features.

    Parameters
    ----------
    image_ids, content : (n_images,) sequences of str
        What indices point to, and the SHA-256 of each file.
    used : (n_used,) int array
        Indices of the images whose features are needed.
    """
    store = open_store(root, name, encoder, dtype=dtype)
    names = [image_ids[index] for index in used]
    with progress() as bar:
        line = bar.add_task(f"Features ({name})", total=len(names))
        fill_store(
            store,
            encoder,
            image_set,
            names,
            advance=lambda n_images: bar.advance(line, n_images),
        )
    stored = store.rows()
    rows = np.full(len(image_ids), -1, dtype=np.int32)
    rows[used] = [stored[content[index]] for index in used]
    return StoredFeatures(matrix=store.matrix(), rows=rows)


def pair_features(
    image_ids: Sequence[str],
    content: Sequence[str],
    used: NDArray[np.integer],
    *,
    image_set: ImageSet,
    encoder: ImageEncoder,
    name: str,
    root: Path,
    dtype: str = "float32",
    memory: int = DEFAULT_MEMORY,
) -> StoredFeatures | FreshPairs:
    """Return stored features, or none where pairs need more of them than ``memory``.

    A pairwise encoder's features may be a thousand times those of a cosine: what would
    not fit in ``memory`` is not stored, but made anew while pairs are compared.
    Parameters as of :func:`stored_features`.
    """
    n_bytes = len(used) * encoder.n_features * np.dtype(dtype).itemsize
    if isinstance(encoder, PairwiseEncoder) and n_bytes > memory:
        return FreshPairs(
            batches=Batches(encoder),
            image_set=image_set,
            image_ids=image_ids,
            used=np.sort(used),
            memory=memory,
        )
    return stored_features(
        image_ids,
        content,
        used,
        image_set=image_set,
        encoder=encoder,
        name=name,
        root=root,
        dtype=dtype,
    )


def margin_plan(
    n_units: int,
    config: TaskConfig,
    stored: StoredFeatures,
    used: NDArray[np.integer],
    **options: Unpack[PlanOptions],
) -> Plan:
    """Return how the margins of a task set are computed.

    Parameters
    ----------
    n_units : int
        In the task set.
    config : TaskConfig
        Of the task set.
    used : (n_used,) int array
        Indices of the images that the tasks name.
    """
    sizes = Sizes(
        n_images=len(used),
        n_features=stored.matrix.shape[1],
        n_units=n_units,
        n_tasks=config.n_tasks,
        n_explanations=config.n_explanations,
        itemsize=stored.matrix.dtype.itemsize,
    )
    return make_plan(sizes, **options)


MarginsOf = Callable[[TaskSet], NDArray[np.float32]]


def margins_by(
    stored: StoredFeatures | FreshPairs,
    encoder: ImageEncoder,
    used: NDArray[np.integer],
    *,
    plan: Plan | None,
) -> MarginsOf:
    """Return the function from a part of a task set to its (n_units, n_tasks) margins.

    What does not depend on units, such as the Gram matrix, is made once.

    Parameters
    ----------
    used : (n_used,) int array
        Indices of the images that the whole task set names: what else is stored has
        no part.
    plan : Plan or None
        Of :func:`margin_plan`; None where images are compared in pairs.
    """
    if plan is None:
        return lambda tasks: margins_of(tasks, stored, encoder)
    assert isinstance(stored, StoredFeatures)
    rows = np.full(len(stored.rows), -1, dtype=np.int32)
    rows[used] = stored.rows[used]
    kernels: list[Kernel] = []
    doubled = isinstance(encoder, PairwiseEncoder)

    def margins(tasks: TaskSet) -> NDArray[np.float32]:
        if not tasks.units:
            return np.empty(tasks.queries.shape[:2], dtype=np.float32)
        if not kernels:
            kernels.append(make_kernel(stored.matrix, plan, rows=rows))
        found = kernels[0](tasks.queries, tasks.explanations)
        if doubled:
            found *= np.float32(2)
        return found

    return margins


def margins_of(
    tasks: TaskSet, stored: StoredFeatures | FreshPairs, encoder: ImageEncoder
) -> NDArray[np.float32]:
    """Return the (n_units, n_tasks) margins of a task set."""
    if isinstance(stored, FreshPairs):
        return task_margins_from_pairs(
            stored.similarity, tasks.queries, tasks.explanations
        )
    if not by_features(encoder):
        assert isinstance(encoder, PairwiseEncoder)
        return _margins_from_pairs(tasks, stored, encoder)
    # Only the rows in use, in the tasks' order: what else is stored has no part.
    rows = np.full(len(stored.rows), -1, dtype=np.int32)
    used = used_images(tasks)
    rows[used] = stored.rows[used]
    margins = task_margins_from_features(
        stored.matrix, tasks.queries, tasks.explanations, rows=rows
    )
    if isinstance(encoder, PairwiseEncoder):
        margins *= np.float32(2)
    return margins


def _margins_from_pairs(
    tasks: TaskSet, stored: StoredFeatures, encoder: PairwiseEncoder
) -> NDArray[np.float32]:
    matrix, rows = stored.matrix, stored.rows

    def similarity(
        first: NDArray[np.integer], second: NDArray[np.integer]
    ) -> NDArray[np.float32]:
        return compared(encoder, ([matrix], rows[first]), ([matrix], rows[second]))

    return task_margins_from_pairs(similarity, tasks.queries, tasks.explanations)
