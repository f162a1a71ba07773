"""Image sets and an encoder small enough to reason about."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from data.formats import Header
from data.images import ImageSet, describe_images, read_image_set, write_image_set
from data.tasks import TaskConfig, TaskSet, draw_tasks
from tests.data.toy import recording_of

BIN_CENTRES = (32, 96, 160, 224)


@dataclass
class ColourHistogram:
    """Share of pixels in each of 4 × 4 × 4 colours, unit-norm; counts its images."""

    batch_size: int = 8
    n_features: int = 64
    config: dict[str, str] = field(default_factory=lambda: {"weights": "none"})
    n_embedded: int = 0

    def embed(self, images):
        assert len(images) == self.batch_size
        self.n_embedded += len(images)
        rows = []
        for image in images:
            bins = np.asarray(image).reshape(-1, 3).astype(int) // 64
            number = bins @ [16, 4, 1]
            rows.append(np.bincount(number, minlength=64).astype(np.float32))
        features = np.array(rows)
        return features / np.linalg.norm(features, axis=1, keepdims=True)


def one_colour(number: int) -> Image.Image:
    """Return a small picture of one of the 64 colours."""
    colour = tuple(BIN_CENTRES[number // step % 4] for step in (16, 4, 1))
    return Image.new("RGB", (16, 16), colour)


def image_set_of(folder: Path, pictures: dict[str, Image.Image]) -> ImageSet:
    """Write pictures as files and an image set of them."""
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


def tasks_of(
    activations: np.ndarray,
    config: TaskConfig,
    *,
    image_set: ImageSet | None = None,
    seed: int = 0,
) -> TaskSet:
    """Draw tasks from (n_units, n_images) activations to the images of a set."""
    recording = recording_of(activations, n_extremes=config.n_extremes, seed=seed)
    if image_set is not None:
        recording = replace(
            recording,
            image_ids=image_set.image_ids,
            content=tuple(image_set.manifest["sha256"]),
        )
    return draw_tasks(recording, config, seed=seed)
