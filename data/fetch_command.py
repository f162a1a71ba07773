"""Fetch published answers from their archive, checked and resumable."""

import argparse
import shutil
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from data.command_line import run_command, say
from data.errors import DataContractError
from data.fetch import (
    ATTEMPTS,
    IMI_RECORD,
    Connection,
    RemoteFile,
    fetch_file,
    is_fetched,
    needed_bytes,
    record_files,
)

RECORDS = {"imi": IMI_RECORD}


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="unitscope fetch",
        description=(
            "Bring a published data set: the release of the IMI study from Zenodo"
            " (record 8131197). Files that are there and right are not fetched again;"
            " one that broke off is gone on with. Exit status: 0 every file is there"
            " and its checksum is right, 2 could not run."
        ),
    )
    parser.add_argument("name", choices=sorted(RECORDS), help="which data set")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where the files go (default artifacts/NAME)",
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="PATTERN",
        help="names to fetch, such as 'responses_*.csv'; may be repeated (default all)",
    )
    parser.add_argument(
        "--list", action="store_true", help="show names and sizes, fetch nothing"
    )
    parser.add_argument(
        "--url", metavar="URL", help="another address of the record, such as a mirror's"
    )
    parser.add_argument(
        "--timeout",
        type=_positive,
        default=30.0,
        metavar="SECONDS",
        help="how long the server may be silent (default 30)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Exit status: 0 done, 2 could not run."""
    return run_command(build_parser(), _fetch, None if argv is None else list(argv))


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _fetch(arguments: argparse.Namespace) -> int:
    url = arguments.url or RECORDS[arguments.name]
    folder = arguments.out or Path("artifacts") / arguments.name
    connection = Connection(timeout_s=arguments.timeout, attempts=ATTEMPTS)
    files = _wanted(record_files(url, connection), arguments.only)
    if arguments.list:
        _show(files, folder)
        return 0
    _refuse_a_full_disk(files, folder)
    with _progress() as bars:
        for file in files:
            bar = bars.add_task(file.name, total=file.size)
            fetch_file(
                file,
                folder,
                report=lambda done, bar=bar: bars.update(bar, completed=done),  # type: ignore[misc]
                connection=connection,
            )
    for file in files:
        print(f"{folder / file.name}  {_bytes(file.size)}  {file.algorithm} right")
    return 0


def _wanted(
    files: Sequence[RemoteFile], patterns: Sequence[str] | None
) -> list[RemoteFile]:
    if not patterns:
        return list(files)
    wanted = [
        file
        for file in files
        if any(fnmatchcase(file.name, pattern) for pattern in patterns)
    ]
    for pattern in patterns:
        if not any(fnmatchcase(file.name, pattern) for file in files):
            names = ", ".join(file.name for file in files)
            raise DataContractError(
                f"--only {pattern!r} matches no file of the record; there are {names}."
            )
    return wanted


def _show(files: Sequence[RemoteFile], folder: Path) -> None:
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column("file", overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("here", no_wrap=True)
    for file in files:
        here = "yes" if is_fetched(file, folder) else "no"
        table.add_row(file.name, _bytes(file.size), here)
    Console(highlight=False).print(table)


def _refuse_a_full_disk(files: Sequence[RemoteFile], folder: Path) -> None:
    needed = needed_bytes(files, folder)
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise DataContractError(
            f"{folder} has {_bytes(free)} of free space; {_bytes(needed)} are still to"
            " come. Make room, name another folder with --out, or fetch some files with"
            " --only."
        )
    if needed:
        say(f"Files: {len(files)}; {_bytes(needed)} to come.")


def _bytes(number: int) -> str:
    value, units = float(number), ["bytes", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} bytes" if units[0] == "bytes" else f"{value:.1f} {units[0]}"


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        refresh_per_second=2,
    )
