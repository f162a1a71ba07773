"""Kill recordings, features, scores and sweeps at random moments, and call them again.

Each must end with the bytes of a run that nobody disturbed.

Exit status: 0 all did, 1 some did not, 2 could not run.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from data.command_line import progress, run_command
from data.errors import DataContractError
from data.files import write_json
from tests.kills.parts import MAY_DIFFER, Given, Sizes, parts
from tests.kills.run import Outcome, run_part

LOG = Path("artifacts/kills.json")
PARTS = (
    "record",
    "features",
    "score",
    "sweep",
    "record on a cluster",
    "sweep on a cluster",
)


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.kills", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--points", type=int, default=20, help="kills of each part (default 20)"
    )
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=PARTS,
        default=PARTS,
        metavar="PART",
        help=f"of {', '.join(map(repr, PARTS))} (default all)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of moments (default 0)")
    parser.add_argument(
        "--out", type=Path, default=LOG, help=f"where the log goes (default {LOG})"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    return run_command(build_parser(), _run, argv)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.points < 1:
        raise DataContractError(
            f"'--points' is {arguments.points}; it must be 1 or above."
        )
    begun = time.monotonic()
    outcomes: dict[str, Outcome] = {}
    n_kills = len(arguments.parts) * arguments.points
    place = tempfile.TemporaryDirectory(prefix="unitscope-kills-")
    with place as folder, progress() as bar:
        line = bar.add_task("making ready", total=n_kills)

        def advance(outcome: Outcome) -> None:
            outcomes[outcome.part] = outcome
            n_done = sum(len(one.points) for one in outcomes.values())
            bar.update(line, completed=n_done)
            _write(arguments, outcomes, time.monotonic() - begun)

        found = parts(Given(Path(folder) / "given", Sizes()))
        for name in arguments.parts:
            bar.update(line, description=name)
            run_part(
                found[name],
                Path(folder) / "runs",
                n_points=arguments.points,
                seed=arguments.seed,
                advance=advance,
            )
    _tell([*outcomes.values()], arguments.out)
    return int(any(one.n_equal < len(one.points) for one in outcomes.values()))


def _write(
    arguments: argparse.Namespace, outcomes: dict[str, Outcome], duration_s: float
) -> None:
    log = {
        "format": "kills",
        "version": 1,
        "seed": arguments.seed,
        "duration_s": round(duration_s, 1),
        "may_differ": MAY_DIFFER,
        "parts": [one.summary for one in outcomes.values()],
    }
    write_json(arguments.out, log)


def _tell(outcomes: list[Outcome], path: Path) -> None:
    console = Console(width=100)
    table = Table("part", "killed", "undisturbed s", "kills", "in a row", "same bytes")
    for one in outcomes:
        ways = ", ".join(one.summary["ways"])
        seconds = f"{one.summary['undisturbed_s']:.1f}"
        counts = (len(one.points), one.in_a_row, one.n_equal)
        table.add_row(one.part, ways, seconds, *map(str, counts))
    console.print(table)
    for one in outcomes:
        for point in one.points:
            if not point.equal:
                what = point.trouble or f"other bytes: {', '.join(point.differs)}"
                console.print(f"{one.part}, {point.way}: {what}", highlight=False)
    console.print(f"Log: {path}")


if __name__ == "__main__":
    sys.exit(main())
