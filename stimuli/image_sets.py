"""Making an image set: decode every file once, drop what repeats, list licences."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from data.errors import DataContractError
from data.files import whole_folder
from data.formats import Header, software_versions
from data.images import decode, describe_images, write_image_set
from stimuli.near_duplicates import difference_hash, near_duplicates, stacked
from stimuli.photographs import Photograph

FILES = "files"
"""Folder below an image set into which package photographs are copied."""

DROPPED = ("image_id", "reason", "kept", "distance_bits")


@dataclass(frozen=True, eq=False, kw_only=True)
class Described:
    """Which photographs make a set, and which were left out.

    Attributes
    ----------
    kept : tuple of Photograph
    manifest : DataFrame
        One row a kept photograph, as :data:`data.images.MANIFEST` says.
    dropped : DataFrame
        One row a photograph left out: 'image_id', 'reason', 'kept' (the image it
        repeats), 'distance_bits' (of 256).
    """

    kept: tuple[Photograph, ...]
    manifest: pd.DataFrame
    dropped: pd.DataFrame


def describe(
    photographs: Sequence[Photograph],
    *,
    near_bits: int | None,
    skip_broken: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> Described:
    """Decode every photograph, hash it, and find near-duplicates.

    Parameters
    ----------
    near_bits : int or None
        In [0, 256]; None keeps near-duplicates.
    skip_broken : bool
        Leave broken files out and list them, instead of stopping at the first.
    advance : callable
        Called after each photograph.

    Raises
    ------
    DataContractError
        A file is broken, or none are left.
    """
    if near_bits is not None and not 0 <= near_bits <= 256:
        raise DataContractError(
            f"'--near-duplicates' is {near_bits}; it must be in [0, 256], the bits of"
            " the hash that may differ."
        )
    whole, rows, hashes = [], [], []
    dropped: list[tuple[str, str, str | None, int | None]] = []
    for photograph in photographs:
        try:
            row, image_hash = _read(photograph, hashed=near_bits is not None)
        except DataContractError as error:
            if not skip_broken:
                raise DataContractError(
                    f"{error} Or leave such files out with --skip-broken."
                ) from error
            dropped.append((photograph.image_id, f"broken: {error}", None, None))
        else:
            whole.append(photograph)
            rows.append(row)
            hashes.append(image_hash)
        advance()
    near = {} if near_bits is None else near_duplicates(stacked(hashes), bits=near_bits)
    for index, (first, distance) in near.items():
        reason = f"near-duplicate: {distance} of 256 bits differ"
        kept_id = whole[first].image_id
        dropped.append((whole[index].image_id, reason, kept_id, distance))
    left = [index for index in range(len(whole)) if index not in near]
    if not left:
        raise DataContractError(
            f"None of {len(photographs)} files can be decoded; an image set needs some."
            " Check the folder."
        )
    return Described(
        kept=tuple(whole[index] for index in left),
        manifest=pd.DataFrame([rows[index] for index in left]),
        dropped=pd.DataFrame(sorted(dropped), columns=list(DROPPED)).astype(
            {"distance_bits": "Int64"}
        ),
    )


def _read(photograph: Photograph, *, hashed: bool) -> tuple[dict[str, Any], Any]:
    folder, name = photograph.path.parent, photograph.path.name
    row = next(iter(describe_images(folder, [name])))
    row |= {
        "image_id": photograph.image_id,
        "label": photograph.label,
        "source": photograph.source,
        "licence": photograph.licence,
    }
    if not hashed:
        return row, None
    image = decode(photograph.path.read_bytes(), photograph.path)
    return row, difference_hash(image)


def write_described(
    folder: Path, described: Described, *, root: Path | None, config: dict[str, Any]
) -> None:
    """Write an image set and ``dropped.csv``, whole or not at all.

    Parameters
    ----------
    root : Path or None
        Folder that the photographs stay in; None copies them below ``folder``.

    Raises
    ------
    DataContractError
        ``folder`` would replace the photographs it is made from.
    """
    target = Path(folder).resolve()
    if root is not None and Path(root).resolve().is_relative_to(target):
        raise DataContractError(
            f"--out {folder} is or holds the folder of the photographs, {root};"
            " writing there would replace them. Name another folder."
        )
    header = Header(
        format="images",
        version=1,
        config=config,
        software=software_versions("imagehash", "pillow"),
    )
    with whole_folder(folder) as part:
        if root is None:
            copy_files(described.kept, part / FILES)
        write_image_set(
            part,
            root=part / FILES if root is None else Path(root),
            manifest=described.manifest,
            header=header,
        )
        described.dropped.to_csv(part / "dropped.csv", index=False, lineterminator="\n")


def copy_files(photographs: Iterable[Photograph], folder: Path) -> None:
    """Copy photographs to where their ids say, below ``folder``."""
    for photograph in photographs:
        target = folder / photograph.image_id
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photograph.path, target)
