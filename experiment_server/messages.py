"""What goes over the wire; the OpenAPI file is made from these models."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator

from experiment_server.flow import Screen
from experiment_server.message_fields import (
    Count,
    FreeText,
    Key,
    Message,
    Milliseconds,
    Position,
    Reply,
    Row,
    SignedMilliseconds,
    Text,
)


class Window(Message):
    """The browser window, in CSS pixels."""

    width: float = Field(ge=0, le=100_000)
    height: float = Field(ge=0, le=100_000)
    device_pixel_ratio: float = Field(gt=0, le=100)


class Join(Message):
    """Start a session, or go on with the participant's own."""

    join_key: Key = Field(
        description="a UUID, new per press of the start button; repeats are safe"
    )
    participant: Text | None = Field(
        None, min_length=1, max_length=200, description="the recruiter's name for them"
    )
    recruiter: Literal["link"] = "link"
    test_run: bool = Field(False, description="never counts and takes no slot")
    observer: Text | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="name of a simulated observer; marks the session for ever",
    )
    window: Window | None = None


class Resume(Message):
    """Go on with the session of a token, here and nowhere else."""

    resume_key: Key = Field(
        description="a UUID, new per page that is loaded; repeats are safe"
    )
    window: Window | None = None


class Consent(Message):
    """The participant's decision about the text that was shown."""

    agreed: bool
    consent_version: str = Field(max_length=64)
    reason: Literal["declined", "colour_vision", "device"] | None = Field(
        None, description="why one does not take part"
    )


class PageViewing(Message):
    """How long an instruction page was looked at."""

    page: int = Field(ge=0, le=1000)
    viewing_ms: Milliseconds


class Instructions(Message):
    """The instructions were read."""

    time_elapsed_ms: Milliseconds = Field(
        description="since the first instruction page"
    )
    pages: list[PageViewing] = Field(default_factory=list, max_length=500)


class Comprehension(Message):
    """Answers to the questions about the instructions."""

    answers: list[Annotated[int, Field(ge=0, le=1000)]] = Field(
        max_length=100, description="number of the chosen option of each, from 0"
    )
    time_elapsed_ms: Milliseconds


class Continue(Message):
    """Leave a screen that only has a button."""

    screen: str = Field(max_length=32, description="the screen being left")
    time_elapsed_ms: Milliseconds


class Onset(Message):
    """How well the trial's first frame is known."""

    method: Text = Field(max_length=32)
    lag_ms: SignedMilliseconds | None = Field(
        None, description="from the frame that times count from to the reported one"
    )
    frame_ms: Milliseconds | None = None
    decode_ms: Milliseconds | None = None
    element_ms: SignedMilliseconds | None = Field(
        None, description="Element Timing's render time less the onset"
    )


class Display(Message):
    """Where the trial was shown, as far as the browser tells."""

    width: float | None = Field(None, ge=0, le=100_000)
    height: float | None = Field(None, ge=0, le=100_000)
    device_pixel_ratio: float | None = Field(None, gt=0, le=100)
    zoom: float | None = Field(
        None, gt=0, le=100, description="1: as at the session's start"
    )
    fullscreen: bool | None = None
    refresh_hz: float | None = Field(None, gt=0, le=10_000)


class Answer(Message):
    """What the participant chose, posted at once and again until acknowledged."""

    sequence: int = Field(ge=0, le=1_000_000, description="the trial's")
    idempotency_key: Key = Field(description="a UUID, new per answer")
    chosen: Row
    confidence: int = Field(ge=1, description="1 (low) to settings.confidence_levels")
    rt_ms: Milliseconds = Field(description="from the frame that showed the trial")
    time_elapsed_ms: Milliseconds = Field(
        description="since the first instruction page"
    )
    input: Literal["mouse", "keyboard", "touch", "api"]
    interrupted: bool = Field(
        False, description="the page was loaded anew while the trial was open"
    )
    onset: Onset | None = None
    display: Display | None = None
    n_focus_losses: Count | None = Field(None, description="during this trial")
    n_hidden: Count | None = Field(
        None, description="how often the page was hidden during this trial"
    )
    shown_at: str | None = Field(
        None,
        max_length=32,
        description="ISO 8601 with its offset from UTC",
        json_schema_extra={"format": "date-time"},
    )

    @field_validator("shown_at")
    @classmethod
    def _is_a_moment(cls, value: str | None) -> str | None:
        if value is not None and datetime.fromisoformat(value).tzinfo is None:
            raise ValueError("a moment needs its offset from UTC, such as Z")
        return value


class Event(Message):
    """One thing that happened to the page, in jsPsych's form and numbered."""

    number: int = Field(
        ge=0, le=10_000_000, description="running number within the visit"
    )
    event: Literal[
        "blur",
        "focus",
        "fullscreenenter",
        "fullscreenexit",
        "hidden",
        "visible",
        "resize",
        "zoom",
        "offline",
        "online",
        "image_retry",
        "storage_denied",
        "taken_over",
        "pagehide",
        "keys_opened",
        "keys_closed",
        "stop_opened",
        "stop_closed",
    ]
    trial: int | None = Field(
        None, ge=0, le=100_000, description="sequence of the trial that was open"
    )
    time_ms: Milliseconds
    value: float | None = Field(None, ge=-1e9, le=1e9, allow_inf_nan=False)


class Events(Message):
    """What happened to the page; an event that comes again is stored once."""

    events: list[Event] = Field(default_factory=list, max_length=100)
    window: Window | None = None


class Comment(Message):
    """Free feedback; may be empty."""

    text: FreeText = Field(max_length=10_000)


class Finish(Message):
    """The debriefing was read."""

    time_elapsed_ms: Milliseconds


class Withdraw(Message):
    """Leave the study."""

    delete_answers: bool


class ImagePath(Message):
    """An image by its only name."""

    image: str = Field(max_length=64)


class StudyReply(Reply):
    """What anyone may know of the study."""

    study_id: str
    title: str
    language: str
    min_window: Position
    keys: bool = Field(description="whether keys give answers, too")
    test_run_allowed: bool
    n_trials: int
    expected_minutes: float | None
    contact: str = Field(description="whom participants can ask")
    withdrawal: str | None = Field(
        description="what stopping means for the answers and for the pay"
    )


class Instruction(Reply):
    """What an instructed trial asks for."""

    choose: Row


class TrialReply(Reply):
    """A trial as it is to be drawn; positions are pixels of the image."""

    sequence: int = Field(description="-1 for the example")
    practice: bool
    image: str
    image_size: Position
    cell: int
    left: list[Position] = Field(description="explanations in the order to show")
    right: list[Position]
    upper: Position
    lower: Position
    instruction: Instruction | None
    feedback: bool = Field(description="whether feedback is shown after the answer")


class ConsentReply(Reply):
    """The text that is agreed to."""

    text: str
    version: str


class InstructionPage(Reply):
    """One page and the part of the trial that it is about."""

    text: str
    highlight: str


class InstructionsReply(Reply):
    """All pages, with a trial to show beside them."""

    pages: list[InstructionPage]
    example: TrialReply
    repeated: bool = Field(description="whether an answer about them was wrong")


class Question(Reply):
    """A question about the instructions; which option is right stays here."""

    text: str
    options: list[str]


class ComprehensionReply(Reply):
    """All questions, and how often they may still be answered."""

    questions: list[Question]
    attempts_left: int


class DebriefReply(Reply):
    """The text after the study."""

    text: str


class PracticeReply(Reply):
    """The round of practice; on "practice_again" the one just done."""

    round: int
    n_rounds_max: int
    n_trials: int


class ScoreReply(Reply):
    """Running count, only where the study shows it."""

    n_correct: int
    n_answered: int


class SettingsReply(Reply):
    """What the page needs to draw a trial."""

    confidence_levels: int
    lock_ms: int
    feedback_delay_ms: int
    feedback_ms: int
    blank_ms: int
    keys: bool
    wording: dict[str, str]
    fullscreen: Literal["off", "ask"]
    min_window: Position


class State(Reply):
    """Where the session is; the same fields on every screen, null where unused."""

    screen: Screen
    progress: float = Field(ge=0, le=1)
    elapsed_ms: float
    trials_left: int = Field(description="if no more practice is needed")
    consent: ConsentReply | None = None
    instructions: InstructionsReply | None = None
    comprehension: ComprehensionReply | None = None
    trial: TrialReply | None = None
    upcoming: list[TrialReply] = Field(
        default_factory=list,
        description="the next trials, up to a screen between; they may be shown while"
        " an answer is on its way",
    )
    ahead: list[str] = Field(
        default_factory=list,
        description="images that may be loaded now: of the open trial and the next two",
    )
    practice: PracticeReply | None = None
    score: ScoreReply | None = None
    debrief: DebriefReply | None = None
    completion_code: str | None = None
    contact: str
    settings: SettingsReply


class JoinReply(Reply):
    """The token is given once; the server keeps only its hash."""

    token: str
    state: State


class FeedbackReply(Reply):
    """Told only after the answer is stored."""

    correct: bool


class AnswerReply(Reply):
    """The answer is on disk."""

    stored: Literal[True] = True
    feedback: FeedbackReply | None
    state: State


class ErrorReply(Reply):
    """Why a request was refused; ``state`` where the session can go on."""

    error: str
    detail: str
    state: State | None = None

    @classmethod
    def of(cls, code: str, detail: str, state: State | None = None) -> Self:
        """Return the reply for a code."""
        return cls(error=code, detail=detail, state=state)
