"""What an atlas file is, byte for byte and cell for cell."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.errors import DataContractError
from data.files import bytes_hash
from data.images import DISPLAY_SIDE, decode

_START_OF_SCAN, _COMMENT, _QUANTIZATION = 0xDA, 0xFE, 0xDB
_APPLICATION = range(0xE1, 0xF0)
_PLAIN_HEADER = b"JFIF\0"


@dataclass(frozen=True)
class AtlasFacts:
    """What a check needs to know of an atlas, without its pixels.

    Attributes
    ----------
    sha256 : str
    n_bytes : int
    size : (int, int)
        Width and height in pixels.
    metadata : tuple of str
        Names of all segments that hold no image data, such as EXIF and comments.
    encoding : str
        Hash of the quantization tables; equal for equal encoder settings.
    cell_hashes : tuple of str
        One a whole cell, row by row.
    """

    sha256: str
    n_bytes: int
    size: tuple[int, int]
    metadata: tuple[str, ...]
    encoding: str
    cell_hashes: tuple[str, ...]


def atlas_facts(path: Path) -> AtlasFacts:
    """Read an atlas.

    Raises
    ------
    DataContractError
        It is no image, or no JPEG.
    """
    content = path.read_bytes()
    pixels = np.asarray(decode(content, path))
    metadata, tables = [], []
    for marker, payload in _segments(content, path):
        if marker == _QUANTIZATION:
            tables.append(payload)
        elif marker == _COMMENT:
            metadata.append("a comment")
        elif marker in _APPLICATION:
            metadata.append(f"an application segment {marker - 0xE0}")
        elif marker == 0xE0 and not payload.startswith(_PLAIN_HEADER):
            metadata.append("an unknown header")
    if not content.endswith(b"\xff\xd9"):
        metadata.append("bytes after the image")
    height, width = pixels.shape[:2]
    return AtlasFacts(
        sha256=bytes_hash(content),
        n_bytes=len(content),
        size=(width, height),
        metadata=tuple(metadata),
        encoding=bytes_hash(b"".join(tables)),
        cell_hashes=tuple(
            bytes_hash(
                pixels[top : top + DISPLAY_SIDE, left : left + DISPLAY_SIDE].tobytes()
            )
            for top in range(0, height - DISPLAY_SIDE + 1, DISPLAY_SIDE)
            for left in range(0, width - DISPLAY_SIDE + 1, DISPLAY_SIDE)
        ),
    )


def _segments(content: bytes, path: Path) -> list[tuple[int, bytes]]:
    """Return marker and payload of each segment before the image data."""
    stream = io.BytesIO(content)
    if stream.read(2) != b"\xff\xd8":
        raise DataContractError(
            f"{path} is not a JPEG; atlases are. Compile the study again."
        )
    segments: list[tuple[int, bytes]] = []
    while True:
        start = stream.read(2)
        if len(start) < 2 or start[0] != 0xFF or start[1] == _START_OF_SCAN:
            return segments
        length = int.from_bytes(stream.read(2), "big")
        segments.append((start[1], stream.read(max(length - 2, 0))))
