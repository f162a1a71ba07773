"""Questions about the instructions, reasons to decline, and what is judged."""

import sqlalchemy as sa
from alembic import op

revision = "gates"
down_revision = "visits"
branch_labels = None
depends_on = None

_UNJUDGED = sa.text("status = 'complete' AND NOT judged")


def upgrade() -> None:
    """Add them; sessions that have verdicts count as judged."""
    for column in (
        sa.Column(
            "n_comprehension_attempts", sa.Integer(), nullable=False, server_default="0"
        ),
        sa.Column("decline_reason", sa.String(length=16)),
        sa.Column("judged", sa.Boolean(), nullable=False, server_default=sa.false()),
    ):
        op.add_column("session", column)
    op.execute(
        sa.text(
            "UPDATE session SET judged = true"
            " WHERE session_id IN (SELECT session_id FROM verdict)"
        )
    )
    op.create_index(
        "ix_session_unjudged",
        "session",
        ["number"],
        sqlite_where=_UNJUDGED,
        postgresql_where=_UNJUDGED,
    )
    _set_length_of_states(32)
    op.create_table(
        "comprehension",
        sa.Column("session_id", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("question", sa.Integer(), nullable=False),
        sa.Column("chosen", sa.Integer(), nullable=False),
        sa.Column("correct", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.session_id"],
            name=op.f("fk_comprehension_session_id_session"),
        ),
        sa.PrimaryKeyConstraint(
            "session_id", "attempt", "question", name=op.f("pk_comprehension")
        ),
    )


def _set_length_of_states(length: int) -> None:
    # SQLite can't, and doesn't hold text to its length.
    if op.get_context().dialect.name == "sqlite":
        return
    for name in ("status", "screen"):
        op.alter_column("session", name, type_=sa.String(length=length))


def downgrade() -> None:
    """Drop them."""
    op.drop_table("comprehension")
    _set_length_of_states(16)
    op.drop_index("ix_session_unjudged", table_name="session")
    for name in ("judged", "decline_reason", "n_comprehension_attempts"):
        op.drop_column("session", name)
