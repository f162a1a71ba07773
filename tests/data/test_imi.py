import csv

import pandas as pd
import pytest

from data.errors import DataContractError
from data.exclusion import IMI, exclusion_table
from data.imi import (
    IMI_COLUMNS,
    imi_table,
    parse_details,
    read_imi,
    write_imi,
)
from data.imi_responses import responses_from_imi
from data.responses import RESPONSES, SESSIONS


@pytest.fixture
def real_row(shared):
    return shared / "data" / "imi_rows" / "imi_one_full_row.csv"


def cells(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_imis_complete_real_row_survives_reading_and_writing(real_row, tmp_path):
    write_imi(tmp_path / "again.csv", read_imi(real_row))
    before, after = cells(real_row), cells(tmp_path / "again.csv")
    assert list(after[0]) == list(IMI_COLUMNS)
    assert len(IMI_COLUMNS) == 45
    assert [{name: row[name] for name in IMI_COLUMNS} for row in before] == after


def test_the_columns_are_in_the_order_of_the_release(real_row):
    header = real_row.read_text().splitlines()[0].split(",")
    assert tuple(header[1:]) == IMI_COLUMNS


def test_the_real_row_in_our_words(real_row):
    read = responses_from_imi(read_imi(real_row))
    row, session = read.responses.iloc[0], read.sessions.iloc[0]
    assert row["unit"] == "resnet50::layer3_4_conv1::130"
    assert row["kind"] == "main"
    # button 2 is the upper row's third; switched: the positive query was above.
    assert (row["upper_query"], row["chosen_query"], row["confidence"]) == (
        "positive",
        "positive",
        3,
    )
    assert row["correct"]
    assert row["rt_ms"] == 5954
    assert session["session_id"] == "resnet50_natural-61/0"
    assert session["slot"] == 60
    assert (session["instruction_time_s"], session["total_time_s"]) == (69.713, 439.33)


def test_the_real_session_passes_our_checks_where_it_passed_imis(real_row):
    table = read_imi(real_row)
    read = responses_from_imi(table)
    judged = exclusion_table(read.responses, read.sessions, IMI).set_index("criterion")
    for check in ("demo_trials", "total_response_time", "instruction_time"):
        assert judged.loc[check, "excluded"] != table.loc[0, f"{check}_result"]


def test_all_visible_real_rows_follow_the_rule_of_the_buttons(shared):
    rows = pd.read_csv(shared / "data" / "imi_rows" / "imi_rows_visible_cell5.csv")
    rows = rows[rows["button_pressed"].str.isdecimal()]
    assert len(rows) == 10
    button = rows["button_pressed"].astype(int)
    chose_right = (button < 3) == (rows["switched_queries"] == "True")
    assert (button % 3 + 1 == rows["confidence"].astype(int)).all()
    assert (chose_right == (rows["choice"] == "b")).all()


def test_the_real_trials_of_one_condition_name_its_units(shared, real_row):
    path = shared / "data" / "imi_rows" / "imi_resnet50_natural_trial_units.csv"
    real = pd.read_csv(path).drop_duplicates("row_in_2520")
    row = read_imi(real_row)
    table = pd.concat([row] * len(real), ignore_index=True).assign(
        trial_index=real["row_in_2520"].to_numpy(),
        rt=real["row_in_2520"].to_numpy(dtype=float),
        **{name: real[name].to_numpy() for name in ("layer", "channel", "batch")},
    )
    own = responses_from_imi(table).responses
    pairs = real[["layer", "channel"]].drop_duplicates()
    assert own["unit"].nunique() == len(pairs) <= 80
    assert own["unit"].str.startswith("resnet50::layer").all()
    assert set(own["task_number"]) == set(range(11))


@pytest.fixture
def released(real_row):
    """Rows as the release has them, made from the real one."""
    row = read_imi(real_row)
    main = row.assign(model="resnet50", task_id="resnet50_hard95_optimized-3")
    catch = row.assign(
        trial_index=40,
        catch_trial=True,
        model="catch/manual",
        batch=-1,
        layer="manual_4c_0_4",
        channel=1,
        mode="catch_trial",
        task_id="resnet50_hard95_optimized-3",
    )
    demo = row.assign(
        trial_index=5,
        is_demo=True,
        model=None,
        batch=pd.NA,
        layer=None,
        channel=pd.NA,
        mode=None,
        task_id="resnet50_hard95_optimized-3",
    )
    return pd.concat([demo, catch, main], ignore_index=True)


def test_the_condition_is_read_from_the_task_id_and_not_from_the_model(released):
    main = responses_from_imi(released).responses.iloc[2]
    assert main["explanation_method"] == "synthetic"
    assert main["difficulty"] == "p95"
    assert main["unit"] == "resnet50::layer3_4_conv1::130"


def test_the_columns_that_the_task_id_overrules_are_noted(released):
    notes = " ".join(responses_from_imi(released).notes)
    assert "'model' is not what 'task_id' names in 1 rows (resnet50 for" in notes
    assert "resnet50_hard95); 'task_id' is used" in notes


def test_a_file_without_participants_says_what_that_means(released):
    assert "names no participants" in responses_from_imi(released).notes[0]


def test_a_row_of_an_unknown_task_takes_its_sessions_explanations(released):
    own = responses_from_imi(released.assign(task_id="mine-3")).responses
    assert own["explanation_method"].tolist() == ["natural"] * 3


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"task_id": "mine-3", "mode": None}, "natural or optimized in data row 1"),
        ({"task_id": "mine-3", "model": None}, "the model in data row 3"),
        ({"layer": None}, r"the unit \('layer' and 'channel'\) in data row 3"),
        ({"choice": "a"}, "'correct' does not follow from 'choice' in data row 1"),
    ],
)
def test_what_can_not_be_told_is_not_guessed(released, changes, named):
    with pytest.raises(DataContractError, match=named):
        responses_from_imi(released.assign(**changes))


def test_a_file_that_mixes_models_says_which(released):
    other = released.assign(task_id="googlenet_natural-1", model="googlenet")
    notes = responses_from_imi(pd.concat([released, other])).notes
    assert any("models: googlenet, resnet50;" in note for note in notes)


def test_a_session_that_is_shorter_than_the_others_is_noted(real_row):
    row = read_imi(real_row)
    whole = pd.concat(
        [
            row.assign(response_index=index, trial_index=trial, rt=1000 * index + trial)
            for index in range(3)
            for trial in range(4)
        ]
    )
    notes = responses_from_imi(whole.iloc[:-1]).notes
    assert "'resnet50_natural-61/2' with 3. It stands last: the file may" in notes[-1]
    assert len(responses_from_imi(whole).notes) == len(notes) - 1


def test_a_session_that_stands_there_twice_is_refused(released):
    with pytest.raises(DataContractError, match=r"hard95_optimized-3/0' twice"):
        responses_from_imi(pd.concat([released, released]))


def test_catch_and_demo_rows_are_told_apart_from_main_rows(released):
    read = responses_from_imi(released)
    assert list(read.responses["kind"]) == ["practice", "catch", "main"]
    assert read.responses.loc[1, "unit"] == "catch/manual::manual_4c_0_4::1"
    assert len(read.sessions) == 1


def test_rows_with_gaps_survive_writing(released, tmp_path):
    write_imi(tmp_path / "first.csv", released)
    again = read_imi(tmp_path / "first.csv")
    write_imi(tmp_path / "second.csv", again)
    assert (tmp_path / "first.csv").read_bytes() == (
        tmp_path / "second.csv"
    ).read_bytes()
    assert again["channel"].isna().tolist() == [True, False, False]


def test_a_session_without_participant_ids_is_still_one_session(released):
    assert responses_from_imi(released).responses["participant_id"].isna().all()


def test_details_with_nan_are_read():
    assert parse_details("{'ratio': nan, 'correctly_answered': []}") == {
        "ratio": None,
        "correctly_answered": [],
    }


def test_details_that_are_no_literal_are_named():
    with pytest.raises(DataContractError, match="is not a Python literal"):
        parse_details("__import__('os')")


def test_a_missing_column_is_named(real_row, tmp_path):
    read_imi(real_row).drop(columns="choice").to_csv(tmp_path / "x.csv")
    with pytest.raises(DataContractError, match=r"lacks the columns \['choice'\]"):
        read_imi(tmp_path / "x.csv")


def test_text_in_a_number_is_named_with_its_row(released, tmp_path):
    released.astype({"rt": object}).assign(rt=["1", "2", "fast"]).to_csv(
        tmp_path / "x.csv"
    )
    with pytest.raises(DataContractError, match="'rt' holds fast in data row 3"):
        read_imi(tmp_path / "x.csv")


def shown_images(responses):
    shown = responses[["session_id", "trial_index"]].copy()
    shown["min_query"], shown["max_query"] = "min.png", "max.png"
    shown["min_references"] = [["a.png"]] * len(shown)
    shown["max_references"] = [["b.png"]] * len(shown)
    return shown


def test_our_tables_come_back_from_imis_form(released, tmp_path):
    ours = responses_from_imi(released)
    table = imi_table(ours, shown_images(ours.responses))
    write_imi(tmp_path / "responses.csv", table)
    again = responses_from_imi(read_imi(tmp_path / "responses.csv"))
    same = ["kind", "correct", "confidence", "rt_ms", "upper_query", "chosen_query"]
    pd.testing.assert_frame_equal(again.responses[same], ours.responses[same])
    assert table["button_pressed"].tolist() == released["button_pressed"].tolist()
    assert table["task_number"].tolist() == released["task_number"].tolist()


def test_choice_is_b_exactly_where_the_answer_is_correct_on_either_side(released):
    ours = responses_from_imi(released)
    flipped = ours.responses.assign(
        positive_side="left", correct=~ours.responses["correct"]
    )
    swapped = type(ours)(responses=flipped, sessions=ours.sessions, header=ours.header)
    table = imi_table(swapped, shown_images(flipped))
    assert ((table["choice"] == "b") == table["correct"]).all()
    # The query that goes with the right-hand examples is the negative one here.
    above = flipped["upper_query"] == "negative"
    assert table["switched_queries"].tolist() == above.tolist()


def test_instructed_trials_are_not_in_imis_form(released):
    ours = responses_from_imi(released)
    changed = ours.responses.assign(kind=["practice", "instructed", "main"])
    form = type(ours)(responses=changed, sessions=ours.sessions, header=ours.header)
    assert len(imi_table(form, shown_images(changed))) == 2


def test_the_tables_keep_to_their_schemas(released):
    ours = responses_from_imi(released)
    RESPONSES.validate(ours.responses)
    SESSIONS.validate(ours.sessions)
