"""One image a trial: all that is shown, in cells whose order says nothing."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from data.atlases import encode_atlas
from data.studies import Cells, atlas_size, cell_position, n_cells
from data.tasks import Task

BACKGROUND = (116, 116, 116)
"""Grey of cells that hold no image; the page's own background."""


def draw_cells(task: Task, rng: np.random.Generator) -> Cells:
    """Draw which cell holds which image: every order is equally likely."""
    order = [int(cell) for cell in rng.permutation(n_cells(n_images=len(task.images)))]
    last_positive = 2 + len(task.positive_explanations)
    return Cells(
        positive_query=order[0],
        negative_query=order[1],
        positive_explanations=tuple(order[2:last_positive]),
        negative_explanations=tuple(order[last_positive : len(task.images)]),
    )


def cell_images(task: Task, cells: Cells) -> dict[int, str]:
    """Return the image id of every cell."""
    positions = (
        cells.positive_query,
        cells.negative_query,
        *cells.positive_explanations,
        *cells.negative_explanations,
    )
    return dict(zip(positions, task.images, strict=True))


def atlas_jpeg(
    task: Task, cells: Cells, display: Callable[[str], Image.Image]
) -> bytes:
    """Draw a task's atlas and encode it.

    Parameters
    ----------
    display : callable
        From an image id to the 224 × 224 image that people see.

    Returns
    -------
    bytes
        A JPEG in the form of :func:`data.atlases.encode_atlas`, without metadata.
    """
    size = atlas_size(n_images=len(task.images))
    atlas = Image.new("RGB", size, BACKGROUND)
    for cell, image_id in cell_images(task, cells).items():
        atlas.paste(display(image_id), cell_position(cell))
    return encode_atlas(atlas)
