"""Joining a study, coming back to it, and who is who."""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from data.studies import Study
from experiment_server.database import Database
from experiment_server.ledger import (
    end_expired,
    free_slot,
    has_expired,
    lease_end,
    lock_ledger,
    move,
)
from experiment_server.messages import Join, Window
from experiment_server.presentations import image_name, session_rng
from experiment_server.refusals import Refusal
from experiment_server.settings import ServerSettings
from experiment_server.tables import (
    IdentityRecord,
    ParticipantRecord,
    SessionRecord,
    StudyRecord,
    TokenRecord,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Host:
    """A study with the database that it is served from."""

    study: Study
    database: Database
    settings: ServerSettings

    def now(self) -> datetime:
        """Return the present time in UTC."""
        return self.settings.clock()


def join(host: Host, db: Session, request: Join) -> tuple[SessionRecord, str, bool]:
    """Start a session, or go on with the participant's own.

    Returns
    -------
    tuple
        The session, a new token for it, and whether it is new.

    Raises
    ------
    Refusal
        All slots are held, or test runs are not allowed here.
    """
    if request.test_run and not host.settings.test_run_allowed:
        raise Refusal(
            "test-run-not-allowed",
            "This server takes no test runs; start it with --test-run-allowed.",
        )
    now = host.now()
    study_record = lock_ledger(db)
    end_expired(db, now)
    participant = _participant(db, study_record, request, now)
    own = _sessions_of(db, participant, test_run=request.test_run)
    last = own[-1] if own else None
    if last is not None and not _may_start_again(host, last):
        return last, _new_token(db, last), False
    record = _new_session(host, db, request, participant, now)
    record.multi_participation = bool(own)
    db.flush()
    return record, _new_token(db, record), True


def _may_start_again(host: Host, last: SessionRecord) -> bool:
    if last.test_run:
        return last.status != "active"
    return host.settings.repeats_allowed and last.screen == "end"


def _participant(
    db: Session, study: StudyRecord, request: Join, now: datetime
) -> ParticipantRecord:
    if request.participant is None:
        record = ParticipantRecord(pseudonym=secrets.token_hex(32), created_at=now)
        db.add(record)
        db.flush()
        return record
    pseudonym = pseudonym_of(study.secret, request.recruiter, request.participant)
    known = db.scalar(
        select(ParticipantRecord).where(ParticipantRecord.pseudonym == pseudonym)
    )
    if known is not None:
        return known
    record = ParticipantRecord(pseudonym=pseudonym, created_at=now)
    db.add(record)
    db.flush()
    db.add(
        IdentityRecord(
            participant_id=record.id,
            recruiter=request.recruiter,
            external_id=request.participant,
        )
    )
    return record


def pseudonym_of(secret: bytes, recruiter: str, external_id: str) -> str:
    """Return a name that only who has the study's secret can link to a person."""
    message = f"{recruiter}\0{external_id}".encode()
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


def _sessions_of(
    db: Session, participant: ParticipantRecord, *, test_run: bool
) -> list[SessionRecord]:
    return list(
        db.scalars(
            select(SessionRecord)
            .where(
                SessionRecord.participant_id == participant.id,
                SessionRecord.test_run == test_run,
            )
            .order_by(SessionRecord.number)
        )
    )


def _new_session(
    host: Host,
    db: Session,
    request: Join,
    participant: ParticipantRecord,
    now: datetime,
) -> SessionRecord:
    study = host.study
    record = SessionRecord(
        session_id=uuid4().hex,
        participant_id=participant.id,
        recruiter=request.recruiter,
        slot=0,
        holds_slot=False,
        lease_until=lease_end(study, now),
        created_at=now,
        test_run=request.test_run,
        simulated=request.observer is not None,
        observer=request.observer,
        example_image=image_name(),
    )
    if not request.test_run:
        record.slot, record.holds_slot = free_slot(db, study), True
    keep_window(record, request.window)
    db.add(record)
    db.flush()
    if request.test_run:
        rng = session_rng(study, record.number, "test run")
        record.slot = int(rng.integers(len(study.slots)))
    return record


def keep_window(record: SessionRecord, window: Window | None) -> None:
    """Store the browser window's size, where it is told."""
    if window is not None:
        record.window_width = window.width
        record.window_height = window.height
        record.device_pixel_ratio = window.device_pixel_ratio


def _new_token(db: Session, record: SessionRecord) -> str:
    token = secrets.token_urlsafe(32)
    db.add(TokenRecord(sha256=_token_hash(token), session_id=record.session_id))
    db.flush()
    return token


def _token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def session_of(db: Session, token: str, *, lock: bool = False) -> SessionRecord:
    """Return the session that a token belongs to.

    Parameters
    ----------
    lock : bool
        Wait until no other request changes this session.

    Raises
    ------
    Refusal
        No session has this token.
    """
    query = (
        select(SessionRecord)
        .join(TokenRecord, TokenRecord.session_id == SessionRecord.session_id)
        .where(TokenRecord.sha256 == _token_hash(token))
    )
    if lock:
        query = query.with_for_update(of=SessionRecord)
    record = db.scalar(query)
    if record is None:
        raise Refusal(
            "unknown-session",
            "No session has this token; start one with POST /api/sessions.",
        )
    return record


@contextmanager
def live_session(host: Host, token: str) -> Iterator[tuple[Session, SessionRecord]]:
    """Give a session to change; its changes are on disk when the block is left.

    Raises
    ------
    Refusal
        No session has this token, or it was left for too long; it is timed out then.
    """
    with host.database.write() as db:
        record = session_of(db, token, lock=True)
        now = host.now()
        if not has_expired(record, now):
            yield db, record
            return
        move(record, "time_out", now)
    raise Refusal(
        "wrong-screen",
        "This session was left for too long and has ended.",
        with_state=True,
    )
