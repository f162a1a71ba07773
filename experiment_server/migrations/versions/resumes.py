"""The key that a visit was begun with by resuming."""

import sqlalchemy as sa
from alembic import op

revision = "resumes"
down_revision = "gates"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; the visits there are have none."""
    op.add_column("token", sa.Column("resume_sha256", sa.String(length=64)))
    op.create_index(
        "uq_token_resume_sha256", "token", ["session_id", "resume_sha256"], unique=True
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_index("uq_token_resume_sha256", table_name="token")
    op.drop_column("token", "resume_sha256")
