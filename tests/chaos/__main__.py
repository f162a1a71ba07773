"""Let everything break around a server on purpose, and check what must hold.

Exit status: 0 nothing that must hold was broken, 1 something was, 2 could not run.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.chaos.invariants import INVARIANTS
from tests.chaos.plan import Plan, drawn_plan, logged_plan
from tests.chaos.planted import BUGS, Caught, catch
from tests.chaos.run import Outcome, run_chaos

LOG = Path("artifacts/chaos.json")

# Progress goes to stderr, the result to stdout.
progress = Console(stderr=True)


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--sessions", type=int, default=200, help="people over HTTP (default 200)"
    )
    parser.add_argument(
        "--browsers", type=int, default=10, help="people in Chromium (default 10)"
    )
    parser.add_argument(
        "--at-once", type=int, default=24, help="people at the same time (default 24)"
    )
    parser.add_argument(
        "--database",
        choices=["sqlite", "postgresql", "both"],
        default="both",
        help="which to run on, one after the other (default both)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of all faults (default 0)")
    parser.add_argument(
        "--replay",
        type=Path,
        metavar="LOG",
        help="strike as an earlier run's log says, instead of drawing from a seed",
    )
    parser.add_argument(
        "--planted",
        action="store_true",
        help="only show which invariant finds which planted bug",
    )
    parser.add_argument(
        "--with-planted",
        action="store_true",
        help="also show which invariant finds which planted bug",
    )
    parser.add_argument(
        "--out", type=Path, default=LOG, help=f"where the log goes (default {LOG})"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    arguments = build_parser().parse_args(argv)
    started = time.monotonic()
    outcomes: list[Outcome] = []
    caught: list[Caught] = []
    if not arguments.planted:
        for plan, sizes in _plans(arguments):
            outcomes.append(_one_run(plan, **sizes))
    if arguments.planted or arguments.with_planted:
        caught = list(_caught(arguments.seed))
    _write(arguments.out, outcomes, caught, time.monotonic() - started)
    return _tell(outcomes, caught, arguments.out)


def _plans(arguments: argparse.Namespace) -> Iterator[tuple[Plan, dict[str, int]]]:
    if arguments.replay:
        for number in range(len(json.loads(arguments.replay.read_text())["runs"])):
            plan, logged = logged_plan(arguments.replay, number)
            if arguments.database in ("both", plan.database):
                sizes = {"n_people": "sessions", "n_browsers": "browsers"}
                sizes = {ours: logged[theirs] for ours, theirs in sizes.items()}
                yield plan, sizes | {"at_once": logged["at_once"]}
        return
    both = ["sqlite", "postgresql"]
    for database in both if arguments.database == "both" else [arguments.database]:
        plan = drawn_plan(arguments.seed, database, n_people=arguments.sessions)
        yield (
            plan,
            {
                "n_people": arguments.sessions,
                "n_browsers": arguments.browsers,
                "at_once": arguments.at_once,
            },
        )


def _one_run(plan: Plan, **sizes: int) -> Outcome:
    progress.print(f"{plan.database}: {sizes['n_people']} sessions over HTTP,", end=" ")
    progress.print(f"{sizes['n_browsers']} in Chromium ...")
    with _empty_database(plan.database) as (url, restart):
        outcome = run_chaos(plan, url, restart_database=restart, **sizes)
    progress.print(f"{plan.database}: {outcome.duration_s:.0f} s")
    return outcome


@contextmanager
def _empty_database(kind: str) -> Iterator[tuple[str, Any]]:
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="unitscope-chaos-") as folder:
            yield f"sqlite:///{folder}/answers.sqlite", None
        return
    from tests.postgres import crash_and_restart, fresh_database, running_postgres

    with running_postgres() as server, fresh_database(server) as url:
        yield url, lambda: crash_and_restart(server)


def _caught(seed: int) -> Iterator[Caught]:
    for bug in BUGS:
        progress.print(f"planted: {bug} ...")
        with tempfile.TemporaryDirectory(prefix="unitscope-chaos-") as folder:
            yield catch(bug, f"sqlite:///{folder}/answers.sqlite", seed=seed)


def _write(
    path: Path, outcomes: list[Outcome], caught: list[Caught], duration_s: float
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    log = {
        "format": "chaos",
        "version": 1,
        "duration_s": round(duration_s, 1),
        "n_violations": sum(len(outcome.found) for outcome in outcomes),
        "invariants": INVARIANTS,
        "planted": [
            {"bug": one.bug, "expected": one.expected, "found": one.found}
            for one in caught
        ],
        "runs": [outcome.summary for outcome in outcomes],
    }
    part = path.with_suffix(".part")
    part.write_text(json.dumps(log, indent=1))
    part.replace(path)


def _tell(outcomes: list[Outcome], caught: list[Caught], path: Path) -> int:
    console = Console(width=100)
    for outcome in outcomes:
        told = outcome.summary
        faults = sum(told["faults_by_kind"].values())
        console.print(
            f"{told['database']}: {told['sessions']} sessions over HTTP and"
            f" {told['browsers']} in Chromium, {told['requests']} requests,"
            f" {told['answers_stored']} answers stored, {told['retries']} retries;"
            f" {faults} faults of the line,"
            f" {sum(told['server_faults_by_kind'].values())} of the server;"
            f" {len(outcome.found)} violations (seed {told['seed']},"
            f" {told['duration_s']:.0f} s)"
        )
        for one in outcome.found[:20]:
            console.print(f"  {one.invariant}: {one.what}", highlight=False)
    if caught:
        table = Table("planted bug", "must be found by", "found", "also broken")
        for one in caught:
            others = [name for name in one.found if name != one.expected]
            n_found = str(one.found.get(one.expected, "NOT FOUND"))
            table.add_row(one.bug, one.expected, n_found, ", ".join(others))
        console.print(table)
    console.print(f"Log: {path}")
    missed = any(one.expected not in one.found for one in caught)
    return int(missed or any(outcome.found for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
