"""The floor: a bare Flask view that stores the same row with full sync.

python -m benchmarks.load.floor DATABASE_URL --image PATH --ready-file PATH
"""

import argparse
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import psycopg
from flask import Flask, Response, request
from sqlalchemy.engine import make_url

from data.files import write_json
from experiment_server.tables import AnswerRecord
from experiment_server.web_server import (
    THREADS,
    WORKERS,
    WebServer,
    listening_socket,
)


class Statement(Protocol):
    """What both drivers' connections have."""

    def execute(self, sql: Any, values: Any = ..., /) -> object:
        """Execute a statement."""

    def commit(self) -> None:
        """Commit."""


COLUMNS = tuple(AnswerRecord.__table__.columns.keys())


def make_tables(url: str) -> None:
    """Make the floor's two tables, before there are workers to race for it."""
    names = ", ".join(f'"{name}" TEXT' for name in COLUMNS)
    with_key = "PRIMARY KEY (session_id, trial_index)"
    with closing(_connector(url)()) as connection:
        connection.execute(f"CREATE TABLE IF NOT EXISTS answer ({names}, {with_key})")
        connection.execute("CREATE TABLE IF NOT EXISTS started (session_id TEXT)")
        connection.commit()


def create_floor(url: str, image: Path) -> Flask:
    """Build the application over tables that are there."""
    connect = _connector(url)
    mark = "?" if url.startswith("sqlite") else "%s"
    marks = ", ".join([mark] * len(COLUMNS))
    insert = f"INSERT INTO answer VALUES ({marks})"
    own = threading.local()
    app = Flask("floor")

    def store(sql: str, values: list[str]) -> None:
        if not hasattr(own, "connection"):
            own.connection = connect()
        own.connection.execute(sql, values)
        own.connection.commit()

    @app.get("/")
    def page() -> str:
        return "<!doctype html>"

    @app.post("/sessions")
    def start() -> tuple[dict[str, bool], int]:
        session_id = request.get_json()["session_id"]
        store(f"INSERT INTO started VALUES ({mark})", [session_id])
        return {"stored": True}, 201

    @app.post("/answers")
    def answer() -> tuple[dict[str, bool], int]:
        body = request.get_json() | {"trial_index": request.get_json()["sequence"]}
        store(insert, [str(body.get(name, "")) for name in COLUMNS])
        return {"stored": True}, 201

    @app.get("/image")
    def send_image() -> Response:
        return Response(image.read_bytes(), mimetype="image/jpeg")

    return app


def _connector(url: str) -> Callable[[], Any]:
    if not url.startswith("sqlite"):
        plain = make_url(url).set(drivername="postgresql")
        return lambda: psycopg.connect(plain.render_as_string(hide_password=False))

    def connect() -> sqlite3.Connection:
        path = str(make_url(url).database)
        connection = sqlite3.connect(path, timeout=5, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    return connect


def main() -> int:
    """Serve the floor until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database")
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    arguments = parser.parse_args()
    is_sqlite = arguments.database.startswith("sqlite")
    make_tables(arguments.database)
    listener = listening_socket("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    WebServer(
        lambda: create_floor(arguments.database, arguments.image),
        listener,
        # SQLite's own lock between processes would make a higher floor.
        workers=1 if is_sqlite else WORKERS,
        threads=16 if is_sqlite else THREADS,
        access_log=False,
        on_ready=lambda: write_json(
            arguments.ready_file, {"url": url, "pid": os.getpid()}
        ),
    ).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
