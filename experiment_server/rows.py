"""The database's rows in the contract's words: our response and session tables."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
from pandera.pandas import DataFrameSchema
from sqlalchemy import Integer, func, select
from sqlalchemy.orm import Session

from data.response_tables import BESIDE, RESPONSES, SESSIONS
from data.studies import Study
from data.tables import checked
from experiment_server.ledger import has_expired
from experiment_server.presentations import shown_order
from experiment_server.tables import (
    AnswerRecord,
    Base,
    ComprehensionRecord,
    InteractionRecord,
    PresentationRecord,
    SessionRecord,
    VerdictRecord,
    ViewingRecord,
)

CHUNK = 2000
"""How many rows are taken from the database at a time."""


def participant_names(db: Session) -> dict[int, str]:
    """Return P0001 and so on, in the order of joining; simulated ones say so.

    Those who only made test runs come last, so that they don't shift the others.
    """
    first = func.min(SessionRecord.number)
    tests_only = func.min(SessionRecord.test_run.cast(Integer))
    simulated = func.max(SessionRecord.simulated.cast(Integer))
    found = db.execute(
        select(SessionRecord.participant_id, simulated)
        .group_by(SessionRecord.participant_id)
        .order_by(tests_only, first)
    )
    return {
        participant: ("simulated-" if is_simulated else "") + f"P{number:04d}"
        for number, (participant, is_simulated) in enumerate(found, start=1)
    }


def session_table(
    db: Session,
    study: Study,
    numbers: Sequence[int] | None = None,
    *,
    test_runs: bool = True,
    now: datetime | None = None,
) -> pd.DataFrame:
    """Return :data:`data.responses.SESSIONS`.

    Parameters
    ----------
    numbers : sequence of int or None
        Which sessions; None for all.
    test_runs : bool
        Whether test runs are among them.
    now : datetime or None
        A session whose lease has run out by now is timed out.
    """
    names = participant_names(db)
    query = _chosen(select(SessionRecord), numbers, test_runs=test_runs)
    records = db.scalars(
        query.order_by(SessionRecord.number).execution_options(yield_per=CHUNK)
    )
    excluded_by = _excluded_by(db)
    rows = [
        _session_row(study, record, names, now)
        | {
            "excluded_by": excluded_by.get(record.session_id, "")
            if record.judged
            else None
        }
        for record in records
    ]
    table = pd.DataFrame(rows, columns=list(SESSIONS.columns))
    return checked(table, SESSIONS, "the database")


def _excluded_by(db: Session) -> dict[str, str]:
    query = select(VerdictRecord.session_id, VerdictRecord.criterion)
    found: dict[str, list[str]] = {}
    for session_id, criterion in db.execute(query.where(VerdictRecord.excluded)):
        found.setdefault(session_id, []).append(criterion)
    return {session_id: ", ".join(sorted(names)) for session_id, names in found.items()}


def tables_beside(db: Session, *, test_runs: bool = True) -> dict[str, pd.DataFrame]:
    """Return the tables of :data:`data.response_tables.BESIDE`."""
    records: dict[str, type[Base]] = {
        "interactions": InteractionRecord,
        "viewings": ViewingRecord,
        "comprehension": ComprehensionRecord,
    }
    return {
        name: _beside(db, record, BESIDE[name], name, test_runs=test_runs)
        for name, record in records.items()
    }


def _beside(
    db: Session,
    record: type[Base],
    schema: DataFrameSchema,
    name: str,
    *,
    test_runs: bool,
) -> pd.DataFrame:
    columns = [record.__table__.c[column] for column in schema.columns]
    keys = [column for column in columns if column.primary_key][1:]
    of_session = SessionRecord.session_id == columns[0]
    query = select(*columns).join(SessionRecord, of_session)
    query = _chosen(query, None, test_runs=test_runs)
    found = db.execute(query.order_by(SessionRecord.number, *keys))
    rows = [tuple(row) for row in found]
    table = pd.DataFrame(rows, columns=list(schema.columns))
    return checked(table, schema, f"the database's {name}")


def response_table(
    db: Session,
    study: Study,
    numbers: Sequence[int] | None = None,
    *,
    test_runs: bool = True,
) -> pd.DataFrame:
    """Return :data:`data.responses.RESPONSES`; parameters as above."""
    names = participant_names(db)
    rows = [
        _response_row(study, session, shown, answer, names)
        for session, shown, answer in _answered(db, numbers, test_runs=test_runs)
    ]
    table = pd.DataFrame(rows, columns=list(RESPONSES.columns))
    return checked(table, RESPONSES, "the database")


def judged_tables(db: Session, number: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what the criteria of exclusion look at, of one session.

    Somebody waits for the verdict: these are a few columns of the tables above, without
    what the whole study has to be read for.

    Returns
    -------
    tuple of DataFrame
        The session's answers in order, and the session in one row.
    """
    query = (
        select(
            AnswerRecord.session_id,
            PresentationRecord.kind,
            AnswerRecord.correct,
            AnswerRecord.chosen_query,
            PresentationRecord.upper_query,
            AnswerRecord.rt_ms,
        )
        .join(AnswerRecord.presentation)
        .join(SessionRecord, SessionRecord.session_id == AnswerRecord.session_id)
        .where(SessionRecord.number == number)
        .order_by(AnswerRecord.trial_index)
    )
    responses = pd.DataFrame(
        db.execute(query).all(), columns=[one.key for one in query.selected_columns]
    )
    record = db.scalars(_chosen(select(SessionRecord), [number], test_runs=True)).one()
    session = {
        "session_id": record.session_id,
        "status": record.status,
        "n_practice_rounds": record.practice_round,
        "total_time_s": _seconds(record.total_time_ms),
        "instruction_time_s": _seconds(record.instruction_time_ms),
        "n_focus_losses": record.n_focus_losses,
        "multi_participation": record.multi_participation,
    }
    return responses, pd.DataFrame([session])


def shown_images(db: Session, study: Study, *, test_runs: bool = True) -> pd.DataFrame:
    """Return the image ids of every answered presentation, as they were shown.

    Returns
    -------
    DataFrame
        One row a presentation: 'session_id', 'trial_index', 'min_query', 'max_query',
        'min_references', 'max_references' (lists in displayed order).
    """
    rows = []
    for session, shown, _ in _answered(db, None, test_runs=test_runs):
        trial = study.trials[shown.trial_id]
        task = trial.task
        order = shown_order(study, session, shown.trial_index, trial.cells)
        rows.append(
            {
                "session_id": shown.session_id,
                "trial_index": shown.trial_index,
                "min_query": task.negative_query,
                "max_query": task.positive_query,
                "min_references": [
                    task.negative_explanations[place] for place in order["negative"]
                ],
                "max_references": [
                    task.positive_explanations[place] for place in order["positive"]
                ],
            }
        )
    columns = ["session_id", "trial_index", "min_query", "max_query"]
    return pd.DataFrame(
        rows, columns=[*columns, "min_references", "max_references"]
    ).astype({"session_id": "str", "trial_index": "int64"})


def n_answers(db: Session, *, test_runs: bool) -> int:
    """Count the answers in the database by a query of its own."""
    query = select(func.count(AnswerRecord.trial_index)).join(
        SessionRecord, SessionRecord.session_id == AnswerRecord.session_id
    )
    return db.scalar(_chosen(query, None, test_runs=test_runs)) or 0


def n_sessions(db: Session, *, test_runs: bool) -> int:
    """Count the sessions in the database by a query of its own."""
    query = select(func.count(SessionRecord.number))
    return db.scalar(_chosen(query, None, test_runs=test_runs)) or 0


def _chosen(query: Any, numbers: Sequence[int] | None, *, test_runs: bool) -> Any:
    if numbers is not None:
        query = query.where(SessionRecord.number.in_(numbers))
    return query if test_runs else query.where(SessionRecord.test_run.is_(False))


def _answered(
    db: Session, numbers: Sequence[int] | None, *, test_runs: bool
) -> Iterator[tuple[SessionRecord, PresentationRecord, AnswerRecord]]:
    query = (
        select(SessionRecord, PresentationRecord, AnswerRecord)
        .join(
            PresentationRecord,
            PresentationRecord.session_id == SessionRecord.session_id,
        )
        .join(PresentationRecord.answer)
        .order_by(SessionRecord.number, PresentationRecord.trial_index)
        .execution_options(yield_per=CHUNK)
    )
    for row in db.execute(_chosen(query, numbers, test_runs=test_runs)):
        session, shown, answer = row
        yield session, shown, answer


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def _seconds(value_ms: float | None) -> float | None:
    return None if value_ms is None else value_ms / 1000


def _session_row(
    study: Study,
    record: SessionRecord,
    names: dict[int, str],
    now: datetime | None,
) -> dict[str, object]:
    expired = now is not None and has_expired(record, now)
    same = (
        "session_id",
        "recruiter",
        "consent_version",
        "n_focus_losses",
        "n_reloads",
        "window_width",
        "window_height",
        "device_pixel_ratio",
        "decline_reason",
        "n_comprehension_attempts",
        "n_interactions",
        "completion_code",
        "feedback",
        "multi_participation",
        "test_run",
        "simulated",
        "observer",
    )
    return {name: getattr(record, name) for name in same} | {
        "participant_id": names[record.participant_id],
        "study_id": study.config.study_id,
        "slot": None if record.test_run else record.slot,
        "status": "timed_out" if expired else record.status,
        "created_at": _iso(record.created_at),
        "consented_at": _iso(record.consented_at),
        "finished_at": _iso(record.finished_at),
        "instruction_time_s": _seconds(record.instruction_time_ms),
        "total_time_s": _seconds(record.total_time_ms),
        "n_practice_rounds": record.practice_round,
    }


def _response_row(
    study: Study,
    session: SessionRecord,
    shown: PresentationRecord,
    answer: AnswerRecord,
    names: dict[int, str],
) -> dict[str, object]:
    trial = study.trials[shown.trial_id]
    same = (
        "session_id",
        "trial_index",
        "chosen_query",
        "correct",
        "confidence",
        "rt_ms",
        "shown_at",
        "time_elapsed_ms",
        "interrupted",
        "onset_method",
        "onset_lag_ms",
        "frame_ms",
        "decode_ms",
        "element_ms",
        "input",
        "window_width",
        "window_height",
        "device_pixel_ratio",
        "zoom",
        "fullscreen",
        "refresh_hz",
        "n_focus_losses",
        "n_hidden",
    )
    return {name: getattr(answer, name) for name in same} | {
        "participant_id": names[session.participant_id],
        "study_id": study.config.study_id,
        "kind": shown.kind,
        "practice_round": shown.practice_round,
        "task_id": trial.task.task_id,
        "unit": str(trial.task.unit),
        "task_number": trial.task.number,
        "group": trial.group,
        "explanation_method": trial.explanation_method,
        "difficulty": trial.difficulty,
        "positive_side": shown.positive_side,
        "upper_query": shown.upper_query,
        "answered_at": _iso(answer.answered_at),
        "simulated": session.simulated,
        "observer": session.observer,
    }
