"""The server under chaos: started, killed, starved of its disk and of its database."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
from sqlalchemy import make_url

import tests
from tests.chaos.journal import Journal
from tests.chaos.plan import Fault, Plan
from tests.chaos.proxy import Request

ROOT = Path(tests.__path__[0]).parent
START_S = 60.0

LONGEST_KILL_DELAY_S = 0.015
"""An answer takes a few milliseconds, so that many kills strike its commit."""

LONGEST_LOCK_S = 6.5
"""Longer than the server waits for a locked database."""

LONGEST_FULL_S = 2.5
JUMP_S = 900.0
DAY_S = 24 * 3600.0


class Server:
    """``unitscope serve`` on a port that stays the same through all its deaths."""

    def __init__(
        self,
        folder: Path,
        study: Path,
        url: str,
        *,
        bug: str | None = None,
        restart_database: Callable[[], None] | None = None,
    ) -> None:
        self.url = url
        self.restart_database = restart_database
        self.is_sqlite = url.startswith("sqlite")
        self.offset_s = 0.0
        self.n_starts = 0
        self.restarting = False
        self._study = study
        self._bug = bug
        self._clock = folder / "clock"
        self._ready = folder / "ready.json"
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self._port = one.getsockname()[1]
        self.set_clock(0.0)

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it listens; None while it is down."""
        return None if self._process is None else ("127.0.0.1", self._port)

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start it and wait until it takes requests."""
        self._ready.unlink(missing_ok=True)
        with self._log.open("ab") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.chaos.served"),
                    *(str(self._clock), self._bug or "-", str(self._study)),
                    *("--database", self.url, "--port", str(self._port)),
                    *("--exclusion", "none", "--ready-file", str(self._ready)),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until = time.monotonic() + START_S
        while not self._ready.exists():
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                raise RuntimeError(f"The server did not start:\n{self.log[-2000:]}")
            time.sleep(0.02)
        self._process = process
        self.n_starts += 1

    def kill(self) -> None:
        """Kill all its processes at once; nothing of it can clean up."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        """End it as an operator does."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    async def restart(self) -> None:
        """Kill it and start it again, as a supervisor does."""
        if self.restarting:
            return
        self.restarting = True
        try:
            self.kill()
            await asyncio.to_thread(self.start)
        finally:
            self.restarting = False

    def kill_workers(self) -> None:
        """Kill the processes that do the work; the main process starts new ones."""
        for worker in self._workers():
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()

    def _workers(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process.pid).children()
        return []

    def limit_files(self, most: int) -> None:
        """Let no file of it grow beyond a number of bytes; -1 for no limit."""
        for worker in self._workers():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (most, -1))

    def set_clock(self, offset_s: float) -> None:
        """Let its clock differ from the time."""
        self.offset_s = offset_s
        part = self._clock.with_suffix(".part")
        part.write_text(str(offset_s))
        part.replace(self._clock)

    def hold_sqlite(self, seconds: float) -> None:
        """Be another program that has the database locked."""
        path = make_url(self.url).database
        assert path is not None
        with contextlib.closing(
            sqlite3.connect(path, timeout=10.0, isolation_level=None)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            other.execute("ROLLBACK")

    def hold_postgres(self, seconds: float) -> None:
        """The same for PostgreSQL."""
        with contextlib.suppress(psycopg.OperationalError), self._psycopg() as other:
            other.execute("BEGIN")
            other.execute("LOCK TABLE session, answer, study IN EXCLUSIVE MODE")
            time.sleep(seconds)
            other.execute("ROLLBACK")

    def cut_connections(self) -> None:
        """End the server's connections from the database's side."""
        self._on_others("SELECT pg_terminate_backend(pid) FROM pg_stat_activity")

    def kill_backend(self) -> None:
        """Kill one of PostgreSQL's processes; it ends all others and recovers."""
        with contextlib.suppress(psycopg.OperationalError), self._psycopg() as own:
            found = own.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() ORDER BY pid"
            ).fetchall()
            for (pid,) in found[:1]:
                os.kill(pid, signal.SIGKILL)

    def set_read_only(self, read_only: bool) -> None:
        """Let PostgreSQL take no changes on new connections."""
        name = make_url(self.url).database
        word = "on" if read_only else "off"
        for _ in range(50):
            try:
                with self._psycopg() as own:
                    own.execute("SET default_transaction_read_only = off")
                    own.execute(
                        f"ALTER DATABASE {name}"
                        f" SET default_transaction_read_only = {word}"
                    )
                break
            except psycopg.OperationalError:
                time.sleep(0.1)
        self.cut_connections()

    def _on_others(self, query: str) -> None:
        with contextlib.suppress(psycopg.OperationalError), self._psycopg() as own:
            own.execute(
                query + " WHERE datname = current_database()"
                " AND pid <> pg_backend_pid()"
            )

    def _psycopg(self) -> "psycopg.Connection[tuple[object, ...]]":
        plain = make_url(self.url).set(drivername="postgresql")
        return psycopg.connect(
            plain.render_as_string(hide_password=False), autocommit=True
        )


class Striker:
    """Lets the server's faults of a plan happen when their turn comes."""

    def __init__(self, plan: Plan, server: Server, journal: Journal) -> None:
        self.plan = plan
        self.server = server
        self.journal = journal
        self._waiting = sorted(plan.of_server)
        self._running: set[asyncio.Task[None]] = set()
        self._busy = False

    async def before(self, number: int, request: Request) -> Callable[[], None] | None:
        """Strike, if it is time; returns what is to be done when the reply is there."""
        due = self._waiting and number >= self._waiting[0]
        if not due or self._busy or self.server.restarting:
            return None
        fault = self.plan.of_server[self._waiting[0]]
        if fault.kind.startswith(("worker", "server")) and request.method != "POST":
            return None
        if fault.kind == "worker_killed_at_reply" and not request.is_answer:
            return None
        place = self._waiting.pop(0)
        self.journal.server_struck.append(
            {
                "after_requests": place,
                "at_request": number,
                "kind": fault.kind,
                "value": round(fault.value, 6),
            }
        )
        if fault.kind == "worker_killed_at_reply":
            return self.server.kill_workers
        self._start(fault)
        return None

    async def settle(self) -> None:
        """Let no new fault happen, and wait for the end of the present ones."""
        self._waiting = []
        if self._running:
            await asyncio.wait(self._running)

    def _start(self, fault: Fault) -> None:
        # One at a time, except for kills, which may fall into the others.
        self._busy = not fault.kind.startswith("worker")
        task = asyncio.create_task(self._strike(fault))
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._busy = False
        task.result()

    async def _strike(self, fault: Fault) -> None:
        server, value = self.server, fault.value
        if fault.kind == "worker_killed":
            await asyncio.sleep(LONGEST_KILL_DELAY_S * value)
            server.kill_workers()
        elif fault.kind == "server_killed":
            await asyncio.sleep(LONGEST_KILL_DELAY_S * value)
            await server.restart()
        elif fault.kind == "database_locked":
            hold = server.hold_sqlite if server.is_sqlite else server.hold_postgres
            await asyncio.to_thread(hold, 0.2 + LONGEST_LOCK_S * value)
        elif fault.kind == "disk_full":
            server.limit_files(4096)
            await asyncio.sleep(0.3 + LONGEST_FULL_S * value)
            server.limit_files(-1)
        elif fault.kind == "clock_jump":
            server.set_clock(server.offset_s + JUMP_S * (2 * value - 1))
        elif fault.kind == "day_gap":
            server.set_clock(server.offset_s + DAY_S)
        elif fault.kind == "connections_cut":
            await asyncio.to_thread(server.cut_connections)
        elif fault.kind == "backend_killed":
            await asyncio.to_thread(server.kill_backend)
        elif fault.kind == "database_restarted":
            assert server.restart_database is not None
            await asyncio.to_thread(server.restart_database)
        elif fault.kind == "read_only":
            await asyncio.to_thread(server.set_read_only, True)
            await asyncio.sleep(0.3 + LONGEST_FULL_S * value)
            await asyncio.to_thread(server.set_read_only, False)
        else:
            raise ValueError(f"{fault.kind!r} is no fault of the server.")
