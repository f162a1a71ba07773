"""What a session earns by its last answer: verdicts, its slot for good, and a code."""

import math
import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from data.exclusion import ExclusionCriteria, exclusion_table
from experiment_server.database import Database
from experiment_server.rows import judged_tables
from experiment_server.tables import SessionRecord, VerdictRecord

# Without letters and digits that are taken for each other.
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_CODE_LENGTH = 12


def new_completion_code(db: Session) -> str:
    """Return a code that no session has: 60 random bits."""
    while True:
        code = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))
        known = select(SessionRecord).where(SessionRecord.completion_code == code)
        if db.scalar(known) is None:
            return code


def judge_complete(
    database: Database,
    criteria: ExclusionCriteria,
    number: int | None = None,
) -> None:
    """Judge the complete sessions that were not yet; excluded ones free their slots.

    Each in a transaction of its own, after the one that stored its last answer:
    judging takes long, and nobody has to wait for it. What a server that died left
    unjudged is judged when the next person joins.

    Parameters
    ----------
    number : int or None
        Which session; None for all.
    """
    for one in _unjudged(database) if number is None else [number]:
        _judge(database, criteria, one)


def _unjudged(database: Database) -> list[int]:
    query = select(SessionRecord.number).where(
        SessionRecord.status == "complete", ~SessionRecord.judged
    )
    with database.glance() as connection:
        return list(connection.scalars(query.order_by(SessionRecord.number)))


def _judge(database: Database, criteria: ExclusionCriteria, number: int) -> None:
    with database.read() as db:
        responses, sessions = judged_tables(db, number)
    verdicts = exclusion_table(responses, sessions, criteria)
    with database.write() as db:
        query = select(SessionRecord).where(SessionRecord.number == number)
        record = db.scalars(query.with_for_update()).one()
        if record.judged or record.status != "complete":
            return
        record.judged = True
        if verdicts["excluded"].any():
            record.holds_slot = False
        db.add_all(
            _verdict(record, name, value, excluded=excluded)
            for name, value, excluded in zip(
                verdicts["criterion"],
                verdicts["value"],
                verdicts["excluded"],
                strict=True,
            )
        )


def _verdict(
    record: SessionRecord, criterion: str, value: float, *, excluded: bool
) -> VerdictRecord:
    return VerdictRecord(
        session_id=record.session_id,
        criterion=criterion,
        value=None if math.isnan(value) else float(value),
        excluded=bool(excluded),
    )
