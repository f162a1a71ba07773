"""What must hold whatever happens: pure checks of a run's evidence."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from data.studies import Study
from experiment_server.flow import AFTER_ALL_ANSWERS, ENDS, STATUS_AT, TRANSITIONS
from experiment_server.refusals import STATUS_OF
from tests.chaos.journal import Exchange, Intent, Journal, token_hash
from tests.chaos.witness import Holdings, Row, right_row

INVARIANTS = {
    "acknowledged-is-on-disk": "an acknowledged answer is in the database",
    "one-answer-a-trial": "a session has one answer to a trial, and it never changes",
    "answers-in-order": "a session's answers come in order and without gaps",
    "stored-as-given": "the stored answer is the one that the person gave",
    "code-only-after-all-answers": "a code is shown only when all answers are stored",
    "all-answers-give-a-code": "whoever has all answers stored can get the code",
    "one-listed-state": "a session is in one state, and moves only by a listed step",
    "gates-hold": "nobody gets past a gate that they failed",
    "no-unit-twice": "no unit is shown twice in the main trials of a session",
    "sessions-apart": "nothing of another session can be read or written",
    "newest-visit-writes": "an older tab can't write once a newer one took over",
    "one-visit-a-load": "a page that is loaded once takes over once",
    "one-session-a-join": "one press of the start button makes one session",
    "no-slot-twice": "no slot is held by two sessions",
    "no-slot-wasted": "nobody is sent away while a slot is free",
    "known-replies": "every reply is one that the API lists",
    "nobody-stuck": "everybody who keeps trying reaches an end",
}
"""Name to what it says."""


_AFTER_PRACTICE = {"practice_again", "practice_passed", "practice_failed"}


@dataclass(frozen=True)
class Violation:
    """A broken invariant, with what shows it."""

    invariant: str
    what: str


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that is known of a run when it is over."""

    study: Study
    journal: Journal
    holdings: Holdings
    people: dict[int, str] = field(default_factory=dict)

    @cached_property
    def session_of(self) -> dict[str, str]:
        """Token hash to session."""
        return {row["sha256"]: row["session_id"] for row in self.holdings.tokens}

    @cached_property
    def sessions(self) -> dict[str, Row]:
        """Session id to its row."""
        return {row["session_id"]: row for row in self.holdings.sessions}

    @cached_property
    def answers(self) -> dict[str, dict[int, Row]]:
        """Session id to trial index to answer."""
        return _by_trial(self.holdings.answers)

    @cached_property
    def presentations(self) -> dict[str, dict[int, Row]]:
        """Session id to trial index to presentation."""
        return _by_trial(self.holdings.presentations)

    @cached_property
    def exchanges(self) -> list[tuple[Exchange, str]]:
        """Every exchange whose token belongs to a session, with that session."""
        found = []
        for exchange in self.journal.exchanges:
            session = self.session_of.get(token_hash(exchange.token or ""))
            if session is not None:
                found.append((exchange, session))
        return found

    def acknowledged(self) -> Iterator[tuple[Exchange, str]]:
        """Give the exchanges that acknowledged an answer."""
        for exchange, session in self.exchanges:
            if (
                exchange.method == "POST"
                and exchange.path.endswith("/answers")
                and exchange.accepted
                and exchange.body
            ):
                yield exchange, session

    def deleted(self, session: str) -> bool:
        """Whether the person withdrew, so that answers may be gone."""
        return bool(self.sessions[session]["screen"] == "withdrawn")


def _by_trial(rows: list[Row]) -> dict[str, dict[int, Row]]:
    found: dict[str, dict[int, Row]] = defaultdict(dict)
    for row in rows:
        found[row["session_id"]][row["trial_index"]] = row
    return found


def violations(evidence: Evidence) -> list[Violation]:
    """Return every broken invariant of a run."""
    found = [
        Violation(invariant, f"{exchange.method} {exchange.path}: {what}")
        for exchange in evidence.journal.exchanges
        for invariant, what in exchange.found
    ]
    for name, check in CHECKS.items():
        found += [Violation(name, what) for what in check(evidence)]
    return found


def _on_disk(evidence: Evidence) -> Iterator[str]:
    for exchange, session in evidence.acknowledged():
        assert exchange.body is not None
        trial = exchange.body["sequence"]
        if evidence.deleted(session):
            continue
        stored = evidence.answers[session].get(trial)
        if stored is None:
            yield f"trial {trial} of {session}: acknowledged, and not stored"
        elif stored["idempotency_key"] != exchange.body["idempotency_key"].lower():
            yield f"trial {trial} of {session}: another answer is stored"


def _one_answer(evidence: Evidence) -> Iterator[str]:
    keys: dict[tuple[str, int], set[str]] = defaultdict(set)
    for exchange, session in evidence.acknowledged():
        assert exchange.body is not None
        key = str(exchange.body["idempotency_key"]).lower()
        keys[session, exchange.body["sequence"]].add(key)
    for (session, trial), found in keys.items():
        if len(found) > 1:
            yield f"trial {trial} of {session}: {len(found)} answers acknowledged"
    inserted = Counter(
        (row["session_id"], row["trial_index"])
        for row in evidence.holdings.seen_answers
        if row["event"] == "INSERT"
    )
    for (session, trial), n in inserted.items():
        if n > 1:
            yield f"trial {trial} of {session}: stored {n} times"
    for row in evidence.holdings.seen_answers:
        if row["event"] == "UPDATE":
            yield f"trial {row['trial_index']} of {row['session_id']}: changed"


def _in_order(evidence: Evidence) -> Iterator[str]:
    order: dict[str, list[int]] = defaultdict(list)
    for row in evidence.holdings.seen_answers:
        if row["event"] == "INSERT":
            order[row["session_id"]].append(row["trial_index"])
    for session, trials in order.items():
        if trials != list(range(len(trials))):
            yield f"{session}: stored in the order {trials}"
    for session, record in evidence.sessions.items():
        n_stored = len(evidence.answers[session])
        if not evidence.deleted(session) and record["position"] != n_stored:
            yield f"{session}: at {record['position']} with {n_stored} answers"


def _as_given(evidence: Evidence) -> Iterator[str]:
    meant: dict[tuple[str, int], list[Intent]] = defaultdict(list)
    sessions_of: dict[int, set[str]] = defaultdict(set)
    for exchange, session in evidence.exchanges:
        sessions_of[exchange.person].add(session)
    for intent in evidence.journal.intents:
        for session in sessions_of[intent.person]:
            meant[session, intent.sequence].append(intent)
    for session, answers in evidence.answers.items():
        for trial, stored in answers.items():
            shown = evidence.presentations[session][trial]
            upper = stored["chosen_query"] == shown["upper_query"]
            row = "upper" if upper else "lower"
            given = {(one.row, one.confidence) for one in meant[session, trial]}
            if (row, stored["confidence"]) not in given:
                yield f"trial {trial} of {session}: {row} stored, {given} given"
            right = right_row(evidence.study, shown) == row
            if bool(stored["correct"]) != right:
                yield f"trial {trial} of {session}: marked correct={stored['correct']}"
    yield from _unlike_acknowledged(evidence)


def _unlike_acknowledged(evidence: Evidence) -> Iterator[str]:
    for exchange, session in evidence.acknowledged():
        assert exchange.body is not None
        stored = evidence.answers[session].get(exchange.body["sequence"])
        if stored is None:
            continue
        if stored["idempotency_key"] != exchange.body["idempotency_key"].lower():
            continue
        for name in ("confidence", "rt_ms", "time_elapsed_ms"):
            if stored[name] != exchange.body[name]:
                yield (
                    f"trial {exchange.body['sequence']} of {session}: {name} is"
                    f" {stored[name]}, given was {exchange.body[name]}"
                )


def _is_whole(evidence: Evidence, session: str) -> bool:
    """Whether all answers of a session's main block are stored."""
    shown = evidence.presentations[session]
    block = [trial for trial, row in shown.items() if row["practice_round"] is None]
    n_expected = len(evidence.study.slots[evidence.sessions[session]["slot"]])
    return len(block) == n_expected and set(shown) == set(evidence.answers[session])


def _code_late_enough(evidence: Evidence) -> Iterator[str]:
    for session, record in evidence.sessions.items():
        if evidence.deleted(session):
            continue
        if record["completion_code"] and not _is_whole(evidence, session):
            yield f"{session}: has a code without all answers"
    codes: dict[str, set[str]] = defaultdict(set)
    for exchange, session in evidence.exchanges:
        code = (exchange.state or {}).get("completion_code")
        if code:
            codes[session].add(code)
    for session, found in codes.items():
        if found != {evidence.sessions[session]["completion_code"]}:
            yield f"{session}: the codes {found} were shown, another one is stored"


def _code_obtainable(evidence: Evidence) -> Iterator[str]:
    shown = {
        session
        for exchange, session in evidence.exchanges
        if (exchange.state or {}).get("completion_code")
    }
    for session in evidence.sessions:
        whole = not evidence.deleted(session) and _is_whole(evidence, session)
        if whole and session not in shown:
            yield f"{session}: all answers are stored, and no code could be had"


def _listed(evidence: Evidence) -> Iterator[str]:
    steps = {(origin, target) for (origin, _), target in TRANSITIONS.items()}
    for row in evidence.holdings.seen_sessions:
        session, origin, screen = row["session_id"], row["old_screen"], row["screen"]
        if origin is None and screen != "consent":
            yield f"{session}: began at {screen}"
        if origin not in (None, screen) and (origin, screen) not in steps:
            yield f"{session}: went from {origin} to {screen}"
        risen = row["position"] - (row["old_position"] or 0)
        if risen not in (0, 1) or (risen == 1 and origin != "trial"):
            yield f"{session}: position rose by {risen} at {origin}"
        if origin == "trial" and screen in _AFTER_PRACTICE | {"break", "feedback"}:
            yield from _left_at_its_time(evidence, row)
        expected = STATUS_AT.get(screen)
        if expected is not None and row["status"] != expected:
            yield f"{session}: is {row['status']} at {screen}"
    visited: dict[str, set[str]] = defaultdict(lambda: {"consent", "timed_out"})
    for row in evidence.holdings.seen_sessions:
        visited[row["session_id"]].add(row["screen"])
    for exchange, session in evidence.exchanges:
        screen = (exchange.state or {}).get("screen")
        if screen is not None and screen not in visited[session]:
            yield f"{session}: {screen} was shown and never stored"


def _left_at_its_time(evidence: Evidence, row: Row) -> Iterator[str]:
    """Check that an answer in practice, or in the main block, leads where it may."""
    session, screen = row["session_id"], row["screen"]
    answered = row["position"] - 1
    shown = evidence.presentations[session].get(answered)
    if shown is None or evidence.deleted(session):
        return
    if (shown["practice_round"] is not None) != (screen in _AFTER_PRACTICE):
        yield f"{session}: trial {answered} led to {screen}"


def _gates(evidence: Evidence) -> Iterator[str]:
    for session, shown in evidence.presentations.items():
        record = evidence.sessions[session]
        if shown and record["consented_at"] is None:
            yield f"{session}: has trials without consent"
        if record["screen"] in ("declined", "comprehension_failed") and shown:
            yield f"{session}: {record['screen']} and has trials"
        if all(row["practice_round"] is not None for row in shown.values()):
            continue
        if not _passed(evidence, session):
            yield f"{session}: has main trials without a passed practice"
    for person, persona in evidence.people.items():
        if not persona.startswith("fails"):
            continue
        end = evidence.journal.ends.get(person)
        if end in AFTER_ALL_ANSWERS:
            yield f"person {person}: is one who {persona} and ended at {end}"


def _passed(evidence: Evidence, session: str) -> bool:
    """Whether a session has a practice round with all answers right."""
    rounds: dict[int, list[bool]] = defaultdict(list)
    for trial, shown in evidence.presentations[session].items():
        if shown["practice_round"] is None:
            continue
        stored = evidence.answers[session].get(trial)
        if stored is None:
            return False
        row = "upper" if stored["chosen_query"] == shown["upper_query"] else "lower"
        right = right_row(evidence.study, shown) == row
        rounds[shown["practice_round"]].append(right)
    n_most = evidence.study.config.max_practice_rounds
    return bool(rounds) and max(rounds) <= n_most and all(rounds[max(rounds)])


def _units_once(evidence: Evidence) -> Iterator[str]:
    for session, shown in evidence.presentations.items():
        units = Counter(
            evidence.study.trials[row["trial_id"]].task.unit
            for row in shown.values()
            if row["kind"] == "main"
        )
        for unit, n in units.items():
            if n > 1:
                yield f"{session}: the unit {unit} is shown {n} times"


def _apart(evidence: Evidence) -> Iterator[str]:
    people: dict[str, set[int]] = defaultdict(set)
    for exchange in evidence.journal.exchanges:
        token = (exchange.reply or {}).get("token")
        if exchange.person >= 0 and token:
            session = evidence.session_of.get(token_hash(token))
            people[session or "?"].add(exchange.person)
    for session, found in people.items():
        if len(found) > 1:
            yield f"{session}: given to the people {sorted(found)}"
    own = {
        row["image"]: session
        for session, shown in evidence.presentations.items()
        for row in shown.values()
    }
    for exchange, session in evidence.exchanges:
        for image in _images(exchange):
            if own.get(image, session) != session:
                yield f"{session}: was sent an image of {own[image]}"
    for exchange in evidence.journal.exchanges:
        if (
            exchange.token
            and exchange.token.startswith("foreign")
            and exchange.accepted
        ):
            yield f"{exchange.method} {exchange.path}: took a token that is nobody's"
    codes = Counter(
        row["completion_code"]
        for row in evidence.holdings.sessions
        if row["completion_code"]
    )
    yield from (f"{n} sessions have one code" for n in codes.values() if n > 1)
    keys: dict[str, set[str]] = defaultdict(set)
    for exchange, session in evidence.exchanges:
        if exchange.body and "idempotency_key" in exchange.body:
            keys[session].add(str(exchange.body["idempotency_key"]).lower())
    for session, answers in evidence.answers.items():
        for trial, stored in answers.items():
            if stored["idempotency_key"] not in keys[session]:
                yield f"trial {trial} of {session}: holds what nobody sent there"


def _images(exchange: Exchange) -> Iterator[str]:
    state = exchange.state or {}
    trials = [state.get("trial"), *(state.get("upcoming") or [])]
    for one in trials:
        url = one.get("image") if isinstance(one, dict) else one
        if isinstance(url, str):
            yield url.rsplit("/", 1)[-1]


def _newest_writes(evidence: Evidence) -> Iterator[str]:
    """Find writes by a token that a newer visit had made old."""
    visits: dict[str, list[tuple[float, float, str, str]]] = defaultdict(list)
    for exchange in evidence.journal.exchanges:
        token = (exchange.reply or {}).get("token")
        if token and exchange.accepted:
            session = evidence.session_of.get(token_hash(token), "?")
            key = _visit_key(exchange)
            visits[session].append((exchange.started, exchange.ended, token, key))
    for exchange, session in evidence.exchanges:
        exempt = exchange.path.endswith(("/resume", "/events"))
        repeat = exchange.path.endswith("/answers") and exchange.status == 200
        if exchange.method != "POST" or not exchange.accepted or exempt or repeat:
            continue
        given = [one for one in visits[session] if one[2] == exchange.token]
        newer = [
            token
            for started, ended, token, key in visits[session]
            if given and started > given[0][1] and ended < exchange.started
            # A repeat of the same request is no newer tab.
            if key != given[0][3]
        ]
        if newer:
            yield f"{exchange.path} of {session}: taken from a tab that was taken over"


def _visit_key(exchange: Exchange) -> str:
    """Return the key that a page is loaded with, however often that is sent."""
    body = exchange.body or {}
    return str(body.get("resume_key") or body.get("join_key")).lower()


def _one_visit(evidence: Evidence) -> Iterator[str]:
    visit_of = {row["sha256"]: row["visit"] for row in evidence.holdings.tokens}
    made: dict[tuple[str, str], set[int]] = defaultdict(set)
    for exchange in evidence.journal.exchanges:
        given = token_hash((exchange.reply or {}).get("token") or "")
        if given in visit_of and exchange.accepted:
            place = evidence.session_of[given], _visit_key(exchange)
            made[place].add(visit_of[given])
    for (session, key), visits in made.items():
        if len(visits) > 1:
            yield f"{session}: the key {key} made the visits {sorted(visits)}"


def _one_join(evidence: Evidence) -> Iterator[str]:
    made: dict[str, set[str]] = defaultdict(set)
    for exchange in evidence.journal.exchanges:
        key = (exchange.body or {}).get("join_key")
        token = (exchange.reply or {}).get("token")
        if key and token:
            made[str(key).lower()].add(evidence.session_of.get(token_hash(token), "?"))
    for key, sessions in made.items():
        if len(sessions) > 1:
            yield f"the join key {key} made {len(sessions)} sessions"
    people: dict[int, set[str]] = defaultdict(set)
    for exchange, session in evidence.exchanges:
        people[exchange.person].add(session)
    for person, found in people.items():
        if person >= 0 and len(found) > 1:
            yield f"person {person} has {len(found)} sessions"
    orphans = set(evidence.sessions) - {session for _, session in evidence.exchanges}
    reached = {
        evidence.session_of.get(token_hash((one.reply or {}).get("token") or ""))
        for one in evidence.journal.exchanges
    }
    for session in orphans - reached:
        if evidence.sessions[session]["status"] == "active":
            yield f"{session}: holds a place, and nobody has its token"


def _slots_once(evidence: Evidence) -> Iterator[str]:
    holder: dict[int, str] = {}
    holds: dict[str, int] = {}
    for row in evidence.holdings.seen_sessions:
        session, slot = row["session_id"], row["slot"]
        if not row["holds_slot"]:
            if holder.get(holds.pop(session, -1)) == session:
                del holder[row["slot"]]
            continue
        if holder.get(slot, session) != session:
            yield f"slot {slot}: given to {session} while {holder[slot]} holds it"
        holder[slot], holds[session] = session, slot


def _known_replies(evidence: Evidence) -> Iterator[str]:
    for exchange in evidence.journal.exchanges:
        if exchange.status is None or exchange.accepted:
            continue
        error = (exchange.reply or {}).get("error")
        if not exchange.path.startswith("/api/") or exchange.method == "HEAD":
            continue
        if error not in STATUS_OF or STATUS_OF[error] != exchange.status:
            yield f"{exchange.method} {exchange.path}: {exchange.status} {error!r}"
        elif error == "server-error":
            yield f"{exchange.method} {exchange.path}: the server failed"


def _not_stuck(evidence: Evidence) -> Iterator[str]:
    ends = {*ENDS, "left", "turned_away"}
    for person in evidence.people:
        end = evidence.journal.ends.get(person)
        if end not in ends:
            yield f"person {person} ({evidence.people[person]}) stands at {end}"


CHECKS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "acknowledged-is-on-disk": _on_disk,
    "one-answer-a-trial": _one_answer,
    "answers-in-order": _in_order,
    "stored-as-given": _as_given,
    "code-only-after-all-answers": _code_late_enough,
    "all-answers-give-a-code": _code_obtainable,
    "one-listed-state": _listed,
    "gates-hold": _gates,
    "no-unit-twice": _units_once,
    "sessions-apart": _apart,
    "newest-visit-writes": _newest_writes,
    "one-visit-a-load": _one_visit,
    "one-session-a-join": _one_join,
    "no-slot-twice": _slots_once,
    "known-replies": _known_replies,
    "nobody-stuck": _not_stuck,
}
