"""Where a study's sessions are stored: SQLite by default, PostgreSQL by URL."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from data.errors import ExperimentError
from data.files import folder_hash
from data.studies import Study
from experiment_server import migration
from experiment_server.group_commit import GroupCommit
from experiment_server.settings import utc_now
from experiment_server.tables import Base, StudyRecord

_MOST_CONNECTIONS = 32
"""Kept for each process; a thread of a server needs one."""


_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    # kB of pages that each connection keeps; the system keeps the file's anyway.
    "cache_size=-512",
)


class Database:
    """A study's database; the only ways into it are these three methods."""

    def __init__(self, url: str, *, busy_timeout_s: float = 5.0) -> None:
        self.url = _checked_url(url)
        self._busy_timeout_s = busy_timeout_s
        self.engine = self._engine()
        # SQLite takes the write lock at once, so that no transaction has to fail
        # when it comes to its first write.
        self._writing = self.engine.execution_options(unitscope_writes=True)
        self._group = GroupCommit(self._writing, busy_timeout_s)
        # To set the level for a moment takes longer than a statement; these
        # connections keep it.
        self._alone = (
            self.engine
            if self.is_sqlite
            else self._engine(isolation_level="AUTOCOMMIT")
        )
        self._glancing = self._alone.execution_options(unitscope_glances=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is one file on this machine."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session that sees one state of the database and changes nothing."""
        with Session(self.engine, expire_on_commit=False) as db:
            yield db
            db.rollback()

    def glance(self) -> Connection:
        """Give a connection whose statements stand alone, with no transaction around.

        It is to be closed; a ``with`` block does that. On SQLite it is for reading.
        """
        return self._glancing.connect()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session whose changes are on disk when the block is left."""
        if self.is_sqlite:
            with self._group.write() as db:
                yield db
            return
        with Session(self._writing, expire_on_commit=False) as db, db.begin():
            yield db

    def close(self) -> None:
        """Close all connections."""
        self._group.close()
        self.engine.dispose()
        self._alone.dispose()

    def _engine(self, **options: Any) -> Engine:
        if not self.is_sqlite:
            return create_engine(
                self.url,
                **options,
                pool_size=_MOST_CONNECTIONS,
                # The connection used last has its statements prepared.
                pool_use_lifo=True,
                connect_args={"connect_timeout": max(2, int(self._busy_timeout_s))},
            )
        engine = create_engine(
            self.url,
            pool_size=_MOST_CONNECTIONS,
            pool_use_lifo=True,
            connect_args={
                "timeout": self._busy_timeout_s,
                "check_same_thread": False,
            },
        )
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine


def _checked_url(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise ExperimentError(
            f"--database is {text!r}; it must be a URL such as"
            " sqlite:///study.sqlite or postgresql+psycopg://user@host/name."
        ) from error
    backend = url.get_backend_name()
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite" or url.database in {None, "", ":memory:"}:
        raise ExperimentError(
            f"--database is {text!r}; answers are kept in an SQLite file or in"
            " PostgreSQL. Give sqlite:///PATH or postgresql+psycopg://user@host/name."
        )
    return url


def _set_up_sqlite(connection: Any, record: object) -> None:
    # Python's own transaction handling is off: _begin_sqlite begins them.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("unitscope_glances", False):
        return
    writes = options.get("unitscope_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def default_url(study_folder: Path) -> str:
    """Return the URL of the SQLite file beside a study, where answers are kept."""
    path = study_folder.resolve()
    return f"sqlite:///{path.with_name(path.name + '.sqlite')}"


def open_database(
    study: Study, url: str, *, busy_timeout_s: float = 5.0, upgrade: bool
) -> Database:
    """Open a study's database.

    Parameters
    ----------
    upgrade : bool
        Make the tables where there are none, and bring older ones up to date.

    Raises
    ------
    ExperimentError
        It can't be reached or is locked, belongs to another study, holds something
        else, or is of a schema that this program can't use.
    """
    database = Database(url, busy_timeout_s=busy_timeout_s)
    try:
        _check_place(database, make=upgrade)
        _check_schema(database, upgrade=upgrade)
        _check_study(database, study, register=upgrade)
    except OperationalError as error:
        database.close()
        raise ExperimentError(_unreachable(database.url, error)) from error
    except SQLAlchemyError as error:
        database.close()
        raise ExperimentError(
            f"The database {shown_url(database.url)} can't be used"
            f" ({_first_line(error)}). Name another one with --database."
        ) from error
    except ExperimentError:
        database.close()
        raise
    return database


def shown_url(url: URL) -> str:
    """Return a URL that can be printed: without its password."""
    return url.render_as_string(hide_password=True)


def _check_place(database: Database, *, make: bool) -> None:
    if not database.is_sqlite:
        return
    path = Path(str(database.url.database))
    if not make and not path.exists():
        raise ExperimentError(
            f"The database {path} does not exist. Check the path, or serve the study"
            " first."
        )
    if not path.parent.is_dir():
        raise ExperimentError(
            f"The folder {path.parent} does not exist; the database is to be made in"
            " it. Make the folder, or name another one with --database."
        )


def _check_schema(database: Database, *, upgrade: bool) -> None:
    with database.read() as db:
        present = migration.present_revision(db.connection())
        tables = set(inspect(db.connection()).get_table_names())
    shown = shown_url(database.url)
    if present is None and tables & set(Base.metadata.tables):
        raise ExperimentError(
            f"The database {shown} holds tables that Unitscope did not make. Name an"
            " empty database with --database."
        )
    if present is not None and present not in migration.known_revisions():
        raise ExperimentError(
            f"The database {shown} is of schema {present!r}, which this program does"
            " not know; a newer Unitscope wrote it. Use that one."
        )
    if present == migration.newest_revision():
        return
    if not upgrade:
        raise ExperimentError(
            f"The database {shown} is of the older schema {present!r}; it must be"
            f" {migration.newest_revision()!r}. Start 'unitscope serve' with it once:"
            " that brings it up to date."
        )
    with database.write() as db:
        migration.upgrade(db.connection())


def _check_study(database: Database, study: Study, *, register: bool) -> None:
    fingerprint = folder_hash(study.folder)
    with database.write() if register else database.read() as db:
        record = db.scalar(select(StudyRecord))
        if record is None and register:
            db.add(
                StudyRecord(
                    id=1,
                    study_id=study.config.study_id,
                    fingerprint=fingerprint,
                    secret=secrets.token_bytes(32),
                    created_at=utc_now(),
                )
            )
            return
        shown = shown_url(database.url)
        if record is None:
            raise ExperimentError(
                f"The database {shown} belongs to no study yet. Serve a study with it"
                " first."
            )
        if record.fingerprint != fingerprint:
            raise ExperimentError(
                f"The database {shown} belongs to another study, {record.study_id!r}"
                f" with the fingerprint {record.fingerprint[:12]}; this study is"
                f" {study.config.study_id!r} with {fingerprint[:12]}. Name another"
                " database with --database, or serve the study that it belongs to."
            )


def is_locked(error: OperationalError) -> bool:
    """Whether another program holds the database."""
    return "locked" in str(error.orig) or "busy" in str(error.orig)


def _unreachable(url: URL, error: OperationalError) -> str:
    if is_locked(error):
        return (
            f"The database {shown_url(url)} is locked by another program. End that"
            " program, or name another database with --database."
        )
    return (
        f"The database {shown_url(url)} can't be opened ({_first_line(error)}). Check"
        " its address and that it may be written to."
    )


def _first_line(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
