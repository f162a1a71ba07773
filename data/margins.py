"""The margins file: one number a task, so that a score is made again without images."""

from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from data.errors import DataContractError

NAME = "margins.npy"
"""In a scores folder: (n_scored, n_tasks) float32, memory-mapped when read."""


def new_margins(path: Path, *, n_units: int, n_tasks: int) -> NDArray[np.float32]:
    """Return an array on disk to fill, which is never in memory as a whole."""
    if n_units == 0:
        np.save(path, np.empty((0, n_tasks), dtype=np.float32))
        return np.load(path)
    return open_memmap(path, mode="w+", dtype=np.float32, shape=(n_units, n_tasks))


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
