"""Storing answers, and what follows from one. Knows the database, not Flask."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import Table, bindparam, func, insert, or_, select
from sqlalchemy.orm import Session

from data.studies import Study
from experiment_server.flow import Step, following
from experiment_server.ledger import lease_end, move, screen_of
from experiment_server.messages import Answer, Display, Onset
from experiment_server.presentations import (
    add_main_block,
    add_practice_round,
    is_correct,
    open_presentations,
)
from experiment_server.refusals import Refusal
from experiment_server.screens import N_AHEAD, n_practice_trials
from experiment_server.sessions import taken_over
from experiment_server.tables import AnswerRecord, PresentationRecord, SessionRecord

_INSERT = insert(cast(Table, AnswerRecord.__table__))
_STORED = select(AnswerRecord).where(
    AnswerRecord.session_id == bindparam("session_id"),
    or_(
        AnswerRecord.trial_index == bindparam("trial_index"),
        AnswerRecord.idempotency_key == bindparam("idempotency_key"),
    ),
)


def record_answer(
    db: Session,
    study: Study,
    record: SessionRecord,
    answer: Answer,
    now: datetime,
    *,
    is_newest: bool = True,
) -> tuple[bool, bool | None, list[PresentationRecord] | None]:
    """Store an answer once and move the session on.

    A browser that loses its connection after the commit sends its answer again; the
    first one stands.

    Parameters
    ----------
    is_newest : bool
        Whether it comes from the session's newest visit; only that may store one.

    Returns
    -------
    tuple
        Whether the answer is new; whether it is correct, None where the study shows no
        feedback after this trial; and the presentations that follow in the same block
        as far as they are known, None where a new block begins.

    Raises
    ------
    Refusal
        It is not the open trial's, that trial has another answer, or the confidence
        is not one of the study's levels.
    """
    stored, others = _stored(db, record, answer)
    is_repeat = stored is not None and stored.idempotency_key == answer.idempotency_key
    if not (is_newest or is_repeat):
        raise taken_over()
    if stored is not None:
        _check_repeat(stored, answer)
        shown = db.get(PresentationRecord, (record.session_id, answer.sequence))
        return False, _feedback(study, shown, stored.correct), None
    _check_new(db, study, record, answer)
    _check_key(others)
    found = open_presentations(db, record, most=2 + N_AHEAD)
    if not found or found[0].trial_index != answer.sequence:
        raise Refusal("wrong-sequence", "There is no such trial.", with_state=True)
    shown, *coming = found
    correct = is_correct(study, shown, answer.chosen)
    row = _answer_row(shown, answer, correct=correct, now=now)
    # Past the unit of work, which takes longer than the statement.
    db.execute(_INSERT, row)
    record.position += 1
    record.elapsed_ms = max(record.elapsed_ms, answer.time_elapsed_ms)
    record.lease_until = lease_end(study, now)
    step = _step_after(db, study, record, shown)
    move(record, step, now)
    if step == "answer_last":
        record.total_time_ms = record.elapsed_ms
    goes_on = step in ("next_trial", "pause")
    return True, _feedback(study, shown, correct), coming if goes_on else None


def _stored(
    db: Session, record: SessionRecord, answer: Answer
) -> tuple[AnswerRecord | None, list[AnswerRecord]]:
    """Return the trial's answer, and those to other trials under the same key."""
    names = {
        "session_id": record.session_id,
        "trial_index": answer.sequence,
        "idempotency_key": answer.idempotency_key,
    }
    found = db.scalars(_STORED, names).all()
    own = [one for one in found if one.trial_index == answer.sequence]
    others = [one for one in found if one.trial_index != answer.sequence]
    return own[0] if own else None, others


def _check_repeat(stored: AnswerRecord, answer: Answer) -> None:
    if stored.idempotency_key != answer.idempotency_key:
        raise Refusal(
            "already-answered",
            f"The trial with the sequence {answer.sequence} has another answer, which"
            " stands; go on from the state in this reply.",
            with_state=True,
        )


def _check_new(
    db: Session, study: Study, record: SessionRecord, answer: Answer
) -> None:
    following(screen_of(record), "next_trial")
    if answer.sequence != record.position:
        raise Refusal(
            "wrong-sequence",
            f"'sequence' is {answer.sequence}; the open trial has {record.position}."
            " Go on from the state in this reply.",
            with_state=True,
        )
    if answer.confidence > study.config.confidence_levels:
        raise Refusal(
            "bad-payload",
            f"'confidence' is {answer.confidence}; it must be in"
            f" [1, {study.config.confidence_levels}].",
        )


def _check_key(others: Sequence[AnswerRecord]) -> None:
    if others:
        raise Refusal(
            "key-used",
            "'idempotency_key' was used for another trial of this session; every"
            " answer needs its own.",
            with_state=True,
        )


def _answer_row(
    shown: PresentationRecord, answer: Answer, *, correct: bool, now: datetime
) -> dict[str, object]:
    onset, display = answer.onset or Onset(method=""), answer.display or Display()
    return dict(
        session_id=shown.session_id,
        trial_index=shown.trial_index,
        idempotency_key=answer.idempotency_key,
        chosen_query=shown.presentation.shown(answer.chosen),
        correct=correct,
        confidence=answer.confidence,
        rt_ms=answer.rt_ms,
        time_elapsed_ms=answer.time_elapsed_ms,
        input=answer.input,
        interrupted=answer.interrupted or shown.interrupted,
        onset_method=onset.method or None,
        onset_lag_ms=onset.lag_ms,
        frame_ms=onset.frame_ms,
        decode_ms=onset.decode_ms,
        element_ms=onset.element_ms,
        window_width=display.width,
        window_height=display.height,
        device_pixel_ratio=display.device_pixel_ratio,
        zoom=display.zoom,
        fullscreen=display.fullscreen,
        refresh_hz=display.refresh_hz,
        n_focus_losses=answer.n_focus_losses,
        n_hidden=answer.n_hidden,
        shown_at=answer.shown_at,
        answered_at=now,
    )


def _feedback(
    study: Study, shown: PresentationRecord | None, correct: bool
) -> bool | None:
    practice = shown is not None and shown.kind == "practice"
    setting = study.config.feedback
    told = setting == "all" or (setting == "practice" and practice)
    return correct if told else None


def _step_after(
    db: Session, study: Study, record: SessionRecord, shown: PresentationRecord
) -> Step:
    """Return the step that the answer to ``shown`` leads to, and draw what follows."""
    if shown.practice_round is not None:
        return _step_after_practice(db, study, record, shown.practice_round)
    n_done = record.position - record.practice_round * n_practice_trials(study)
    if n_done == len(study.slots[record.slot]):
        return "answer_last"
    every = study.config.break_every
    return "pause" if every and n_done % every == 0 else "next_trial"


def _step_after_practice(
    db: Session, study: Study, record: SessionRecord, practice_round: int
) -> Step:
    n_trials = n_practice_trials(study)
    if record.position < n_trials * practice_round:
        return "next_trial"
    wrong = (
        select(func.count())
        .select_from(AnswerRecord)
        .join(AnswerRecord.presentation)
        .where(
            AnswerRecord.session_id == record.session_id,
            PresentationRecord.practice_round == practice_round,
            AnswerRecord.correct.is_(False),
        )
    )
    first = record.position
    if not db.scalar(wrong):
        add_main_block(db, study, record, first=first)
        return "pass_practice"
    if practice_round == study.config.max_practice_rounds:
        return "use_up_rounds"
    add_practice_round(db, study, record, number=practice_round + 1, first=first)
    return "fail_round"
