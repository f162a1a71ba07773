"""The form of an atlas file: a JPEG whose cells can change places as they are."""

import io
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from operator import itemgetter
from typing import Any

from PIL import Image

from data.errors import DataContractError
from data.files import bytes_hash
from data.images import DISPLAY_SIDE
from data.studies import ATLAS_COLUMNS

STRIPS = DISPLAY_SIDE // 8
"""Rows of 8-pixel blocks in a cell; each is one restart interval of the JPEG."""

ENCODING: dict[str, Any] = {
    "quality": 90,
    "subsampling": 0,
    "optimize": True,
    "progressive": False,
    "restart_marker_blocks": STRIPS,
}
"""Equal for all atlases of all studies, so that no file tells more than another."""

COMMENT, FRAME, RESTART_INTERVAL, START_OF_SCAN = 0xFE, 0xC0, 0xDD, 0xDA

_START, _END = b"\xff\xd8", b"\xff\xd9"
_RESTART = tuple(bytes((0xFF, 0xD0 + number)) for number in range(8))
_ANY_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_LEAST_COMMENT = 4
_LONGEST_COMMENT = 2 + 0xFFFF


@dataclass(frozen=True, eq=False)
class AtlasIndex:
    """Where the strips of an atlas lie in its file.

    Attributes
    ----------
    n_cells : int
    starts : array of unsigned int
        Start of each strip in the order of the file, row of blocks by row of blocks;
        then the file's length.
    ends : array of unsigned int
        End of each strip's coded blocks, without the marker behind them.
    """

    n_cells: int
    starts: "array[int]"
    ends: "array[int]" = field(init=False)

    def __post_init__(self) -> None:
        ends = array("I", (start - 2 for start in self.starts[1:]))
        object.__setattr__(self, "ends", ends)

    def strips(self, cell: int) -> range:
        """Return the numbers of a cell's strips, from top to bottom."""
        row, column = divmod(cell, ATLAS_COLUMNS)
        first = row * STRIPS * ATLAS_COLUMNS + column
        return range(first, first + STRIPS * ATLAS_COLUMNS, ATLAS_COLUMNS)

    def strip(self, content: bytes, number: int) -> bytes:
        """Return a strip's coded blocks without the marker behind it."""
        return content[self.starts[number] : self.ends[number]]


def encode_atlas(atlas: Image.Image) -> bytes:
    """Encode an atlas.

    Every strip of a cell (28 blocks of 8 pixels) ends with a restart marker, where the
    coding begins afresh. So cells can be exchanged in the file without being decoded,
    and the same image decodes to the same pixels in every cell.
    """
    content = io.BytesIO()
    atlas.save(content, "JPEG", **ENCODING)
    return content.getvalue()


def jpeg_segments(content: bytes, name: object) -> list[tuple[int, bytes, int]]:
    """Return marker, payload and end of each segment up to the start of the scan.

    Raises
    ------
    DataContractError
        The content is no JPEG.
    """
    if not content.startswith(_START):
        raise DataContractError(
            f"{name} is not a JPEG; atlases are. Compile the study again."
        )
    segments: list[tuple[int, bytes, int]] = []
    place = len(_START)
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        segments.append((marker, content[place + 4 : end], end))
        if marker == START_OF_SCAN:
            break
        place = end
    return segments


def index_atlas(content: bytes, name: object) -> AtlasIndex:
    """Find the strips of an atlas.

    Raises
    ------
    DataContractError
        The content is no JPEG, or none whose cells can change places.
    """
    segments = jpeg_segments(content, name)
    payloads = {marker: payload for marker, payload, _ in segments}
    first = segments[-1][2] if segments else 0
    marks = _ANY_RESTART.finditer(content, first)
    starts = array("I", [first, *(mark.end() for mark in marks), len(content)])
    n_cells = _n_cells(payloads.get(FRAME, b""))
    if (
        payloads.get(RESTART_INTERVAL) != STRIPS.to_bytes(2, "big")
        or len(starts) - 1 != n_cells * STRIPS
        or not content.endswith(_END)
    ):
        raise DataContractError(
            f"{name} is not in the form of an atlas; its cells can't change places."
            " Compile the study again."
        )
    return AtlasIndex(n_cells, starts)


def _n_cells(frame: bytes) -> int:
    """Return how many cells a JPEG of this frame header has, 0 for no whole rows."""
    height, width = (int.from_bytes(frame[at : at + 2], "big") for at in (1, 3))
    if width != ATLAS_COLUMNS * DISPLAY_SIDE or height % DISPLAY_SIDE:
        return 0
    return height // DISPLAY_SIDE * ATLAS_COLUMNS


def rearranged(content: bytes, index: AtlasIndex, places: Sequence[int]) -> bytes:
    """Return an atlas with its cells at other places: the same pixels, the same length.

    Parameters
    ----------
    places : sequence of int
        For each cell, where it comes to stand: a permutation of all cells.
    """
    starts = index.starts
    moved = [0] * (len(starts) - 1)
    for cell, place in enumerate(places):
        there = index.strips(place)
        moved[there.start : there.stop : there.step] = index.strips(cell)
    begins, ends = itemgetter(*moved)(starts), itemgetter(*moved)(index.ends)
    # Between the strips the markers count from 0 to 7; the last ends the image.
    parts = [_END] * (2 * len(moved) + 1)
    parts[0] = content[: starts[0]]
    parts[1::2] = map(content.__getitem__, map(slice, begins, ends))
    parts[2:-1:2] = islice(cycle(_RESTART), len(moved) - 1)
    return b"".join(parts)


def cell_hashes(content: bytes, index: AtlasIndex) -> tuple[str, ...]:
    """Return a hash of each cell's code; the same wherever the cell stands."""
    return tuple(
        bytes_hash(
            b"".join(index.strip(content, number) for number in index.strips(cell))
        )
        for cell in range(index.n_cells)
    )


def padded(content: bytes, n_bytes: int) -> bytes:
    """Return an atlas of exactly ``n_bytes``, which tells nothing by its size.

    The size of a file can be seen without opening it: by a proxy, in a log, by how
    long it takes. What is added are comment segments of zeros before the scan, which
    every decoder skips; bytes after the end would be cut off by some.

    Parameters
    ----------
    n_bytes : int
        At least :func:`least_padded`.
    """
    rest = n_bytes - len(content)
    if rest < _LEAST_COMMENT:
        raise ValueError(
            f"'n_bytes' is {n_bytes}; for an atlas of {len(content)} bytes it must be"
            f" at least {least_padded(content)}."
        )
    comments = []
    while rest:
        # What is left for the next comment must suffice for one.
        own = rest if rest <= _LONGEST_COMMENT else _LONGEST_COMMENT - _LEAST_COMMENT
        zeros = own - _LEAST_COMMENT
        comments.append(
            bytes((0xFF, COMMENT)) + (zeros + 2).to_bytes(2, "big") + bytes(zeros)
        )
        rest -= own
    *before, _ = jpeg_segments(content, "The atlas")
    place = before[-1][2]
    return b"".join([content[:place], *comments, content[place:]])


def least_padded(content: bytes) -> int:
    """Return the least length that an atlas can be padded to."""
    return len(content) + _LEAST_COMMENT
