"""What all commands share: one line for an error, an exit status, and progress."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from data.errors import ProjectError


def run_command(
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace], int],
    argv: list[str] | None,
) -> int:
    """Parse, run, and turn what the user can mend into one line on stderr.

    Returns
    -------
    int
        The command's own status (0 done, 1 fell short); 2 where it could not run;
        130 where it was interrupted.
    """
    arguments = parser.parse_args(argv)
    try:
        return command(arguments)
    except BrokenPipeError:
        # The reader of stdout has seen enough, as with '| head'.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ProjectError, OSError) as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        say("Interrupted. What was finished is kept; run the command again to go on.")
        return 130


def say(text: str) -> None:
    """Write one line to stderr, where progress and errors go."""
    sys.stderr.write(text + "\n")


def progress() -> Progress:
    """Return a progress bar on stderr; plain lines where stderr is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        refresh_per_second=2,
    )


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed``, which everything random takes."""
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of all that is random (default 0)"
    )


def existing_path(text: str) -> Path:
    """Return a path that exists; argparse shows the message otherwise."""
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text} does not exist; check the path")
    return path
