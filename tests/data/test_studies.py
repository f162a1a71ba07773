import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import DataContractError
from data.exclusion import IMI
from data.files import read_json, write_json
from data.formats import Header
from data.studies import (
    STUDY_VERSION,
    Cells,
    Presentation,
    Study,
    StudyConfig,
    StudyTrial,
    atlas_size,
    cell_position,
    correct_row,
    n_cells,
    questions_match,
    read_study,
    write_study_files,
)
from data.tasks import Task
from data.units import UnitId

TRIAL = StudyTrial(
    trial_id="t1",
    kind="main",
    task=Task(
        task_id="m::l::0#natural-easy#0",
        unit=UnitId("m", "l", 0),
        number=0,
        positive_query="p.png",
        negative_query="n.png",
        positive_explanations=("a.png",),
        negative_explanations=("b.png",),
    ),
    atlas="f00.jpg",
    atlas_sha256="0" * 64,
    cells=Cells(
        positive_query=0,
        negative_query=1,
        positive_explanations=(2,),
        negative_explanations=(3,),
    ),
    group="easiest",
)
SWAPPED = Presentation(trial_id="t1", positive_side="left", upper_query="negative")
SETTINGS = {"study_id": "toy", "n_slots": 1, "n_main_trials": 1}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("upper", ["positive", "negative"])
def test_the_correct_query_has_the_polarity_of_the_right_side(side, upper):
    presentation = Presentation(trial_id="t1", positive_side=side, upper_query=upper)
    right = "positive" if side == "right" else "negative"
    assert presentation.shown(correct_row(TRIAL, presentation)) == right


CROSSED = list(itertools.product(("left", "right"), ("positive", "negative")))


@pytest.mark.parametrize(("side", "upper"), CROSSED)
def test_without_explanations_the_positive_query_is_correct(side, upper):
    cells = replace(TRIAL.cells, positive_explanations=(), negative_explanations=())
    bare = replace(TRIAL, cells=cells)
    presentation = Presentation(trial_id="t1", positive_side=side, upper_query=upper)
    assert presentation.shown(correct_row(bare, presentation)) == "positive"


@pytest.mark.parametrize(("side", "upper"), CROSSED)
@pytest.mark.parametrize("polarity", ["positive", "negative"])
def test_with_explanations_on_one_side_that_side_is_asked_for(side, upper, polarity):
    other = {"positive": "negative", "negative": "positive"}[polarity]
    cells = replace(TRIAL.cells, **{f"{other}_explanations": ()})
    one_sided = replace(TRIAL, cells=cells)
    presentation = Presentation(trial_id="t1", positive_side=side, upper_query=upper)
    assert presentation.shown(correct_row(one_sided, presentation)) == polarity


def test_an_instruction_decides_which_row_is_correct():
    instructed = StudyTrial(**(vars(TRIAL) | {"instructed_query": "lower"}))
    for side, upper in itertools.product(("left", "right"), ("positive", "negative")):
        presentation = Presentation(
            trial_id="t1", positive_side=side, upper_query=upper
        )
        assert correct_row(instructed, presentation) == "lower"


@pytest.mark.parametrize("n_images", [2, 5, 6, 20, 25])
def test_the_cells_of_an_atlas_fill_it_without_overlap(n_images):
    width, height = atlas_size(n_images=n_images)
    cells = range(n_cells(n_images=n_images))
    corners = {cell_position(cell) for cell in cells}
    assert n_images <= len(corners) == len(cells) < n_images + 5
    assert len(cells) * 224**2 == width * height
    assert all(x + 224 <= width and y + 224 <= height for x, y in corners)
    assert all(number % 16 == 0 for corner in corners for number in corner)


@pytest.fixture
def study_folder(tmp_path):
    write_study_files(
        tmp_path,
        config=StudyConfig.of(SETTINGS),
        trials=[TRIAL],
        slots=[[SWAPPED]],
        texts={"consent": "May we?"},
        header=Header(format="study", version=STUDY_VERSION, config={}, seed=3),
    )
    return tmp_path


def test_a_study_reads_back_equal(study_folder):
    study = read_study(study_folder)
    assert study.trials == {"t1": TRIAL}
    assert study.slots == ((SWAPPED,),)
    assert study.config == StudyConfig.of(SETTINGS)


def test_answers_stand_in_the_server_part_only(study_folder):
    outside = [path for path in study_folder.iterdir() if path.is_file()]
    assert sorted(path.name for path in outside) == ["study.json", "texts.json"]
    for path in outside:
        assert "positive_query" not in path.read_text()


def test_a_trial_without_its_cells_is_refused(study_folder):
    path = study_folder / "server" / "trials.json"
    trials = read_json(path)
    del trials[0]["cells"]
    write_json(path, trials)
    with pytest.raises(DataContractError, match=r"trials\.json.*'cells'"):
        read_study(study_folder)


@pytest.mark.parametrize(
    ("setting", "match"),
    [
        ({"n_slots": 0}, "'n_slots' is 0; input should be greater"),
        ({"colour": "blue"}, "'colour' is no setting of a study"),
        ({"n_main_trial": 3}, r"no setting of a study\. Did you mean 'n_main_trials'"),
        ({"study_id": "My Study"}, "'study_id' is 'My Study'"),
        ({"feedback": "some"}, "'feedback' is 'some'"),
        (
            {"n_obvious_practice": 0, "n_less_obvious_practice": 0},
            "^The study: 'n_obvious_practice' and .*at least one trial. Raise one",
        ),
    ],
)
def test_a_setting_that_is_wrong_is_named(setting, match):
    with pytest.raises(DataContractError, match=match):
        StudyConfig.of(SETTINGS | setting)


def test_a_setting_that_is_missing_is_named():
    settings = {name: one for name, one in SETTINGS.items() if name != "n_slots"}
    with pytest.raises(DataContractError, match=r"x\.toml: 'n_slots' is missing;"):
        StudyConfig.of(settings, "x.toml")


def test_criteria_of_exclusion_are_imis_but_for_what_a_study_sets():
    own = {"max_focus_losses": 2, "min_catch_share": "off"}
    config = StudyConfig.of(SETTINGS | {"exclusion": own})
    assert config.exclusion == replace(IMI, max_focus_losses=2, min_catch_share=None)
    assert StudyConfig.of(SETTINGS).exclusion == IMI
    again = StudyConfig.of(config.model_dump(mode="json"))
    assert again == config


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"max_yawns": 3}, r"'exclusion\.max_yawns' is 3"),
        ({"min_catch_share": 2}, "'min_catch_share' is 2"),
        ("strict", "'exclusion' is 'strict'"),
    ],
)
def test_criteria_of_exclusion_that_are_none_are_refused(own, said):
    with pytest.raises(DataContractError, match=said):
        StudyConfig.of(SETTINGS | {"exclusion": own})


@pytest.mark.parametrize(
    ("questions", "right", "matches"),
    [
        ([], (), True),
        ([{"question": "a", "options": ["b", "c"]}], (1,), True),
        ([{"question": "a", "options": ["b", "c"]}], (2,), False),
        ([{"question": "a", "options": ["b", "c"]}], (), False),
        ([], (0,), False),
    ],
)
def test_questions_and_right_options_belong_together(questions, right, matches):
    study = Study(
        folder=Path(),
        config=StudyConfig.of(SETTINGS),
        trials={},
        slots=(),
        texts={"comprehension": questions},
        header=Header(format="study", version=2, config={}),
        comprehension=right,
    )
    assert questions_match(study) == matches
