"""The margins file: one number a task, so that a score is made again without images."""

from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from data.errors import DataContractError

NAME = "margins.npy"
"""In a scores folder: (n_scored, n_tasks) float32, memory-mapped when read."""


class MarginsFile:
    """Writes margins unit after unit; how many they are is written at the end.

    The file is that of ``numpy.save``; nothing of it stays in memory.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._shape = file, (0, 0)
        self._start = 0

    def append(self, margins: NDArray[np.float32]) -> None:
        """Add (n_units, n_tasks) margins."""
        if not self._start:
            self._shape = (0, margins.shape[1])
            self._write_header()
            self._start = self._file.tell()
        self._shape = (self._shape[0] + len(margins), margins.shape[1])
        self._file.write(np.ascontiguousarray(margins, dtype=np.float32).data)

    def close(self) -> None:
        """Write how many there are over what stood there at first."""
        self._file.seek(0)
        self._write_header()
        if self._file.tell() != self._start:
            raise AssertionError("NumPy leaves room for the length to grow.")

    def _write_header(self) -> None:
        header = {"descr": "<f4", "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(self._file, header)


def read_margins(path: Path) -> NDArray[np.float32]:
    """Map margins into memory.

    Raises
    ------
    DataContractError
        There is no such file, or it is not whole.
    """
    try:
        margins = np.load(path, mmap_mode=None if path.stat().st_size < 4096 else "r")
    except FileNotFoundError as error:
        raise DataContractError(
            f"{path} does not exist. Check the path, or score the tasks again."
        ) from error
    except (ValueError, EOFError, OSError) as error:
        raise DataContractError(
            f"{path} is not a whole margins file ({error}). Score the tasks again."
        ) from error
    if margins.ndim != 2 or margins.dtype != np.float32:
        raise DataContractError(
            f"{path} holds {margins.dtype} of shape {margins.shape}; it must be float32"
            " of shape (units, tasks). Score the tasks again."
        )
    return margins
