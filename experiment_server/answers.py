"""Storing answers, and what follows from one. Knows the database, not Flask."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, cast

from sqlalchemy import Table, bindparam, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from data.studies import Study
from experiment_server.flow import Step, following
from experiment_server.ledger import lease_end, move, screen_of
from experiment_server.messages import Answer, Display, Onset
from experiment_server.presentations import (
    Shown,
    add_main_block,
    add_practice_round,
    is_correct,
    open_presentations,
    presentation_of,
)
from experiment_server.refusals import Refusal
from experiment_server.screens import N_AHEAD, n_practice_trials
from experiment_server.sessions import taken_over
from experiment_server.tables import AnswerRecord, PresentationRecord, SessionRecord

_ANSWER = cast(Table, AnswerRecord.__table__)
_PRESENTATION = cast(Table, PresentationRecord.__table__)
_INSERT = insert(_ANSWER)
_WRONG = (
    select(_ANSWER.c.trial_index)
    .join(_PRESENTATION)
    .where(
        _ANSWER.c.session_id == bindparam("session_id"),
        _PRESENTATION.c.practice_round == bindparam("round"),
        ~_ANSWER.c.correct,
    )
    .limit(1)
)
"""A wrong answer of a round of practice."""


class Recorded(NamedTuple):
    """What became of an answer.

    Attributes
    ----------
    record : SessionRecord
        The session as it is now.
    is_new : bool
        False for a repeat of what was stored before.
    correct : bool or None
        None where the study shows no feedback after this trial.
    coming : list of Shown
        The presentations that follow, up to the last whose image may be loaded.
    """

    record: SessionRecord
    is_new: bool
    correct: bool | None
    coming: list[Shown]


def record_answer(
    db: Session,
    study: Study,
    record: SessionRecord,
    answer: Answer,
    now: datetime,
    *,
    is_newest: bool = True,
) -> Recorded:
    """Store an answer once and move the session on.

    A browser that loses its connection after the commit sends its answer again; the
    first one stands.

    Parameters
    ----------
    is_newest : bool
        Whether it comes from the session's newest visit; only that may store one.

    Raises
    ------
    Refusal
        It is not the open trial's, that trial has another answer, or the confidence
        is not one of the study's levels.
    """
    stored = _stored(db, record, answer)
    if stored is not None and stored.idempotency_key == answer.idempotency_key:
        of_trial = record.session_id, answer.sequence
        kind = db.get_one(PresentationRecord, of_trial).kind
        told = feedback(study, kind, stored.correct)
        return Recorded(record, False, told, _coming(db, record))
    if not is_newest:
        raise taken_over()
    _check_new(study, record, answer, stored)
    found = open_presentations(db, record, most=2 + N_AHEAD)
    if not found or found[0].trial_index != answer.sequence:
        raise Refusal("wrong-sequence", "There is no such trial.", with_state=True)
    shown, *coming = found
    correct = is_correct(study, shown, answer.chosen)
    _insert(db, answer_row(record, shown, answer, correct=correct, now=now))
    record.position += 1
    step = _step_after(db, study, record, shown)
    advance(study, record, answer, step, now)
    told = feedback(study, shown.kind, correct)
    if step not in ("next_trial", "pause"):
        # A new block begins, or nothing follows.
        coming = _coming(db, record)
    return Recorded(record, True, told, coming)


def _coming(db: Session, record: SessionRecord) -> list[Shown]:
    return open_presentations(db, record, most=1 + N_AHEAD)


def advance(
    study: Study, record: SessionRecord, answer: Answer, step: Step, now: datetime
) -> None:
    """Move a session on whose position was counted up for an answer."""
    record.elapsed_ms = max(record.elapsed_ms, answer.time_elapsed_ms)
    record.lease_until = lease_end(study, now)
    move(record, step, now)
    if step == "answer_last":
        record.total_time_ms = record.elapsed_ms


def _stored(db: Session, record: SessionRecord, answer: Answer) -> AnswerRecord | None:
    if answer.sequence == record.position:
        # The session moves on in the transaction that stores an answer.
        return None
    return db.get(AnswerRecord, (record.session_id, answer.sequence))


def _check_new(
    study: Study, record: SessionRecord, answer: Answer, stored: AnswerRecord | None
) -> None:
    if stored is not None:
        raise Refusal(
            "already-answered",
            f"The trial with the sequence {answer.sequence} has another answer, which"
            " stands; go on from the state in this reply.",
            with_state=True,
        )
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


def _insert(db: Session, row: Mapping[str, object]) -> None:
    try:
        # Past the unit of work, which takes longer than the statement.
        db.connection().execute(_INSERT, row)
    except IntegrityError:
        raise Refusal(
            "key-used",
            "'idempotency_key' was used for another trial of this session; every"
            " answer needs its own.",
            with_state=True,
        ) from None


def answer_row(
    record: SessionRecord,
    shown: Shown,
    answer: Answer,
    *,
    correct: bool,
    now: datetime,
) -> dict[str, object]:
    """Return the columns of an answer to a presentation."""
    onset, display = answer.onset or Onset(method=""), answer.display or Display()
    return dict(
        session_id=record.session_id,
        trial_index=shown.trial_index,
        idempotency_key=answer.idempotency_key,
        chosen_query=presentation_of(shown).shown(answer.chosen),
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


def feedback(study: Study, kind: str, correct: bool) -> bool | None:
    """Return what is told of an answer to a trial of a kind; None for nothing."""
    setting = study.config.feedback
    told = setting == "all" or (setting == "practice" and kind == "practice")
    return correct if told else None


def _step_after(db: Session, study: Study, record: SessionRecord, shown: Shown) -> Step:
    """Return the step that the answer to ``shown`` leads to, and draw what follows."""
    if shown.practice_round is not None:
        return _step_after_practice(db, study, record, shown.practice_round)
    return step_in_block(study, record)


def step_in_block(study: Study, record: SessionRecord) -> Step:
    """Return the step that the answer before the position of a main block leads to."""
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
    of_round = {"session_id": record.session_id, "round": practice_round}
    first = record.position
    if db.connection().execute(_WRONG, of_round).first() is None:
        add_main_block(db, study, record, first=first)
        return "pass_practice"
    if practice_round == study.config.max_practice_rounds:
        return "use_up_rounds"
    add_practice_round(db, study, record, number=practice_round + 1, first=first)
    return "fail_round"
