"""How many sessions one small machine serves, and how fast, beside a bare floor.

Sessions walk over HTTP at human pace: an answer each 3 to 8 s, due at moments that are
drawn before, so that a slow server can't slow the clients down; every trial's image is
fetched. The floor is a bare Flask view under the same web server that stores the same
row with full sync and sends an image of the same size:

    python -m benchmarks.load [--sessions 100,300,1000] [--out artifacts/load.json]

Clients, server and database share this machine. About half an hour.
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import psycopg
from rich.console import Console
from rich.table import Table

from benchmarks.load.crowd import FloorVisitor, Log, Participant, Visitor, gather_crowd
from benchmarks.load.measure import latencies, n_lost, quantiles, summary
from benchmarks.load.processes import Server, running
from data.files import write_json
from tests.experiment_server.toy_study import make_toy_study
from tests.postgres import fresh_database, running_postgres

SETTINGS: dict[str, Any] = {
    "n_main_trials": 45,
    "n_catch_trials": 5,
    "n_obvious_practice": 1,
    "n_less_obvious_practice": 0,
    "max_practice_rounds": 60,
    "break_every": 20,
    "feedback": "none",
    "lease_minutes": 600,
}
"""About as long as IMI's; who guesses passes a practice of one trial in two rounds."""

LIMIT_MS = 250.0
STEP_S = 12.0
MEMORY_SESSIONS = (0, 50, 200, 500, 1000, 1500, 2000)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where runs happen.

    Attributes
    ----------
    study : Path
    database : str
        "sqlite" or "postgres".
    folder : Path
    postgres : object or None
        The running server of PostgreSQL.
    """

    study: Path
    database: str
    folder: Path
    postgres: Any = None

    @contextmanager
    def url(self) -> Iterator[str]:
        """Give the URL of an empty database."""
        if self.database == "postgres":
            with fresh_database(self.postgres) as url:
                yield url
            return
        with tempfile.TemporaryDirectory(dir=self.folder) as own:
            yield f"sqlite:///{own}/answers.sqlite"

    @contextmanager
    def server(self, kind: str, url: str, samples: Path | None) -> Iterator[Server]:
        """Run the server, "ours" or the "floor"."""
        image = next((self.study / "atlases").iterdir())
        command = ["-m", "benchmarks.load.floor", url, "--image", str(image)]
        if kind == "ours":
            own = ["-m", "unitscope"]
            if samples:
                own = ["-m", "benchmarks.load.sampled", str(samples)]
            command = [*own, "serve", str(self.study), "--database", url]
            command += ["--port", "0"]
        database = None
        if self.postgres is not None:
            database = psutil.Process(self.postgres.get_pid())
        with running(command, database) as server:
            yield server


@contextmanager
def places(names: list[str], folder: Path, n_slots: int) -> Iterator[list[Place]]:
    """Make the study and start the databases."""
    study = make_toy_study(
        folder / "study", n_explanations=9, n_slots=n_slots, **SETTINGS
    )
    found = partial(Place, study=study, folder=folder)
    if "postgres" not in names:
        yield [found(database=name) for name in names]
        return
    with running_postgres() as server:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            # The tests' server does not sync; a study's does.
            connection.execute("ALTER SYSTEM RESET fsync")
            connection.execute("SELECT pg_reload_conf()")
        yield [
            found(database=name, postgres=server if name == "postgres" else None)
            for name in names
        ]


async def measured_run(
    place: Place, kind: str, n: int, arguments: argparse.Namespace, console: Console
) -> dict[str, Any]:
    """Run sessions at human pace on one server; ramp the largest of ours up."""
    log = Log()
    is_last = kind == "ours" and n == max(arguments.sessions)
    samples = place.folder / "samples"
    with (
        place.url() as url,
        place.server(kind, url, samples if is_last else None) as server,
    ):

        def make(number: int) -> Visitor:
            # New each time, as a browser is.
            visitor = Participant if kind == "ours" else FloorVisitor
            return visitor(server.address, f"{arguments.seed} {number}", log)

        spread_s = max(3.0, n / arguments.starts_per_s)
        tasks = await gather_crowd(make, n, first=0, spread_s=spread_s)
        await asyncio.sleep(arguments.settle)
        since, cpu = time.monotonic(), _cpu(server)
        await asyncio.sleep(arguments.seconds)
        until = time.monotonic()
        shares = {
            name: round((after - cpu[name]) / (until - since), 3)
            for name, after in _cpu(server).items()
        }
        result: dict[str, Any] = {
            "database": place.database,
            "server": kind,
            "sessions": n,
            "seconds": arguments.seconds,
            "starts_per_s": round(n / spread_s, 1),
            **summary(log, since=since, until=until),
            "cpu_share": shares,
            "worker_memory_mb": round(server.memory_mb(), 1),
        }
        if is_last and arguments.ramp_to > n:
            # Looking costs time; the figures above are without it.
            samples.touch()
            result["ramp"] = await _ramp(make, tasks, log, arguments, console)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        result |= {
            "acknowledged": len(log.acknowledged),
            "lost": n_lost(url, log),
            "refused": len(log.refused),
            "refusals": Counter(log.refused).most_common(5),
            "retries": log.n_retries,
        }
    if "ramp" in result:
        result["profile"] = profile(samples)
    return result


def _cpu(server: Server) -> dict[str, float]:
    return {
        "server": server.cpu_s(),
        "database": server.database_cpu_s(),
        "clients": time.process_time(),
    }


async def _ramp(
    make: Any,
    tasks: list[asyncio.Task[None]],
    log: Log,
    arguments: argparse.Namespace,
    console: Console,
) -> dict[str, Any]:
    """Add sessions until the 99th percentile of answers passes the limit.

    They begin at the pace of those before: a burst of starts is no crowd.
    """
    steps: list[dict[str, Any]] = []
    n = len(tasks)
    while n < arguments.ramp_to:
        spread_s = arguments.ramp_step / arguments.starts_per_s
        tasks += await gather_crowd(
            make, arguments.ramp_step, first=n, spread_s=spread_s
        )
        n += arguments.ramp_step
        await asyncio.sleep(min(STEP_S, arguments.settle))
        since = time.monotonic()
        await asyncio.sleep(STEP_S)
        # Answers that still wait are due, too: give the slow ones a moment.
        await asyncio.sleep(LIMIT_MS / 1e3)
        until = since + STEP_S
        found = quantiles(latencies(log, "answer", since=since, until=until))
        # The first have ended by now where there are many.
        at_once = sum(not task.done() for task in tasks)
        steps.append({"sessions": at_once, "answers": found})
        console.print(f"  {at_once} sessions: p99 {found['p99_ms']} ms")
        if (found["p99_ms"] or LIMIT_MS) >= LIMIT_MS:
            return {"limit_ms": LIMIT_MS, "passed_at": at_once, "steps": steps}
    return {"limit_ms": LIMIT_MS, "passed_at": None, "steps": steps}


def profile(samples: Path) -> dict[str, Any]:
    """Return where the server's threads were, as shares of all busy samples."""
    places: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for path in samples.parent.glob(f"{samples.name}.*.json"):
        content = json.loads(path.read_text())
        places.update(content["places"])
        functions.update(content["functions"])
        path.unlink()
    samples.unlink()
    total = max(1, places.total())
    return {
        "n_samples": places.total(),
        "places": {name: round(n / total, 3) for name, n in places.most_common()},
        "functions": {
            name: round(n / total, 3) for name, n in functions.most_common(25)
        },
    }


async def memory_run(place: Place, arguments: argparse.Namespace) -> dict[str, Any]:
    """Walk many short sessions fast; return the server's memory on the way."""
    log, memory_mb = Log(), {}
    with place.url() as url, place.server("ours", url, None) as server:
        gate = asyncio.Semaphore(20)

        async def one(number: int) -> None:
            async with gate:
                person = Participant(
                    server.address, f"{arguments.seed} {number}", log, n_answers=6
                )
                await person.run(time.monotonic(), (0.0, 0.0))

        for first, last in pairwise(MEMORY_SESSIONS):
            if last > arguments.memory_sessions:
                break
            await asyncio.gather(*(one(number) for number in range(first, last)))
            memory_mb[last] = round(server.memory_mb(), 1)
        lost = n_lost(url, log)
    return {
        "database": place.database,
        "worker_memory_mb_after_sessions": memory_mb,
        "requests": len(log.requests),
        "lost": lost,
        "refused": len(log.refused),
        "refusals": Counter(log.refused).most_common(5),
    }


def ratios(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each of our runs over its floor."""
    floors = {
        (run["database"], run["sessions"]): run
        for run in runs
        if run["server"] == "floor"
    }
    found = []
    for run in runs:
        floor = floors.get((run["database"], run["sessions"]))
        if run["server"] != "ours" or floor is None:
            continue
        own: dict[str, Any] = {
            "database": run["database"], "sessions": run["sessions"]
        }  # fmt: skip
        for kind in ("answers", "images", "starts"):
            least, ours = floor[kind]["p99_ms"], run[kind]["p99_ms"]
            own[f"{kind}_p99"] = round(ours / least, 2) if least and ours else None
        found.append(own)
    return found


def table(runs: list[dict[str, Any]]) -> Table:
    """Return the runs as a table."""
    made = Table(title="ms from when a request was due: p50 / p95 / p99")
    for name in ("database", "sessions", "server", "answers", "images", "starts"):
        made.add_column(name)
    made.add_column("CPU server, database, clients")
    made.add_column("lost, refused")
    for run in runs:
        made.add_row(
            run["database"],
            str(run["sessions"]),
            run["server"],
            *(
                f"{run[kind]['p50_ms']} / {run[kind]['p95_ms']} / {run[kind]['p99_ms']}"
                for kind in ("answers", "images", "starts")
            ),
            ", ".join(f"{share:.2f}" for share in run["cpu_share"].values()),
            f"{run['lost']}, {run['refused']}",
        )
    return made


def build_parser() -> argparse.ArgumentParser:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks.load", description=__doc__)
    parser.add_argument(
        "--sessions", type=_numbers, default=[100, 300, 1000], help="at once"
    )
    parser.add_argument(
        "--seconds", type=float, default=15.0, help="measured, of each run"
    )
    parser.add_argument(
        "--databases", type=_names, default=["sqlite", "postgres"], help="or one"
    )
    parser.add_argument(
        "--starts-per-s",
        type=float,
        default=10.0,
        help="sessions that begin; all are there at once when it is measured",
    )
    parser.add_argument(
        "--settle", type=float, default=20.0, help="seconds before it is measured"
    )
    parser.add_argument(
        "--ramp-to", type=int, default=3000, help="most sessions; 0 for no ramp"
    )
    parser.add_argument("--ramp-step", type=int, default=100)
    parser.add_argument(
        "--memory-sessions", type=int, default=2000, help="0 for no look at memory"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-floor", action="store_true", help="ours alone")
    parser.add_argument("--out", type=Path, default=Path("artifacts/load.json"))
    return parser


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _names(text: str) -> list[str]:
    return text.split(",")


def main(argv: list[str] | None = None) -> int:
    """Run all. Exit status: 1 where an answer was lost or a request refused."""
    arguments = build_parser().parse_args(argv)
    console = Console(stderr=True)
    began = time.monotonic()
    runs, memory = [], []
    kinds = ["ours"] if arguments.no_floor else ["floor", "ours"]
    most = max(*arguments.sessions, arguments.ramp_to, arguments.memory_sessions)
    with (
        tempfile.TemporaryDirectory(prefix="unitscope-load-") as folder,
        places(arguments.databases, Path(folder), most + 100) as found,
    ):
        gc.freeze()
        image_bytes = next((found[0].study / "atlases").iterdir()).stat().st_size
        for place in found:
            for n in arguments.sessions:
                for kind in kinds:
                    console.print(f"{place.database}: {n} sessions, {kind}")
                    runs.append(
                        asyncio.run(measured_run(place, kind, n, arguments, console))
                    )
            if arguments.memory_sessions:
                console.print(f"{place.database}: memory")
                memory.append(asyncio.run(memory_run(place, arguments)))
    write_json(
        arguments.out,
        {
            "machine": {
                "cores": os.cpu_count(),
                "platform": platform.platform(),
                "python": platform.python_version(),
            },
            "image_bytes": image_bytes,
            "seed": arguments.seed,
            "took_s": round(time.monotonic() - began, 1),
            "ratios_to_floor": ratios(runs),
            "runs": runs,
            "memory": memory,
        },
    )
    Console(width=160).print(table(runs))
    failed = any(run["lost"] or run["refused"] for run in [*runs, *memory])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
