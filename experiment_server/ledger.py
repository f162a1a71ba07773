"""The ledger of slots: who holds which, until when, and which is free."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.orm import Session

from data.studies import Study
from experiment_server.flow import STATUS_AT, Screen, Step, following
from experiment_server.presentations import session_rng
from experiment_server.refusals import Refusal
from experiment_server.tables import SessionRecord, StudyRecord

_SESSION = cast(Table, SessionRecord.__table__)
_IS_ACTIVE = _SESSION.c.status == "active"
_HAS_EXPIRED = _IS_ACTIVE & (_SESSION.c.lease_until <= bindparam("now"))
_TAKEN = select(
    _SESSION.c.slot, _SESSION.c.holds_slot, _HAS_EXPIRED.label("has_expired")
).where(_SESSION.c.holds_slot | (_IS_ACTIVE & ~_SESSION.c.test_run))
"""Slots that are held, and those whose people may still come back."""


def lock_ledger(db: Session) -> StudyRecord:
    """Wait until no one else is joining; held until the transaction ends."""
    return db.scalars(select(StudyRecord).with_for_update()).one()


def lease_end(study: Study, now: datetime) -> datetime:
    """Return until when a slot is kept for a session that answers now."""
    return now + timedelta(minutes=study.config.lease_minutes)


def has_expired(record: SessionRecord, now: datetime) -> bool:
    """Whether a session was left without an answer for too long."""
    return (
        record.status == "active"
        and record.lease_until is not None
        and record.lease_until <= now
    )


def end_expired(db: Session, study: Study, now: datetime) -> None:
    """Free the slots of all sessions whose lease has run out, and time these out.

    Where the study lets people come back, they are timed out only once someone else
    has their slot, see :func:`regain_slot`.
    """
    values: dict[str, object] = {"holds_slot": False}
    if study.config.after_lease == "end":
        values |= {"status": "timed_out", "screen": "timed_out", "finished_at": now}
    ended = update(_SESSION).where(_HAS_EXPIRED).values(values)
    db.connection().execute(ended, {"now": now})


def regain_slot(
    db: Session, study: Study, record: SessionRecord, now: datetime
) -> bool:
    """Give a session that was left for too long its slot again, if it is free.

    Call it under :func:`lock_ledger`.

    Returns
    -------
    bool
        Whether the session goes on.
    """
    held = select(SessionRecord.number).where(
        SessionRecord.holds_slot,
        SessionRecord.slot == record.slot,
        SessionRecord.number != record.number,
    )
    if not record.test_run and db.scalar(held) is not None:
        return False
    record.holds_slot = not record.test_run
    record.lease_until = lease_end(study, now)
    return True


def slot_order(study: Study) -> list[int]:
    """Return the study's slots in its seeded order."""
    rng = session_rng(study, None, "slots")
    order: list[int] = rng.permutation(len(study.slots)).tolist()
    return order


def free_slot(db: Session, study: Study, now: datetime, order: Sequence[int]) -> int:
    """Return the first free slot, after ending the sessions whose lease has run out.

    Call it under :func:`lock_ledger`. Every slot is for one valid session, so the
    least filled ones are those that no complete or active session holds.

    Parameters
    ----------
    order : sequence of int
        :func:`slot_order`; made before, since others wait for the lock.

    Raises
    ------
    Refusal
        All slots are held.
    """
    taken = db.connection().execute(_TAKEN, {"now": now}).all()
    if any(one.has_expired for one in taken):
        end_expired(db, study, now)
        taken = db.connection().execute(_TAKEN, {"now": now}).all()
    held = {slot for slot, is_held, _ in taken if is_held}
    awaited = {slot for slot, is_held, _ in taken if not is_held}
    free = [slot for slot in order if slot not in held]
    # Who may still come back gets their slot again as long as there are others.
    for slot in ([slot for slot in free if slot not in awaited] or free)[:1]:
        return slot
    raise Refusal(
        "study-full",
        "Every place in this study is taken; come again later, since places may"
        " become free.",
    )


def move(record: SessionRecord, step: Step, now: datetime) -> None:
    """Take a step, with what it does to the session's status and its slot."""
    record.screen = following(screen_of(record), step)
    status = STATUS_AT.get(screen_of(record))
    if status is None:
        return
    record.status = status
    record.lease_until = None
    record.finished_at = now
    if status != "complete":
        record.holds_slot = False


def screen_of(record: SessionRecord) -> Screen:
    """Return the stored screen with its type."""
    screen: Screen = record.screen  # type: ignore[assignment]
    return screen
