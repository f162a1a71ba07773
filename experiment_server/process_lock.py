"""A lock that processes wait for in turn, as threads do.

SQLite's own is asked for again and again, with pauses of up to a tenth of a second
between, in which the database lies idle.
"""

import os
from pathlib import Path


class ProcessLock:
    """Held by one process at a time, and freed by the system when that one dies.

    Parameters
    ----------
    path : Path
        A file of its own, made where there is none; it stays empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def acquire(self) -> None:
        """Wait until no other process holds it."""
        # Not on Windows, where no web server of ours runs either.
        import fcntl

        if self._file < 0:
            self._file = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def release(self) -> None:
        """Let the next one have it."""
        import fcntl

        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
