import json
import shutil

import numpy as np
import pandas as pd
import pytest

from data.borowski import UNITS_CSV, read_borowski, read_borowski_folder
from data.borowski_tables import CELL, CONDITIONS
from data.errors import DataContractError
from data.exclusion import IMI, exclusion_table
from data.responses import RESPONSES, SESSIONS, read_responses
from data.units import UnitId

FIRST = "experiment_I_main_practice_catch_repeated_trials_preprocessed.csv"


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "data" / "borowski2021_experiment1"


@pytest.fixture(scope="module")
def first(folder):
    return read_borowski(folder / FIRST)


@pytest.fixture(scope="module")
def golden(folder):
    return json.loads((folder / "golden_statistics.json").read_text())


NAMES = {"optimized": "synthetic"}


@pytest.fixture(params=["natural", "optimized", "none_pre", "none_post"])
def cell(request, first, golden):
    """Main trials of one condition beside the values of another program."""
    own = first.responses
    own = own[(own["kind"] == "main")]
    own = own[own["condition"] == NAMES.get(request.param, request.param)]
    return own, golden[f"I|main|{request.param}"]


def test_every_condition_has_the_published_answers(cell):
    own, expected = cell
    assert (len(own), own["correct"].sum()) == (
        expected["n_trials"],
        expected["n_correct"],
    )


def test_participants_score_as_another_program_says(cell):
    own, expected = cell
    by_person = own.groupby("participant_id")["correct"].mean()
    assert by_person.mean() == pytest.approx(
        expected["mean_of_subject_means"], abs=5e-7
    )
    two_se = 2 * by_person.std() / np.sqrt(len(by_person))
    assert two_se == pytest.approx(expected["two_SE_subjects"], abs=5e-7)


def test_units_score_as_another_program_says(cell):
    own, expected = cell
    by_unit = own.groupby("unit")["correct"]
    assert by_unit.ngroups == expected["n_units"]
    assert by_unit.mean().std() == pytest.approx(expected["sd_of_unit_means"], abs=5e-7)
    sizes = by_unit.size().value_counts()
    assert {str(size): n for size, n in sizes.items()} == expected["trials_per_unit"]


def test_who_chose_the_upper_query_when_it_was_right(cell):
    own, expected = cell
    chose = np.where(own["chosen_query"] == own["upper_query"], "a", "b")
    right = np.where(own["upper_query"] == "positive", "a", "b")
    counted = pd.Series(chose + "_when_" + right).value_counts().to_dict()
    assert counted == expected["response_counts"]


def test_confidence_is_without_the_sign_of_the_choice(cell):
    own, expected = cell
    for level, counts in expected["accuracy_by_confidence"].items():
        correct = own.loc[own["confidence"] == int(level), "correct"]
        assert (len(correct), correct.sum()) == (counts["n"], counts["k"])


def test_response_times_are_in_ms(cell):
    own, expected = cell
    for name, rows in {
        "median_rt": own,
        "median_rt_correct": own[own["correct"]],
        "median_rt_error": own[~own["correct"]],
    }.items():
        assert rows["rt_ms"].median() == pytest.approx(1000 * expected[name], abs=0.06)


def test_catch_trials_are_told_from_main_trials(first, golden):
    catch = first.responses[first.responses["kind"] == "catch"]
    expected = golden["I|catch|all"]
    assert (len(catch), catch["correct"].sum()) == (
        expected["n_trials"],
        expected["n_correct"],
    )
    assert catch["unit"].nunique() == expected["n_units"]


def test_repeated_trials_point_to_the_same_task(first, golden):
    own = first.responses
    repeated = own[own["kind"] == "repeated"]
    pairs = repeated.merge(
        own[own["kind"] == "main"],
        left_on=["session_id", "repeat_of"],
        right_on=["session_id", "trial_index"],
        suffixes=("", "_first"),
        validate="1:1",
    )
    expected = golden["I|repeat_consistency"]
    assert len(pairs) == expected["n_pairs"]
    assert (pairs["task_id"] == pairs["task_id_first"]).all()
    same = pairs["correct"] == pairs["correct_first"]
    assert same.sum() == expected["n_same_correctness"]


def test_positive_explanations_stood_on_the_right(first):
    own = first.responses
    assert set(own["positive_side"]) == {"right"}
    right_hand = own["chosen_query"] == "positive"
    assert (right_hand == own["correct"]).all()


def test_units_are_the_channels_that_the_machine_scores_name(first, folder):
    published = pd.read_csv(folder / "unit_his_mis.csv")
    unit = "googlenet::" + published["mis_layer"]
    published["unit"] = unit + "::" + published["mis_unit"].astype(str)
    published["condition"] = (
        published["condition"].str.removesuffix("_9").replace(NAMES)
    )
    own = first.responses[first.responses["kind"] == "main"]
    counted = own.groupby(["unit", "condition", "unit_selection"])["correct"]
    both = published.merge(
        counted.agg(["sum", "size"]).reset_index(),
        on=["unit", "condition", "unit_selection"],
        validate="1:1",
    )
    assert len(both) == len(published) == 90
    assert (both["sum"] == both["n_correct"]).all()
    assert (both["size"] == both["n_trials"]).all()


def test_a_response_time_below_zero_is_noted(first):
    assert first.responses["rt_ms"].min() == 0
    assert any("1 of 1860 response times are below 0" in note for note in first.notes)


def test_nobody_of_the_laboratory_falls_by_imis_criteria_but_by_rows(first):
    judged = exclusion_table(first.responses, first.sessions, IMI)
    fell = judged[judged["excluded"]]
    assert set(fell["criterion"]) <= {"row_variability"}


def test_the_tables_keep_to_their_schemas(first):
    RESPONSES.validate(first.responses)
    SESSIONS.validate(first.sessions)
    CONDITIONS.validate(first.responses)
    assert first.sessions["session_id"].nunique() == 10


def test_the_order_of_rows_changes_nothing(folder, first, tmp_path):
    raw = pd.read_csv(folder / FIRST, dtype=str, keep_default_na=False)
    raw.sample(frac=1, random_state=0).to_csv(tmp_path / "x.csv", index=False)
    key = ["session_id", "trial_index"]
    shuffled = read_borowski(tmp_path / "x.csv").responses.sort_values(key)
    pd.testing.assert_frame_equal(
        shuffled.reset_index(drop=True),
        first.responses.sort_values(key).reset_index(drop=True),
    )


def test_a_folder_gives_each_experiment_by_its_number(folder):
    assert list(read_borowski_folder(folder)) == ["I"]


def test_a_folder_with_one_experiment_twice_is_refused(folder, tmp_path):
    shutil.copy(folder / FIRST, tmp_path / "a.csv")
    shutil.copy(folder / FIRST, tmp_path / "b.csv")
    with pytest.raises(DataContractError, match=r"I twice: a\.csv and b\.csv"):
        read_borowski_folder(tmp_path)


def test_a_folder_without_either_experiment_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataContractError, match="it must hold the CSV of main trials"):
        read_borowski_folder(tmp_path)


def test_the_ratings_are_not_taken_for_answers(folder):
    ratings = folder / "experiment_I_intuitiveness_beginning_preprocessed.csv"
    with pytest.raises(DataContractError, match="a table of intuitiveness ratings"):
        read_borowski(ratings)


CELLS = [
    (method, mode, patches)
    for method in ("natural", "optimized")
    for mode in ("min_max", "max_max")
    for patches in (1, 9)
]


def second_rows():
    """Made-up rows in the form of Experiment II: two people of the same number."""
    rows = []
    for level, subject in (("expert", 1), ("naive", 11)):
        for number, (method, mode, patches) in enumerate(CELLS):
            correct = (number + subject) % 3 > 0
            upper = number % 2 == 0
            response = "a" if upper == correct else "b"
            sign = -1 if response == "a" else 1
            rows.append(
                {
                    "subject_id_within_expert_type": 1,
                    "trial_nr": number,
                    "block_nr": number + 2,
                    "batch_block": "ab"[number % 2],
                    "instr_type": method,
                    "trial_type": "main",
                    "instruction_grid_mode": mode,
                    "n_instruction_patches": patches,
                    "catch_trial": False,
                    "batch": 4,
                    "layer": "layer_2",
                    "kernel_size": 1,
                    "channel": "channel_0",
                    "query_order": "max_min" if upper else "min_max",
                    "correct": correct,
                    "conf_rating": sign * (1 + number % 3),
                    "RT": 1.5 + number + subject / 100,
                    "timeout": False,
                    "response": response,
                    "correct_response": "a" if upper else "b",
                    "old_trial_nr": None,
                    "unit_name": "4a, 3x3 ",
                    "condition_name": "",
                    "subject_id": subject,
                    "expert_level": level,
                }
            )
    return pd.DataFrame(rows)


@pytest.fixture
def second(tmp_path):
    """A function that writes such rows, changed, and reads them."""

    def read(**changes):
        second_rows().assign(**changes).to_csv(tmp_path / "second.csv")
        return read_borowski(tmp_path / "second.csv")

    return read


def test_the_second_experiment_has_every_cell(second):
    own = second().responses
    cells = own[list(CELL)].drop_duplicates()
    assert len(cells) == 2 * len(CELLS)
    assert set(cells["experiment"]) == {"II"}
    assert set(cells["grid_mode"]) == {"min_max", "max"}
    assert set(cells["n_explanations"]) == {1, 9}
    assert set(cells["expert_level"]) == {"expert", "lay"}


def test_an_expert_and_a_lay_person_of_one_number_are_two_people(second):
    assert second().sessions["participant_id"].tolist() == [
        "borowski2021-II-1",
        "borowski2021-II-11",
    ]


def test_one_code_names_another_unit_in_each_batch_block(second):
    own = second().responses
    assert own["unit"].iloc[:2].tolist() == [
        "googlenet::mixed4a_3x3_pre_relu_conv::65",
        "googlenet::mixed4a_3x3_pre_relu_conv::163",
    ]


def test_displays_of_the_second_experiment_are_tasks_of_their_own(second):
    own = second().responses
    assert own["task_id"].iloc[0].endswith("::65#natural-easy-min_max-1#4")
    assert own["task_id"].iloc[1].endswith("::163#natural-easy#4")
    assert own.groupby("session_id")["task_id"].nunique().eq(len(CELLS)).all()


def test_an_unknown_code_is_named_and_noted_but_never_guessed(second):
    read = second(layer="layer_9")
    assert read.responses["unit"].iloc[0] == "googlenet-coded::a/9/1::0"
    assert UnitId.parse(read.responses["unit"].iloc[0]).model == "googlenet-coded"
    assert "no machine score can be joined" in read.notes[0]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"correct": True}, "'correct' does not follow from 'response'"),
        ({"query_order": "max_min"}, "'correct_response' does not follow"),
        ({"conf_rating": 2}, "the sign of 'conf_rating' does not follow"),
        ({"timeout": True}, "'timeout' is True"),
        ({"trial_type": "repeated"}, "a repeated trial lacks 'old_trial_nr'"),
        ({"conf_rating": 4}, "'conf_rating' holds 4"),
        ({"instr_type": "mixed"}, "'instr_type' holds mixed"),
        ({"RT": "inf"}, "'RT' holds inf"),
        ({"RT": "nan"}, "'RT' holds nan"),
        ({"RT": "1,5"}, "It has a decimal comma"),
        ({"subject_id": 1}, "answers of session 'borowski2021-II-1' twice"),
        (
            {"instruction_grid_mode": "max"},
            "it must be one of min_max, max_max",
        ),
    ],
)
def test_what_contradicts_the_column_key_is_named(second, changes, named):
    with pytest.raises(DataContractError, match=named):
        second(**changes)


def test_a_table_of_the_second_experiment_without_a_column_is_not_the_first(
    second, tmp_path
):
    second_rows().drop(columns="batch_block").to_csv(tmp_path / "x.csv")
    with pytest.raises(DataContractError, match=r"II, without \['batch_block'\]"):
        read_responses(tmp_path / "x.csv")


def test_a_person_with_fewer_trials_is_noted(tmp_path):
    second_rows().iloc[:-2].to_csv(tmp_path / "x.csv")
    notes = read_borowski(tmp_path / "x.csv").notes
    assert "1 of 2 participants have fewer trials than the usual 8" in notes[-1]


def test_a_table_without_rows_holds_no_answers(tmp_path):
    second_rows().iloc[:0].to_csv(tmp_path / "x.csv")
    with pytest.raises(DataContractError, match="holds no answers, only a header"):
        read_borowski(tmp_path / "x.csv")


def test_the_displays_of_the_second_experiment_are_noted(second):
    (note,) = second().notes
    assert "mixes 4 displays" in note


def test_the_shipped_codes_are_channels_of_their_branch():
    units = pd.read_csv(UNITS_CSV, keep_default_na=False)
    key = ["experiment", "batch_block", "layer", "kernel_size", "channel"]
    assert not units.duplicated(key).any()
    assert units.groupby("experiment").size().to_dict() == {"I": 68, "II": 160}
    channel = [UnitId.parse(unit).channel for unit in units["unit"]]
    first_branch = units["unit"].str.contains("_1x1_")
    assert (units["feature_map"] - channel)[first_branch].eq(0).all()
    assert (units["feature_map"] - channel)[~first_branch].ge(64).all()
