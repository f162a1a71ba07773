"""Servers as processes of their own, with what they take of the machine."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from data.errors import ExperimentError
from data.files import read_json

START_S = 60.0


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes
    ----------
    address : (str, int)
    root : psutil.Process
        Its main process.
    database : psutil.Process or None
        The main process of its database, where that is a server too.
    """

    address: tuple[str, int]
    root: psutil.Process
    database: psutil.Process | None

    def cpu_s(self) -> float:
        """Return the processor time of all its processes so far."""
        return _cpu_s(self.root)

    def database_cpu_s(self) -> float:
        """Return the processor time of its database's processes so far."""
        return _cpu_s(self.database) if self.database else 0.0

    def memory_mb(self) -> float:
        """Return the resident memory of its largest worker in MB.

        Not a sum in which shared memory counts once: that grows while pages that the
        workers have from their parent become their own, though nothing is added.
        """
        workers = self.root.children(recursive=True) or [self.root]
        return float(max(one.memory_info().rss for one in workers)) / 1e6


def _tree(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]


def _cpu_s(root: psutil.Process) -> float:
    total = 0.0
    for one in _tree(root):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


@contextmanager
def running(
    command: list[str], database: psutil.Process | None = None
) -> Iterator[Server]:
    """Start a server and stop it; ``--ready-file`` is added to the command.

    Raises
    ------
    ExperimentError
        It does not start.
    """
    with tempfile.TemporaryDirectory(prefix="unitscope-load-") as folder:
        ready, log = Path(folder) / "ready.json", Path(folder) / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *command, "--ready-file", str(ready)],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        try:
            until = time.monotonic() + START_S
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > until:
                    said = log.read_text(errors="replace")[-2000:]
                    raise ExperimentError(f"The server did not start: {said}")
                time.sleep(0.05)
            port = int(str(read_json(ready)["url"]).rstrip("/").rsplit(":", 1)[1])
            yield Server(("127.0.0.1", port), psutil.Process(process.pid), database)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
