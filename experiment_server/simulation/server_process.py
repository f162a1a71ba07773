"""A server of its own for a simulation, started and stopped with it."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import ExperimentError
from data.files import read_json

START_S = 60.0
STOP_S = 20.0


@contextmanager
def served(study: Path, database_url: str, *, seed: int = 0) -> Iterator[str]:
    """Start ``unitscope serve`` on a free port, give its address, and stop it.

    Its draws come from the seed, so that a simulation can be repeated.

    Raises
    ------
    ExperimentError
        It does not start; its own message is told.
    """
    with tempfile.TemporaryDirectory(prefix="unitscope-") as folder:
        ready, log = Path(folder) / "ready.json", Path(folder) / "server.log"
        command = [
            *(sys.executable, "-m", "unitscope", "serve", str(study)),
            *("--database", database_url, "--port", "0", "--repeats-allowed"),
            *("--ready-file", str(ready), "--draw-seed", str(seed)),
        ]
        with log.open("wb") as output:
            # Apart from the terminal, so that an interrupt stops the observers first.
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            _wait_for(ready, process, log)
            yield str(read_json(ready)["url"])
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(ready: Path, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > until:
            lines = log.read_text(errors="replace").strip().splitlines()
            said = lines[-1].removeprefix("error: ") if lines else "it said nothing"
            raise ExperimentError(f"The server did not start: {said}")
        time.sleep(0.05)
