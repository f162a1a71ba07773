"""Study, participants, sessions, presentations and answers."""

import sqlalchemy as sa
from alembic import op

revision = "first_tables"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "participant",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_participant")),
        sa.UniqueConstraint("pseudonym", name=op.f("uq_participant_pseudonym")),
    )
    op.create_table(
        "study",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.String(length=63), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study")),
    )
    op.create_table(
        "identity",
        sa.Column("participant_id", sa.Integer(), nullable=False),
        sa.Column("recruiter", sa.String(length=32), nullable=False),
        sa.Column("external_id", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["participant_id"],
            ["participant.id"],
            name=op.f("fk_identity_participant_id_participant"),
        ),
        sa.PrimaryKeyConstraint("participant_id", name=op.f("pk_identity")),
        sa.UniqueConstraint(
            "recruiter", "external_id", name=op.f("uq_identity_recruiter_external_id")
        ),
    )
    op.create_table(
        "session",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.String(length=32), nullable=False),
        sa.Column("participant_id", sa.Integer(), nullable=False),
        sa.Column("recruiter", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("screen", sa.String(length=16), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("holds_slot", sa.Boolean(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("practice_round", sa.Integer(), nullable=False),
        sa.Column("elapsed_ms", sa.Float(precision=53), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("consented_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("consent_version", sa.String(length=64), nullable=True),
        sa.Column("instruction_time_ms", sa.Float(precision=53), nullable=True),
        sa.Column("total_time_ms", sa.Float(precision=53), nullable=True),
        sa.Column("n_focus_losses", sa.Integer(), nullable=False),
        sa.Column("n_reloads", sa.Integer(), nullable=False),
        sa.Column("window_width", sa.Float(precision=53), nullable=True),
        sa.Column("window_height", sa.Float(precision=53), nullable=True),
        sa.Column("device_pixel_ratio", sa.Float(precision=53), nullable=True),
        sa.Column("feedback", sa.Text(), nullable=True),
        sa.Column("multi_participation", sa.Boolean(), nullable=False),
        sa.Column("test_run", sa.Boolean(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("observer", sa.String(length=64), nullable=True),
        sa.Column("example_image", sa.String(length=32), nullable=False),
        sa.Column("completion_code", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(
            ["participant_id"],
            ["participant.id"],
            name=op.f("fk_session_participant_id_participant"),
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_session")),
        sa.UniqueConstraint("completion_code", name=op.f("uq_session_completion_code")),
        sa.UniqueConstraint("example_image", name=op.f("uq_session_example_image")),
        sa.UniqueConstraint("session_id", name=op.f("uq_session_session_id")),
    )
    op.create_index(
        "ix_session_participant_id", "session", ["participant_id"], unique=False
    )
    op.create_index(
        "uq_session_held_slot",
        "session",
        ["slot"],
        unique=True,
        sqlite_where=sa.text("holds_slot"),
        postgresql_where=sa.text("holds_slot"),
    )
    op.create_table(
        "presentation",
        sa.Column("session_id", sa.String(length=32), nullable=False),
        sa.Column("trial_index", sa.Integer(), nullable=False),
        sa.Column("trial_id", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("practice_round", sa.Integer(), nullable=True),
        sa.Column("positive_side", sa.String(length=8), nullable=False),
        sa.Column("upper_query", sa.String(length=8), nullable=False),
        sa.Column("image", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.session_id"],
            name=op.f("fk_presentation_session_id_session"),
        ),
        sa.PrimaryKeyConstraint(
            "session_id", "trial_index", name=op.f("pk_presentation")
        ),
        sa.UniqueConstraint("image", name=op.f("uq_presentation_image")),
    )
    op.create_table(
        "token",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("session_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.session_id"],
            name=op.f("fk_token_session_id_session"),
        ),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_token")),
    )
    op.create_index(op.f("ix_token_session_id"), "token", ["session_id"], unique=False)
    op.create_table(
        "viewing",
        sa.Column("session_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("viewing_ms", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["session.session_id"],
            name=op.f("fk_viewing_session_id_session"),
        ),
        sa.PrimaryKeyConstraint("session_id", "number", name=op.f("pk_viewing")),
    )
    op.create_table(
        "answer",
        sa.Column("session_id", sa.String(length=32), nullable=False),
        sa.Column("trial_index", sa.Integer(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=36), nullable=False),
        sa.Column("chosen_query", sa.String(length=8), nullable=False),
        sa.Column("correct", sa.Boolean(), nullable=False),
        sa.Column("confidence", sa.Integer(), nullable=False),
        sa.Column("rt_ms", sa.Float(precision=53), nullable=False),
        sa.Column("time_elapsed_ms", sa.Float(precision=53), nullable=False),
        sa.Column("input", sa.String(length=16), nullable=False),
        sa.Column("interrupted", sa.Boolean(), nullable=False),
        sa.Column("onset_method", sa.String(length=32), nullable=True),
        sa.Column("onset_lag_ms", sa.Float(precision=53), nullable=True),
        sa.Column("frame_ms", sa.Float(precision=53), nullable=True),
        sa.Column("decode_ms", sa.Float(precision=53), nullable=True),
        sa.Column("shown_at", sa.String(length=32), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id", "trial_index"],
            ["presentation.session_id", "presentation.trial_index"],
            name=op.f("fk_answer_session_id_trial_index_presentation"),
        ),
        sa.PrimaryKeyConstraint("session_id", "trial_index", name=op.f("pk_answer")),
        sa.UniqueConstraint(
            "session_id",
            "idempotency_key",
            name=op.f("uq_answer_session_id_idempotency_key"),
        ),
    )


def downgrade() -> None:
    """Drop all tables."""
    op.drop_table("answer")
    op.drop_table("viewing")
    op.drop_index(op.f("ix_token_session_id"), table_name="token")
    op.drop_table("token")
    op.drop_table("presentation")
    op.drop_index(
        "uq_session_held_slot",
        table_name="session",
        sqlite_where=sa.text("holds_slot"),
        postgresql_where=sa.text("holds_slot"),
    )
    op.drop_index("ix_session_participant_id", table_name="session")
    op.drop_table("session")
    op.drop_table("identity")
    op.drop_table("study")
    op.drop_table("participant")
