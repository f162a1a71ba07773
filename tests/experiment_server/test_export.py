"""What leaves the database: our tables, IMI's, and nothing twice."""

import json
from dataclasses import asdict

import pandas as pd
import pytest

from data.exclusion import IMI
from data.imi import IMI_COLUMNS
from data.response_tables import BESIDE, RESPONSES, SESSIONS
from data.responses import read_responses
from data.studies import Cells, cell_position
from experiment_server import export, export_command, rows
from experiment_server.presentations import shown_order
from experiment_server.tables import Base, SessionRecord

NOT_EXPORTED = {
    "identity",  # names of persons
    "token",  # secrets
    "verdict",  # 'excluded_by'; the values follow from the answers
}
LEFT_OUT = {
    "study.id",
    "study.fingerprint",  # in the export's header
    "study.secret",
    "participant.id",  # secrets and keys
    "participant.pseudonym",
    "session.screen",  # 'status' and the answers
    "session.holds_slot",
    "session.lease_until",
    "session.position",
    "session.elapsed_ms",
    "session.instruction_time_ms",  # in seconds
    "session.total_time_ms",
    "session.judged",
    "session.draw_key",
    "session.example_image",
    "presentation.trial_id",  # 'task_id'
    "presentation.image",
    "answer.idempotency_key",
}


@pytest.fixture
def run(tmp_path, capsys):
    """Export what was served; returns the exit status, stdout and stderr."""

    def command(served, *options):
        arguments = [str(served.study.folder), "--database", served.url]
        status = export_command.main(
            [*arguments, "--out", str(tmp_path / "out"), *options]
        )
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return command


@pytest.fixture
def served(serve):
    """Three sessions: complete, declined, and complete by a program."""
    served = serve(test_run_allowed=True)
    served.participant(participant="anna").walk_to("end")
    served.participant(test_run=True).walk_to("trial").answer()
    served.participant(participant="bert").consent(agreed=False)
    served.participant(participant="robot", observer="guess").walk_to("end")
    return served


def test_an_export_reads_back_as_what_was_answered(served, run, tmp_path):
    status, out, _ = run(served)
    assert status == 0
    back = read_responses(tmp_path / "out")
    assert len(back.responses) == 2 * (3 + 8)
    assert back.sessions["status"].tolist() == ["complete", "declined", "complete"]
    assert back.responses["correct"].all()
    assert "1 declined" in out


def test_participants_get_running_numbers_in_the_order_of_joining(
    served, run, tmp_path
):
    run(served)
    sessions = read_responses(tmp_path / "out").sessions
    assert sessions["participant_id"].tolist() == [
        "P0001",
        "P0002",
        "simulated-P0003",
    ]


def test_no_file_of_an_export_holds_the_recruiters_names(served, run, tmp_path):
    run(served)
    for path in (tmp_path / "out").iterdir():
        for name in (b"anna", b"robot", b"bert"):
            assert name not in path.read_bytes()


def test_simulated_answers_are_marked_in_every_file(served, run, tmp_path):
    _, out, _ = run(served)
    assert "SIMULATED:  1 of 3 sessions" in out
    folder = tmp_path / "out"
    assert json.loads((folder / "export.json").read_text())["n_simulated_sessions"] == 1
    back = read_responses(folder)
    marked = back.responses.groupby("session_id")["simulated"].agg(["all", "sum"])
    assert sorted(marked["sum"]) == [0, 11]
    imi = pd.read_csv(folder / "responses.csv")
    assert imi["participant_id"].str.startswith("simulated-").sum() == 10


def test_test_runs_are_left_out_unless_asked_for(served, run, tmp_path):
    run(served)
    assert not read_responses(tmp_path / "out").sessions["test_run"].any()
    run(served, "--test-runs")
    sessions = read_responses(tmp_path / "out").sessions
    assert sessions["test_run"].sum() == 1
    assert sessions.loc[sessions["test_run"], "slot"].isna().all()
    assert sessions.loc[sessions["test_run"], "participant_id"].tolist() == ["P0004"]


def test_imis_form_has_its_45_columns_in_order(served, run, tmp_path):
    run(served)
    imi = pd.read_csv(tmp_path / "out" / "responses.csv")
    assert tuple(imi.columns) == IMI_COLUMNS
    assert len(imi) == 2 * (3 + 7)


def test_imis_references_stand_in_the_order_in_which_they_were_shown(serve):
    served = serve()
    one = served.participant().walk_to("trial")
    trial, shown_trial = one.shown_trial(), one.state["trial"]
    one.answer()
    with served.database.read() as db:
        shown = rows.shown_images(db, served.study).iloc[0]
    image_at = {
        cell_position(cell): image
        for cells, images in (
            (trial.cells.positive_explanations, trial.task.positive_explanations),
            (trial.cells.negative_explanations, trial.task.negative_explanations),
        )
        for cell, image in zip(cells, images, strict=True)
    }
    sides = [
        [image_at[tuple(at)] for at in side]
        for side in (shown_trial["left"], shown_trial["right"])
    ]
    assert shown["max_references"] in sides
    assert shown["min_references"] in sides


def test_the_explanations_order_differs_between_trials(serve):
    study = serve().study
    cells = Cells(
        positive_query=0,
        negative_query=1,
        positive_explanations=tuple(range(2, 11)),
        negative_explanations=(),
    )
    session = SessionRecord(number=1)
    drawn = [shown_order(study, session, index, cells) for index in range(20)]
    orders = {tuple(one["positive"]) for one in drawn}
    assert len(orders) == 20
    assert {order[0] for order in orders} == {0}
    assert all(one["negative"] == () for one in drawn)


def test_a_session_that_was_left_is_exported_as_timed_out(serve, clock):
    served = serve()
    served.participant().walk_to("trial").answer()
    clock.pass_minutes(61)
    responses, imi = export.exported(served.study, served.database, now=clock())
    assert responses.sessions["status"].tolist() == ["timed_out"]
    assert len(responses.responses) == 1
    assert imi.empty


def test_times_are_told_where_they_were_reached(serve, clock):
    served = serve()
    one = served.participant().walk_to("end")
    served.participant().walk_to("trial", practice=False)
    sessions = export.exported(served.study, served.database, now=clock())[0].sessions
    last_answer = one.sent[-1]["time_elapsed_ms"]
    assert sessions["instruction_time_s"].tolist() == [20.0, 20.0]
    assert sessions["total_time_s"].iloc[0] == last_answer / 1000
    assert pd.isna(sessions["total_time_s"].iloc[1])
    assert sessions["n_practice_rounds"].tolist() == [1, 1]


def test_an_empty_database_gives_an_empty_export(serve, run, tmp_path):
    status, out, _ = run(serve())
    assert status == 0
    assert "Sessions:   0 (none)" in out
    assert read_responses(tmp_path / "out").responses.empty


def test_an_export_that_lost_rows_is_not_written(served, run, tmp_path, monkeypatch):
    whole = rows.response_table
    monkeypatch.setattr(
        rows, "response_table", lambda *a, **k: whole(*a, **k).iloc[:-1]
    )
    status, _, err = run(served)
    assert status == 2
    assert "the database counts" in err
    assert not (tmp_path / "out").exists()


def test_rows_come_in_chunks_and_none_is_lost(served, monkeypatch):
    with served.database.read() as db:
        whole = rows.response_table(db, served.study)
        monkeypatch.setattr(rows, "CHUNK", 3)
        pd.testing.assert_frame_equal(rows.response_table(db, served.study), whole)


def test_test_runs_are_counted_apart(served):
    with served.database.read() as db:
        assert rows.n_answers(db, test_runs=False) == 22
        assert rows.n_answers(db, test_runs=True) == 23


def test_all_that_is_stored_of_an_answer_is_exported(serve, run, tmp_path):
    served = serve()
    one = served.participant().walk_to("trial")
    one.post(
        "events",
        {"events": [{"number": 0, "event": "blur", "trial": 0, "time_ms": 7.5}]},
    )
    one.answer(
        input="keyboard",
        onset={"method": "raf", "lag_ms": -2.5, "element_ms": -3.5},
        display={"width": 1280, "height": 720, "zoom": 1.5, "fullscreen": True}
        | {"device_pixel_ratio": 2, "refresh_hz": 60},
        n_focus_losses=1,
        n_hidden=2,
    )
    run(served)
    back = read_responses(tmp_path / "out")
    row = back.responses.iloc[0]
    assert (row["input"], row["onset_lag_ms"], row["element_ms"]) == (
        "keyboard",
        -2.5,
        -3.5,
    )
    display = ["window_width", "window_height", "zoom", "fullscreen", "refresh_hz"]
    assert row[display].tolist() == [1280, 720, 1.5, True, 60]
    assert (row["n_focus_losses"], row["n_hidden"]) == (1, 2)
    (event,) = back.beside["interactions"].to_dict("records")
    assert (event["visit"], event["event"], event["time_ms"]) == (1, "blur", 7.5)
    assert back.beside["viewings"]["viewing_ms"].tolist() == [9000.0, 11000.0]
    assert back.sessions["n_interactions"].tolist() == [1]


def test_an_export_tells_the_studys_criteria_and_what_the_server_made_of_them(
    served, run, tmp_path
):
    run(served)
    back = read_responses(tmp_path / "out")
    assert back.header.config["exclusion"] == asdict(IMI)
    assert back.sessions["excluded_by"].fillna("?").tolist() == ["", "?", ""]
    assert back.sessions["completion_code"].notna().tolist() == [True, False, True]


def test_every_column_of_every_table_is_exported_or_left_out_on_purpose():
    exported = {*RESPONSES.columns, *SESSIONS.columns}
    for schema in BESIDE.values():
        exported |= set(schema.columns)
    stored = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if column.name not in exported and table.name not in NOT_EXPORTED
    }
    assert stored == LEFT_OUT
