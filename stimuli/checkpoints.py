"""Checkpoints of a long recording, so that a kill loses at most some minutes."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import DataContractError
from data.files import whole_file
from data.recordings import read_arrays

MINUTES = 5.0
"""Between two checkpoints."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where a recording that is not finished is kept.

    Attributes
    ----------
    path : Path
        One file, written whole; removed once the recording is written.
    minutes : float
        Between two checkpoints; 0 writes one after each batch.
    """

    path: Path
    minutes: float = MINUTES

    @classmethod
    def beside(cls, out: Path, *, minutes: float = MINUTES) -> "Checkpoint":
        """Return the checkpoint that belongs to a recording's folder."""
        return cls(path=out.with_name(f"{out.name}.unfinished.npz"), minutes=minutes)

    def write(
        self, made_by: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> None:
        """Replace the checkpoint by one of ``arrays``, made by these settings."""
        with whole_file(self.path) as part, part.open("wb") as file:
            text = np.array(json.dumps(made_by, sort_keys=True))
            content: dict[str, Any] = {"made_by": text, **arrays}
            np.savez(file, **content)

    def read(self, made_by: Mapping[str, Any]) -> dict[str, NDArray[Any]] | None:
        """Return the arrays of an unfinished recording; None where there is none.

        Raises
        ------
        DataContractError
            The file is broken, or other settings made it; the first that differs is
            named.
        """
        if not self.path.exists():
            return None
        arrays = read_arrays(self.path)
        if "made_by" not in arrays:
            raise DataContractError(
                f"{self.path} is no checkpoint of a recording. Name another --out, or"
                " remove the file."
            )
        before = json.loads(str(arrays.pop("made_by")))
        now = json.loads(json.dumps(made_by))
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) != now.get(name):
                raise DataContractError(
                    f"{self.path} is of a recording with {name!r} {before.get(name)!r};"
                    f" now it is {now.get(name)!r}, and the two can't be mixed. Give"
                    " the settings it was started with, or remove the file to start"
                    " anew."
                )
        return arrays

    def remove(self) -> None:
        """Remove the file, and what a killed run left of one half-written."""
        self.path.unlink(missing_ok=True)
        for part in self.path.parent.glob(f".{escape(self.path.name)}.*.part"):
            part.unlink(missing_ok=True)


class Clock:
    """Tells when the next checkpoint is due."""

    def __init__(self, minutes: float) -> None:
        self._seconds = 60 * minutes
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Return whether the time is up; if so, start anew."""
        due = time.monotonic() - self._last >= self._seconds
        if due:
            self._last = time.monotonic()
        return due
