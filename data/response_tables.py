"""The columns of an export: one row a presentation, and what lies beside it."""

import numpy as np
import pandera.pandas as pa

KINDS = ("practice", "main", "catch", "instructed", "repeated")
"""'repeated' is a main task that the same session was shown a second time."""

EXPLANATION_METHODS = ("natural", "synthetic", "none")
"""'none': the queries were shown without any explanations."""

INPUTS = ("mouse", "keyboard", "touch", "api")
"""How an answer was given; 'api': by a program."""

DECLINE_REASONS = ("declined", "colour_vision", "device")
"""Why someone did not take part: did not want to, could not see colours well enough,
or had no fitting device."""

POLARITIES = ("positive", "negative")
SIDES = ("left", "right")
STATUSES = (
    "active",
    "complete",
    "declined",
    "comprehension_failed",
    "practice_failed",
    "withdrawn",
    "timed_out",
)


def _one_of(values: tuple[str, ...], *, nullable: bool = False) -> pa.Column:
    described = "one of " + ", ".join(values)
    return pa.Column(
        str, pa.Check.isin(values), nullable=nullable, description=described
    )


def _text(*, nullable: bool = True) -> pa.Column:
    return pa.Column(str, nullable=nullable, description="text")


def _number(low: float, *, nullable: bool = False) -> pa.Column:
    return pa.Column(
        "float64",
        [pa.Check.ge(low), _finite()],
        nullable=nullable,
        description=f"a finite number of at least {low:g}",
    )


def _finite() -> pa.Check:
    return pa.Check(np.isfinite, name="finite", error="finite")


def _count(low: int = 0) -> pa.Column:
    return pa.Column(
        "int64", pa.Check.ge(low), description=f"a whole number of at least {low}"
    )


def _flag() -> pa.Column:
    return pa.Column("bool", description="true or false")


def _maybe_count() -> pa.Column:
    return pa.Column(
        "Int64",
        pa.Check.ge(0),
        nullable=True,
        description="a whole number of at least 0, or empty",
    )


def _maybe_flag() -> pa.Column:
    return pa.Column("boolean", nullable=True, description="true, false, or empty")


RESPONSES = pa.DataFrameSchema(
    {
        "session_id": _text(nullable=False),
        "trial_index": _count(),
        "participant_id": _text(),
        "study_id": _text(),
        "kind": _one_of(KINDS),
        "practice_round": pa.Column(
            "Int64", pa.Check.ge(1), nullable=True, description="from 1, or empty"
        ),
        "task_id": _text(nullable=False),
        "unit": _text(nullable=False),
        "task_number": _count(),
        "group": _text(),
        "explanation_method": _one_of(EXPLANATION_METHODS),
        "difficulty": _text(nullable=False),
        "positive_side": _one_of(SIDES),
        "upper_query": _one_of(POLARITIES),
        "chosen_query": _one_of(POLARITIES),
        "correct": _flag(),
        "confidence": _count(1),
        "rt_ms": _number(0),
        "shown_at": _text(),
        "answered_at": _text(),
        "time_elapsed_ms": _number(0, nullable=True),
        "interrupted": _flag(),
        "onset_method": _text(),
        "onset_lag_ms": _number(-1e6, nullable=True),
        "frame_ms": _number(0, nullable=True),
        "decode_ms": _number(0, nullable=True),
        "element_ms": _number(-1e6, nullable=True),
        "input": _one_of(INPUTS, nullable=True),
        "window_width": _number(0, nullable=True),
        "window_height": _number(0, nullable=True),
        "device_pixel_ratio": _number(0, nullable=True),
        "zoom": _number(0, nullable=True),
        "fullscreen": _maybe_flag(),
        "refresh_hz": _number(0, nullable=True),
        "n_focus_losses": _maybe_count(),
        "n_hidden": _maybe_count(),
        "simulated": _flag(),
        "observer": _text(),
    },
    unique=["session_id", "trial_index"],
    coerce=True,
    name="a response table",
)
"""One row a presentation that was answered, by 'session_id' and 'trial_index'.

'trial_index' counts all presentations of a session from 0, practice included.
'positive_side' is where the positive explanations stood, 'upper_query' which query
was above. The question is always which query goes with the right-hand side, so
'correct' means that the chosen query has the polarity of the right side; in an
instructed trial, that the instruction was followed. 'confidence' is 1 (low) and up.
'rt_ms' counts from the frame in which the trial was painted. 'time_elapsed_ms' counts
from the start of the instructions to the answer, and is empty where a study did not
record it. 'interrupted': the page was loaded anew while the trial was open.
'onset_lag_ms' is how much later the browser reported the paint than 'rt_ms' took it
to be, 'element_ms' the same by Element Timing; both may be negative. Window, 'zoom'
(1: as at the session's start), 'fullscreen', 'refresh_hz', and how often the window
lost focus or was hidden, are those of this trial.
'simulated' answers come from an 'observer' that is a program. A reader may add columns
of its study, such as those of :data:`data.borowski_tables.CONDITIONS`.
"""

SESSIONS = pa.DataFrameSchema(
    {
        "session_id": pa.Column(str, unique=True, description="unique text"),
        "participant_id": _text(),
        "study_id": _text(),
        "slot": pa.Column(
            "Int64", pa.Check.ge(0), nullable=True, description="from 0, or empty"
        ),
        "recruiter": _text(),
        "status": _one_of(STATUSES),
        "created_at": _text(),
        "consented_at": _text(),
        "finished_at": _text(),
        "consent_version": _text(),
        "instruction_time_s": _number(0, nullable=True),
        "total_time_s": _number(0, nullable=True),
        "n_practice_rounds": _count(),
        "n_focus_losses": _count(),
        "n_reloads": _count(),
        "window_width": _number(0, nullable=True),
        "window_height": _number(0, nullable=True),
        "device_pixel_ratio": _number(0, nullable=True),
        "decline_reason": _one_of(DECLINE_REASONS, nullable=True),
        "n_comprehension_attempts": _maybe_count(),
        "n_interactions": _maybe_count(),
        "excluded_by": _text(),
        "completion_code": _text(),
        "feedback": _text(),
        "multi_participation": _flag(),
        "test_run": _flag(),
        "simulated": _flag(),
        "observer": _text(),
    },
    coerce=True,
    name="a session table",
)
"""One row a session, also those that ended early.

'slot' is the place in the design that the session filled, empty for test runs.
'instruction_time_s' is from the first instruction page to the first practice trial,
'total_time_s' from the first instruction page to the end of the last trial, both
None where they were not reached. 'n_focus_losses' counts how often the window lost
focus or was hidden during trials. 'n_interactions' counts what is listed in
:data:`INTERACTIONS`, also what was too much to keep. 'excluded_by' names the criteria,
joined by a comma, by which the server gave the session's slot to someone else; it is
empty text where it kept the session, and missing where it judged none.
'multi_participation': the same person has an earlier session of this study.
"""

INTERACTIONS = pa.DataFrameSchema(
    {
        "session_id": _text(nullable=False),
        "visit": _count(1),
        "number": _count(),
        "event": _text(nullable=False),
        "trial": _maybe_count(),
        "time_ms": _number(0),
        "value": pa.Column("float64", nullable=True, description="a number"),
    },
    unique=["session_id", "visit", "number"],
    coerce=True,
    name="a table of interactions",
)
"""What happened to the page, in jsPsych's form 'event', 'trial', 'time_ms'.

'visit' counts the pages in which a session went on, from 1; 'number' counts within
one. 'trial' is the 'trial_index' that was open.
"""

VIEWINGS = pa.DataFrameSchema(
    {
        "session_id": _text(nullable=False),
        "number": _count(),
        "page": _count(),
        "viewing_ms": _number(0),
    },
    unique=["session_id", "number"],
    coerce=True,
    name="a table of viewings",
)
"""How long which page of the instructions was looked at, in the order of looking."""

COMPREHENSION = pa.DataFrameSchema(
    {
        "session_id": _text(nullable=False),
        "attempt": _count(1),
        "question": _count(),
        "chosen": _count(),
        "correct": _flag(),
    },
    unique=["session_id", "attempt", "question"],
    coerce=True,
    name="a table of answers about the instructions",
)
"""Which option was chosen for which question about the instructions, from 0."""

BESIDE = {
    "interactions": INTERACTIONS,
    "viewings": VIEWINGS,
    "comprehension": COMPREHENSION,
}
"""Tables that may lie in an export beside responses and sessions."""

ADDED = (
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
    "decline_reason",
    "n_comprehension_attempts",
    "n_interactions",
    "excluded_by",
    "completion_code",
)
"""Columns that a table of an older study may lack; they are empty then."""
