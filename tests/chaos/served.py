"""The served process of a run: ``unitscope serve`` with a clock that can jump.

``python -m tests.chaos.served CLOCK BUG ARGUMENTS...``: CLOCK is a file with the
seconds to add to the time, BUG the name of a planted bug or ``-``.
"""

import functools
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from experiment_server import serve_command
from experiment_server.settings import ServerSettings
from tests.chaos.planted import plant


def main(argv: list[str]) -> int:
    """Serve until ended."""
    clock_file, bug = Path(argv[0]), argv[1]

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(clock_file.read_text()))

    serve_command.ServerSettings = functools.partial(ServerSettings, clock=clock)
    if bug != "-":
        plant(bug)
    return serve_command.main(argv[2:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
