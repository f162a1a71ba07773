"""Deliberately broken servers, to show that the invariants find what they are for."""

import inspect
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from experiment_server import (
    answers,
    database,
    flow,
    presentations,
    sessions,
    steps,
    tables,
    views,
)
from experiment_server.refusals import Refusal
from tests.chaos.plan import drawn_plan

LATE_S = 0.25


def plant(bug: str) -> None:
    """Break the server of this process."""
    BUGS[bug][0]()


def _replace(owner: Any, name: str, value: Any) -> None:
    """Set what must be there already: a bug in what has gone is none.

    Nor is one in a function that is called otherwise by now: that would only fail.
    """
    original = getattr(owner, name)
    if callable(original):
        needed = inspect.signature(original).parameters.values()
        by_name = {one.name: ... for one in needed if one.kind is one.KEYWORD_ONLY}
        in_order = [... for one in needed if one.kind is one.POSITIONAL_OR_KEYWORD]
        inspect.signature(value).bind(*in_order, **by_name)
    setattr(owner, name, value)


def _commits_after_the_reply() -> None:
    @contextmanager
    def write(self: database.Database) -> Iterator[Session]:
        db = Session(self._writing, expire_on_commit=False)
        db.begin()
        try:
            yield db
        except BaseException:
            db.rollback()
            db.close()
            raise
        if "late" not in db.info:
            db.commit()
            db.close()
            return

        def late() -> None:
            db.commit()
            db.close()

        threading.Timer(LATE_S, late).start()

    original = views.record_answer

    def record(db: Session, *given: Any, **more: Any) -> Any:
        db.info["late"] = True
        return original(db, *given, **more)

    _replace(database.Database, "write", write)
    _replace(views, "record_answer", record)


def _loses_one_answer() -> None:
    original = views.record_answer

    def record(db: Any, study: Any, own: Any, *given: Any, **more: Any) -> Any:
        recorded = original(db, study, own, *given, **more)
        if own.position == 2:
            place = {"session_id": own.session_id, "trial_index": 1}
            db.execute(delete(tables.AnswerRecord).filter_by(**place))
        return recorded

    _replace(views, "record_answer", record)


def _takes_a_second_answer() -> None:
    original = answers._stored

    def stored(db: Any, record: Any, answer: Any) -> Any:
        found = original(db, record, answer)
        if found is not None:
            found.idempotency_key = answer.idempotency_key
            found.confidence = answer.confidence
        return found

    _replace(answers, "_stored", stored)


def _forgets_the_key() -> None:
    original = answers.record_answer

    def record(
        db: Any, study: Any, own: Any, answer: Any, *given: Any, **more: Any
    ) -> Any:
        if db.get(tables.AnswerRecord, (own.session_id, answer.sequence)) is not None:
            fresh = answer.idempotency_key[:-4] + f"{own.position:04d}"
            change = {"sequence": own.position, "idempotency_key": fresh}
            answer = answer.model_copy(update=change)
        return original(db, study, own, answer, *given, **more)

    _replace(views, "record_answer", record)


def _takes_any_sequence() -> None:
    original = answers.record_answer

    def record(db: Any, study: Any, own: Any, answer: Any, *given: Any, **more: Any):
        place = own.session_id, answer.sequence
        if own.screen == "trial" and db.get(tables.PresentationRecord, place):
            own.position = max(own.position, answer.sequence)
        return original(db, study, own, answer, *given, **more)

    _replace(views, "record_answer", record)


def _stores_the_other_row() -> None:
    original = answers.record_answer

    def record(db: Any, study: Any, own: Any, answer: Any, *given: Any, **more: Any):
        if answer.sequence % 4 == 3:
            other = {"upper": "lower", "lower": "upper"}[answer.chosen]
            answer = answer.model_copy(update={"chosen": other})
        return original(db, study, own, answer, *given, **more)

    _replace(views, "record_answer", record)


def _gives_the_code_early() -> None:
    original = views.state_of

    def state_of(*given: Any, **more: Any) -> Any:
        state = original(*given, **more)
        if state.screen != "trial" or state.trial.practice:
            return state
        return state.model_copy(update={"completion_code": "EARLYCODE234"})

    _replace(views, "state_of", state_of)


def _keeps_the_code() -> None:
    original = views.state_of

    def state_of(*given: Any, **more: Any) -> Any:
        return original(*given, **more).model_copy(update={"completion_code": None})

    _replace(views, "state_of", state_of)


def _change_transition(origin: str, step: str, target: str) -> None:
    table: Any = {**flow.TRANSITIONS, (origin, step): target}
    _replace(flow, "TRANSITIONS", MappingProxyType(table))


def _skips_the_break() -> None:
    _change_transition("trial", "pause", "practice_passed")


def _finishes_from_anywhere() -> None:
    def finish(db: Any, record: Any, body: Any, now: Any) -> None:
        record.screen, record.status = "end", "complete"
        record.completion_code = steps.new_completion_code(db)

    _replace(steps, "finish", finish)


def _lets_failed_practice_pass() -> None:
    original = answers._step_after_practice

    def step(db: Any, study: Any, record: Any, practice_round: int) -> Any:
        found = original(db, study, record, practice_round)
        if found == "use_up_rounds":
            answers.add_main_block(db, study, record, first=record.position)
            return "pass_practice"
        return found

    _replace(answers, "_step_after_practice", step)


def _shows_a_unit_twice() -> None:
    original = presentations._add

    def add(db: Any, study: Any, record: Any, shown: Any, **more: Any) -> None:
        shown = list(shown)
        mains = [
            place
            for place, one in enumerate(shown)
            if study.trials[one.trial_id].kind == "main"
        ]
        if mains:
            shown[mains[-1]] = shown[mains[0]]
        original(db, study, record, shown, **more)

    _replace(presentations, "_add", add)


def _takes_a_strangers_token() -> None:
    original = sessions.visit_of

    def visit_of(db: Any, token: str) -> Any:
        try:
            return original(db, token)
        except Refusal:
            record = tables.SessionRecord
            somebody = db.execute(select(record.session_id, record.visit)).first()
            if somebody is None:
                raise
            return somebody

    _replace(sessions, "visit_of", visit_of)


def _mixes_people_up() -> None:
    original = sessions.pseudonym_of

    def pseudonym(secret: bytes, recruiter: str, external_id: str) -> str:
        return original(secret, recruiter, external_id[:7])

    _replace(sessions, "pseudonym_of", pseudonym)


def _lets_the_old_tab_write() -> None:
    original_visit, original_record = sessions.any_visit, answers.record_answer

    @contextmanager
    def any_visit(*given: Any, **more: Any) -> Any:
        with original_visit(*given, **more) as (db, record, _):
            yield db, record, record.visit

    def record(*given: Any, **more: Any) -> Any:
        return original_record(*given, **more | {"is_newest": True})

    _replace(sessions, "any_visit", any_visit)
    _replace(views, "any_visit", any_visit)
    _replace(views, "record_answer", record)


def _forgets_the_join_key() -> None:
    _replace(sessions, "_session_of_key", lambda *given: None)
    original = sessions._new_token

    def new_token(db: Any, record: Any, **more: Any) -> str:
        return original(db, record, **more | {"join_sha256": None})

    _replace(sessions, "_new_token", new_token)


def _forgets_the_resume_key() -> None:
    original = sessions.resume

    def resume(db: Any, record: Any, request: Any, now: Any) -> str:
        other = request.model_copy(update={"resume_key": str(uuid4())})
        return original(db, record, other, now)

    _replace(views, "resume", resume)


def _gives_a_slot_twice() -> None:
    def free_slot(db: Any, *given: Any) -> int:
        db.execute(text("DROP INDEX IF EXISTS uq_session_held_slot"))
        return 0

    _replace(sessions, "free_slot", free_slot)


def _is_full_too_early() -> None:
    original = sessions.free_slot

    def free_slot(*given: Any) -> int:
        slot = original(*given)
        if slot % 2:
            raise Refusal("study-full", "Every place in this study is taken.")
        return slot

    _replace(sessions, "free_slot", free_slot)


def _fails_at_a_repeat() -> None:
    original = answers._stored

    def stored(db: Any, record: Any, answer: Any) -> Any:
        found = original(db, record, answer)
        if found is not None:
            raise RuntimeError("a planted failure")
        return found

    _replace(answers, "_stored", stored)


def _never_ends_a_break() -> None:
    def go_on(study: Any, record: Any, body: Any, now: Any) -> None:
        if body.screen != "break":
            original(study, record, body, now)

    original = steps.go_on
    _replace(steps, "go_on", go_on)


BUGS: dict[str, tuple[Callable[[], None], str]] = {
    "commits-after-the-reply": (_commits_after_the_reply, "acknowledged-is-on-disk"),
    "loses-one-answer": (_loses_one_answer, "acknowledged-is-on-disk"),
    "takes-a-second-answer": (_takes_a_second_answer, "one-answer-a-trial"),
    "forgets-the-key": (_forgets_the_key, "stored-as-given"),
    "takes-any-sequence": (_takes_any_sequence, "answers-in-order"),
    "stores-the-other-row": (_stores_the_other_row, "stored-as-given"),
    "gives-the-code-early": (_gives_the_code_early, "code-only-after-all-answers"),
    "finishes-from-anywhere": (_finishes_from_anywhere, "one-listed-state"),
    "keeps-the-code": (_keeps_the_code, "all-answers-give-a-code"),
    "skips-the-break": (_skips_the_break, "one-listed-state"),
    "lets-failed-practice-pass": (_lets_failed_practice_pass, "gates-hold"),
    "shows-a-unit-twice": (_shows_a_unit_twice, "no-unit-twice"),
    "takes-a-strangers-token": (_takes_a_strangers_token, "sessions-apart"),
    "mixes-people-up": (_mixes_people_up, "sessions-apart"),
    "lets-the-old-tab-write": (_lets_the_old_tab_write, "newest-visit-writes"),
    "forgets-the-join-key": (_forgets_the_join_key, "one-session-a-join"),
    "forgets-the-resume-key": (_forgets_the_resume_key, "one-visit-a-load"),
    "gives-a-slot-twice": (_gives_a_slot_twice, "no-slot-twice"),
    "is-full-too-early": (_is_full_too_early, "no-slot-wasted"),
    "fails-at-a-repeat": (_fails_at_a_repeat, "known-replies"),
    "never-ends-a-break": (_never_ends_a_break, "nobody-stuck"),
}
"""Name to what plants it, and the invariant that must find it."""


@dataclass(frozen=True)
class Caught:
    """What a run against a broken server found.

    Attributes
    ----------
    found : dict
        Invariant to how often it was broken.
    """

    bug: str
    expected: str
    found: dict[str, int]


def catch(bug: str, url: str, *, seed: int, n_people: int = 10) -> Caught:
    """Run people against a broken server, without any fault of the server's own."""
    from tests.chaos.run import run_chaos

    plan = drawn_plan(
        seed,
        "sqlite",
        n_people=n_people,
        rate=0.15,
        server_faults=False,
        move_share=0.5,
        patience_s=6.0,
    )
    about_slots = BUGS[bug][1].startswith("no-slot")
    outcome = run_chaos(
        plan, url, n_people=n_people, slots_share=0.8 if about_slots else 1.5, bug=bug
    )
    found = Counter(one.invariant for one in outcome.found)
    return Caught(bug, BUGS[bug][1], dict(sorted(found.items())))
