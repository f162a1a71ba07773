"""Recordings: which images of a set drive every unit most and least."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import pandera.pandas as pa
from numpy.typing import NDArray

from data.errors import DataContractError
from data.files import bytes_hash, whole_folder
from data.formats import Header, read_header, write_header
from data.tables import read_parquet
from data.units import UnitId, near_names

STATISTICS = pa.DataFrameSchema(
    {
        "unit": pa.Column(str, unique=True, description="model::layer::channel"),
        "minimum": pa.Column("float64", description="a finite number"),
        "maximum": pa.Column("float64", description="a finite number"),
        "mean": pa.Column("float64", description="a finite number"),
        "sd": pa.Column("float64", pa.Check.ge(0), description="0 or above"),
        "share_at_minimum": pa.Column(
            "float64", pa.Check.in_range(0, 1), description="in [0, 1]"
        ),
        **{
            name: pa.Column(
                "float64",
                pa.Check.in_range(0, 1),
                nullable=True,
                required=False,
                description="in [0, 1]",
            )
            for name in ("sparsity", "tie_share", "map_sparsity")
        },
        "local_contrast": pa.Column(
            "float64",
            pa.Check.ge(0),
            nullable=True,
            required=False,
            description="0 or above",
        ),
    },
    coerce=True,
    name="the unit statistics of a recording",
)

IMAGES = pa.DataFrameSchema(
    {
        "image_id": pa.Column(str, unique=True, description="unique"),
        "sha256": pa.Column(str, description="a SHA-256 in hex"),
    },
    coerce=True,
    name="a table of images",
)
"""The images that indices point to, with the content of their files."""

VERSION = 2
"""Of the recordings that are written; version 1 has fewer statistics."""

VERSIONS = (1, VERSION)
"""Of the recordings that are read."""

_ADDED = ("sparsity", "tie_share", "map_sparsity", "local_contrast")
"""Statistics since version 2; NaN where a recording is older or has none."""

_MULTIPLIERS = (0x7FEB352D, 0x846CA68B)
_INVERSES = tuple(np.uint32(pow(one, -1, 2**32)) for one in _MULTIPLIERS)


@dataclass(frozen=True, eq=False, kw_only=True)
class Recording:
    """The extreme images of many units, from one pass over an image set.

    Attributes
    ----------
    units : (n_units,) tuple of UnitId
    image_ids : (n_images,) tuple of str
        All images of the set, in the set's order; indices point here.
    content : (n_images,) tuple of str
        SHA-256 of each image file.
    top_index : (n_units, n_extremes) int32 array
        Image indices, the most strongly activating first.
    top_value : (n_units, n_extremes) float32 array
        Their activations, never rising along a row.
    bottom_index, bottom_value : arrays of the same shape
        The most weakly activating images, the weakest first.
    statistics : DataFrame
        One row a unit, in the order of ``units``: 'unit', 'minimum', 'maximum',
        'mean', 'sd' over all images; 'share_at_minimum' (the share of all images
        whose activation equals the minimum: 1 for a dead unit); 'sparsity' (the
        share of all images whose activation is 0 or below); 'tie_share' (the share
        of the extreme images whose activation another image at their end has too);
        'map_sparsity' (the share of all places in the unit's maps that are 0 or
        below) and 'local_contrast' (mean absolute difference between neighbouring
        places of its maps), both NaN unless they were asked for.
    full : mapping of UnitId to (n_images,) float32 array
        Exact activations to all images, for units named in advance.
    header : Header
        ``config`` holds the network, its weights' hash, the preprocessing and the
        reduction of each layer; ``seed`` broke the ties.
    """

    units: tuple[UnitId, ...]
    image_ids: tuple[str, ...]
    content: tuple[str, ...]
    top_index: NDArray[np.int32]
    top_value: NDArray[np.float32]
    bottom_index: NDArray[np.int32]
    bottom_value: NDArray[np.float32]
    statistics: pd.DataFrame
    full: dict[UnitId, NDArray[np.float32]]
    header: Header = field(repr=False)

    def __post_init__(self) -> None:
        shape = (len(self.units), self.n_extremes)
        for name in ("top_index", "top_value", "bottom_index", "bottom_value"):
            found = getattr(self, name).shape
            if found != shape:
                raise DataContractError(
                    f"{name!r} has shape {found}; {len(self.units)} units with"
                    f" {self.n_extremes} images at each end need {shape}."
                    " Record the activations again."
                )
        for name in ("top_value", "bottom_value"):
            bad = ~np.isfinite(getattr(self, name)).all(axis=1)
            if bad.any():
                raise DataContractError(
                    f"{name!r} holds values that are not finite for"
                    f" {np.count_nonzero(bad)} units, first '{self._first(bad)}'."
                    " Check the network and its preprocessing."
                )

    def _first(self, which: NDArray[np.bool_]) -> UnitId:
        return self.units[int(np.argmax(which))]

    @property
    def n_extremes(self) -> int:
        """How many images are kept at each end."""
        return int(self.top_index.shape[1])

    @cached_property
    def _row(self) -> dict[UnitId, int]:
        return {unit: row for row, unit in enumerate(self.units)}

    @cached_property
    def spans(self) -> NDArray[np.float64]:
        """By how much each unit's activations differ at most."""
        return (self.statistics["maximum"] - self.statistics["minimum"]).to_numpy()

    def row(self, unit: UnitId) -> int:
        """Return a unit's row in the arrays.

        Raises
        ------
        DataContractError
            The recording has no such unit; near names are offered.
        """
        if unit not in self._row:
            names = [str(one) for one in self.units]
            raise DataContractError(
                f"Unit '{unit}' is not in this recording."
                f" {near_names(str(unit), names)}"
            )
        return self._row[unit]


class TieOrder:
    """The random order of images with equal activations, for each of many units.

    After a ReLU most of a unit's lower tail is exactly zero, and the order of images
    is often the order of classes, so ties may never fall back on it. An image's key
    depends on seed, unit and image alone: not on batches, on machines, or on which
    other units are recorded.

    Parameters
    ----------
    units : (n_units,) sequence of UnitId
    seed : int

    Notes
    -----
    Of two images with equal activations, the one with the smaller key ranks as the
    weaker: it comes first at the bottom, and last at the top. So one order holds for
    both ends, and no image is at both, however many are tied. A unit's keys are a
    permutation of all 32-bit numbers, so no two images share one, and the image can
    be told from its key. The permutation is an integer hash with two multiplications
    (Wellons' lowbias32), with numbers from a hash of seed and unit added twice.
    """

    def __init__(self, units: Sequence[UnitId], *, seed: int) -> None:
        hashes = [bytes_hash(f"{seed} {unit}".encode()) for unit in units]
        numbers = [(int(one[:8], 16), int(one[8:16], 16)) for one in hashes]
        added = np.array(numbers, dtype=np.uint32).reshape(-1, 2)
        self._first, self._second = added[:, :1], added[:, 1:]

    def keys(
        self, image_index: NDArray[np.integer], rows: Any = slice(None)
    ) -> NDArray[np.uint32]:
        """Return (n_units, n) keys of the images at ``image_index``.

        Parameters
        ----------
        image_index : (n,) or (n_units, n) int array
            In [0, 2**32).
        rows : slice or int array
            Units to give keys for.
        """
        key = image_index.astype(np.uint32) + self._first[rows]
        key ^= key >> 16
        key *= np.uint32(_MULTIPLIERS[0])
        key ^= key >> 15
        key += self._second[rows]
        key *= np.uint32(_MULTIPLIERS[1])
        key ^= key >> 16
        return key

    def images(self, keys: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Return the indices of the images that have the (n_units, n) keys."""
        key = keys ^ (keys >> 16)
        key *= _INVERSES[1]
        key -= self._second
        key ^= (key >> 15) ^ (key >> 30)
        key *= _INVERSES[0]
        key ^= key >> 16
        return (key - self._first).astype(np.int32)


def tie_keys(
    units: Sequence[UnitId], image_index: NDArray[np.integer], *, seed: int
) -> NDArray[np.uint32]:
    """Return the keys of :class:`TieOrder`, where they are needed once.

    Parameters
    ----------
    units : (n_units,) sequence of UnitId
    image_index : (n,) or (n_units, n) int array

    Returns
    -------
    (n_units, n) uint32 array
    """
    return TieOrder(units, seed=seed).keys(np.asarray(image_index))


def write_recording(folder: Path, recording: Recording) -> None:
    """Write a recording whole or not at all."""
    with whole_folder(folder) as part:
        arrays = {
            name: getattr(recording, name)
            for name in ("top_index", "top_value", "bottom_index", "bottom_value")
        }
        full_units = sorted(recording.full)
        n_images = len(recording.image_ids)
        full = [recording.full[unit] for unit in full_units]
        arrays["full_value"] = np.array(full, dtype=np.float32).reshape(-1, n_images)
        np.savez(part / "extremes.npz", **arrays)
        recording.statistics.to_parquet(part / "units.parquet", index=False)
        images = {"image_id": recording.image_ids, "sha256": recording.content}
        pd.DataFrame(images).to_parquet(part / "images.parquet", index=False)
        write_header(
            part / "recording.json",
            recording.header,
            full_units=[str(unit) for unit in full_units],
        )


def read_recording(folder: Path) -> Recording:
    """Read a recording and check that its parts fit together.

    Raises
    ------
    DataContractError
        A part is missing, broken, or of another shape than the others.
    """
    folder = Path(folder)
    header, own = read_header(
        folder / "recording.json", format="recording", versions=VERSIONS
    )
    statistics = read_parquet(folder / "units.parquet", STATISTICS)
    absent = [name for name in _ADDED if name not in statistics]
    statistics[absent] = np.nan
    images = read_parquet(folder / "images.parquet", IMAGES)
    arrays = read_arrays(folder / "extremes.npz")
    full_units = [UnitId.parse(name) for name in own["full_units"]]
    return Recording(
        units=tuple(map(UnitId.parse, statistics["unit"])),
        image_ids=tuple(images["image_id"]),
        content=tuple(images["sha256"]),
        top_index=arrays["top_index"],
        top_value=arrays["top_value"],
        bottom_index=arrays["bottom_index"],
        bottom_value=arrays["bottom_value"],
        statistics=statistics,
        full=dict(zip(full_units, arrays["full_value"], strict=True)),
        header=header,
    )


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an NPZ file.

    Raises
    ------
    DataContractError
        There is no such file, or it is no whole NPZ.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError as error:
        raise DataContractError(
            f"{path} does not exist. Check the path, or run the step that writes it."
        ) from error
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataContractError(
            f"{path} is not a whole NPZ file ({error}). Make the file again."
        ) from error
