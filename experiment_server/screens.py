"""What a participant may see now; nothing here tells which query is right."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from data.images import DISPLAY_SIDE
from data.studies import Polarity, Presentation, Study, atlas_size, cell_position
from experiment_server import messages
from experiment_server.cell_order import sent_cells
from experiment_server.flow import AFTER_ALL_ANSWERS, ENDS, Screen
from experiment_server.ledger import has_expired, screen_of
from experiment_server.presentations import (
    Shown,
    example_presentation,
    open_presentations,
    presentation_of,
    shown_order,
)
from experiment_server.tables import AnswerRecord, PresentationRecord, SessionRecord

N_AHEAD = 2
"""How many images after the open one may be loaded."""

WITH_IMAGES: frozenset[Screen] = frozenset(
    {"trial", "practice_again", "practice_passed", "break"}
)
"""Screens on which the next trials' images may be loaded."""


def present_screen(record: SessionRecord, now: datetime) -> Screen:
    """Return where a session is, also when its lease has just run out."""
    return "timed_out" if has_expired(record, now) else screen_of(record)


def state_of(
    db: Session,
    study: Study,
    record: SessionRecord,
    now: datetime,
    coming: Sequence[Shown] | None = None,
) -> messages.State:
    """Return the state of a session as its client may know it.

    Parameters
    ----------
    coming : sequence of Shown or None
        The open presentation and those after it, where they were looked up already.
    """
    screen = present_screen(record, now)
    ahead = _ahead(db, record, screen, coming)
    trials = [
        trial_reply(study, record, presentation_of(one), one.image, one.trial_index)
        for one in ahead[: _n_before_screen(study, record, screen)]
    ]
    trial = trials.pop(0) if screen == "trial" else None
    texts, config = study.texts, study.config
    return messages.State(
        screen=screen,
        progress=_progress(study, record, screen),
        elapsed_ms=record.elapsed_ms,
        trials_left=_trials_left(study, record, screen),
        consent=messages.ConsentReply(
            text=texts["consent"], version=texts["consent_version"]
        )
        if screen == "consent"
        else None,
        instructions=_instructions(study, record) if screen == "instructions" else None,
        comprehension=_comprehension(study, record)
        if screen == "comprehension"
        else None,
        trial=trial,
        upcoming=trials,
        ahead=[image_url(one.image) for one in ahead],
        practice=_practice(study, record, screen, trial),
        score=_score(db, study, record, screen, trial),
        debrief=messages.DebriefReply(text=texts["debrief"])
        if screen == "debrief"
        else None,
        completion_code=record.completion_code if screen == "end" else None,
        contact=config.contact,
        settings=messages.SettingsReply(
            confidence_levels=config.confidence_levels,
            lock_ms=config.lock_ms,
            feedback_delay_ms=config.feedback_delay_ms,
            feedback_ms=config.feedback_ms,
            blank_ms=config.blank_ms,
            keys=config.keys,
            wording=config.wording,
            fullscreen=config.fullscreen,
            min_window=config.min_window,
        ),
    )


def trial_reply(
    study: Study,
    record: SessionRecord,
    presentation: Presentation,
    image: str,
    sequence: int,
) -> messages.TrialReply:
    """Return a trial as it is to be drawn."""
    trial = study.trials[presentation.trial_id]
    sent = sent_cells(record, sequence, trial)
    order = shown_order(study, record, sequence, trial.cells)
    right = presentation.right_polarity
    left: Polarity = "negative" if right == "positive" else "positive"
    cells = {
        polarity: [
            cell_position(sent.explanations(polarity)[place])
            for place in order[polarity]
        ]
        for polarity in (left, right)
    }
    asked = trial.instructed_query
    practice = trial.kind in ("practice", "example")
    feedback = study.config.feedback
    return messages.TrialReply(
        sequence=sequence,
        practice=practice,
        image=image_url(image),
        image_size=atlas_size(n_images=len(trial.task.images)),
        cell=DISPLAY_SIDE,
        left=cells[left],
        right=cells[right],
        upper=cell_position(sent.query(presentation.shown("upper"))),
        lower=cell_position(sent.query(presentation.shown("lower"))),
        instruction=messages.Instruction(choose=asked) if asked else None,
        feedback=feedback == "all" or (feedback == "practice" and practice),
    )


def image_url(image: str) -> str:
    """Return where an image is fetched from."""
    return f"/api/images/{image}"


def n_practice_trials(study: Study) -> int:
    """Return how many trials one round of practice has."""
    return study.config.n_obvious_practice + study.config.n_less_obvious_practice


def _ahead(
    db: Session,
    record: SessionRecord,
    screen: Screen,
    coming: Sequence[Shown] | None,
) -> Sequence[Shown]:
    if screen not in WITH_IMAGES:
        return []
    most = 1 + N_AHEAD if screen == "trial" else N_AHEAD
    if coming is not None:
        return coming[:most]
    return open_presentations(db, record, most=most)


def _n_before_screen(study: Study, record: SessionRecord, screen: Screen) -> int:
    """Count the trials from here to the next screen that stands between trials.

    The end of a practice round needs no count: nothing lies after it until it is
    judged.
    """
    n_practice = record.practice_round * n_practice_trials(study)
    every = study.config.break_every
    # On "practice_again" the next round is the one that comes.
    in_practice = record.position < n_practice or screen == "practice_again"
    if in_practice or every is None:
        return 1 + N_AHEAD
    return every - (record.position - n_practice) % every


def _instructions(study: Study, record: SessionRecord) -> messages.InstructionsReply:
    shown = example_presentation(study, record)
    return messages.InstructionsReply(
        pages=[
            messages.InstructionPage(
                text=page["text"], highlight=page.get("highlight", "none")
            )
            for page in study.texts["instructions"]
        ],
        example=trial_reply(study, record, shown, record.example_image, -1),
        repeated=record.n_comprehension_attempts > 0,
    )


def _comprehension(study: Study, record: SessionRecord) -> messages.ComprehensionReply:
    most = study.config.max_comprehension_attempts
    return messages.ComprehensionReply(
        questions=[
            messages.Question(text=one["question"], options=one["options"])
            for one in study.texts["comprehension"]
        ],
        attempts_left=most - record.n_comprehension_attempts,
    )


def _practice(
    study: Study,
    record: SessionRecord,
    screen: Screen,
    trial: messages.TrialReply | None,
) -> messages.PracticeReply | None:
    in_practice = trial.practice if trial else screen.startswith("practice_")
    if not in_practice:
        return None
    return messages.PracticeReply(
        round=record.practice_round,
        n_rounds_max=study.config.max_practice_rounds,
        n_trials=n_practice_trials(study),
    )


def _score(
    db: Session,
    study: Study,
    record: SessionRecord,
    screen: Screen,
    trial: messages.TrialReply | None,
) -> messages.ScoreReply | None:
    in_block = screen == "break" or (trial is not None and not trial.practice)
    if not (study.config.show_score and in_block):
        return None
    correct = select(AnswerRecord.correct).join(AnswerRecord.presentation)
    of_block = correct.where(
        AnswerRecord.session_id == record.session_id,
        PresentationRecord.kind != "practice",
    ).subquery()
    n_answered = db.scalar(select(func.count()).select_from(of_block)) or 0
    n_correct = (
        db.scalar(select(func.count()).select_from(of_block).where(of_block.c.correct))
        or 0
    )
    return messages.ScoreReply(n_correct=n_correct, n_answered=n_answered)


def _trials_left(study: Study, record: SessionRecord, screen: Screen) -> int:
    if screen in ENDS or screen in AFTER_ALL_ANSWERS:
        return 0
    n_rounds = max(1, record.practice_round) + (screen == "practice_again")
    n_all = n_rounds * n_practice_trials(study) + len(study.slots[record.slot])
    return n_all - record.position


def _progress(study: Study, record: SessionRecord, screen: Screen) -> float:
    """Share of the session's screens that are done; breaks are not counted."""
    if screen in ENDS:
        return 1.0
    n_rounds = max(1, record.practice_round) + (screen == "practice_again")
    n_main = len(study.slots[record.slot])
    n_before = 2 + bool(study.comprehension)
    n_all = n_before + n_rounds * n_practice_trials(study) + 1 + n_main + 2
    done = {
        "consent": 0,
        "instructions": 1,
        "comprehension": 2,
        "feedback": n_all - 2,
        "debrief": n_all - 1,
    }
    if screen in done:
        return done[screen] / n_all
    in_block = record.position >= n_rounds * n_practice_trials(study)
    passed = in_block and screen != "practice_passed"
    return (n_before + record.position + passed) / n_all
