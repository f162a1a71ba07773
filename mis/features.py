"""The feature store: each image's features, computed once and kept by content."""

import json
import os
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from data.errors import DataContractError
from data.formats import Header, read_header, software_versions, write_header
from data.images import ImageSet
from mis.batches import Batches, decoded_ahead, loader
from mis.encoders.protocol import ImageEncoder, encoder_fingerprint

_HEADER, _ROWS, _CHUNKS = "features.json", "features.bin", "chunks.jsonl"
_CHUNK_BYTES = 8 * 2**20


@dataclass(frozen=True)
class _Chunk:
    content: tuple[str, ...]
    crc32: int


@dataclass(frozen=True, eq=False)
class FeatureStore:
    """A folder with the features of images under one encoder.

    ``features.json`` says what made them, ``features.bin`` holds one row an image,
    and ``chunks.jsonl`` one line for each run of rows that was written whole: which
    images, by content, and a checksum. Whatever lies beyond the last whole line is
    no part of the store, so a run that is killed leaves nothing half-written.

    Attributes
    ----------
    folder : Path
    n_features : int
    dtype : dtype
        float32 or float16.
    """

    folder: Path
    n_features: int
    dtype: np.dtype[np.floating] = field(default_factory=lambda: np.dtype("<f4"))

    @property
    def _row_bytes(self) -> int:
        return self.n_features * self.dtype.itemsize

    def _chunks(self) -> list[_Chunk]:
        path = self.folder / _CHUNKS
        if not path.exists():
            return []
        try:
            lines = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
            return [_Chunk(tuple(one["content"]), one["crc32"]) for one in lines]
        except (ValueError, TypeError, KeyError) as error:
            raise self._broken(f"{_CHUNKS} is not a list of chunks") from error

    def _broken(self, what: str) -> DataContractError:
        return DataContractError(
            f"The feature store {self.folder} is broken: {what}; it must be as it was"
            " written. Delete the folder; the features are made again."
        )

    def rows(self) -> dict[str, int]:
        """Return the row of each stored image by the SHA-256 of its file."""
        content = [one for chunk in self._chunks() for one in chunk.content]
        return {one: row for row, one in enumerate(content)}

    def matrix(self) -> NDArray[np.floating]:
        """Map the (n_stored, n_features) features into memory, each chunk checked.

        Raises
        ------
        DataContractError
            The file is shorter than its chunks, or one has another checksum.
        """
        chunks = self._chunks()
        n_rows = sum(len(chunk.content) for chunk in chunks)
        path = self.folder / _ROWS
        if n_rows == 0:
            return np.empty((0, self.n_features), dtype=self.dtype)
        if not path.exists() or path.stat().st_size < n_rows * self._row_bytes:
            raise self._broken(f"{_ROWS} is shorter than the {n_rows} rows stored")
        rows = np.memmap(path, self.dtype, mode="r", shape=(n_rows, self.n_features))
        start = 0
        for number, chunk in enumerate(chunks):
            stop = start + len(chunk.content)
            if zlib.crc32(rows[start:stop].data) != chunk.crc32:
                raise self._broken(f"chunk {number} of {_ROWS} has another checksum")
            start = stop
        return rows

    def append(
        self,
        content: Sequence[str],
        features: NDArray[np.floating],
        *,
        batch_size: int | None = None,
    ) -> None:
        """Add the features of images that are not stored yet; hold :meth:`lock`.

        Rows reach the disk before the line that makes them count. ``batch_size`` is
        written where it was not the encoder's own: it moves a feature's last bits.
        """
        rows = np.ascontiguousarray(features, dtype=self.dtype)
        n_rows = len(self.rows())
        _append(self.folder / _ROWS, rows.tobytes(), start=n_rows * self._row_bytes)
        chunk = {"content": list(content), "crc32": zlib.crc32(rows.data)}
        if batch_size is not None:
            chunk["batch_size"] = batch_size
        line = json.dumps(chunk)
        path = self.folder / _CHUNKS
        whole = path.read_bytes().rfind(b"\n") + 1 if path.exists() else 0
        _append(path, line.encode() + b"\n", start=whole)

    def lock(self) -> FileLock:
        """Return a lock that ends with its process; one process fills a store."""
        return FileLock(self.folder / ".lock")


def _append(path: Path, content: bytes, *, start: int) -> None:
    """Write at ``start``; what stands there is what a killed run left."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.truncate(start)
        file.seek(start)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def open_store(
    root: Path, name: str, encoder: ImageEncoder, *, dtype: str = "float32"
) -> FeatureStore:
    """Open the store of an encoder below ``root``, or begin an empty one.

    The folder's name holds the encoder's fingerprint, so that features of other
    weights or another preprocessing are never taken for these.

    Raises
    ------
    DataContractError
        The folder holds something else.
    """
    fingerprint = encoder_fingerprint(encoder)
    half = "-float16" if dtype == "float16" else ""
    folder = root / f"{_as_file_name(name)}-{fingerprint[:12]}{half}"
    path = folder / _HEADER
    if not path.exists():
        config = dict(encoder.config) | {
            "encoder": name,
            "fingerprint": fingerprint,
            "n_features": encoder.n_features,
            "dtype": dtype,
        }
        software = software_versions("numpy", "torch", "pillow")
        header = Header(format="features", version=1, config=config, software=software)
        write_header(path, header)
    found = read_header(path, format="features", versions=(1,))[0].config
    if found["fingerprint"] != fingerprint or found["dtype"] != dtype:
        raise DataContractError(
            f"{folder} holds features of another encoder; the name says"
            f" {fingerprint[:12]}. Delete the folder; the features are made again."
        )
    return FeatureStore(
        folder, encoder.n_features, np.dtype(dtype).newbyteorder("little")
    )


def fill_store(
    store: FeatureStore,
    encoder: ImageEncoder,
    image_set: ImageSet,
    image_ids: Sequence[str],
    *,
    advance: Callable[[int], object] = lambda n_images: None,
) -> int:
    """Compute what the store lacks, and return how many images that were.

    Parameters
    ----------
    image_ids : sequence of str
        The images whose features are needed.
    advance : callable
        Told the number of images done since the last call, stored ones included.

    Raises
    ------
    DataContractError
        An image is missing, broken or has changed.
    """
    with store.lock():
        stored = store.rows()
        missing = {image_set.content_hash(one): one for one in sorted(image_ids)}
        missing = {one: name for one, name in missing.items() if one not in stored}
        advance(len(image_ids) - len(missing))
        size = encoder.batch_size
        n_batches = max(1, _CHUNK_BYTES // (size * 4 * encoder.n_features))
        content = sorted(missing)
        batches = Batches(encoder)
        images = decoded_ahead(
            loader(image_set, encoder),
            [missing[one] for one in content],
            ahead=2 * size,
        )
        for start in range(0, len(content), n_batches * size):
            chunk = content[start : start + n_batches * size]
            features = []
            for first in range(0, len(chunk), size):
                batch = [next(images) for _ in chunk[first : first + size]]
                features.append(batches.embed(batch))
                advance(len(batch))
            store.append(
                chunk,
                _checked(np.concatenate(features), missing, chunk),
                batch_size=batches.size if batches.size != size else None,
            )
    return len(missing)


def _as_file_name(name: str) -> str:
    return re.sub(r"[^\w.@-]+", "_", name)


def _checked(
    features: NDArray[np.float32], names: dict[str, str], chunk: Sequence[str]
) -> NDArray[np.float32]:
    bad = ~np.isfinite(features).all(axis=1)
    if bad.any():
        name = names[chunk[int(np.argmax(bad))]]
        raise DataContractError(
            f"The encoder's features of image {name!r} are not finite; all must be."
            " Check the encoder's weights."
        )
    return features
