"""Recordings and image sets made in a test, without a network."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from data import recordings
from data.formats import Header
from data.images import ImageSet, describe_images, read_image_set, write_image_set
from data.recordings import Recording
from data.tasks import TaskConfig, TaskSet, draw_tasks
from data.units import UnitId


def image_set_of(folder: Path, pictures: dict[str, Image.Image]) -> ImageSet:
    """Write pictures as PNG files and an image set of them."""
    root = folder / "files"
    root.mkdir(parents=True)
    for name, picture in pictures.items():
        picture.save(root / name)
    return image_set_from(folder, root, sorted(pictures))


def image_set_from(folder: Path, root: Path, image_ids: list[str]) -> ImageSet:
    """Write an image set of files that exist."""
    manifest = pd.DataFrame(describe_images(root, image_ids))
    header = Header(format="images", version=1, config={})
    write_image_set(folder, root=root, manifest=manifest, header=header)
    return read_image_set(folder)


def recording_of(
    activations: NDArray[np.floating],
    *,
    n_extremes: int,
    image_ids: tuple[str, ...] | None = None,
    content: tuple[str, ...] | None = None,
    seed: int = 0,
) -> Recording:
    """Record (n_images, n_units) activations, as a pass over the images would."""
    value = np.asarray(activations, dtype=np.float32).T
    n_units, n_images = value.shape
    units = tuple(UnitId("net", "layer", channel) for channel in range(n_units))
    image_ids = image_ids or tuple(f"{index:04}.png" for index in range(n_images))
    keys = recordings.tie_keys(units, np.arange(n_images), seed=seed)
    top = np.lexsort((keys, -value))[:, :n_extremes].astype(np.int32)
    bottom = np.lexsort((keys, value))[:, :n_extremes].astype(np.int32)
    least = value.min(axis=1)
    statistics = pd.DataFrame(
        {
            "unit": [str(unit) for unit in units],
            "minimum": least.astype(float),
            "maximum": value.max(axis=1).astype(float),
            "mean": value.mean(axis=1).astype(float),
            "sd": value.std(axis=1).astype(float),
            "share_at_minimum": (value == least[:, None]).mean(axis=1),
        }
    )
    return Recording(
        units=units,
        image_ids=image_ids,
        content=content or tuple(f"{index:064x}" for index in range(n_images)),
        top_index=top,
        top_value=np.take_along_axis(value, top, axis=1),
        bottom_index=bottom,
        bottom_value=np.take_along_axis(value, bottom, axis=1),
        statistics=statistics,
        full={},
        header=Header(format="recording", version=1, config={}, seed=seed),
    )


def tasks_of(
    activations: NDArray[np.floating],
    config: TaskConfig,
    *,
    image_set: ImageSet | None = None,
    seed: int = 0,
) -> TaskSet:
    """Draw tasks from (n_images, n_units) activations to an image set."""
    known = {}
    if image_set is not None:
        known = {
            "image_ids": image_set.image_ids,
            "content": tuple(image_set.manifest["sha256"]),
        }
    recording = recording_of(
        activations, n_extremes=config.n_extremes, seed=seed, **known
    )
    return draw_tasks(recording, config, seed=seed)
