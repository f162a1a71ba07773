"""A small run of chaos, the same run again from its log, and bugs that it finds."""

import json
import subprocess
import sys

import pytest

from tests.chaos import __main__ as command
from tests.chaos.invariants import INVARIANTS
from tests.chaos.plan import Fault, drawn_plan, logged_plan
from tests.chaos.planted import BUGS, catch
from tests.chaos.run import run_chaos

N_PEOPLE = 10


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'answers.sqlite'}"


def test_nothing_that_must_hold_breaks_in_a_small_chaos(url):
    plan = drawn_plan(0, "sqlite", n_people=N_PEOPLE)
    outcome = run_chaos(plan, url, n_people=N_PEOPLE)
    assert outcome.found == []
    assert len(outcome.journal.ends) == N_PEOPLE
    assert outcome.n_answers > 20
    assert len(outcome.summary["faults_by_kind"]) >= 4
    assert outcome.summary["server_faults_by_kind"]


@pytest.mark.parametrize(
    "bug",
    [
        "commits-after-the-reply",
        "lets-failed-practice-pass",
        "lets-the-old-tab-write",
    ],
)
def test_a_planted_bug_is_found_by_its_invariant(url, bug):
    caught = catch(bug, url, seed=3)
    assert BUGS[bug][1] in caught.found


def test_every_invariant_has_a_planted_bug():
    assert {expected for _, expected in BUGS.values()} == set(INVARIANTS)


PLANT_EACH = """
import os
from tests.chaos.planted import BUGS, plant
for bug in BUGS:
    if not os.fork():
        plant(bug)
        raise SystemExit
    assert os.wait()[1] == 0, bug
"""


def test_every_bug_can_still_be_planted():
    subprocess.run([sys.executable, "-c", PLANT_EACH], check=True)


def test_a_seed_always_draws_the_same_faults():
    one, same, other = (drawn_plan(seed, "sqlite", n_people=20) for seed in (5, 5, 6))
    places = [(person, request) for person in range(20) for request in range(40)]

    def faults(plan):
        return [plan.fault(*place) for place in places]

    assert faults(one) == faults(same) != faults(other)
    assert one.of_server == same.of_server != other.of_server
    assert [one.persona(i) for i in range(20)] == [same.persona(i) for i in range(20)]


def test_a_log_gives_back_the_faults_that_it_tells_of(tmp_path):
    log = tmp_path / "chaos.json"
    run = {
        "seed": 4,
        "database": "sqlite",
        "sessions": 3,
        "faults": [{"person": 1, "request": 2, "kind": "lost_reply", "value": 0.5}],
        "server_faults": [{"after_requests": 7, "kind": "disk_full", "value": 0.1}],
    }
    log.write_text(json.dumps({"runs": [run]}))
    plan, _ = logged_plan(log)
    assert plan.fault(1, 2) == Fault(kind="lost_reply", value=0.5)
    assert plan.fault(1, 3) is None
    assert plan.of_server == {7: Fault(kind="disk_full", value=0.1)}


def test_the_command_writes_a_log_that_it_can_replay(tmp_path, capsys):
    log = tmp_path / "chaos.json"
    few = ["--sessions", "3", "--browsers", "0", "--database", "sqlite"]
    assert command.main([*few, "--seed", "2", "--out", str(log)]) == 0
    told = json.loads(log.read_text())
    again = tmp_path / "again.json"
    assert command.main([*few, "--replay", str(log), "--out", str(again)]) == 0
    first, second = (json.loads(path.read_text())["runs"][0] for path in (log, again))
    assert told["n_violations"] == 0
    assert first["seed"] == second["seed"] == 2
    # A person sends less where something else is slow, never anything else.
    places = {(one["person"], one["request"], one["kind"]) for one in first["faults"]}
    repeated = {
        (one["person"], one["request"], one["kind"]) for one in second["faults"]
    }
    assert repeated <= places
    assert "violations" in capsys.readouterr().out
