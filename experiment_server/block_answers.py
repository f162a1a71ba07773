"""An answer within a main block, stored by one statement; for PostgreSQL.

Nothing is locked: the session is read with the trials that lie ahead, and the statement
that stores the answer moves the session on only if its row is still the one that was
read. That takes two of the database's replies where :mod:`experiment_server.answers`
takes six. Whatever is not the plain case is left to that module.
"""

from dataclasses import fields
from datetime import datetime
from typing import cast

from sqlalchemy import (
    String,
    Table,
    bindparam,
    insert,
    literal_column,
    select,
    type_coerce,
    update,
)
from sqlalchemy.exc import IntegrityError

from data.studies import Study
from experiment_server.answers import (
    Recorded,
    advance,
    answer_row,
    feedback,
    step_in_block,
)
from experiment_server.ledger import has_expired
from experiment_server.messages import Answer
from experiment_server.presentations import Shown, is_correct
from experiment_server.screens import N_AHEAD
from experiment_server.sessions import Host, known_visit
from experiment_server.tables import AnswerRecord, PresentationRecord, SessionRecord

_SESSION = cast(Table, SessionRecord.__table__)
_PRESENTATION = cast(Table, PresentationRecord.__table__)
_ANSWER = cast(Table, AnswerRecord.__table__)

_MOVED = (
    "position",
    "elapsed_ms",
    "lease_until",
    "screen",
    "status",
    "finished_at",
    "total_time_ms",
    "holds_slot",
)
"""What an answer may change of its session."""

_READ = (
    *_MOVED,
    "number",
    "session_id",
    "practice_round",
    "slot",
    "visit",
    "draw_key",
)
# PostgreSQL's own column: the transaction that wrote the row last.
_VERSION = type_coerce(literal_column("session.xmin::text"), String)
_OPEN = (
    select(
        *(_SESSION.c[name] for name in _READ),
        *(_PRESENTATION.c[field.name] for field in fields(Shown)),
        _VERSION.label("version"),
    )
    .join(_PRESENTATION, _PRESENTATION.c.session_id == _SESSION.c.session_id)
    .where(
        _SESSION.c.session_id == bindparam("of_session"),
        _PRESENTATION.c.trial_index >= _SESSION.c.position,
        _PRESENTATION.c.trial_index <= _SESSION.c.position + 1 + N_AHEAD,
    )
    .order_by(_PRESENTATION.c.trial_index)
)
_MOVE = (
    update(_SESSION)
    .where(
        _SESSION.c.number == bindparam("of_number"),
        bindparam("of_version", type_=String) == _VERSION,
    )
    .values({name: bindparam(f"to_{name}") for name in _MOVED})
    .returning(_SESSION.c.session_id)
    .cte("moved")
)
_TOLD = [column for column in _ANSWER.c if column is not _ANSWER.c.session_id]
_STORE = (
    insert(_ANSWER)
    .from_select(
        [_ANSWER.c.session_id, *_TOLD],
        select(
            _MOVE.c.session_id,
            *(bindparam(f"with_{one.name}", type_=one.type) for one in _TOLD),
        ),
    )
    .execution_options(preserve_rowcount=True)
)


def record_at_once(
    host: Host, token: str, answer: Answer, now: datetime
) -> Recorded | None:
    """Store an answer to the open trial of a main block.

    Returns
    -------
    Recorded or None
        None where nothing was stored, since this is not the plain case or the database
        not PostgreSQL.

    Raises
    ------
    Refusal
        No session has this token.
    """
    if host.database.is_sqlite:
        return None
    session_id, visit = known_visit(host, token)
    study = host.study
    with host.database.glance() as connection:
        rows = connection.execute(_OPEN, {"of_session": session_id}).all()
        if not rows:
            return None
        record = SessionRecord(**dict(zip(_READ, rows[0], strict=False)))
        shown, *coming = (Shown(*row[len(_READ) : -1]) for row in rows)
        if not _is_plain(study, record, shown, answer, now) or record.visit != visit:
            return None
        correct = is_correct(study, shown, answer.chosen)
        row = answer_row(record, shown, answer, correct=correct, now=now)
        record.position += 1
        advance(study, record, answer, step_in_block(study, record), now)
        values = {
            "of_number": record.number,
            "of_version": rows[0].version,
            **{f"to_{name}": getattr(record, name) for name in _MOVED},
            **{f"with_{column.name}": row[column.name] for column in _TOLD},
        }
        try:
            stored = connection.execute(_STORE, values)
        except IntegrityError:
            return None
    if stored.rowcount != 1:
        return None
    return Recorded(record, True, feedback(study, shown.kind, correct), coming)


def _is_plain(
    study: Study, record: SessionRecord, shown: Shown, answer: Answer, now: datetime
) -> bool:
    return (
        record.screen == "trial"
        and not has_expired(record, now)
        and shown.practice_round is None
        and shown.trial_index == record.position == answer.sequence
        and answer.confidence <= study.config.confidence_levels
    )
