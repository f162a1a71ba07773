"""The database's tables; their keys make every repeated request harmless."""

from datetime import UTC, datetime

from sqlalchemy import (
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """A moment in UTC, also where the database keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(
        self, value: datetime | None, dialect: Dialect
    ) -> datetime | None:
        """Read a stored moment."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


# SQLite can't lengthen a column, and doesn't hold text to its length.
_State = String(32).with_variant(String(16), "sqlite")


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can find it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class StudyRecord(Base):
    """The one study that the database belongs to.

    ``secret`` keys the participants' pseudonyms. The row's lock orders those who join.
    """

    __tablename__ = "study"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[str] = mapped_column(String(63))
    fingerprint: Mapped[str] = mapped_column(String(64))
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcTime)


class ParticipantRecord(Base):
    """A person, by a pseudonym that only the study's secret can make again."""

    __tablename__ = "participant"

    id: Mapped[int] = mapped_column(primary_key=True)
    pseudonym: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcTime)


class IdentityRecord(Base):
    """What a recruiter calls a person; apart, so that it can be erased alone."""

    __tablename__ = "identity"
    __table_args__ = (UniqueConstraint("recruiter", "external_id"),)

    participant_id: Mapped[int] = mapped_column(
        ForeignKey("participant.id"), primary_key=True
    )
    recruiter: Mapped[str] = mapped_column(String(32))
    external_id: Mapped[str] = mapped_column(String(200))


_UNJUDGED = text("status = 'complete' AND NOT judged")


class SessionRecord(Base):
    """One participant's way through the study.

    Attributes
    ----------
    number : int
        From 1 in the order of joining; seeds what is drawn for this session.
    slot : int
        Which of the study's slots the main block is taken from.
    holds_slot : bool
        False once the slot is free for someone else, and always for test runs.
    lease_until : datetime or None
        When an unanswered session ends; None once all answers are stored.
    position : int
        ``trial_index`` of the open presentation.
    visit : int
        Number of the newest visit, from 1; only its token may write.
    judged : bool
        Whether a complete session was held against the criteria of exclusion.
    n_interactions : int
        How many events were told, also those beyond the number that is kept.
    draw_key : str or None
        What is drawn for this session is drawn from this secret too; None for
        sessions from before there was one.
    """

    __tablename__ = "session"
    __table_args__ = (
        # A slot taken twice is refused by the database itself.
        Index(
            "uq_session_held_slot",
            "slot",
            unique=True,
            sqlite_where=text("holds_slot"),
            postgresql_where=text("holds_slot"),
        ),
        Index("ix_session_participant_id", "participant_id"),
        Index(
            "ix_session_unjudged",
            "number",
            sqlite_where=_UNJUDGED,
            postgresql_where=_UNJUDGED,
        ),
    )

    number: Mapped[int] = mapped_column(primary_key=True)
    session_id: Mapped[str] = mapped_column(String(32), unique=True)
    participant_id: Mapped[int] = mapped_column(ForeignKey("participant.id"))
    recruiter: Mapped[str] = mapped_column(String(32))
    status: Mapped[str] = mapped_column(_State, default="active")
    screen: Mapped[str] = mapped_column(_State, default="consent")
    slot: Mapped[int] = mapped_column(Integer)
    holds_slot: Mapped[bool] = mapped_column()
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime)
    position: Mapped[int] = mapped_column(default=0)
    practice_round: Mapped[int] = mapped_column(default=0)
    elapsed_ms: Mapped[float] = mapped_column(Float(53), default=0.0)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    consented_at: Mapped[datetime | None] = mapped_column(UtcTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcTime)
    consent_version: Mapped[str | None] = mapped_column(String(64))
    instruction_time_ms: Mapped[float | None] = mapped_column(Float(53))
    total_time_ms: Mapped[float | None] = mapped_column(Float(53))
    n_focus_losses: Mapped[int] = mapped_column(default=0)
    n_reloads: Mapped[int] = mapped_column(default=0)
    window_width: Mapped[float | None] = mapped_column(Float(53))
    window_height: Mapped[float | None] = mapped_column(Float(53))
    device_pixel_ratio: Mapped[float | None] = mapped_column(Float(53))
    feedback: Mapped[str | None] = mapped_column(Text)
    multi_participation: Mapped[bool] = mapped_column(default=False)
    test_run: Mapped[bool] = mapped_column(default=False)
    simulated: Mapped[bool] = mapped_column(default=False)
    observer: Mapped[str | None] = mapped_column(String(64))
    visit: Mapped[int] = mapped_column(default=1)
    n_interactions: Mapped[int] = mapped_column(default=0)
    n_comprehension_attempts: Mapped[int] = mapped_column(default=0)
    decline_reason: Mapped[str | None] = mapped_column(String(16))
    judged: Mapped[bool] = mapped_column(default=False)
    draw_key: Mapped[str | None] = mapped_column(String(32))
    example_image: Mapped[str] = mapped_column(String(32), unique=True)
    completion_code: Mapped[str | None] = mapped_column(String(16), unique=True)


class TokenRecord(Base):
    """A bearer token by its hash: one a visit, which is a page that was loaded.

    ``join_sha256`` and ``resume_sha256`` are hashes of the key that the visit was begun
    with, by joining or by resuming. A repeat of that request is given a token without.
    """

    __tablename__ = "token"
    __table_args__ = (
        Index("uq_token_join_sha256", "join_sha256", unique=True),
        Index("uq_token_resume_sha256", "session_id", "resume_sha256", unique=True),
    )

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    session_id: Mapped[str] = mapped_column(
        ForeignKey("session.session_id"), index=True
    )
    visit: Mapped[int] = mapped_column(default=1)
    join_sha256: Mapped[str | None] = mapped_column(String(64))
    resume_sha256: Mapped[str | None] = mapped_column(String(64))


class InteractionRecord(Base):
    """Something that happened to the page; a repeat meets its own key."""

    __tablename__ = "interaction"

    session_id: Mapped[str] = mapped_column(
        ForeignKey("session.session_id"), primary_key=True
    )
    visit: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    event: Mapped[str] = mapped_column(String(32))
    trial: Mapped[int | None] = mapped_column()
    time_ms: Mapped[float] = mapped_column(Float(53))
    value: Mapped[float | None] = mapped_column(Float(53))


class ViewingRecord(Base):
    """How long one instruction page was looked at."""

    __tablename__ = "viewing"

    session_id: Mapped[str] = mapped_column(
        ForeignKey("session.session_id"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    page: Mapped[int] = mapped_column()
    viewing_ms: Mapped[float] = mapped_column(Float(53))


class ComprehensionRecord(Base):
    """Which option was chosen for a question about the instructions."""

    __tablename__ = "comprehension"

    session_id: Mapped[str] = mapped_column(
        ForeignKey("session.session_id"), primary_key=True
    )
    attempt: Mapped[int] = mapped_column(primary_key=True)
    question: Mapped[int] = mapped_column(primary_key=True)
    chosen: Mapped[int] = mapped_column()
    correct: Mapped[bool] = mapped_column()


class PresentationRecord(Base):
    """A trial as one session is to see it; ``image`` is its picture's only name.

    ``interrupted``: a page was loaded anew while the trial was open.
    """

    __tablename__ = "presentation"

    session_id: Mapped[str] = mapped_column(
        ForeignKey("session.session_id"), primary_key=True
    )
    trial_index: Mapped[int] = mapped_column(primary_key=True)
    trial_id: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(16))
    practice_round: Mapped[int | None] = mapped_column()
    positive_side: Mapped[str] = mapped_column(String(8))
    upper_query: Mapped[str] = mapped_column(String(8))
    image: Mapped[str] = mapped_column(String(32), unique=True)
    interrupted: Mapped[bool] = mapped_column(default=False)
    answer: Mapped["AnswerRecord | None"] = relationship(
        back_populates="presentation", lazy="raise"
    )


class AnswerRecord(Base):
    """The one answer to a presentation."""

    __tablename__ = "answer"
    __table_args__ = (
        ForeignKeyConstraint(
            ["session_id", "trial_index"],
            ["presentation.session_id", "presentation.trial_index"],
        ),
        UniqueConstraint("session_id", "idempotency_key"),
    )

    session_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    trial_index: Mapped[int] = mapped_column(primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(String(36))
    chosen_query: Mapped[str] = mapped_column(String(8))
    correct: Mapped[bool] = mapped_column()
    confidence: Mapped[int] = mapped_column()
    rt_ms: Mapped[float] = mapped_column(Float(53))
    time_elapsed_ms: Mapped[float] = mapped_column(Float(53))
    input: Mapped[str] = mapped_column(String(16))
    interrupted: Mapped[bool] = mapped_column()
    onset_method: Mapped[str | None] = mapped_column(String(32))
    onset_lag_ms: Mapped[float | None] = mapped_column(Float(53))
    frame_ms: Mapped[float | None] = mapped_column(Float(53))
    decode_ms: Mapped[float | None] = mapped_column(Float(53))
    element_ms: Mapped[float | None] = mapped_column(Float(53))
    window_width: Mapped[float | None] = mapped_column(Float(53))
    window_height: Mapped[float | None] = mapped_column(Float(53))
    device_pixel_ratio: Mapped[float | None] = mapped_column(Float(53))
    zoom: Mapped[float | None] = mapped_column(Float(53))
    fullscreen: Mapped[bool | None] = mapped_column()
    refresh_hz: Mapped[float | None] = mapped_column(Float(53))
    n_focus_losses: Mapped[int | None] = mapped_column()
    n_hidden: Mapped[int | None] = mapped_column()
    shown_at: Mapped[str | None] = mapped_column(String(32))
    answered_at: Mapped[datetime] = mapped_column(UtcTime)
    presentation: Mapped[PresentationRecord] = relationship(
        back_populates="answer", lazy="raise"
    )


class VerdictRecord(Base):
    """What a criterion of exclusion made of a complete session."""

    __tablename__ = "verdict"

    session_id: Mapped[str] = mapped_column(
        ForeignKey("session.session_id"), primary_key=True
    )
    criterion: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[float | None] = mapped_column(Float(53))
    excluded: Mapped[bool] = mapped_column()
