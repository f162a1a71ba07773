"""Visits and their tokens, interactions, the display of a trial, secret draws."""

import sqlalchemy as sa
from alembic import op

revision = "visits"
down_revision = "verdicts"
branch_labels = None
depends_on = None

_Kind = sa.Integer | sa.Float[float] | sa.Boolean

_DISPLAY: dict[str, _Kind] = {
    "element_ms": sa.Float(precision=53),
    "window_width": sa.Float(precision=53),
    "window_height": sa.Float(precision=53),
    "device_pixel_ratio": sa.Float(precision=53),
    "zoom": sa.Float(precision=53),
    "fullscreen": sa.Boolean(),
    "refresh_hz": sa.Float(precision=53),
    "n_focus_losses": sa.Integer(),
    "n_hidden": sa.Integer(),
}


def upgrade() -> None:
    """Add what they need; the tokens there are stay good."""
    for name, default in (("visit", "1"), ("n_interactions", "0")):
        _add("session", name, sa.Integer(), default)
    op.add_column("session", sa.Column("draw_key", sa.String(length=32)))
    _add("token", "visit", sa.Integer(), "1")
    op.add_column("token", sa.Column("join_sha256", sa.String(length=64)))
    op.create_index("uq_token_join_sha256", "token", ["join_sha256"], unique=True)
    _add("presentation", "interrupted", sa.Boolean(), sa.false())
    for name, kind in _DISPLAY.items():
        op.add_column("answer", sa.Column(name, kind))
    op.create_table(
        "interaction",
        sa.Column("session_id", sa.String(length=32), nullable=False),
        sa.Column("visit", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=True),
        sa.Column("time_ms", sa.Float(precision=53), nullable=False),
        sa.Column("value", sa.Float(precision=53), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.session_id"],
            name=op.f("fk_interaction_session_id_session"),
        ),
        sa.PrimaryKeyConstraint(
            "session_id", "visit", "number", name=op.f("pk_interaction")
        ),
    )


def _add(
    table: str, name: str, kind: _Kind, default: str | sa.ColumnElement[bool]
) -> None:
    # Rows that are there take the default; SQLite can add no other such column.
    column = sa.Column(name, kind, nullable=False, server_default=default)
    op.add_column(table, column)


def downgrade() -> None:
    """Drop it all."""
    op.drop_table("interaction")
    for name in _DISPLAY:
        op.drop_column("answer", name)
    op.drop_column("presentation", "interrupted")
    op.drop_index("uq_token_join_sha256", table_name="token")
    op.drop_column("token", "join_sha256")
    op.drop_column("token", "visit")
    for name in ("draw_key", "n_interactions", "visit"):
        op.drop_column("session", name)
