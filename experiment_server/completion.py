"""What a session earns by its last answer: verdicts, its slot for good, and a code."""

import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from data.exclusion import exclusion_table
from data.studies import Study
from experiment_server.rows import response_table, session_table
from experiment_server.settings import ServerSettings
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


def judge(
    db: Session, study: Study, settings: ServerSettings, record: SessionRecord
) -> None:
    """Judge a complete session; an excluded one frees its slot."""
    db.flush()
    responses = response_table(db, study, [record.number])
    sessions = session_table(db, study, [record.number])
    verdicts = exclusion_table(responses, sessions, settings.criteria)
    for verdict in verdicts.itertuples():
        value = float(verdict.value)  # type: ignore[arg-type]
        db.add(
            VerdictRecord(
                session_id=record.session_id,
                criterion=str(verdict.criterion),
                value=None if value != value else value,
                excluded=bool(verdict.excluded),
            )
        )
    if verdicts["excluded"].any():
        record.holds_slot = False
