"""Which screen follows which: the one table that moves a session on."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from experiment_server.refusals import Refusal

Screen = Literal[
    "consent",
    "instructions",
    "comprehension",
    "trial",
    "practice_again",
    "practice_passed",
    "break",
    "feedback",
    "debrief",
    "end",
    "declined",
    "comprehension_failed",
    "practice_failed",
    "withdrawn",
    "timed_out",
]
Step = Literal[
    "agree",
    "decline",
    "read_instructions",
    "face_questions",
    "understand",
    "misunderstand",
    "use_up_attempts",
    "next_trial",
    "fail_round",
    "use_up_rounds",
    "pass_practice",
    "pause",
    "answer_last",
    "continue",
    "comment",
    "finish",
    "withdraw",
    "time_out",
]

ENDS: frozenset[Screen] = frozenset(
    {
        "end",
        "declined",
        "comprehension_failed",
        "practice_failed",
        "withdrawn",
        "timed_out",
    }
)
"""Nothing follows these."""

AFTER_ALL_ANSWERS: frozenset[Screen] = frozenset({"feedback", "debrief", "end"})
"""All answers are stored; the session is complete and can't time out."""

_BEFORE_ALL_ANSWERS: tuple[Screen, ...] = (
    "consent",
    "instructions",
    "comprehension",
    "trial",
    "practice_again",
    "practice_passed",
    "break",
)

TRANSITIONS: Mapping[tuple[Screen, Step], Screen] = MappingProxyType(
    {
        ("consent", "agree"): "instructions",
        ("consent", "decline"): "declined",
        ("instructions", "read_instructions"): "trial",
        ("instructions", "face_questions"): "comprehension",
        ("comprehension", "understand"): "trial",
        ("comprehension", "misunderstand"): "instructions",
        ("comprehension", "use_up_attempts"): "comprehension_failed",
        ("trial", "next_trial"): "trial",
        ("trial", "fail_round"): "practice_again",
        ("trial", "use_up_rounds"): "practice_failed",
        ("trial", "pass_practice"): "practice_passed",
        ("trial", "pause"): "break",
        ("trial", "answer_last"): "feedback",
        ("practice_again", "continue"): "trial",
        ("practice_passed", "continue"): "trial",
        ("break", "continue"): "trial",
        ("feedback", "comment"): "debrief",
        ("debrief", "finish"): "end",
        **{(screen, "time_out"): "timed_out" for screen in _BEFORE_ALL_ANSWERS},
        **{
            (screen, "withdraw"): "withdrawn"
            for screen in (*_BEFORE_ALL_ANSWERS, *sorted(AFTER_ALL_ANSWERS))
        },
    }
)

STATUS_AT: Mapping[Screen, str] = MappingProxyType(
    {
        "feedback": "complete",
        "declined": "declined",
        "comprehension_failed": "comprehension_failed",
        "practice_failed": "practice_failed",
        "withdrawn": "withdrawn",
        "timed_out": "timed_out",
    }
)
"""The status that a session takes on reaching a screen; it keeps its own elsewhere."""


def following(screen: Screen, step: Step) -> Screen:
    """Return the screen that a step leads to.

    Raises
    ------
    Refusal
        The step can't be taken from this screen.
    """
    if (screen, step) not in TRANSITIONS:
        raise Refusal(
            "wrong-screen",
            f"The session is at {screen!r}, from where the step {step!r} does not"
            " lead on; go on from the state in this reply.",
            with_state=True,
        )
    return TRANSITIONS[screen, step]
