"""What the database really holds, read by plain SQL and past the server's own code."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from data.studies import Presentation, Study, correct_row
from tests.chaos.journal import Exchange, token_hash

Row = dict[str, Any]

_LOG_COLUMNS = "session_id, old_screen, screen, status, old_position, position, slot"

_SQLITE_LOG = [
    """CREATE TABLE seen_session (id INTEGER PRIMARY KEY AUTOINCREMENT,
        session_id TEXT, old_screen TEXT, screen TEXT, status TEXT,
        old_position INTEGER, position INTEGER, slot INTEGER, holds_slot INTEGER)""",
    """CREATE TABLE seen_answer (id INTEGER PRIMARY KEY AUTOINCREMENT,
        session_id TEXT, trial_index INTEGER, event TEXT)""",
    f"""CREATE TRIGGER seen_new_session AFTER INSERT ON session BEGIN
        INSERT INTO seen_session ({_LOG_COLUMNS}, holds_slot) VALUES (NEW.session_id,
        NULL, NEW.screen, NEW.status, NULL, NEW.position, NEW.slot, NEW.holds_slot);
        END""",
    f"""CREATE TRIGGER seen_moved_session AFTER UPDATE ON session BEGIN
        INSERT INTO seen_session ({_LOG_COLUMNS}, holds_slot) VALUES (NEW.session_id,
        OLD.screen, NEW.screen, NEW.status, OLD.position, NEW.position, NEW.slot,
        NEW.holds_slot); END""",
    *(
        f"""CREATE TRIGGER seen_{event}_answer AFTER {event} ON answer BEGIN
            INSERT INTO seen_answer (session_id, trial_index, event)
            VALUES ({row}.session_id, {row}.trial_index, '{event}'); END"""
        for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD"))
    ),
]

_POSTGRES_LOG = [
    """CREATE TABLE seen_session (id BIGSERIAL PRIMARY KEY,
        session_id TEXT, old_screen TEXT, screen TEXT, status TEXT,
        old_position INTEGER, position INTEGER, slot INTEGER, holds_slot BOOLEAN)""",
    """CREATE TABLE seen_answer (id BIGSERIAL PRIMARY KEY,
        session_id TEXT, trial_index INTEGER, event TEXT)""",
    f"""CREATE FUNCTION note_session() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO seen_session ({_LOG_COLUMNS}, holds_slot) VALUES (NEW.session_id,
        CASE WHEN TG_OP = 'UPDATE' THEN OLD.screen END, NEW.screen, NEW.status,
        CASE WHEN TG_OP = 'UPDATE' THEN OLD.position END, NEW.position, NEW.slot,
        NEW.holds_slot); RETURN NULL; END $$""",
    """CREATE TRIGGER seen_session AFTER INSERT OR UPDATE ON session
        FOR EACH ROW EXECUTE FUNCTION note_session()""",
    """CREATE FUNCTION note_answer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO seen_answer (session_id, trial_index, event) VALUES (
        CASE WHEN TG_OP = 'DELETE' THEN OLD.session_id ELSE NEW.session_id END,
        CASE WHEN TG_OP = 'DELETE' THEN OLD.trial_index ELSE NEW.trial_index END,
        TG_OP); RETURN NULL; END $$""",
    """CREATE TRIGGER seen_answer AFTER INSERT OR UPDATE OR DELETE ON answer
        FOR EACH ROW EXECUTE FUNCTION note_answer()""",
]


@dataclass(frozen=True)
class Holdings:
    """All that a database holds when a run is over, as plain rows."""

    sessions: list[Row]
    presentations: list[Row]
    answers: list[Row]
    tokens: list[Row]
    seen_sessions: list[Row]
    seen_answers: list[Row]


class Witness:
    """Reads a study's database on connections of its own, one for every look."""

    def __init__(self, study: Study, url: str) -> None:
        self.study = study
        self.is_sqlite = url.startswith("sqlite")
        self._engine = create_engine(make_url(url), poolclass=NullPool)

    @contextmanager
    def _look(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            yield connection

    def keep_log(self) -> None:
        """Let the database itself note every change of a session and of an answer."""
        with self._engine.begin() as connection:
            for command in _SQLITE_LOG if self.is_sqlite else _POSTGRES_LOG:
                connection.execute(text(command))

    def holdings(self) -> Holdings:
        """Return everything."""
        with self._look() as connection:

            def rows(query: str) -> list[Row]:
                return [dict(row) for row in connection.execute(text(query)).mappings()]

            return Holdings(
                sessions=rows("SELECT * FROM session ORDER BY number"),
                presentations=rows(
                    "SELECT * FROM presentation ORDER BY session_id, trial_index"
                ),
                answers=rows("SELECT * FROM answer ORDER BY session_id, trial_index"),
                tokens=rows("SELECT sha256, session_id, visit FROM token"),
                seen_sessions=rows("SELECT * FROM seen_session ORDER BY id"),
                seen_answers=rows("SELECT * FROM seen_answer ORDER BY id"),
            )

    def right_row(self, token: str, sequence: int) -> str | None:
        """Return the right row of a trial; None while the database can't tell."""
        row = self._one(
            "SELECT p.* FROM presentation p JOIN token t ON t.session_id = p.session_id"
            " WHERE t.sha256 = :sha AND p.trial_index = :trial",
            {"sha": token_hash(token), "trial": sequence},
        )
        return None if row is None else right_row(self.study, row)

    def right_practice_row(self, participant: str, sequence: int) -> str | None:
        """Return the right row of a practice trial of somebody known by name."""
        row = self._one(
            "SELECT p.* FROM presentation p JOIN session s"
            " ON s.session_id = p.session_id JOIN identity i"
            " ON i.participant_id = s.participant_id"
            " WHERE i.external_id = :name AND p.trial_index = :trial"
            " AND p.practice_round IS NOT NULL",
            {"name": participant, "trial": sequence},
        )
        return None if row is None else right_row(self.study, row)

    async def prepare(self, exchange: Exchange) -> None:
        """Look at what :meth:`check` needs to know from before the request."""
        if exchange.method == "POST" and exchange.path == "/api/sessions":
            exchange.n_freed = await asyncio.to_thread(self._n_freed)

    async def check(self, exchange: Exchange) -> None:
        """Hold a reply against the database before the client sees it."""
        if exchange.token is None or not exchange.accepted:
            if exchange.path == "/api/sessions" and exchange.status == 409:
                await asyncio.to_thread(self._check_full, exchange)
            return
        is_answer = exchange.method == "POST" and exchange.path.endswith("/answers")
        state = exchange.state
        if is_answer:
            await asyncio.to_thread(self._check_answer, exchange)
        if state is not None and state.get("completion_code"):
            await asyncio.to_thread(self._check_code, exchange)

    def _check_answer(self, exchange: Exchange) -> None:
        """Acknowledged means on disk, at the moment of the acknowledgement."""
        assert exchange.token is not None
        assert exchange.body is not None
        keys = {
            "sha": token_hash(exchange.token),
            "trial": exchange.body.get("sequence"),
        }
        found = self._one(
            "SELECT s.screen, a.idempotency_key FROM token t"
            " JOIN session s ON s.session_id = t.session_id"
            " LEFT JOIN answer a ON a.session_id = t.session_id"
            " AND a.trial_index = :trial WHERE t.sha256 = :sha",
            keys,
        )
        if found is None or found["screen"] == "withdrawn":
            return
        if found["idempotency_key"] is None:
            exchange.found.append(
                (
                    "acknowledged-is-on-disk",
                    f"the answer to trial {keys['trial']} was acknowledged and is not"
                    " in the database",
                )
            )

    def _check_code(self, exchange: Exchange) -> None:
        """A code is shown only when all answers are there."""
        assert exchange.token is not None
        found = self._one(
            "SELECT s.slot, s.screen, COUNT(p.trial_index) AS n_shown,"
            " COUNT(a.trial_index) AS n_answers,"
            " SUM(CASE WHEN p.practice_round IS NULL AND p.trial_index IS NOT NULL"
            " THEN 1 ELSE 0 END) AS n_block FROM token t"
            " JOIN session s ON s.session_id = t.session_id"
            " LEFT JOIN presentation p ON p.session_id = s.session_id"
            " LEFT JOIN answer a ON a.session_id = p.session_id"
            " AND a.trial_index = p.trial_index"
            " WHERE t.sha256 = :sha GROUP BY s.slot, s.screen",
            {"sha": token_hash(exchange.token)},
        )
        if found is None or found["screen"] == "withdrawn":
            return
        n_expected = len(self.study.slots[found["slot"]])
        if found["n_block"] != n_expected or found["n_answers"] != found["n_shown"]:
            exchange.found.append(
                (
                    "code-only-after-all-answers",
                    f"a code was shown with {found['n_answers']} answers to"
                    f" {found['n_shown']} trials",
                )
            )

    def _check_full(self, exchange: Exchange) -> None:
        """The study is called full only when no slot is free."""
        if exchange.reply is None or exchange.reply.get("error") != "study-full":
            return
        found = self._one("SELECT COUNT(*) AS n FROM session WHERE holds_slot", {})
        n_slots = len(self.study.slots)
        none_freed = self._n_freed() == exchange.n_freed
        if found is not None and found["n"] < n_slots and none_freed:
            exchange.found.append(
                (
                    "no-slot-wasted",
                    f"the study was called full with {found['n']} of {n_slots} held",
                )
            )

    def _n_freed(self) -> int | None:
        found = self._one(
            "SELECT COUNT(*) AS n FROM seen_session WHERE NOT holds_slot", {}
        )
        return None if found is None else int(found["n"])

    def _one(self, query: str, values: Row) -> Row | None:
        try:
            with self._look() as connection:
                row = connection.execute(text(query), values).mappings().first()
        except DBAPIError:
            # The database is down just now; the look after the run still counts.
            return None
        return None if row is None else dict(row)


def right_row(study: Study, presentation: Row) -> str:
    """Return the right row of a stored presentation, worked out anew."""
    return correct_row(
        study.trials[presentation["trial_id"]],
        Presentation(
            trial_id=presentation["trial_id"],
            positive_side=presentation["positive_side"],
            upper_query=presentation["upper_query"],
        ),
    )
