"""Feature stores that stand on disk: which there are, whether they are whole."""

import shutil
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.errors import DataContractError
from data.files import whole_folder
from data.formats import Header, read_header, write_header
from mis.features import FeatureStore

_HEADER, _ROWS = "features.json", "features.bin"
_COPIED_ROWS = 2**12


@dataclass(frozen=True, eq=False, kw_only=True)
class FoundStore:
    """A store below a root, without its encoder.

    Attributes
    ----------
    header : Header
        ``config`` is the encoder's.
    store : FeatureStore
    """

    header: Header
    store: FeatureStore

    @property
    def name(self) -> str:
        """Name of the folder: encoder and fingerprint."""
        return self.store.folder.name

    @property
    def encoder(self) -> str:
        """The encoder's name."""
        return str(self.header.config["encoder"])

    @property
    def n_bytes(self) -> int:
        """Bytes of all files of the folder."""
        files = self.store.folder.rglob("*")
        return sum(one.stat().st_size for one in files if one.is_file())


def found_stores(root: Path) -> list[FoundStore]:
    """Return the stores below a folder, by name.

    Raises
    ------
    DataContractError
        There is no such folder, no store in it, or a header is broken.
    """
    if not root.is_dir():
        raise DataContractError(
            f"{root} is not a folder; feature stores lie in the folder that 'unitscope"
            " score --features' names (default: features beside the image set)."
        )
    headers = sorted(root.glob(f"*/{_HEADER}"))
    if not headers:
        raise DataContractError(
            f"{root} holds no feature stores. Give the folder above them."
        )
    return [_found(path) for path in headers]


def _found(path: Path) -> FoundStore:
    header, _ = read_header(path, format="features", versions=(1, 2))
    dtype = np.dtype(header.config["dtype"]).newbyteorder("little")
    n_features = int(header.config["n_features"])
    return FoundStore(header=header, store=FeatureStore(path.parent, n_features, dtype))


def fault(found: FoundStore) -> str | None:
    """Return what is wrong with a store, or None where it is as it was written."""
    try:
        matrix = found.store.matrix()
        rows = found.store.rows()
    except DataContractError as error:
        return str(error)
    if len(rows) != len(matrix):
        return f"The feature store {found.store.folder} holds an image twice."
    for start in range(0, len(matrix), _COPIED_ROWS):
        if not np.isfinite(matrix[start : start + _COPIED_ROWS]).all():
            return (
                f"The feature store {found.store.folder} holds features that are not"
                " finite. Delete the folder; the features are made again."
            )
    return None


def kept_images(found: FoundStore, content: Set[str]) -> list[str]:
    """Return the stored images that are among ``content``, in their order."""
    return [one for one in found.store.rows() if one in content]


def shrink(found: FoundStore, content: Set[str]) -> None:
    """Leave only the images among ``content``; without any, remove the store.

    The store is whole at any time: the smaller one takes the place of the other.
    """
    store = found.store
    with store.lock():
        keep = kept_images(found, content)
        if not keep:
            shutil.rmtree(store.folder)
            return
        rows, matrix = store.rows(), store.matrix()
        with whole_folder(store.folder) as part:
            write_header(part / _HEADER, found.header)
            smaller = FeatureStore(part, store.n_features, store.dtype)
            for start in range(0, len(keep), _COPIED_ROWS):
                names = keep[start : start + _COPIED_ROWS]
                smaller.append(names, matrix[[rows[one] for one in names]])
