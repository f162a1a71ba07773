"""Several requests' writes in one transaction, so that they share one sync to disk.

SQLite lets one transaction write at a time, and a commit waits for the disk. Requests
that come meanwhile queue here, do their work one after another, each after the first
in a savepoint of its own, and the last in the queue commits for all. None is answered
before. The processes of a server take turns by a lock of their own.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError, TimeoutError
from sqlalchemy.orm import Session

from experiment_server.process_lock import ProcessLock

_MOST = 32
"""Requests that share a commit, so that the first of them need not wait for long."""

_LOOK_AGAIN_S = 0.05


class _Batch:
    """A transaction that is open, and whether it came to its end."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.transaction = connection.begin()
        self.n_requests = 0
        self.done = threading.Event()
        self.error: BaseException | None = None

    def own_part(self) -> AbstractContextManager[object]:
        """Give what undoes the newest request alone; the first is alone as it is."""
        return self.connection.begin_nested() if self.n_requests > 1 else nullcontext()


class GroupCommit:
    """Hands out sessions to write with, to one thread after another.

    Parameters
    ----------
    engine : Engine
        Of SQLite; its transactions take the right to write when they begin.
    timeout_s : float
        How long a request waits for its turn.
    """

    def __init__(self, engine: Engine, timeout_s: float) -> None:
        self._engine = engine
        path = Path(str(engine.url.database))
        self._processes = ProcessLock(path.with_name(path.name + "-turn"))
        self._timeout_s = timeout_s
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._n_waiting = 0
        self._batch: _Batch | None = None

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session whose changes are on disk when the block is left.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError
            The database is locked, full or broken; nothing was stored.
        """
        batch = self._take_turn()
        try:
            with (
                batch.own_part(),
                Session(
                    batch.connection,
                    join_transaction_mode="rollback_only",
                    expire_on_commit=False,
                ) as db,
            ):
                yield db
                db.flush()
        except BaseException as error:
            self._end_turn(batch, error)
            raise
        self._end_turn(batch, None)
        if batch.error is not None:
            raise batch.error

    def close(self) -> None:
        """Close what is kept between requests."""
        self._processes.close()

    def _take_turn(self) -> _Batch:
        with self._counting:
            self._n_waiting += 1
        try:
            if not self._turn.acquire(timeout=self._timeout_s):
                raise TimeoutError("other requests held the database for too long")
        finally:
            with self._counting:
                self._n_waiting -= 1
        try:
            if self._batch is None:
                self._batch = self._new_batch()
        except BaseException:
            self._turn.release()
            raise
        self._batch.n_requests += 1
        return self._batch

    def _new_batch(self) -> _Batch:
        self._processes.acquire()
        try:
            connection = self._engine.connect()
            try:
                return _Batch(connection)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            self._processes.release()
            raise

    def _end_turn(self, batch: _Batch, error: BaseException | None) -> None:
        if error is not None and batch.n_requests == 1:
            self._undo(batch)
        elif not _is_open(batch.connection):
            # A full disk makes SQLite give up the whole transaction by itself.
            self._finish(batch, error)
        elif self._n_waiting == 0 or batch.n_requests >= _MOST:
            self._finish(batch, None)
        self._turn.release()
        while not batch.done.wait(_LOOK_AGAIN_S):
            # Who was to commit may have lost patience in the queue.
            if self._turn.acquire(blocking=False):
                if not batch.done.is_set() and self._n_waiting == 0:
                    self._finish(batch, None)
                self._turn.release()

    def _undo(self, batch: _Batch) -> None:
        """End a batch whose only request failed."""
        self._batch = None
        try:
            batch.transaction.rollback()
        except SQLAlchemyError:
            batch.connection.invalidate()
        finally:
            self._processes.release()
            batch.connection.close()
            batch.done.set()

    def _finish(self, batch: _Batch, error: BaseException | None) -> None:
        """Commit, or note why nothing of the batch was stored."""
        self._batch = None
        try:
            if error is not None:
                raise error
            batch.transaction.commit()
        except BaseException as failure:
            batch.error = failure
            batch.connection.invalidate()
        finally:
            self._processes.release()
            batch.connection.close()
            batch.done.set()


def _is_open(connection: Connection) -> bool:
    if connection.invalidated or connection.closed:
        return False
    return bool(connection.connection.dbapi_connection.in_transaction)  # type: ignore[union-attr]
