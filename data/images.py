"""Image sets: which images, what is in them byte for byte, and how they are decoded."""

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd
import pandera.pandas as pa
from PIL import Image, ImageOps, UnidentifiedImageError

from data.errors import DataContractError
from data.files import bytes_hash, whole_file
from data.formats import Header, read_header, write_header
from data.tables import read_csv
from data.units import near_names

DISPLAY_SIDE = 224
"""Side in pixels of an image as people and the machine observer see it."""

_RESIZED_SIDE = 256

MANIFEST = pa.DataFrameSchema(
    {
        "image_id": pa.Column(
            str, unique=True, description="a unique path relative to the set's root"
        ),
        "sha256": pa.Column(
            str, pa.Check.str_matches("^[0-9a-f]{64}$"), description="a SHA-256 in hex"
        ),
        "width": pa.Column(int, pa.Check.gt(0), description="pixels, above 0"),
        "height": pa.Column(int, pa.Check.gt(0), description="pixels, above 0"),
        "label": pa.Column(str, nullable=True, description="a class name, or empty"),
        "source": pa.Column(str, nullable=True, description="where it is from"),
        "licence": pa.Column(str, nullable=True, description="its licence"),
    },
    coerce=True,
    name="the manifest of an image set",
)


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageSet:
    """Images in a fixed order, each known by its content.

    Attributes
    ----------
    root : Path
        Folder that every ``image_id`` is relative to.
    manifest : DataFrame
        One row an image, sorted by 'image_id': 'image_id' (its path below the root,
        with forward slashes; for a flat folder the file name), 'sha256' of the file,
        'width' and 'height' (pixels, upright), 'label', 'source', 'licence'.
    header : Header
    """

    root: Path
    manifest: pd.DataFrame
    header: Header = field(repr=False)

    @cached_property
    def image_ids(self) -> tuple[str, ...]:
        """The ids in the set's order."""
        return tuple(self.manifest["image_id"])

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the ids and contents: equal for the same images anywhere."""
        rows = zip(self.image_ids, self.manifest["sha256"], strict=True)
        return bytes_hash(
            "\n".join(f"{name} {content}" for name, content in rows).encode()
        )

    @cached_property
    def _content(self) -> dict[str, str]:
        return dict(zip(self.image_ids, self.manifest["sha256"], strict=True))

    def content_hash(self, image_id: str) -> str:
        """Return the SHA-256 of an image's file."""
        if image_id not in self._content:
            raise DataContractError(
                f"Image {image_id!r} is not in the image set at {self.root}."
                f" {near_names(image_id, self.image_ids)}"
            )
        return self._content[image_id]

    def load(self, image_id: str) -> Image.Image:
        """Decode an image, upright and in RGB.

        Raises
        ------
        DataContractError
            The file is missing, broken, or not the one the manifest was made from.
        """
        expected = self.content_hash(image_id)
        path = self.root / image_id
        content = _read_bytes(path)
        if bytes_hash(content) != expected:
            raise DataContractError(
                f"{path} has changed since the image set was made; everything made"
                " from the set would mix two images. Put the file back, or make the"
                " image set again."
            )
        return decode(content, path)

    def display(self, image_id: str) -> Image.Image:
        """Return the image as it is shown: :func:`display_crop` of :meth:`load`."""
        return display_crop(self.load(image_id))


def decode(content: bytes, name: object) -> Image.Image:
    """Decode an image file's bytes, upright and in RGB, transparency on white.

    Raises
    ------
    DataContractError
        The bytes are no image that Pillow reads, or only the start of one.
    """
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DataContractError(
            f"{name} can't be decoded as an image ({error})."
            " Remove the file or put a whole one in its place."
        ) from error
    upright = ImageOps.exif_transpose(image)
    if upright.mode in {"RGBA", "LA", "PA"} or "transparency" in upright.info:
        layer = upright.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return upright.convert("RGB")


def display_crop(image: Image.Image) -> Image.Image:
    """Return the square that people and the machine observer see.

    IMI's rule: the shorter side to 256 pixels, bilinear, then the centre 224 × 224.
    """
    width, height = image.size
    scale = _RESIZED_SIDE / min(width, height)
    size = (
        max(round(width * scale), _RESIZED_SIDE),
        max(round(height * scale), _RESIZED_SIDE),
    )
    resized = image.resize(size, Image.Resampling.BILINEAR)
    left = (size[0] - DISPLAY_SIDE) // 2
    top = (size[1] - DISPLAY_SIDE) // 2
    return resized.crop((left, top, left + DISPLAY_SIDE, top + DISPLAY_SIDE))


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataContractError(
            f"{path} is in the image set but not on disk."
            " Put the file back, or make the image set again."
        ) from error


def describe_images(
    root: Path, image_ids: Iterable[str]
) -> Iterator[dict[str, object]]:
    """Read each image once and yield its row of the manifest, without its origin.

    Raises
    ------
    DataContractError
        A file is missing or broken.
    """
    for image_id in image_ids:
        path = root / image_id
        content = _read_bytes(path)
        width, height = decode(content, path).size
        yield {
            "image_id": image_id,
            "sha256": bytes_hash(content),
            "width": width,
            "height": height,
            "label": None,
            "source": None,
            "licence": None,
        }


def write_image_set(
    folder: Path, *, root: Path, manifest: pd.DataFrame, header: Header
) -> None:
    """Write ``images.json`` and ``images.csv`` to ``folder``.

    The root is written relative to the folder, so both can move together.
    """
    rows = manifest.sort_values("image_id", ignore_index=True)[list(MANIFEST.columns)]
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / "images.csv") as part:
        rows.to_csv(part, index=False, lineterminator="\n")
    relative = Path(os.path.relpath(root.resolve(), folder.resolve())).as_posix()
    write_header(folder / "images.json", header, root=relative)


def read_image_set(folder: Path) -> ImageSet:
    """Read an image set; its images are checked when they are loaded."""
    folder = Path(folder)
    header, own = read_header(folder / "images.json", format="images", versions=(1,))
    manifest = read_csv(folder / "images.csv", MANIFEST)
    return ImageSet(
        root=(folder / own["root"]).resolve(),
        manifest=manifest.sort_values("image_id", ignore_index=True),
        header=header,
    )
