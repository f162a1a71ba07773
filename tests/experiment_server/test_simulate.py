import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from data.errors import DataContractError, ExperimentError
from data.exclusion import IMI, excluded_sessions, exclusion_table
from data.formats import Header
from data.scores import Scores, write_scores
from data.studies import cell_position, correct_row, read_study
from experiment_server.database import open_database
from experiment_server.export import exported
from experiment_server.settings import utc_now
from experiment_server.simulate_command import main
from experiment_server.simulation.browser_walk import QUICK, walk_in_browser
from experiment_server.simulation.finished import finished_sessions
from experiment_server.simulation.http_walk import HttpWalk
from experiment_server.simulation.observers import (
    TableObserver,
    choose,
    similarity_observer,
    table_observer,
)
from experiment_server.simulation.people import CARELESS, draw_people
from experiment_server.simulation.recognition import Recognition, ShownTrial
from experiment_server.simulation.server_process import served
from tests.experiment_server.toy_study import make_toy_study

ROOT = Path(__file__).parents[2]
PLANTED = {f"toy::main::{number}": 0.5 + 0.06 * number for number in range(8)}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "study"
    settings = {"n_slots": 80, "n_main_trials": 8, "n_catch_trials": 2}
    return read_study(make_toy_study(folder, **settings))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "units.csv"
    rows = list(PLANTED.items())
    pd.DataFrame(rows, columns=["unit", "proportion_correct"]).to_csv(path, index=False)
    return path


def read(study, url):
    database = open_database(study, url, upgrade=False)
    try:
        return exported(study, database, now=utc_now())[0]
    finally:
        database.close()


@pytest.fixture(scope="module")
def crowd(study, table, tmp_path_factory):
    """What 60 participants answered to a planted table, some of them careless."""
    url = f"sqlite:///{tmp_path_factory.mktemp('database') / 'answers.sqlite'}"
    options = ["--serve", "--database", url, "--sessions", "60", "--careless", "8"]
    options += ["--observer", "table", "--table", str(table), "--seed", "1"]
    assert main([str(study.folder), *options]) == 0
    return url, options, read(study, url)


def test_planted_proportions_come_out_within_their_intervals(crowd):
    responses = crowd[2].responses
    main_trials = responses[
        (responses["kind"] == "main") & (responses["observer"] == "table")
    ]
    by_unit = main_trials.groupby("unit")["correct"].agg(["sum", "count"])
    assert len(by_unit) == 8
    for unit, row in by_unit.iterrows():
        test = stats.binomtest(int(row["sum"]), int(row["count"]))
        interval = test.proportion_ci(0.999)
        assert interval.low <= PLANTED[unit] <= interval.high


def test_every_session_is_marked_as_simulated_with_its_observer(crowd):
    sessions = crowd[2].sessions
    assert sessions["simulated"].all()
    assert sessions["observer"].str.startswith("table").all()
    assert crowd[2].responses["simulated"].all()


def test_careless_observers_fall_by_the_criterion_they_are_named_for(crowd):
    _, _, read_back = crowd
    strict = dataclasses.replace(IMI, min_instructed_share=0.5, max_focus_losses=10)
    table = exclusion_table(read_back.responses, read_back.sessions, strict)
    reasons = excluded_sessions(table)
    sessions = read_back.sessions.set_index("session_id")
    for kind, criterion in CARELESS.items():
        own = sessions[sessions["observer"] == f"table, careless: {kind}"]
        assert len(own), kind
        if criterion is None:
            assert set(own["status"]) == {"practice_failed"}
            continue
        found = [reasons.get(name, "") for name in own.index]
        assert any(criterion in one.split(", ") for one in found), kind


def test_careful_observers_pass_imis_criteria(crowd):
    _, _, read_back = crowd
    sessions = read_back.sessions
    careful = sessions[sessions["observer"] == "table"]
    # IMI asks for 5 answers in either row, of 45; these sessions have 12 trials.
    shorter = dataclasses.replace(IMI, min_row_answers=1)
    table = exclusion_table(read_back.responses, careful, shorter)
    assert len(careful) == 52
    assert excluded_sessions(table).size <= 3


def test_who_is_finished_does_not_take_part_again(study, crowd, capsys):
    url, options, before = crowd
    assert main([str(study.folder), *options]) == 0
    out = capsys.readouterr().out
    assert "Done before: 60 of 60" in out
    assert "Answers:     0" in out
    assert len(read(study, url).sessions) == len(before.sessions)


def test_guessing_is_at_chance(study, tmp_path):
    url = f"sqlite:///{tmp_path / 'answers.sqlite'}"
    options = ["--database", url, "--sessions", "20", "--observer", "guess"]
    assert main([str(study.folder), "--serve", *options]) == 0
    responses = read(study, url).responses
    main_trials = responses[responses["kind"] == "main"]
    n_correct = int(main_trials["correct"].sum())
    assert len(main_trials) >= 140
    assert stats.binomtest(n_correct, len(main_trials)).pvalue > 1e-3


def test_the_same_seed_gives_the_same_answers_however_many_walk_at_once(
    study, table, tmp_path
):
    answers = []
    for threads in ("1", "6"):
        url = f"sqlite:///{tmp_path / f'{threads}.sqlite'}"
        options = ["--database", url, "--sessions", "16", "--careless", "8"]
        options += ["--observer", "table", "--table", str(table), "--seed", "2"]
        command = [str(study.folder), "--serve", "--threads", threads, *options]
        assert main(command) == 0
        found = read(study, url).responses
        same = ["participant_id", "trial_index", "kind", "task_id", "positive_side"]
        same += ["upper_query", "chosen_query", "correct", "confidence", "rt_ms"]
        answers.append(found[same].sort_values(same[:4], ignore_index=True))
    pd.testing.assert_frame_equal(*answers)


def test_who_was_cut_off_between_two_sessions_takes_part_twice_and_not_thrice(
    study, tmp_path
):
    url = f"sqlite:///{tmp_path / 'answers.sqlite'}"
    people = draw_people(8, n_careless=8, seed=5, ability=1.0, kinds=list(CARELESS))
    twice = next(one for one in people if one.careless == "takes_part_twice")
    with served(study.folder, url) as server, httpx.Client(base_url=server) as client:
        observer = TableObserver("guess", None)
        walk = HttpWalk(client, twice, observer, Recognition(study))
        walk.join()
        walk.run()
    options = ["--database", url, "--sessions", "8", "--careless", "8", "--seed", "5"]
    command = [str(study.folder), "--serve", "--observer", "guess", *options]
    assert main(command) == 0
    assert read(study, url).sessions["participant_id"].value_counts().max() == 2


@pytest.mark.slow
def test_a_killed_simulation_goes_on_where_it_was(study, table, tmp_path):
    url = f"sqlite:///{tmp_path / 'answers.sqlite'}"
    with served(study.folder, url) as server:
        options = [str(study.folder), "--server", server, "--database", url]
        options += ["--sessions", "25", "--observer", "table", "--table", str(table)]
        command = [sys.executable, "-m", "unitscope", "simulate", *options]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        while len(finished_sessions(study, url, make=False)) < 5:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        n_finished = len(finished_sessions(study, url, make=False))
        assert n_finished < 25
        assert main(options) == 0
    read_back = read(study, url)
    assert len(read_back.sessions) == 25
    assert set(read_back.sessions["status"]) <= {"complete", "practice_failed"}
    complete = read_back.sessions["status"] == "complete"
    ids = read_back.sessions.loc[complete, "session_id"]
    main_trials = read_back.responses[read_back.responses["kind"] == "main"]
    assert Counter(main_trials["session_id"]) == dict.fromkeys(ids, 8)


@pytest.mark.browser
def test_a_browser_session_is_complete_and_leaves_a_picture(tmp_path, chromium, seed):
    settings = {"n_main_trials": 3, "n_catch_trials": 0, "feedback_ms": 100}
    study = read_study(make_toy_study(tmp_path / "study", **settings))
    url = f"sqlite:///{tmp_path / 'answers.sqlite'}"
    people = draw_people(2, n_careless=0, seed=seed, ability=1, kinds=())
    outcomes = []
    with served(study.folder, url) as server:
        asyncio.run(
            walk_in_browser(
                people,
                server=server,
                observer=TableObserver("table", PLANTED | dict.fromkeys(PLANTED, 1.0)),
                recognition=Recognition(study),
                pace=QUICK,
                screenshot=tmp_path / "trial.png",
                advance=outcomes.append,
            )
        )
    assert len(outcomes) == 2
    read_back = read(study, url)
    assert read_back.sessions["simulated"].all()
    complete = read_back.sessions["status"] == "complete"
    assert complete.any()
    main_trials = read_back.responses[read_back.responses["kind"] == "main"]
    assert main_trials["correct"].all()
    assert main_trials["onset_method"].notna().all()
    with Image.open(tmp_path / "trial.png") as picture:
        assert picture.size == (1440, 810)


def test_an_observer_knows_the_correct_row_from_what_it_was_sent(study):
    recognition = Recognition(study)
    for one in study.slots[0]:
        trial = study.trials[one.trial_id]
        reply = {
            "right": [
                list(cell_position(cell))
                for cell in reversed(trial.cells.explanations(one.right_polarity))
            ],
            "upper": list(cell_position(trial.cells.query(one.shown("upper")))),
            "lower": list(cell_position(trial.cells.query(one.shown("lower")))),
        }
        shown = recognition.shown(reply, study.atlas_path(trial).read_bytes())
        assert shown == ShownTrial(trial, correct_row(trial, one))


def test_a_picture_that_the_study_does_not_have_is_an_error(study):
    reply = {"right": [[0, 0]], "upper": [0, 0]}
    with pytest.raises(ExperimentError, match="serves another study"):
        Recognition(study).shown(reply, b"another picture")


def test_the_same_seed_gives_the_same_people():
    drawn = [
        draw_people(9, n_careless=3, seed=seed, ability=2.5, kinds=tuple(CARELESS))
        for seed in (4, 4, 5)
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert sum(one.careless is not None for one in drawn[0]) == 3
    assert len({one.careless for one in drawn[0]}) == 4


def answers_of(observer, person, shown, n=400):
    return [
        choose(observer, person, shown, n_levels=3, lock_ms=500, rng=person.rng(str(i)))
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def person():
    return draw_people(1, n_careless=0, seed=0, ability=1, kinds=())[0]


def test_confidence_follows_the_probability_correct(study, person):
    shown = ShownTrial(study.of_kind("main")[0], "upper")
    unit = str(shown.trial.task.unit)
    low, high = (
        np.mean(
            [
                one.confidence
                for one in answers_of(TableObserver("table", {unit: p}), person, shown)
            ]
        )
        for p in (0.5, 0.95)
    )
    assert low + 1 < high


def test_no_answer_is_given_while_the_trial_is_locked(study):
    hasty = draw_people(1, n_careless=1, seed=0, ability=1, kinds=("too_fast",))[0]
    shown = ShownTrial(study.of_kind("main")[0], "upper")
    answers = answers_of(TableObserver("guess", None), hasty, shown)
    assert min(one.rt_ms for one in answers) > 500
    assert np.median([one.rt_ms for one in answers]) < 1000


def similarity_scores(folder, study, margin, *, tau=0.16):
    tasks = [one.task for one in study.trials.values() if one.kind != "catch"]
    rows = [(task.task_id, str(task.unit), task.number, margin, 0.5) for task in tasks]
    columns = ["task_id", "unit", "number", "margin", "probability"]
    units = sorted({str(task.unit) for task in tasks})
    write_scores(
        folder,
        Scores(
            units=pd.DataFrame({"unit": units, "mis": 0.5}),
            tasks=pd.DataFrame(rows, columns=columns),
            header=Header(format="scores", version=1, config={"tau": tau}),
        ),
    )
    return folder


def test_similarity_is_a_sigmoid_of_ability_times_margin_with_lapses(
    study, tmp_path, person
):
    observer = similarity_observer(
        similarity_scores(tmp_path / "scores", study, 0.32), study
    )
    able = dataclasses.replace(person, ability=1.5, lapse=0.1)
    trial = study.of_kind("main")[0]
    expected = 0.05 + 0.9 / (1 + np.exp(-3.0))
    assert observer.probability_correct(trial, able) == pytest.approx(expected)


def test_a_row_bias_moves_answers_to_that_row(study, tmp_path, person):
    observer = similarity_observer(
        similarity_scores(tmp_path / "scores", study, 0.0), study
    )
    shown = ShownTrial(study.of_kind("main")[0], "lower")
    biased = dataclasses.replace(person, row_bias=2.0)
    rows = [one.row for one in answers_of(observer, biased, shown)]
    assert rows.count("upper") / len(rows) == pytest.approx(0.88, abs=0.06)


def test_scores_without_a_task_of_the_study_are_refused(study, tmp_path):
    folder = similarity_scores(tmp_path / "scores", study, 0.1)
    tasks = pd.read_parquet(folder / "tasks.parquet").iloc[1:]
    tasks.to_parquet(folder / "tasks.parquet", index=False)
    with pytest.raises(DataContractError, match=r"lacks 1 of the study's tasks, first"):
        similarity_observer(folder, study)


def test_a_table_without_a_unit_of_the_study_is_refused(study, table, tmp_path):
    short = tmp_path / "units.csv"
    pd.read_csv(table).iloc[2:].to_csv(short, index=False)
    with pytest.raises(
        DataContractError, match=r"lacks 2 of the study's 8 units, first 'toy::main::0'"
    ):
        table_observer(short, study)


def test_a_lost_reply_is_sent_again_and_stored_once(study, tmp_path, person):
    url = f"sqlite:///{tmp_path / 'answers.sqlite'}"
    lost = Counter()

    class Forgetful(httpx.HTTPTransport):
        def handle_request(self, request):
            reply = super().handle_request(request)
            if request.url.path.endswith("/answers") and not lost[request.content]:
                lost[request.content] += 1
                reply.read()
                raise httpx.ReadError("the reply was lost", request=request)
            return reply

    with (
        served(study.folder, url) as server,
        httpx.Client(base_url=server, transport=Forgetful()) as client,
    ):
        walk = HttpWalk(
            client, person, TableObserver("guess", None), Recognition(study)
        )
        walk.join()
        outcome = walk.run()
    assert len(lost) == outcome.n_answers
    assert len(read(study, url).responses) == outcome.n_answers


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--observer", "table"], "--observer table needs --table"),
        (["--observer", "similarity"], "--observer similarity needs --scores"),
        (["--observer", "guess", "--sessions", "0"], "--sessions is 0"),
        (["--observer", "guess", "--careless", "61"], "--careless 61 are more than"),
        (["--observer", "guess", "--ability", "0"], "--ability 0"),
    ],
)
def test_bad_options_are_one_line(study, capsys, options, said):
    assert main([str(study.folder), "--serve", *options]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert said in error
    assert "\n" not in error


def test_a_server_that_is_not_there_is_one_line(study, capsys):
    options = ["--server", "http://127.0.0.1:9", "--observer", "guess"]
    assert main([str(study.folder), *options]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: --server http://127.0.0.1:9 is no study's server")


def test_a_server_that_does_not_start_tells_why(study, tmp_path, capsys):
    url = f"sqlite:///{tmp_path / 'answers.sqlite'}"
    other = read_study(make_toy_study(tmp_path / "other", seed=5))
    open_database(other, url, upgrade=True).close()
    with (
        pytest.raises(ExperimentError, match=r"did not start: .* belongs to another"),
        served(study.folder, url),
    ):
        pass


def test_who_finds_no_place_is_told_by_the_exit_status(tmp_path, capsys):
    # Long enough for IMI's criteria: an excluded session would free its place.
    folder = make_toy_study(tmp_path / "study", n_slots=2, n_main_trials=24)
    study = read_study(folder)
    url = f"sqlite:///{tmp_path / 'answers.sqlite'}"
    options = ["--database", url, "--sessions", "5", "--observer", "guess"]
    status = main([str(study.folder), "--serve", "--seed", "3", *options])
    out = capsys.readouterr().out
    assert status == 1
    assert "'study_full'" in out
