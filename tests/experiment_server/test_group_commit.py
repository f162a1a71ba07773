"""Requests that share a commit: all on disk before any is answered, or none."""

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError, TimeoutError

from experiment_server.database import Database


@pytest.fixture
def database(sqlite_url):
    database = Database(sqlite_url, busy_timeout_s=2.0)
    with database.write() as db:
        db.execute(text("CREATE TABLE number (n INTEGER)"))
    yield database
    database.close()


def stored(database):
    """What another program sees in the file."""
    with sqlite3.connect(str(database.url.database)) as other:
        return sorted(n for (n,) in other.execute("SELECT n FROM number"))


def insert(db, n):
    db.execute(text("INSERT INTO number VALUES (:n)"), {"n": n})


class Commits:
    """Counts the commits of a database, and can make them fail."""

    def __init__(self, database):
        self.n = 0
        self.fails = False
        event.listen(database.engine, "commit", self)

    def __call__(self, connection):
        self.n += 1
        if self.fails:
            raise OperationalError("COMMIT", None, Exception("disk full"))


def together(database, works):
    """Let requests queue while the first one works; return what each came to."""
    first_works, go_on = threading.Event(), threading.Event()

    def first():
        with database.write() as db:
            first_works.set()
            assert go_on.wait(10)
            return works[0](db)

    def later(work):
        with database.write() as db:
            return work(db)

    with ThreadPoolExecutor(len(works)) as pool:
        futures = [pool.submit(first)]
        assert first_works.wait(10)
        futures += [pool.submit(later, work) for work in works[1:]]
        while database._group._n_waiting < len(works) - 1:
            time.sleep(0.001)
        go_on.set()
        return [future.exception(timeout=10) for future in futures]


def test_a_write_is_on_disk_when_its_block_is_left(database):
    with database.write() as db:
        insert(db, 1)
        assert stored(database) == []
    assert stored(database) == [1]


def test_requests_that_come_together_share_one_commit(database):
    commits = Commits(database)
    errors = together(database, [lambda db, n=n: insert(db, n) for n in range(5)])
    assert errors == [None] * 5
    assert stored(database) == [0, 1, 2, 3, 4]
    assert commits.n == 1


def test_none_is_answered_before_the_commit(database):
    seen = []

    def work(n):
        def insert_and_look(db):
            insert(db, n)
            seen.append(stored(database))

        return insert_and_look

    together(database, [work(n) for n in range(3)])
    assert seen == [[], [], []]
    assert stored(database) == [0, 1, 2]


def test_a_request_that_fails_takes_nothing_of_the_others_along(database):
    def fail(db):
        insert(db, 7)
        raise LookupError("refused")

    works = [lambda db: insert(db, 1), fail, lambda db: insert(db, 2)]
    errors = together(database, works)
    assert [type(error) for error in errors] == [type(None), LookupError, type(None)]
    assert stored(database) == [1, 2]


def test_a_commit_that_fails_is_told_to_all_who_share_it(database):
    commits = Commits(database)
    commits.fails = True
    errors = together(database, [lambda db, n=n: insert(db, n) for n in range(3)])
    assert all(isinstance(error, OperationalError) for error in errors)
    assert stored(database) == []
    commits.fails = False
    with database.write() as db:
        insert(db, 9)
    assert stored(database) == [9]


def test_a_transaction_that_sqlite_gives_up_is_told_to_all_who_share_it(database):
    def lose(db):
        insert(db, 2)
        raw = db.connection().connection.dbapi_connection
        raw.execute("ROLLBACK")
        raise OSError("disk full")

    works = [lambda db: insert(db, 1), lose, lambda db: insert(db, 3)]
    errors = together(database, works)
    assert errors[0] is not None
    assert errors[1] is not None
    # The third came before it, or after it in a new transaction.
    assert stored(database) == ([] if errors[2] else [3])


def test_a_locked_database_is_told_and_used_again_when_it_is_free(sqlite_url):
    database = Database(sqlite_url, busy_timeout_s=0.1)
    with database.write() as db:
        db.execute(text("CREATE TABLE number (n INTEGER)"))
    other = sqlite3.connect(str(database.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="locked"), database.write():
        pass
    other.execute("ROLLBACK")
    other.close()
    with database.write() as db:
        insert(db, 4)
    assert stored(database) == [4]
    database.close()


def test_who_waits_too_long_for_the_turn_is_told_so(sqlite_url):
    database = Database(sqlite_url, busy_timeout_s=0.1)

    def work():
        with database.write():
            pass

    with database.write(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(work)
        with pytest.raises(TimeoutError, match="held the database"):
            waiting.result(timeout=10)
    database.close()


def test_who_relied_on_one_that_lost_patience_is_answered_all_the_same(database):
    group = database._group
    # One more seems to wait, who never comes.
    group._n_waiting = 1

    def write():
        with database.write() as db:
            insert(db, 5)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(write)
        while group._batch is None and not waiting.done():
            time.sleep(0.001)
        group._n_waiting = 0
        waiting.result(timeout=10)
    assert stored(database) == [5]


@pytest.fixture
def processes(sqlite_url):
    """Two that write to one file, with a lock file opened by each."""
    both = [Database(sqlite_url, busy_timeout_s=0.01) for _ in range(2)]
    with both[0].write() as db:
        db.execute(text("CREATE TABLE number (n INTEGER)"))
    yield both
    for one in both:
        one.close()


def test_another_process_waits_for_its_turn_without_asking_sqlite(
    processes,
):
    # SQLite itself would give up after a hundredth of a second.
    first, second = processes

    def later():
        with second.write() as db:
            insert(db, 2)

    with ThreadPoolExecutor() as pool:
        with first.write() as db:
            waits = pool.submit(later)
            insert(db, 1)
            time.sleep(0.3)
            assert not waits.done()
        waits.result(10)
    assert stored(second) == [1, 2]


def test_a_failed_request_lets_other_processes_go_on(processes):
    first, second = processes

    def fails():
        with first.write() as db:
            insert(db, 1)
            raise ValueError("no")

    def later():
        with second.write() as db:
            insert(db, 2)

    with ThreadPoolExecutor() as pool:
        with pytest.raises(ValueError, match="no"):
            pool.submit(fails).result(10)
        pool.submit(later).result(10)
    assert stored(second) == [2]
