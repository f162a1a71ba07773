import json
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.errors import DataContractError
from data.files import folder_hash
from data.images import write_image_set
from data.scores import write_scores
from data.selections import write_selection
from data.studies import cell_position, correct_row, read_study
from data.tasks import write_tasks
from stimuli.atlas import cell_images
from stimuli.compile import compile_study, plan_study
from stimuli.compile_command import main
from stimuli.compile_imi_form import write_imi_form
from stimuli.compile_pools import choose_pools, pool_sizes
from tests.stimuli.compile_toys import (
    TASKS,
    UNITS,
    toy_config,
    toy_materials,
)


@pytest.fixture(scope="module")
def materials(tmp_path_factory):
    return toy_materials(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def study(materials, tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "study"
    compile_study(folder, materials, toy_config(), seed=0)
    return read_study(folder)


def slots_by_kind(study, kind):
    return [
        [one for one in slot if study.trials[one.trial_id].kind == kind]
        for slot in study.slots
    ]


def test_a_unit_is_never_shown_twice_in_a_session(study):
    for slot in study.slots:
        units = [study.trials[one.trial_id].task.unit for one in slot]
        assert len(set(units)) == len(units)


def test_units_are_shown_equally_often_within_one(study):
    shown = Counter(
        study.trials[one.trial_id].task.unit
        for slot in slots_by_kind(study, "main")
        for one in slot
    )
    assert set(shown.values()) == {6}, "9 slots of 8 trials over 12 units"


@pytest.mark.parametrize(("n_slots", "n_main"), [(1, 5), (7, 5), (10, 11)])
def test_units_and_tasks_stay_balanced_where_they_do_not_divide(
    materials, n_slots, n_main
):
    config = toy_config(n_slots=n_slots, n_main_trials=n_main, n_catch_trials=1)
    plan = plan_study(materials, config, seed=3)
    tasks = [
        plan.trials[one.trial_id].task
        for slot in plan.slots
        for one in slot
        if plan.trials[one.trial_id].kind == "main"
    ]
    by_unit = Counter(task.unit for task in tasks)
    counts = [by_unit[unit] for unit in materials.groups]
    assert max(counts) - min(counts) <= 1
    for unit in by_unit:
        by_task = Counter(task.number for task in tasks if task.unit == unit)
        counts = [by_task[number] for number in range(TASKS.n_tasks)]
        assert max(counts) - min(counts) <= 1


def test_only_so_many_tasks_of_a_unit_are_shown_as_asked_for(materials):
    plan = plan_study(materials, toy_config(n_slots=40), seed=0, tasks_per_unit=2)
    numbers = {one.task.number for one in plan.trials.values() if one.kind == "main"}
    assert numbers == {0, 1}


def test_more_tasks_of_a_unit_than_there_are_is_an_error(materials):
    with pytest.raises(DataContractError, match=r"'tasks_per_unit' is 5; .* \[1, 4\]"):
        plan_study(materials, toy_config(), seed=0, tasks_per_unit=5)


def test_more_main_trials_than_units_is_an_error(materials):
    with pytest.raises(DataContractError, match=r"'n_main_trials' is 13; .* 12 units"):
        plan_study(materials, toy_config(n_main_trials=13), seed=0)


def test_a_selected_unit_without_tasks_is_an_error(materials):
    units = materials.selection.units.copy()
    units.loc[0, "unit"] = "toy-net::layer0::999"
    selection = type(materials.selection)(
        units=units, header=materials.selection.header
    )
    changed = type(materials)(**(vars(materials) | {"selection": selection}))
    with pytest.raises(DataContractError, match="'toy-net::layer0::999' is not in"):
        plan_study(changed, toy_config(), seed=0)


def test_more_catch_and_instructed_than_main_trials_is_an_error(materials):
    config = toy_config(n_main_trials=3, n_catch_trials=2, n_instructed_trials=2)
    with pytest.raises(DataContractError, match=r"'n_main_trials' is 3; .* at least 4"):
        plan_study(materials, config, seed=0)


def test_too_few_units_outside_the_selection_is_an_error(tmp_path):
    materials = toy_materials(tmp_path, n_selected=48)
    with pytest.raises(DataContractError, match=r"0 scored units .* need 16"):
        plan_study(materials, toy_config(), seed=0)


def test_every_session_has_its_share_of_every_group(study):
    for slot in slots_by_kind(study, "main"):
        groups = Counter(study.trials[one.trial_id].group for one in slot)
        assert set(groups) == {"easiest", "random", "hardest"}
        assert max(groups.values()) - min(groups.values()) <= 2


def test_sides_and_rows_are_halved_and_crossed_in_every_session(study):
    for slot in slots_by_kind(study, "main"):
        crossed = Counter((one.positive_side, one.upper_query) for one in slot)
        assert crossed == dict.fromkeys(crossed, 2)
        assert len(crossed) == 4


def test_sides_of_each_unit_are_balanced_over_sessions(materials):
    plan = plan_study(materials, toy_config(n_slots=36), seed=1)
    crossed = Counter(
        (plan.trials[one.trial_id].task.unit, one.positive_side, one.upper_query)
        for slot in plan.slots
        for one in slot
        if plan.trials[one.trial_id].kind == "main"
    )
    assert len(crossed) == 48
    assert max(crossed.values()) - min(crossed.values()) <= 2


def test_fixed_sides_put_the_positive_explanations_right(materials):
    plan = plan_study(materials, toy_config(sides="fixed"), seed=0)
    shown = [one for slot in plan.slots for one in slot]
    assert {one.positive_side for one in shown} == {"right"}
    for slot in plan.slots:
        main = [one for one in slot if plan.trials[one.trial_id].kind == "main"]
        assert sum(one.upper_query == "positive" for one in main) == 4


@pytest.mark.parametrize("n_main", [4, 8])
def test_catch_and_instructed_trials_are_never_first_nor_adjacent(materials, n_main):
    config = toy_config(n_slots=60, n_main_trials=n_main)
    plan = plan_study(materials, config, seed=0)
    for slot in plan.slots:
        kinds = [plan.trials[one.trial_id].kind for one in slot]
        assert kinds[0] == "main"
        pairs = pairwise(kinds)
        assert all("main" in pair for pair in pairs)


def test_catch_trials_can_stand_anywhere_but_first(materials):
    plan = plan_study(materials, toy_config(n_slots=60), seed=0)
    places = {
        place
        for slot in plan.slots
        for place, one in enumerate(slot)
        if plan.trials[one.trial_id].kind == "catch"
    }
    assert places == set(range(1, 12))


def test_instructed_trials_ask_for_each_row_equally_often(materials):
    for n in (1, 2, 3):
        config = toy_config(n_instructed_trials=n, n_catch_trials=0)
        plan = plan_study(materials, config, seed=0)
        rows = [
            plan.trials[one.trial_id].instructed_query
            for slot in plan.slots
            for one in slot
            if plan.trials[one.trial_id].kind == "instructed"
        ]
        assert len(rows) == 9 * n
        assert abs(rows.count("upper") - rows.count("lower")) <= 1


def test_the_correct_row_of_an_instructed_trial_is_the_one_asked_for(study):
    for slot in slots_by_kind(study, "instructed"):
        for one in slot:
            trial = study.trials[one.trial_id]
            assert correct_row(trial, one) == trial.instructed_query


def test_queries_of_a_catch_trial_are_the_strongest_explanations(study):
    assert len(study.of_kind("catch")) == 2
    for trial in study.of_kind("catch"):
        assert trial.task.positive_query == trial.task.positive_explanations[0]
        assert trial.task.negative_query == trial.task.negative_explanations[0]
        assert len(trial.task.images) == 2 + 2 * TASKS.n_explanations


def test_pools_share_no_unit_with_each_other_or_the_selection(materials):
    config = toy_config()
    pools = choose_pools(materials.tasks, materials.scores, materials.groups, config)
    drawn = [
        *pools.example,
        *pools.obvious,
        *pools.less_obvious,
        *pools.catch,
        *pools.instructed,
    ]
    units = [task.unit for task in drawn]
    assert len(units) == sum(pool_sizes(config).values())
    assert len({*units, *materials.groups}) == len(units) + len(materials.groups)


def test_practice_has_the_easiest_units_and_some_from_the_middle(materials):
    pools = choose_pools(
        materials.tasks, materials.scores, materials.groups, toy_config()
    )
    mis = dict(zip(UNITS, materials.scores.units["mis"], strict=True))
    obvious = [mis[task.unit] for task in pools.obvious]
    less_obvious = [mis[task.unit] for task in pools.less_obvious]
    assert len(obvious) >= 8
    assert len(less_obvious) >= 3
    assert min(obvious) > max(less_obvious)
    assert min(less_obvious) > 0.6


def test_the_surest_task_of_a_practice_unit_is_taken(materials):
    pools = choose_pools(
        materials.tasks, materials.scores, materials.groups, toy_config()
    )
    assert {task.number for task in pools.obvious} == {TASKS.n_tasks - 1}


def test_an_average_task_stays_one_where_a_fit_moved_the_scores(materials):
    def instructed(scores):
        pools = choose_pools(materials.tasks, scores, materials.groups, toy_config())
        return pools.instructed

    units = materials.scores.units
    moved = type(materials.scores)(
        # Who is above 0.6, and in which order, stays.
        units=units.assign(mis=0.6 + 1.02 * (units["mis"] - 0.6)),
        tasks=materials.scores.tasks,
        header=materials.scores.header,
    )
    assert instructed(moved) == instructed(materials.scores) != ()


def test_a_unit_without_a_score_is_never_practice(materials):
    units = materials.scores.units.copy()
    units.loc[units["mis"] > 0.9, "mis"] = np.nan
    unscored = set(units.loc[units["mis"].isna(), "unit"])
    scores = type(materials.scores)(
        units=units, tasks=materials.scores.tasks, header=materials.scores.header
    )
    pools = choose_pools(materials.tasks, scores, materials.groups, toy_config())
    assert not unscored & {str(task.unit) for task in (*pools.obvious, *pools.catch)}


def test_every_cell_of_an_atlas_shows_its_image(study, materials):
    trial = study.of_kind("main")[0]
    atlas = np.asarray(Image.open(study.atlas_path(trial)).convert("RGB"), float)
    for cell, image_id in cell_images(trial.task, trial.cells).items():
        left, top = cell_position(cell)
        shown = atlas[top : top + 224, left : left + 224]
        expected = np.asarray(materials.images.display(image_id), float)
        assert np.abs(shown - expected).mean() < 3, image_id


def test_trials_and_atlases_have_names_that_tell_nothing(study):
    for trial in study.trials.values():
        assert len(trial.atlas) == len("0" * 32 + ".jpg")
        int(trial.atlas.removesuffix(".jpg"), 16)
        int(trial.trial_id, 16)
        assert trial.atlas_sha256[:8] not in trial.atlas


def test_texts_tell_the_numbers_of_this_study(study):
    consent = study.texts["consent"]
    assert "In each of 12 short trials" in consent
    assert "about 5 minutes" in consent
    text = json.dumps(study.texts)
    assert "$" not in text


def test_texts_count_one_as_one(materials, tmp_path):
    compile_study(tmp_path / "s", materials, toy_config(max_practice_rounds=1), seed=0)
    last = read_study(tmp_path / "s").texts["instructions"][-1]["text"]
    assert "you do 5 practice trials" in last
    assert "you have 1 attempt." in last


def test_another_contact_is_another_version_of_the_consent(materials, tmp_path, study):
    compile_study(tmp_path / "s", materials, toy_config(contact="a@b.example"), seed=0)
    other = read_study(tmp_path / "s").texts
    assert "a@b.example" in other["consent"]
    assert other["consent_version"] != study.texts["consent_version"]


@pytest.mark.parametrize(
    ("feedback", "said"), [("practice", 1), ("all", 1), ("none", 0)]
)
def test_instructions_tell_of_feedback_where_there_is_some(
    materials, tmp_path, feedback, said
):
    compile_study(tmp_path / "s", materials, toy_config(feedback=feedback), seed=0)
    pages = [page["text"] for page in read_study(tmp_path / "s").texts["instructions"]]
    assert sum("**green**" in page for page in pages) == said


def test_the_header_says_what_the_study_was_made_from(study):
    assert study.header.seed == 0
    assert study.header.made_from["tasks"] == "toy"
    assert study.header.config["tasks"]["n_explanations"] == TASKS.n_explanations
    assert "pillow" in study.header.software


def test_another_image_than_the_recorded_one_is_an_error(materials):
    content = ("0" * 64, *materials.tasks.content[1:])
    changed = vars(materials.tasks) | {"content": content}
    changed.pop("_row", None)
    with pytest.raises(DataContractError, match=r"'photo_00.png' has another content"):
        type(materials)(
            **(vars(materials) | {"tasks": type(materials.tasks)(**changed)})
        )


@pytest.fixture(scope="module")
def on_disk(materials, tmp_path_factory):
    """The materials as files, and the command's options that name them."""
    folder = tmp_path_factory.mktemp("materials")
    images = materials.images
    write_tasks(folder / "tasks", materials.tasks)
    write_scores(folder / "scores", materials.scores)
    write_selection(folder / "selection", materials.selection)
    write_image_set(
        folder / "images",
        root=images.root,
        manifest=images.manifest,
        header=images.header,
    )
    options = [str(folder / "tasks")]
    for name in ("images", "selection", "scores"):
        options += [f"--{name}", str(folder / name)]
    return [*options, "--study-id", "toy", "--slots", "4", "--main-trials", "8"]


def test_two_processes_write_the_same_bytes(on_disk, tmp_path):
    hashes = []
    for hash_seed in ("1", "2"):
        out = tmp_path / f"study{hash_seed}"
        subprocess.run(
            [
                *(sys.executable, "-m", "unitscope", "compile", *on_disk),
                *("--seed", "0", "--out", out),
            ],
            check=True,
            capture_output=True,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            cwd=Path(__file__).parents[2],
        )
        hashes.append(folder_hash(out))
    assert hashes[0] == hashes[1]


def test_a_seed_that_nobody_named_is_drawn_and_kept(on_disk, tmp_path):
    seeds = set()
    for name in ("one", "other"):
        assert main([*on_disk, "--out", str(tmp_path / name)]) == 0
        seeds.add(read_study(tmp_path / name).header.seed)
    assert len(seeds) == 2
    assert 0 not in seeds


def test_another_seed_is_another_study(materials):
    first, second = (plan_study(materials, toy_config(), seed=s) for s in (0, 1))
    assert first.slots != second.slots
    assert not set(first.trials) & set(second.trials)


def test_the_command_writes_a_study_that_the_check_finds_clean(
    on_disk, tmp_path, capsys
):
    assert main([*on_disk, "--out", str(tmp_path / "study")]) == 0
    assert "Nothing found" in capsys.readouterr().out
    assert read_study(tmp_path / "study").config.n_slots == 4


def test_options_win_over_the_file_and_the_file_over_the_preset(on_disk, tmp_path):
    toml = tmp_path / "study.toml"
    toml.write_text('lock_ms = 700\nn_catch_trials = 2\ncontact = "the lab"\n')
    out = str(tmp_path / "study")
    options = ["--preset", "imi", "--config", str(toml), "--catch-trials", "1"]
    assert main([*on_disk, *options, "--out", out]) == 0
    config = read_study(out).config
    assert (config.sides, config.feedback) == ("fixed", "all")
    assert (config.lock_ms, config.contact) == (700, "the lab")
    assert config.n_catch_trials == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--study-id", "No Id"], "'study_id' is 'No Id'"),
        (["--main-trials", "30"], "'n_main_trials' is 30; the selection has 12 units"),
        (["--sides", "up"], "'sides' is 'up'"),
        (["--tasks-per-unit", "9"], "'tasks_per_unit' is 9"),
    ],
)
def test_bad_settings_are_one_line_and_leave_nothing(
    on_disk, tmp_path, capsys, options, said
):
    assert main([*on_disk, *options, "--out", str(tmp_path / "study")]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert said in error
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_no_study_has_is_named(on_disk, tmp_path, capsys):
    toml = tmp_path / "study.toml"
    toml.write_text("n_mian_trials = 3\n")
    options = ["--config", str(toml), "--out", str(tmp_path / "study")]
    assert main([*on_disk, *options]) == 2
    assert "'n_mian_trials'" in capsys.readouterr().err


def test_scores_of_other_tasks_are_refused(materials, on_disk, tmp_path, capsys):
    header = type(materials.scores.header)(
        **(vars(materials.scores.header) | {"made_from": {"tasks": "others"}})
    )
    scores = type(materials.scores)(
        units=materials.scores.units, tasks=materials.scores.tasks, header=header
    )
    write_scores(tmp_path / "scores", scores)
    options = [*on_disk, "--scores", str(tmp_path / "scores")]
    assert main([*options, "--out", str(tmp_path / "study")]) == 2
    assert "The scores were made from other tasks" in capsys.readouterr().err


def test_scores_of_these_tasks_are_taken(materials, on_disk, tmp_path):
    made_from = {"tasks": folder_hash(Path(on_disk[0]))}
    header = type(materials.scores.header)(
        **(vars(materials.scores.header) | {"made_from": made_from})
    )
    scores = type(materials.scores)(
        units=materials.scores.units, tasks=materials.scores.tasks, header=header
    )
    write_scores(tmp_path / "scores", scores)
    options = [*on_disk, "--scores", str(tmp_path / "scores")]
    assert main([*options, "--out", str(tmp_path / "study")]) == 0


def test_a_missing_image_is_one_line_and_leaves_no_study(tmp_path, materials, capsys):
    broken = toy_materials(tmp_path / "images")
    (broken.images.root / "photo_00.png").unlink()
    with pytest.raises(DataContractError, match=r"photo_00\.png is in the image set"):
        compile_study(tmp_path / "out" / "study", broken, toy_config(), seed=0)
    assert list((tmp_path / "out").iterdir()) == []


def test_imi_form_holds_the_queries_and_references_of_every_trial(
    study, materials, tmp_path
):
    write_imi_form(tmp_path / "imi", study, materials.images)
    shown = [study.trials[one.trial_id] for one in study.slots[0]]
    shown = [trial for trial in shown if trial.kind in {"main", "catch"}]
    index = json.loads((tmp_path / "imi/toy/task_1/index.json").read_text())
    assert index == {
        "task_name": "toy/task_1",
        "n_reference_images": "3",
        "n_trials": 10,
        "catch_trial_idxs": [
            number for number, trial in enumerate(shown, 1) if trial.kind == "catch"
        ],
    }
    trial = tmp_path / "imi/toy/task_1/trials/trial_1"
    written = {path.relative_to(trial).as_posix() for path in trial.rglob("*.png")}
    assert written == {
        "queries/min.png",
        "queries/max.png",
        *(
            f"references/{end}_{rank}.png"
            for end in ("min", "max")
            for rank in range(3)
        ),
    }
    strongest = materials.images.display(shown[0].task.positive_explanations[0])
    with Image.open(trial / "references/max_2.png") as written_image:
        assert np.array_equal(np.asarray(written_image), np.asarray(strongest))


def test_imi_form_names_unit_and_batch_of_every_trial(study, materials, tmp_path):
    write_imi_form(tmp_path / "imi", study, materials.images)
    structure = json.loads((tmp_path / "imi/toy/toy.json").read_text())["tasks"]
    assert [task["index"] for task in structure] == list(range(1, 10))
    first = study.trials[study.slots[0][0].trial_id].task
    path = f"toy-net_/{first.unit.layer}/channel_{first.unit.channel}"
    assert structure[0]["trials"][0] == {
        "queries": f"{path}/natural_images/batch_{first.number}",
        "references": f"{path}/natural_images/batch_{first.number}",
        "mode": "natural",
    }
    demo = json.loads((tmp_path / "imi/demo_toy/index.json").read_text())
    assert (demo["n_trials"], demo["n_obvious_trials"]) == (11, 8)
