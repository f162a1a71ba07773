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

from data.errors import DataContractError, ProjectError


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
    try:
        return command(parser.parse_args(argv))
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


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Add ``--cluster``, which work on a Dask cluster takes."""
    parser.add_argument(
        "--cluster",
        metavar="local:N|slurm:FILE.toml|ADDRESS",
        help="work on a Dask cluster: N processes here; jobs of SLURM (or pbs, sge,"
        " lsf, oar, htcondor), with the settings of dask-jobqueue and how many 'jobs'"
        " in a file; or the address of a scheduler. Workers read and write the folders"
        " named here",
    )


def existing_path(text: str) -> Path:
    """Return a path that exists.

    Raises
    ------
    DataContractError
        It does not; no usage is printed, since the options are right.
    """
    path = Path(text)
    if not path.exists():
        raise DataContractError(
            f"{text} does not exist. Check the path, or run the step that writes it."
        )
    return path
