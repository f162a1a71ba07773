"""A task set on disk, some units at a time: for more of them than memory holds."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.errors import DataContractError
from data.formats import Header, read_header
from data.recordings import IMAGES
from data.tables import checked, read_parquet
from data.tasks import UNITS, TaskConfig, TaskSet
from data.units import UnitId

BLOCK = 2**14
"""Units at a time; their tasks take some 30 MB."""

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

Indices = NDArray[np.int32]


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredTasks:
    """A task set whose units are read when they are asked for.

    Attributes
    ----------
    folder : Path
    image_ids, content : (n_images,) tuples of str
        As in :class:`data.tasks.TaskSet`.
    n_units : int
        Units that have tasks.
    config : TaskConfig
    header : Header
    """

    folder: Path
    image_ids: tuple[str, ...] = field(repr=False)
    content: tuple[str, ...] = field(repr=False)
    n_units: int
    config: TaskConfig
    header: Header = field(repr=False)

    def indices(self) -> Iterator[tuple[Indices, Indices]]:
        """Yield queries and explanations of the units, block by block.

        Raises
        ------
        DataContractError
            The file is not whole.
        """
        with _Arrays(self.folder / "tasks.npz") as arrays:
            for start in range(0, self.n_units, BLOCK):
                yield arrays.read(min(BLOCK, self.n_units - start))

    def blocks(self) -> Iterator[TaskSet]:
        """Yield task sets that follow each other in this one; at least one.

        Raises
        ------
        DataContractError
            A part is missing, broken, or of another number of units.
        """
        path, n_read, n_blocks = self.folder / "units.parquet", 0, 0
        with _Arrays(self.folder / "tasks.npz") as arrays, _table(path) as file:
            for batch in file.iter_batches(batch_size=BLOCK):
                table = pa.Table.from_batches([batch])
                block = self._block(table, arrays)
                n_read, n_blocks = n_read + len(block.units), n_blocks + 1
                yield block
            if not n_blocks:
                yield self._block(file.schema_arrow.empty_table(), arrays)
        if n_read != self.n_units:
            raise DataContractError(
                f"{self.folder} names {n_read} units with tasks and holds the tasks of"
                f" {self.n_units}; both must be the same. Draw the tasks again."
            )

    def _block(self, rows: pa.Table, arrays: "_Arrays") -> TaskSet:
        table = checked(rows.to_pandas(), UNITS, self.folder / "units.parquet")
        units = tuple(map(UnitId.parse, table.loc[table["reason"].isna(), "unit"]))
        queries, explanations = arrays.read(len(units))
        return TaskSet(
            units=units,
            image_ids=self.image_ids,
            content=self.content,
            queries=queries,
            explanations=explanations,
            table=table,
            config=self.config,
            header=self.header,
        )


def open_tasks(folder: Path) -> StoredTasks:
    """Open a task set; its units stay on disk.

    Raises
    ------
    DataContractError
        A part is missing, broken or of another version.
    """
    folder = Path(folder)
    header, _ = read_header(folder / "tasks.json", format="tasks", versions=(1,))
    images = read_parquet(folder / "images.parquet", IMAGES)
    with _Arrays(folder / "tasks.npz") as arrays:
        n_units = arrays.n_units
    return StoredTasks(
        folder=folder,
        image_ids=tuple(images["image_id"]),
        content=tuple(images["sha256"]),
        n_units=n_units,
        config=TaskConfig(**header.config),
        header=header,
    )


def _table(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise DataContractError(
            f"{path} does not exist. Check the path, or run the step that writes it."
        ) from error
    except (OSError, ValueError) as error:
        raise DataContractError(
            f"{path} is not a Parquet table ({error}). Make the file again."
        ) from error


class _Arrays:
    """Queries and explanations in an NPZ file, read one after the other.

    Both are members of one archive, whose checksums are compared as their ends are
    reached; nothing but what is asked for is in memory.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._stack = path, ExitStack()
        self._members: list[tuple[IO[bytes], tuple[int, ...], np.dtype[np.int32]]] = []

    def __enter__(self) -> "_Arrays":
        try:
            archive = self._stack.enter_context(ZipFile(self._path))
            for name in ("queries", "explanations"):
                member = self._stack.enter_context(archive.open(f"{name}.npy"))
                head = _HEADERS[np.lib.format.read_magic(member)]
                shape, is_fortran, dtype = head(member)
                if is_fortran and len(shape) > 1:
                    raise ValueError(f"{name!r} is not stored row by row")
                self._members.append((member, shape, dtype))
        except FileNotFoundError as error:
            raise DataContractError(
                f"{self._path} does not exist. Check the path, or run the step that"
                " writes it."
            ) from error
        except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
            self._stack.close()
            raise self._broken(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def n_units(self) -> int:
        """How many units the first array is of."""
        return self._members[0][1][0]

    def read(self, n_units: int) -> tuple[Indices, Indices]:
        """Return both arrays of the next units."""
        try:
            found = [_read(*member, n_units) for member in self._members]
        except (OSError, EOFError, BadZipFile) as error:
            raise self._broken(error) from error
        return found[0], found[1]

    def _broken(self, error: Exception) -> DataContractError:
        return DataContractError(
            f"{self._path} is not a whole NPZ file ({error}). Make the file again."
        )


def _read(
    member: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[np.int32], n_units: int
) -> Indices:
    rows = np.empty((n_units, *shape[1:]), dtype=dtype)
    content = member.read(rows.nbytes)
    if len(content) != rows.nbytes:
        raise EOFError(f"it holds {shape[0]} units, not as many as are asked for")
    rows.reshape(-1)[:] = np.frombuffer(content, dtype=dtype)
    return rows
