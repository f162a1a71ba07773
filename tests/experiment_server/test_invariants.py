"""Whatever people, browsers and attackers send, and in whatever order: what must hold.

A state machine sends legal and illegal requests of several people and pages, with
their repeats, and looks at the database after each.
"""

from typing import ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select

from data.studies import correct_row, read_study
from experiment_server.flow import AFTER_ALL_ANSWERS, ENDS, TRANSITIONS
from experiment_server.ledger import has_expired
from experiment_server.presentations import presentation_of
from experiment_server.serve_command import CRITERIA
from experiment_server.sessions import hash_of
from experiment_server.settings import ServerSettings
from experiment_server.tables import (
    AnswerRecord,
    Base,
    ComprehensionRecord,
    PresentationRecord,
    SessionRecord,
    TokenRecord,
)
from tests.chaos import planted
from tests.experiment_server.conftest import Clock, Served
from tests.experiment_server.toy_study import TEXTS, make_toy_study

SMALL = {
    "n_slots": 2,
    "n_main_trials": 2,
    "n_obvious_practice": 1,
    "n_less_obvious_practice": 1,
    "max_practice_rounds": 2,
    "break_every": 2,
    "after_lease": "resume",
}
ASKED = [{"question": "Which side counts?", "options": ["Left", "Right"]}]
STEPS = [
    "consent",
    "instructions",
    "comprehension",
    "continue",
    "feedback",
    "finish",
    "answers",
    "events",
]
NAMES = st.sampled_from(["anna", "ben", "cleo", None])
PROBES = st.sampled_from([None, None, "again", -1, 1, 2])
"""What is sent before each answer: earlier ones again, or one of another trial."""
MOSTLY = st.sampled_from([True, True, True, False])
EDGES = {(source, target) for (source, _), target in TRANSITIONS.items()}


class Sessions(RuleBasedStateMachine):
    """People with pages; ``served`` is one server for all runs."""

    served = None
    clock = None
    reached: ClassVar[set[str]] = set()
    pages = Bundle("pages")

    @initialize()
    def begin(self):
        with self.served.database.write() as db:
            for table in reversed(Base.metadata.sorted_tables):
                if table.name != "study":
                    db.execute(delete(table))
        self.client = self.served.app.test_client()
        self.study = self.served.study
        self.acknowledged = {}
        self.sent = []
        self.n_keys = 0

    # What is sent

    def key(self):
        self.n_keys += 1
        return str(UUID(int=self.n_keys))

    def post(self, path, body, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        own = token and self.session_of(token)
        is_old = token and self.is_old(token)
        before, screens = self.stored(), self.screens()
        reply = self.client.post(f"/api/{path}", json=body, headers=headers)
        assert reply.status_code in {200, 201, 204, 400, 401, 403, 409}, reply.text
        if is_old and path not in ("session/resume", "session/events"):
            # An older page may only learn that its answer is stored.
            is_told = path == "session/answers" and reply.status_code == 200
            assert is_told or reply.status_code >= 400
        after = self.stored()
        for session_id in before.keys() | after.keys():
            if reply.status_code >= 400 or session_id != own:
                # Joining adds a session without any of these.
                assert after.get(session_id) == before.get(session_id)
        for session_id, screen in self.screens().items():
            self.reached.add(screen)
            was = screens.get(session_id, "consent")
            moved = (was, screen) if screen != was else None
            assert moved is None or moved in EDGES
            if moved and (session_id != own or reply.status_code >= 400):
                assert screen == "timed_out"
        return reply

    def screens(self):
        with self.served.database.read() as db:
            query = select(SessionRecord.session_id, SessionRecord.screen)
            return {one.session_id: one.screen for one in db.execute(query)}

    def stored(self):
        """Return what is stored of each session, but for what time alone changes."""
        found = {}
        with self.served.database.read() as db:
            for table in (AnswerRecord, PresentationRecord, ComprehensionRecord):
                columns = [c for c in table.__table__.c if c.name != "interrupted"]
                for row in db.execute(select(*columns).order_by(*columns[:3])):
                    of_session = found.setdefault(row.session_id, [])
                    of_session.append((table.__tablename__, *row))
        return found

    @rule(target=pages, name=NAMES, repeated=st.booleans())
    def join(self, name, repeated):
        body = {"participant": name, "join_key": self.key()}
        reply = self.post("sessions", body)
        if repeated:
            again = self.post("sessions", body)
            assert again.status_code in (200, 201, 409)
            if reply.status_code == 201:
                assert again.status_code == 200
            reply = again
        return reply.json.get("token", "no place")

    @rule(target=pages, page=pages)
    def resume(self, page):
        reply = self.post("session/resume", {"resume_key": self.key()}, page)
        return reply.json.get("token", page)

    @rule(page=pages, right=MOSTLY, n=st.integers(1, 20), probe=PROBES)
    def go_on(self, page, right, n, probe):
        page = self.resume_quietly(page)
        for _ in range(n):
            if probe:
                self.probe(page, probe)
            if not self.step(page, right=right, understood=True):
                return

    def probe(self, page, kind):
        """Try to store what is not the answer that the open trial waits for."""
        state = self.state(page)
        if state is None or state["screen"] != "trial":
            return
        sequence = state["trial"]["sequence"]
        if kind == "again":
            own = self.session_of(page)
            for at, body in self.sent[-8:]:
                if self.session_of(at) == own and body["sequence"] < sequence:
                    self.send(page, "answers", body)
        elif sequence + kind >= 0:
            self.send(page, "answers", self.answer(sequence + kind, "upper"))

    def resume_quietly(self, page):
        body = {"resume_key": self.key()}
        return self.post("session/resume", body, page).json.get("token", page)

    @rule(page=pages, right=st.booleans())
    def take_one_step(self, page, right):
        self.step(page, right=right, understood=right)

    def state(self, page):
        headers = {"Authorization": f"Bearer {page}"}
        reply = self.client.get("/api/session", headers=headers)
        return reply.json if reply.status_code == 200 else None

    def step(self, page, *, right, understood):
        """Take the step that leads on; False where none does."""
        state = self.state(page)
        if state is None or state["screen"] in ENDS:
            return False
        name, body = self.fitting(state, right=right, understood=understood)
        assert self.send(page, name, body).status_code in (200, 201)
        return True

    def fitting(self, state, *, right, understood):
        at = {"time_elapsed_ms": state["elapsed_ms"] + 1000.0}
        screen = state["screen"]
        if screen == "consent":
            version = state["consent"]["version"]
            return "consent", {"agreed": True, "consent_version": version}
        if screen == "trial":
            row = self.right_row(state["trial"]["image"])
            other = {"upper": "lower", "lower": "upper"}[row]
            answer = self.answer(state["trial"]["sequence"], row if right else other)
            return "answers", answer | at
        bodies = {
            "instructions": ("instructions", at),
            "comprehension": ("comprehension", at | {"answers": [int(understood)]}),
            "feedback": ("feedback", {"text": "."}),
            "debrief": ("finish", at),
        }
        return bodies.get(screen, ("continue", at | {"screen": screen}))

    def answer(self, sequence, row):
        return {
            "sequence": sequence,
            "idempotency_key": self.key(),
            "chosen": row,
            "confidence": 2,
            "rt_ms": 500.0,
            "time_elapsed_ms": 1.0,
            "input": "api",
        }

    def right_row(self, image):
        name = image.rsplit("/", 1)[1]
        with self.served.database.read() as db:
            query = select(PresentationRecord).where(PresentationRecord.image == name)
            shown = db.scalars(query).one()
            trial = self.study.trials[shown.trial_id]
            return correct_row(trial, presentation_of(shown))

    def send(self, page, name, body):
        reply = self.post(f"session/{name}", body, page)
        if name == "answers":
            self.sent.append((page, body))
            if reply.status_code in (200, 201):
                place = self.session_of(page), body["sequence"]
                told = body["idempotency_key"], body["chosen"]
                assert self.acknowledged.setdefault(place, told) == told
        return reply

    @rule(
        page=pages,
        step=st.sampled_from(
            [
                "consent",
                "instructions",
                "comprehension",
                "continue",
                "feedback",
                "finish",
                "answers",
                "events",
            ]
        ),
        number=st.integers(0, 12),
        screen=st.sampled_from(["break", "practice_passed", "practice_again"]),
    )
    def send_what_may_not_fit(self, page, step, number, screen):
        at = {"time_elapsed_ms": 1.0}
        body = {
            "consent": {"agreed": number > 2, "consent_version": "v1-toy"},
            "instructions": at,
            "comprehension": at | {"answers": [number]},
            "continue": at | {"screen": screen},
            "feedback": {"text": "."},
            "finish": at,
            "answers": self.answer(number, "upper"),
            "events": {
                "events": [
                    {"number": number, "event": "blur", "trial": 0, "time_ms": 1.0}
                ]
            },
        }[step]
        self.send(page, step, body)

    @rule(choice=st.randoms(use_true_random=False), other=pages, swap=st.booleans())
    def send_an_answer_again(self, choice, other, swap):
        if self.sent:
            page, body = choice.choice(self.sent)
            self.send(other if swap else page, "answers", body)

    @rule(page=pages, delete_answers=st.booleans(), number=st.integers(0, 2))
    def withdraw(self, page, delete_answers, number):
        if number:
            return
        body = {"delete_answers": delete_answers}
        reply = self.send(page, "withdraw", body)
        if reply.status_code == 200 and delete_answers:
            session_id = self.session_of(page)
            for place in [one for one in self.acknowledged if one[0] == session_id]:
                del self.acknowledged[place]

    @rule(minutes=st.sampled_from([5, 61]))
    def wait(self, minutes):
        self.clock.pass_minutes(minutes)

    def session_of(self, page):
        query = select(TokenRecord.session_id)
        with self.served.database.read() as db:
            return db.scalar(query.where(TokenRecord.sha256 == hash_of(page)))

    def is_old(self, page):
        """Whether a newer page has taken over."""
        query = select(TokenRecord.visit < SessionRecord.visit).where(
            SessionRecord.session_id == TokenRecord.session_id,
            TokenRecord.sha256 == hash_of(page),
        )
        with self.served.database.read() as db:
            return db.scalar(query)

    # What must hold

    @invariant()
    def what_was_acknowledged_is_stored_once_and_as_sent(self):
        with self.served.database.read() as db:
            stored = {
                (one.session_id, one.trial_index): (
                    one.idempotency_key,
                    self.row(db, one),
                )
                for one in db.scalars(select(AnswerRecord))
            }
        assert stored == self.acknowledged

    def row(self, db, answer):
        place = answer.session_id, answer.trial_index
        shown = presentation_of(db.get_one(PresentationRecord, place))
        rows = {shown.shown(row): row for row in ("upper", "lower")}
        return rows[answer.chosen_query]

    @invariant()
    def every_session_is_in_order(self):
        with self.served.database.read() as db:
            records = db.scalars(select(SessionRecord)).all()
            answers = db.scalars(select(AnswerRecord)).all()
            shown = db.scalars(select(PresentationRecord)).all()
            for record in records:
                own, own_shown = (
                    [one for one in found if one.session_id == record.session_id]
                    for found in (answers, shown)
                )
                self.check_one(db, record, own, own_shown)

    def check_one(self, db, record, own, shown):
        is_deleted = record.screen == "withdrawn" and not own and not shown
        indices = sorted(answer.trial_index for answer in own)
        assert indices == list(range(len(own)))
        if not is_deleted:
            assert record.position == len(own)
        n_in_block = len(self.study.slots[record.slot])
        in_block = [one for one in shown if one.practice_round is None]
        units = [self.study.trials[one.trial_id].task.unit for one in in_block]
        assert len(set(units)) == len(units)
        first = record.practice_round * 2
        if record.screen in AFTER_ALL_ANSWERS:
            assert len(own) == first + n_in_block
            assert record.status == "complete"
        assert (record.completion_code is not None) <= (
            record.screen in {"end", "withdrawn"}
        )
        if record.screen == "trial":
            assert record.position in [one.trial_index for one in shown]
        if in_block:
            assert len(in_block) == n_in_block
            last_round = [a for a in own if first - 2 <= a.trial_index < first]
            assert all(answer.correct for answer in last_round)
        if shown:
            query = select(ComprehensionRecord).where(
                ComprehensionRecord.session_id == record.session_id
            )
            asked = sorted(db.scalars(query), key=lambda one: one.attempt)
            assert [one.correct for one in asked][-1:] == [True]
            assert len(asked) <= 2

    @invariant()
    def no_slot_is_held_twice_or_by_who_has_left(self):
        with self.served.database.read() as db:
            records = db.scalars(select(SessionRecord)).all()
            held = [record.slot for record in records if record.holds_slot]
            assert len(held) == len(set(held)) <= 2
            for record in records:
                is_left = has_expired(record, self.clock())
                if record.status not in {"active", "complete"}:
                    assert not record.holds_slot
                if record.status == "active" and not is_left:
                    assert record.holds_slot


@pytest.fixture
def machine(tmp_path):
    study = make_toy_study(
        tmp_path / "study",
        texts=TEXTS | {"comprehension": ASKED},
        comprehension=[1],
        **SMALL,
    )
    clock = Clock()
    served = Served(
        read_study(study),
        f"sqlite:///{tmp_path / 'answers.sqlite'}",
        ServerSettings(criteria=CRITERIA["none"], clock=clock),
    )
    yield type("Sessions", (Sessions,), {"served": served, "clock": clock})
    served.database.close()


def run(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=18,
            stateful_step_count=30,
            phases=[Phase.generate],
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_nothing_that_is_sent_breaks_a_session(machine):
    run(machine)
    assert "end" in machine.reached


@pytest.mark.parametrize(
    "bug",
    [
        "takes-any-sequence",
        "takes-a-second-answer",
        "forgets-the-key",
        "lets-the-old-tab-write",
        "lets-failed-practice-pass",
    ],
)
def test_a_server_without_a_check_is_found_out(machine, monkeypatch, bug):
    monkeypatch.setattr(planted, "_replace", monkeypatch.setattr)
    planted.plant(bug)
    with pytest.raises((AssertionError, ExceptionGroup)):
        run(machine)
