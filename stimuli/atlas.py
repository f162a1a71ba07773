"""One image a trial: all that is shown, in cells whose order says nothing."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from data.studies import Cells, atlas_size, cell_position, n_cells
from data.tasks import Task

BACKGROUND = (116, 116, 116)
"""Grey of cells that hold no image; the page's own background."""

JPEG = {"quality": 90, "subsampling": 0, "optimize": True, "progressive": False}
"""Equal for all atlases of all studies, so that no file tells more than another."""


def draw_cells(n_explanations: int, rng: np.random.Generator) -> Cells:
    """Draw which cell holds which image: every order is equally likely."""
    order = [int(cell) for cell in rng.permutation(n_cells(n_explanations))]
    return Cells(
        positive_query=order[0],
        negative_query=order[1],
        positive_explanations=tuple(order[2 : 2 + n_explanations]),
        negative_explanations=tuple(order[2 + n_explanations :]),
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
        A JPEG without colour subsampling and without metadata. Cells start at
        multiples of its 8-pixel blocks, so no image bleeds into another, and the
        same image decodes to the same pixels in every cell.
    """
    atlas = Image.new("RGB", atlas_size(len(task.positive_explanations)), BACKGROUND)
    for cell, image_id in cell_images(task, cells).items():
        atlas.paste(display(image_id), cell_position(cell))
    content = io.BytesIO()
    atlas.save(content, "JPEG", **JPEG)
    return content.getvalue()
