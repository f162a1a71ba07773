"""Joining a study, coming back to it, and who is who."""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, Select, bindparam, select
from sqlalchemy.orm import Session

from data.exclusion import ExclusionCriteria
from data.studies import Study
from experiment_server.database import Database
from experiment_server.ledger import (
    free_slot,
    has_expired,
    lease_end,
    lock_ledger,
    move,
    regain_slot,
    slot_order,
)
from experiment_server.messages import Join, Resume, Window
from experiment_server.presentations import image_name, session_rng
from experiment_server.refusals import Refusal
from experiment_server.session_rows import locked_session
from experiment_server.settings import ServerSettings
from experiment_server.tables import (
    IdentityRecord,
    ParticipantRecord,
    PresentationRecord,
    SessionRecord,
    StudyRecord,
    TokenRecord,
)

_VISIT = select(TokenRecord.session_id, TokenRecord.visit).where(
    TokenRecord.sha256 == bindparam("sha256")
)
_OF_JOIN_KEY = select(TokenRecord.session_id).where(
    TokenRecord.join_sha256 == bindparam("key")
)

_MOST_VISITS = 20_000
"""Tokens that a server remembers before it looks them up again."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Host:
    """A study with the database that it is served from."""

    study: Study
    database: Database
    settings: ServerSettings
    visits: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def criteria(self) -> ExclusionCriteria:
        """What a complete session is held against: the study's, unless overruled."""
        return self.settings.criteria or self.study.config.exclusion

    def now(self) -> datetime:
        """Return the present time in UTC."""
        return self.settings.clock()


def join(host: Host, db: Session, request: Join) -> tuple[SessionRecord, str, bool]:
    """Start a session, or go on with the participant's own.

    A request that is repeated, since its reply was lost, is known by its key.

    Returns
    -------
    tuple
        The session, a new token for it, and whether it is new.

    Raises
    ------
    Refusal
        All slots are held, test runs are not allowed here, or the key is of another
        person's session or of a visit that a newer one has taken over from.
    """
    if request.test_run and not host.settings.test_run_allowed:
        raise Refusal(
            "test-run-not-allowed",
            "This server takes no test runs; start it with --test-run-allowed.",
        )
    now = host.now()
    key = hash_of(request.join_key)
    newcomer = _newcomer(db, request, key, now)
    if newcomer is not None:
        record = _new_session(host, db, request, newcomer, now)
        return record, _new_token(db, record, join_sha256=key), True
    study = lock_ledger(db)
    begun = _session_of_key(db, study, request, key)
    if begun is not None:
        _goes_on(host, db, begun)
        return begun, new_visit(db, begun, request.window, now, join_sha256=key), False
    participant = db.scalars(_named(study, request)).one()
    own = _sessions_of(db, participant, test_run=request.test_run)
    last = own[-1] if own else None
    if last is not None and not _may_start_again(host, last):
        _goes_on(host, db, last)
        return last, new_visit(db, last, request.window, now, join_sha256=key), False
    record = _new_session(host, db, request, participant, now)
    record.multi_participation = bool(own)
    return record, _new_token(db, record, join_sha256=key), True


def _newcomer(
    db: Session, request: Join, key: str, now: datetime
) -> ParticipantRecord | None:
    """Store who was never here, before the ledger is locked; None for others.

    Of two requests that bring the same key or person at once, the database lets one
    through.
    """
    if db.connection().execute(_OF_JOIN_KEY, {"key": key}).first() is not None:
        return None
    if request.participant is None:
        record = ParticipantRecord(pseudonym=secrets.token_hex(32), created_at=now)
        db.add(record)
        db.flush()
        return record
    study = db.scalars(select(StudyRecord)).one()
    if db.scalar(_named(study, request)) is not None:
        return None
    pseudonym = pseudonym_of(study.secret, request.recruiter, request.participant)
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
    db.flush()
    return record


def _named(study: StudyRecord, request: Join) -> Select[ParticipantRecord]:
    assert request.participant is not None
    pseudonym = pseudonym_of(study.secret, request.recruiter, request.participant)
    return select(ParticipantRecord).filter_by(pseudonym=pseudonym)


def _session_of_key(
    db: Session, study: StudyRecord, request: Join, key: str
) -> SessionRecord | None:
    known_key = db.connection().execute(_OF_JOIN_KEY, {"key": key}).scalar()
    if known_key is None:
        return None
    own = select(SessionRecord).where(SessionRecord.session_id == known_key)
    begun = db.scalars(own.with_for_update()).one()
    if request.participant is None and not request.test_run:
        return begun
    known = db.get_one(ParticipantRecord, begun.participant_id)
    name = request.participant
    same = name is None or known.pseudonym == pseudonym_of(
        study.secret, request.recruiter, name
    )
    if same and begun.test_run == request.test_run:
        return begun
    raise Refusal(
        "key-used", "'join_key' began another session; every start needs its own."
    )


def resume(db: Session, record: SessionRecord, request: Resume, now: datetime) -> str:
    """Go on with a session in a page that was just loaded; return its token."""
    key = hash_of(request.resume_key)
    return new_visit(db, record, request.window, now, resume_sha256=key)


def new_visit(
    db: Session,
    record: SessionRecord,
    window: Window | None,
    now: datetime,
    **key: str,
) -> str:
    """Count a page that goes on with a session, and return its token.

    From now on only this token writes. A trial that was open is marked. A request that
    is repeated is known by its key: it gets another token of the visit that it began.

    Parameters
    ----------
    key : str
        Hash of the request's key, as ``join_sha256`` or ``resume_sha256``.

    Raises
    ------
    Refusal
        A newer visit has taken over from the one that the key began.
    """
    of_key = select(TokenRecord.visit).filter_by(session_id=record.session_id, **key)
    visit = db.scalar(of_key)
    if visit is not None:
        if visit != record.visit:
            raise taken_over()
        return _new_token(db, record)
    record.visit += 1
    if record.status == "active" and not has_expired(record, now):
        record.n_reloads += 1
        keep_window(record, window)
        if record.screen == "trial":
            place = record.session_id, record.position
            db.get_one(PresentationRecord, place).interrupted = True
    return _new_token(db, record, **key)


def _may_start_again(host: Host, last: SessionRecord) -> bool:
    if last.test_run:
        return last.status != "active"
    return host.settings.repeats_allowed and last.screen == "end"


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
    order = slot_order(study)
    is_seeded = host.settings.draw_seed is not None
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
        visit=1,
        draw_key=None if is_seeded else host.settings.draw_key(),
    )
    keep_window(record, request.window)
    lock_ledger(db)
    if not request.test_run:
        record.slot, record.holds_slot = free_slot(db, study, now, order), True
    db.add(record)
    if is_seeded:
        db.flush()
        record.draw_key = host.settings.draw_key(record.number)
    if request.test_run:
        db.flush()
        rng = session_rng(study, record, "test run")
        record.slot = int(rng.integers(len(study.slots)))
    return record


def keep_window(record: SessionRecord, window: Window | None) -> None:
    """Store the browser window's size, where it is told."""
    if window is not None:
        record.window_width = window.width
        record.window_height = window.height
        record.device_pixel_ratio = window.device_pixel_ratio


def _new_token(db: Session, record: SessionRecord, **key: str) -> str:
    token = secrets.token_urlsafe(32)
    db.add(
        TokenRecord(
            sha256=hash_of(token),
            session_id=record.session_id,
            visit=record.visit,
            **key,
        )
    )
    db.flush()
    return token


def hash_of(secret_text: str) -> str:
    """Return what is stored of a token or a key instead of itself."""
    return hashlib.sha256(secret_text.encode()).hexdigest()


def visit_of(connection: Connection, token: str) -> tuple[str, int]:
    """Return the session id that a token belongs to, and the number of its visit.

    Raises
    ------
    Refusal
        No session has this token.
    """
    found = connection.execute(_VISIT, {"sha256": hash_of(token)}).first()
    if found is None:
        raise Refusal(
            "unknown-session",
            "No session has this token; start one with POST /api/sessions.",
        )
    return found.session_id, found.visit


def session_of(db: Session, token: str) -> SessionRecord:
    """Return the session whose newest visit has a token, to be read.

    Raises
    ------
    Refusal
        No session has this token, or it is an older visit's.
    """
    session_id, visit = visit_of(db.connection(), token)
    query = select(SessionRecord).where(SessionRecord.session_id == session_id)
    record = db.scalars(query).one()
    if visit != record.visit:
        raise taken_over()
    return record


def taken_over() -> Refusal:
    """Return the refusal of what an older visit sends."""
    return Refusal(
        "taken-over",
        "The session went on in another window; POST /api/session/resume takes it"
        " back.",
    )


@contextmanager
def any_visit(
    host: Host, token: str, *, timed_out_too: bool = False
) -> Iterator[tuple[Session, SessionRecord, int]]:
    """Give a session to change, and which visit asks; on disk when it is left.

    An unknown token is refused before anything waits for the right to write.

    Raises
    ------
    Refusal
        No session has this token, or it was left for too long; it is timed out then.
    """
    session_id, visit = known_visit(host, token)
    for was_renewed in (False, True):
        with (
            host.database.write() as db,
            locked_session(db, session_id) as record,
        ):
            if was_renewed or not has_expired(record, host.now()):
                yield db, record, visit
                return
        if not (_renewed(host, session_id) or timed_out_too):
            break
    raise Refusal(
        "wrong-screen",
        "This session was left for too long and has ended.",
        with_state=visit == record.visit,
    )


def known_visit(host: Host, token: str) -> tuple[str, int]:
    """Return what :func:`visit_of` does, looked up once: it never changes."""
    key = hash_of(token)
    known = host.visits.get(key)
    if known is None:
        with host.database.glance() as connection:
            known = visit_of(connection, token)
        if len(host.visits) >= _MOST_VISITS:
            host.visits.clear()
        host.visits[key] = known
    return known


def _renewed(host: Host, session_id: str) -> bool:
    """Let a session go on that was left for too long, or end it."""
    with host.database.write() as db:
        # The ledger comes first, as it does for those who join.
        lock_ledger(db)
        with locked_session(db, session_id) as record:
            return _goes_on(host, db, record)


def _goes_on(host: Host, db: Session, record: SessionRecord) -> bool:
    """End a session that was left for too long, unless the study lets it go on."""
    now = host.now()
    if not has_expired(record, now):
        return True
    may_resume = host.study.config.after_lease == "resume"
    if may_resume and regain_slot(db, host.study, record, now):
        return True
    move(record, "time_out", now)
    return False


@contextmanager
def live_session(host: Host, token: str) -> Iterator[tuple[Session, SessionRecord]]:
    """Give a session to its newest visit; otherwise as :func:`any_visit`.

    Raises
    ------
    Refusal
        As above, or a newer visit has taken over.
    """
    with any_visit(host, token) as (db, record, visit):
        if visit != record.visit:
            raise taken_over()
        yield db, record
