"""What an atlas file is, byte for byte and cell for cell."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.atlases import (
    COMMENT,
    FRAME,
    RESTART_INTERVAL,
    index_atlas,
    jpeg_segments,
)
from data.errors import DataContractError
from data.files import bytes_hash
from data.images import DISPLAY_SIDE, decode

_QUANTIZATION = 0xDB
_APPLICATION = range(0xE1, 0xF0)
_PLAIN_HEADER = b"JFIF\0"


@dataclass(frozen=True)
class AtlasFacts:
    """What a check needs to know of an atlas, without its pixels.

    Attributes
    ----------
    sha256 : str
    n_bytes, n_padding : int
        All bytes, and how many of them only bring the atlases to one size.
    size : (int, int)
        Width and height in pixels.
    metadata : tuple of str
        Names of all segments that hold no image data, such as EXIF and comments;
        the zeros that bring atlases to one size are none.
    encoding : str
        Hash of the quantization tables, the sampling and the restart interval; equal
        for equal encoder settings.
    movable : bool
        Whether its cells can change places.
    cell_hashes : tuple of str
        One a whole cell, row by row.
    """

    sha256: str
    n_bytes: int
    n_padding: int
    size: tuple[int, int]
    metadata: tuple[str, ...]
    encoding: str
    movable: bool
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
    metadata, settings, n_padding = [], [], 0
    for marker, payload, _ in jpeg_segments(content, path):
        if marker in (_QUANTIZATION, RESTART_INTERVAL):
            settings.append(payload)
        elif marker == FRAME:
            settings.append(payload[5:])
        elif marker == COMMENT and any(payload):
            metadata.append("a comment")
        elif marker == COMMENT:
            n_padding += 4 + len(payload)
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
        n_padding=n_padding,
        size=(width, height),
        metadata=tuple(metadata),
        encoding=bytes_hash(b"".join(settings)),
        movable=_is_movable(content),
        cell_hashes=tuple(
            bytes_hash(
                pixels[top : top + DISPLAY_SIDE, left : left + DISPLAY_SIDE].tobytes()
            )
            for top in range(0, height - DISPLAY_SIDE + 1, DISPLAY_SIDE)
            for left in range(0, width - DISPLAY_SIDE + 1, DISPLAY_SIDE)
        ),
    )


def _is_movable(content: bytes) -> bool:
    try:
        index_atlas(content, "The atlas")
    except DataContractError:
        return False
    return True
