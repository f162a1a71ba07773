"""The preset ``imi``: IMI's trials, and IMI's checks as IMI computed them."""

from dataclasses import dataclass, field

import pandas as pd
import pytest

from data.exclusion import IMI, exclusion_table
from data.imi import TRIAL_TYPE
from data.studies import IMI_PRESET, cell_position, read_study
from experiment_server.export import exported
from tests.experiment_server.toy_study import make_toy_study

N_PRACTICE, N_MAIN, N_CATCH = 5, 40, 5


@dataclass
class Habits:
    """How somebody takes part; times in ms."""

    reading: float = 60_000.0
    trial: float = 8_000.0
    n_wrong_catch: int = 0
    n_failed_rounds: int = 0
    n_rarely: int | None = None
    """Answers after practice in the row used less; None: whatever is right."""
    rarely: str = "lower"


PEOPLE = {
    "careful": Habits(),
    "reads just long enough": Habits(reading=15_000.0),
    "reads too briefly": Habits(reading=14_999.0),
    "hurries": Habits(trial=2_200.0, reading=16_000.0),
    "dawdles": Habits(trial=60_000.0),
    "misses one catch trial": Habits(n_wrong_catch=1),
    "misses two catch trials": Habits(n_wrong_catch=2),
    "needs three rounds": Habits(n_failed_rounds=2),
    "uses the lower row five times": Habits(n_rarely=5),
    "uses the lower row four times": Habits(n_rarely=4),
    "uses the upper row four times": Habits(n_rarely=4, rarely="upper"),
}
FAILS = {
    "reads too briefly": {"instruction_time"},
    "hurries": {"total_response_time"},
    "dawdles": {"total_response_time"},
    "misses two catch trials": {"catch_trials"},
    "uses the lower row four times": {"row_variability"},
    "uses the upper row four times": {"row_variability"},
}


@dataclass
class Log:
    """The records that IMI's page would have made: type and ``time_elapsed``."""

    records: list[tuple[str, float]] = field(default_factory=list)

    def add(self, trial_type, time_elapsed):
        self.records.append((trial_type, time_elapsed))


def imi_study(folder, **settings):
    settings |= {"n_obvious_practice": 4, "n_less_obvious_practice": 1, **IMI_PRESET}
    return read_study(make_toy_study(folder / "study", **settings))


@pytest.fixture
def database_url(sqlite_url):
    """These rules are about what is shown and exported; one database is enough."""
    return sqlite_url


def take_part(one, habits):
    """Walk a session and log the screens in the order of IMI's page."""
    log = Log()
    one.consent()
    # Times count from leaving the welcome page; ours has no such page.
    log.add("instructions", 0.0)
    reading = one.tick(habits.reading)
    one.post("instructions", {"time_elapsed_ms": reading, "pages": []})
    log.add("instructions", reading)
    log.add("fullscreen", reading)
    log.add("call-function", reading)
    n_wrong, n_rarely, n_left = habits.n_wrong_catch, habits.n_rarely, N_MAIN + N_CATCH
    while one.screen != "feedback":
        if one.screen == "practice_again":
            log.add("instructions", one.tick(2_000.0))
            one.go_on()
            log.add("call-function", one.tick(0.0))
            continue
        if one.screen == "practice_passed":
            log.add("instructions", one.tick(2_000.0))
            one.go_on()
            continue
        right = one.right_row()
        row, kind = right, one.shown_trial().kind
        if kind == "practice":
            fails = one.state["practice"]["round"] <= habits.n_failed_rounds
            row = other(right) if fails else right
        elif kind == "catch" and n_wrong:
            row, n_wrong = other(right), n_wrong - 1
        elif n_rarely is not None:
            # Where it is right in a catch trial, or there is no room left for it.
            wanted = kind == "catch" and right == habits.rarely
            is_rare = n_rarely > 0 and (wanted or n_left <= n_rarely)
            row = habits.rarely if is_rare else other(habits.rarely)
            n_rarely -= is_rare
        n_left -= kind != "practice"
        body = one.answer_body(chosen=row)
        one.elapsed_ms = body["time_elapsed_ms"] = log.records[-1][1] + habits.trial
        one.post("answers", body)
        log.add(TRIAL_TYPE, one.elapsed_ms)
    return log


def other(row):
    return {"upper": "lower", "lower": "upper"}[row]


def old_checks(log, rows):
    """Compute IMI's checks from the sequence of ``trial_type``, as its release does.

    Parameters
    ----------
    log : Log
    rows : DataFrame
        The session's rows of IMI's table, which hold what the trials' records held.
    """
    types = [trial_type for trial_type, _ in log.records]
    times = [time_elapsed for _, time_elapsed in log.records]
    answers = iter(rows.to_dict("records"))
    answer_of = {
        place: next(answers) for place, one in enumerate(types) if one == TRIAL_TYPE
    }
    for place, answer in answer_of.items():
        assert answer["trial_type"] == types[place]
        assert answer["time_elapsed"] == times[place]
    first_demo = types.index(TRIAL_TYPE)
    before_main = next(
        place
        for place, one in enumerate(types[:-1])
        if one == "instructions" and types[place + 1] == TRIAL_TYPE
    )
    main = [answer for place, answer in answer_of.items() if place > before_main]
    rounds = 1 + types[first_demo:before_main].count("call-function")
    caught = [answer["correct"] for answer in main if answer["catch_trial"]]
    ratio = sum(caught) / len(caught)
    n_upper = sum(answer["button_pressed"] in (0, 1, 2) for answer in main)
    n_lower = sum(answer["button_pressed"] in (3, 4, 5) for answer in main)
    total = (times[-1] - times[0]) / 1000
    reading = (times[first_demo - 1] - times[0]) / 1000
    details = {
        "demo_trials_details_extracted": rounds,
        "catch_trials_details_ratio_extracted": ratio,
        "total_response_time_details_extracted": total,
        "row_variability_details_details_upper_extracted": n_upper,
        "row_variability_details_details_lower_extracted": n_lower,
        "instruction_time_details_extracted": reading,
    }
    passed = {
        "demo_trials": rounds <= 3,
        "catch_trials": ratio >= 0.8,
        "total_response_time": 135 <= total <= 2500,
        "row_variability": n_upper >= 5 and n_lower >= 5,
        "instruction_time": reading >= 15,
    }
    return passed, details


@pytest.fixture
def walked(serve, tmp_path, clock):
    """Everybody's log, our tables, and IMI's."""
    served = serve(imi_study(tmp_path, n_slots=len(PEOPLE), n_explanations=1))
    logs = {
        name: take_part(served.participant(participant=name), habits)
        for name, habits in PEOPLE.items()
    }
    ours, theirs = exported(served.study, served.database, now=clock())
    return logs, ours, theirs


def test_the_export_passes_imis_checks_computed_the_old_way(walked):
    logs, ours, theirs = walked
    table = exclusion_table(ours.responses, ours.sessions, IMI)
    verdicts = table.pivot(index="session_id", columns="criterion", values="excluded")
    sessions = ours.sessions.set_index("participant_id")["session_id"]
    for number, (name, log) in enumerate(logs.items(), start=1):
        pseudonym = f"P{number:04d}"
        rows = theirs[theirs["participant_id"] == pseudonym]
        passed, details = old_checks(log, rows)
        assert {check for check, fine in passed.items() if not fine} == FAILS.get(
            name, set()
        ), name
        for check, fine in passed.items():
            assert set(rows[f"{check}_result"]) == {fine}, (name, check)
            excluded = verdicts.loc[sessions[pseudonym], check]
            assert excluded == (not fine), (name, check)
        assert set(rows["passed_checks"]) == {all(passed.values())}, name
        for detail, value in details.items():
            assert rows[detail].tolist() == pytest.approx([value] * len(rows)), detail


def test_a_session_of_the_preset_has_imis_trials_in_imis_table(serve, tmp_path, clock):
    served = serve(imi_study(tmp_path, n_explanations=1))
    take_part(served.participant(participant="one"), PEOPLE["careful"])
    _, rows = exported(served.study, served.database, now=clock())
    assert rows["is_demo"].sum() == N_PRACTICE
    main = rows[~rows["is_demo"]]
    assert (len(main), main["catch_trial"].sum()) == (N_MAIN + N_CATCH, N_CATCH)
    assert main["corrected_trial_index"].tolist() == list(range(N_MAIN + N_CATCH))
    assert (rows["correct"] == (rows["choice"] == "b")).all()
    switched = rows["switched_queries"]
    upper = rows["button_pressed"] < 3
    # 'b' is the positive query: above where the queries are switched.
    assert ((rows["choice"] == "b") == (upper == switched)).all()
    assert pd.unique(rows["confidence"]).tolist() == [2]


def test_the_presets_trials_are_imis(serve, tmp_path):
    study = imi_study(tmp_path, n_explanations=9)
    one = serve(study).participant().walk_to("trial")
    n_seen = {"practice": 0, "main": 0, "catch": 0}
    upper = 0
    while one.screen != "feedback":
        if one.screen != "trial":
            assert one.screen == "practice_passed"
            one.go_on()
        reply, trial = one.state["trial"], one.shown_trial()
        n_seen[trial.kind] += 1
        cells = trial.cells
        assert reply["right"][0] == at(cells.positive_explanations[0])
        assert reply["left"][0] == at(cells.negative_explanations[0])
        assert sorted(reply["right"]) == sorted(map(at, cells.positive_explanations))
        assert len(reply["left"]) == len(reply["right"]) == 9
        upper += reply["upper"] == at(cells.positive_query)
        score = one.state["score"]
        n_answered = n_seen["main"] + n_seen["catch"] - 1
        if reply["practice"]:
            assert score is None
        else:
            assert score == {"n_correct": n_answered, "n_answered": n_answered}
        assert one.answer().json["feedback"] == {"correct": True}
    assert n_seen == {"practice": N_PRACTICE, "main": N_MAIN, "catch": N_CATCH}
    assert 10 < upper < N_MAIN
    settings = one.state["settings"]
    told = {
        name: settings[name]
        for name in (
            "confidence_levels",
            "lock_ms",
            "feedback_delay_ms",
            "feedback_ms",
            "blank_ms",
            "keys",
            "fullscreen",
            "min_window",
        )
    }
    assert told == {
        "confidence_levels": 3,
        "lock_ms": 1500,
        "feedback_delay_ms": 350,
        "feedback_ms": 1150,
        "blank_ms": 0,
        "keys": False,
        "fullscreen": "ask",
        "min_window": [940, 600],
    }


def at(cell):
    return list(cell_position(cell))
