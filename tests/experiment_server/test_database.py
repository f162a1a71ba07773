"""Databases: made, brought up to date, and refused where they don't fit."""

import sqlite3

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from data.errors import ExperimentError
from data.studies import read_study
from experiment_server import migration
from experiment_server.database import Database, default_url, open_database
from experiment_server.rows import response_table
from experiment_server.tables import Base, StudyRecord
from tests.experiment_server.toy_study import make_toy_study


@pytest.fixture
def study(toy_folder):
    return read_study(toy_folder)


def test_the_migrations_make_exactly_the_tables_of_the_models(study, database_url):
    database = open_database(study, database_url, upgrade=True)
    with database.read() as db:
        context = MigrationContext.configure(db.connection())
        assert compare_metadata(context, Base.metadata) == []
        indexes = inspect(db.connection()).get_indexes("session")
    assert any(i["name"] == "uq_session_held_slot" and i["unique"] for i in indexes)
    database.close()


@pytest.mark.parametrize("revision", ["first_tables", "verdicts"])
def test_an_older_database_is_brought_up_to_date_with_its_rows(
    serve, database_url, revision
):
    served = serve()
    served.participant(participant="anna").walk_to("end")
    left = served.participant().walk_to("trial", practice=False)
    database = Database(database_url)
    with database.write() as db:
        migration.downgrade(db.connection(), revision)
    open_database(served.study, database_url, upgrade=True).close()
    with database.read() as db:
        newest = migration.newest_revision()
        assert migration.present_revision(db.connection()) == newest
        context = MigrationContext.configure(db.connection())
        assert compare_metadata(context, Base.metadata) == []
        assert len(response_table(db, served.study)) == 11 + 3
    database.close()
    assert left.resume().status_code == 200
    assert left.walk_to("end").state["completion_code"]


def test_an_older_database_is_not_changed_by_who_only_reads(study, database_url):
    open_database(study, database_url, upgrade=True).close()
    database = Database(database_url)
    with database.write() as db:
        db.execute(text("UPDATE alembic_version SET version_num = 'first_tables'"))
    database.close()
    with pytest.raises(ExperimentError, match="older schema 'first_tables'"):
        open_database(study, database_url, upgrade=False)


def test_a_newer_database_is_refused(study, database_url):
    open_database(study, database_url, upgrade=True).close()
    database = Database(database_url)
    with database.write() as db:
        db.execute(text("UPDATE alembic_version SET version_num = 'from_2031'"))
    database.close()
    with pytest.raises(ExperimentError, match="'from_2031', which this program does"):
        open_database(study, database_url, upgrade=True)


def test_another_studys_database_is_refused(study, database_url, tmp_path):
    other = read_study(make_toy_study(tmp_path / "other", seed=1))
    open_database(study, database_url, upgrade=True).close()
    with pytest.raises(ExperimentError, match="belongs to another study, 'toy'"):
        open_database(other, database_url, upgrade=True)


def test_a_database_of_someone_else_is_left_alone(study, database_url):
    database = Database(database_url)
    with database.write() as db:
        db.execute(text("CREATE TABLE session (name TEXT)"))
    with pytest.raises(ExperimentError, match="tables that Unitscope did not make"):
        open_database(study, database_url, upgrade=True)
    with database.read() as db:
        assert inspect(db.connection()).get_table_names() == ["session"]
    database.close()


def test_a_file_that_is_no_database_is_refused(study, tmp_path):
    path = tmp_path / "notes.sqlite"
    path.write_text("These are my notes. " * 100)
    with pytest.raises(ExperimentError, match="file is not a database"):
        open_database(study, f"sqlite:///{path}", upgrade=True)
    assert path.read_text().startswith("These are my notes.")


def test_a_locked_database_is_refused_in_one_line(study, sqlite_url, tmp_path):
    open_database(study, sqlite_url, upgrade=True).close()
    other = sqlite3.connect(tmp_path / "answers.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ExperimentError, match="locked by another program") as error:
        open_database(study, sqlite_url, busy_timeout_s=0.1, upgrade=True)
    other.execute("ROLLBACK")
    other.close()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("answers.sqlite", "must be a URL"),
        ("mysql://host/name", "SQLite file or in PostgreSQL"),
        ("sqlite://", "SQLite file or in PostgreSQL"),
        ("sqlite:////no/such/folder/a.sqlite", "folder /no/such/folder does not exist"),
        ("postgresql://nobody@127.0.0.1:1/none", "can't be opened"),
    ],
)
def test_a_database_that_cant_be_opened_is_named(study, url, said):
    with pytest.raises(ExperimentError, match=said) as error:
        open_database(study, url, busy_timeout_s=1, upgrade=True)
    assert "\n" not in str(error.value)


def test_a_password_is_never_printed(study):
    with pytest.raises(ExperimentError) as error:
        open_database(study, "postgresql://me:geheim@127.0.0.1:1/none", upgrade=True)
    assert "geheim" not in str(error.value)


def test_reading_a_database_that_is_not_there_makes_none(study, tmp_path):
    path = tmp_path / "none.sqlite"
    with pytest.raises(ExperimentError, match=r"none\.sqlite does not exist"):
        open_database(study, f"sqlite:///{path}", upgrade=False)
    assert not path.exists()


def test_sqlite_writes_through_and_lets_readers_go_on(study, sqlite_url):
    database = open_database(study, sqlite_url, upgrade=True)
    with database.read() as db:
        pragmas = {
            name: db.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database.close()


def test_a_writer_takes_the_lock_before_its_first_statement(study, sqlite_url):
    database = open_database(study, sqlite_url, busy_timeout_s=0.1, upgrade=True)
    with database.write() as db:
        db.connection()
        other = sqlite3.connect(database.url.database, timeout=0.05)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()
    database.close()


def test_a_failed_write_leaves_nothing(study, database_url):
    database = open_database(study, database_url, upgrade=True)

    def fail():
        with database.write() as db:
            db.execute(text("UPDATE study SET study_id = 'other'"))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    with database.read() as db:
        assert db.scalar(select(StudyRecord.study_id)) == "toy"
    database.close()


def test_the_default_database_lies_beside_the_study(tmp_path):
    url = default_url(tmp_path / "my-study")
    assert url == f"sqlite:///{tmp_path / 'my-study.sqlite'}"


def test_no_table_has_a_place_for_addresses_or_browsers():
    names = {
        column.name
        for table in Base.metadata.tables.values()
        for column in table.columns
    }
    assert not {name for name in names if "ip" in name.split("_") or "agent" in name}


def test_the_recruiters_name_stands_in_one_table_only(serve):
    served = serve()
    served.participant(participant="anna-from-prolific").walk_to("end")
    with served.database.read() as db:
        found = [
            table.name
            for table in Base.metadata.sorted_tables
            for row in db.execute(select(table))
            if "anna-from-prolific" in map(str, row)
        ]
    assert found == ["identity"]


def test_no_token_is_stored(serve):
    served = serve()
    one = served.participant()
    with served.database.read() as db:
        rows = [
            str(tuple(row))
            for table in Base.metadata.sorted_tables
            for row in db.execute(select(table))
        ]
    assert rows
    assert not [row for row in rows if one.token in row]
