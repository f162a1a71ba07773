"""What a participant does between trials; each step checks the screen it leaves."""

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from data.studies import Study
from experiment_server import messages
from experiment_server.completion import new_completion_code
from experiment_server.flow import ENDS, following
from experiment_server.ledger import lease_end, move, screen_of
from experiment_server.presentations import add_practice_round
from experiment_server.refusals import Refusal
from experiment_server.sessions import keep_window
from experiment_server.tables import (
    AnswerRecord,
    ComprehensionRecord,
    InteractionRecord,
    PresentationRecord,
    SessionRecord,
    VerdictRecord,
    ViewingRecord,
)

MAX_INTERACTIONS = 2000
"""So many events of a session are kept; the rest are counted."""

_OF_ANSWERS = (
    AnswerRecord,
    PresentationRecord,
    VerdictRecord,
    ViewingRecord,
    InteractionRecord,
    ComprehensionRecord,
)


def decide_consent(
    study: Study, record: SessionRecord, body: messages.Consent, now: datetime
) -> None:
    """Agree to take part, or decline."""
    following(screen_of(record), "agree")
    version = study.texts["consent_version"]
    if body.consent_version != version:
        raise Refusal(
            "other-consent-version",
            f"'consent_version' is {body.consent_version!r}; the text shown now is"
            f" {version!r}. Show it again.",
            with_state=True,
        )
    record.consent_version = version
    record.decline_reason = None if body.agreed else (body.reason or "declined")
    if body.agreed:
        record.consented_at = now
        record.lease_until = lease_end(study, now)
    move(record, "agree" if body.agreed else "decline", now)


def read_instructions(
    db: Session,
    study: Study,
    record: SessionRecord,
    body: messages.Instructions,
    now: datetime,
) -> None:
    """Go on to the questions about them, or to the first round of practice."""
    move(record, "face_questions" if study.comprehension else "read_instructions", now)
    record.instruction_time_ms = body.time_elapsed_ms
    _touch(study, record, body.time_elapsed_ms, now)
    n_before = db.scalar(
        select(func.count()).where(ViewingRecord.session_id == record.session_id)
    )
    db.add_all(
        ViewingRecord(
            session_id=record.session_id,
            number=number,
            page=viewing.page,
            viewing_ms=viewing.viewing_ms,
        )
        for number, viewing in enumerate(body.pages, start=n_before or 0)
    )
    if not study.comprehension:
        _begin_practice(db, study, record)


def answer_questions(
    db: Session,
    study: Study,
    record: SessionRecord,
    body: messages.Comprehension,
    now: datetime,
) -> None:
    """Go on to practice if all is right; otherwise back, or out after the last time."""
    following(screen_of(record), "understand")
    right = study.comprehension
    if len(body.answers) != len(right):
        raise Refusal(
            "bad-payload",
            f"'answers' has {len(body.answers)} entries; there are {len(right)}"
            " questions.",
        )
    record.n_comprehension_attempts += 1
    pairs = list(zip(body.answers, right, strict=True))
    db.add_all(
        ComprehensionRecord(
            session_id=record.session_id,
            attempt=record.n_comprehension_attempts,
            question=question,
            chosen=chosen,
            correct=chosen == expected,
        )
        for question, (chosen, expected) in enumerate(pairs)
    )
    _touch(study, record, body.time_elapsed_ms, now)
    if all(chosen == expected for chosen, expected in pairs):
        move(record, "understand", now)
        _begin_practice(db, study, record)
    elif record.n_comprehension_attempts < study.config.max_comprehension_attempts:
        move(record, "misunderstand", now)
    else:
        move(record, "use_up_attempts", now)


def _begin_practice(db: Session, study: Study, record: SessionRecord) -> None:
    add_practice_round(db, study, record, number=1, first=0)
    record.practice_round = 1


def go_on(
    study: Study, record: SessionRecord, body: messages.Continue, now: datetime
) -> None:
    """Leave a page that stands between trials."""
    if body.screen != record.screen:
        raise Refusal(
            "wrong-screen",
            f"'screen' is {body.screen!r}; the session is at {record.screen!r}. Go on"
            " from the state in this reply.",
            with_state=True,
        )
    if body.screen == "practice_again":
        record.practice_round += 1
    move(record, "continue", now)
    _touch(study, record, body.time_elapsed_ms, now)


def comment(record: SessionRecord, body: messages.Comment, now: datetime) -> None:
    """Store free feedback, which may be empty."""
    move(record, "comment", now)
    record.feedback = body.text or None


def finish(
    db: Session, record: SessionRecord, body: messages.Finish, now: datetime
) -> None:
    """End the session and give it its code; a repeat changes nothing."""
    if record.screen == "end":
        return
    move(record, "finish", now)
    record.elapsed_ms = max(record.elapsed_ms, body.time_elapsed_ms)
    record.completion_code = new_completion_code(db)


def withdraw(
    db: Session, record: SessionRecord, body: messages.Withdraw, now: datetime
) -> None:
    """End the session at the participant's wish; a repeat may still delete."""
    if record.screen != "withdrawn":
        move(record, "withdraw", now)
    if body.delete_answers:
        for table in _OF_ANSWERS:
            db.execute(delete(table).where(table.session_id == record.session_id))
        record.feedback = None


def store_events(
    db: Session, record: SessionRecord, visit: int, body: messages.Events
) -> None:
    """Store what happened to the page; after the session's end nothing is added.

    A repeat changes nothing. Losses of focus count while a trial is open.
    """
    if screen_of(record) in ENDS:
        return
    of_visit = (
        InteractionRecord.session_id == record.session_id,
        InteractionRecord.visit == visit,
    )
    numbers = {event.number: event for event in body.events}
    query = select(InteractionRecord.number).where(
        *of_visit, InteractionRecord.number.in_(numbers)
    )
    for known in db.scalars(query) if numbers else ():
        del numbers[known]
    for event in numbers.values():
        record.n_interactions += 1
        if record.n_interactions <= MAX_INTERACTIONS:
            db.add(_interaction(record, visit, event))
        if event.event == "blur" and event.trial is not None:
            record.n_focus_losses += record.status == "active"
    if record.status == "active" and visit == record.visit:
        keep_window(record, body.window)


def _interaction(
    record: SessionRecord, visit: int, event: messages.Event
) -> InteractionRecord:
    return InteractionRecord(
        session_id=record.session_id, visit=visit, **event.model_dump()
    )


def _touch(
    study: Study, record: SessionRecord, time_elapsed_ms: float, now: datetime
) -> None:
    record.elapsed_ms = max(record.elapsed_ms, time_elapsed_ms)
    record.lease_until = lease_end(study, now)
