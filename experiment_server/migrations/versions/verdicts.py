"""What each criterion of exclusion made of a complete session."""

import sqlalchemy as sa
from alembic import op

revision = "verdicts"
down_revision = "first_tables"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the verdicts."""
    op.create_table(
        "verdict",
        sa.Column("session_id", sa.String(length=32), nullable=False),
        sa.Column("criterion", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Float(precision=53), nullable=True),
        sa.Column("excluded", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.session_id"],
            name=op.f("fk_verdict_session_id_session"),
        ),
        sa.PrimaryKeyConstraint("session_id", "criterion", name=op.f("pk_verdict")),
    )


def downgrade() -> None:
    """Drop the verdicts."""
    op.drop_table("verdict")
