"""A session's own row, read and written back by plain statements.

Every request needs this one row, for which the unit of work takes ten times as long.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.orm import Session

from experiment_server.tables import SessionRecord

_TABLE = cast(Table, SessionRecord.__table__)
_LOCKED = (
    select(_TABLE)
    .where(_TABLE.c.session_id == bindparam("session_id"))
    .with_for_update()
)
_UPDATE = update(_TABLE).where(_TABLE.c.number == bindparam("of_number"))


@contextmanager
def locked_session(db: Session, session_id: str) -> Iterator[SessionRecord]:
    """Give a session that no other request can change meanwhile.

    What was changed is written when the block is left, if no error leaves it. The
    record is none of ``db``'s own.
    """
    connection = db.connection()
    before = connection.execute(_LOCKED, {"session_id": session_id}).one()._asdict()
    record = SessionRecord(**before)
    yield record
    changed = {
        name: getattr(record, name)
        for name, value in before.items()
        if getattr(record, name) != value
    }
    if changed:
        connection.execute(_UPDATE, {"of_number": record.number, **changed})
