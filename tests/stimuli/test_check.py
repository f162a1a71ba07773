import dataclasses
import json
import shutil

import pytest
from PIL import Image

from data.atlases import padded
from data.files import write_json
from data.studies import read_study
from stimuli.check import check_study
from stimuli.check_atlases import atlas_facts
from stimuli.check_command import main
from stimuli.compile import compile_study
from tests.stimuli.compile_toys import toy_config, toy_materials


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    materials = toy_materials(folder / "images")
    compile_study(folder / "study", materials, toy_config(n_slots=20), seed=0)
    return folder / "study"


@pytest.fixture
def folder(compiled, tmp_path):
    """A copy of the study to spoil."""
    return shutil.copytree(compiled, tmp_path / "study")


def found(folder, kind):
    findings = check_study(read_study(folder)).findings
    return [one.detail for one in findings if one.kind == kind]


def change_slots(folder, change):
    """Give every presentation of every slot to ``change``."""
    path = folder / "server" / "slots.json"
    slots = [[change(one) for one in slot] for slot in json.loads(path.read_text())]
    write_json(path, slots)


def change_trials(folder, change):
    path = folder / "server" / "trials.json"
    write_json(path, [change(one) for one in json.loads(path.read_text())])


def test_a_compiled_study_is_clean(compiled):
    assert check_study(read_study(compiled)).findings == ()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_studies_of_other_seeds_are_clean(compiled, tmp_path, seed):
    materials = toy_materials(tmp_path / "images")
    compile_study(tmp_path / "study", materials, toy_config(), seed=seed)
    assert check_study(read_study(tmp_path / "study")).findings == ()


def test_a_missing_atlas_is_named(folder):
    gone = next((folder / "atlases").iterdir())
    gone.unlink()
    assert any(gone.name in detail for detail in found(folder, "missing"))


def test_another_atlas_than_the_compiled_one_is_missing(folder):
    first, second = sorted((folder / "atlases").iterdir())[:2]
    shutil.copy(first, second)
    assert any("is not the file" in detail for detail in found(folder, "missing"))


def test_a_slot_without_its_trials_is_missing_them(folder):
    path = folder / "server" / "slots.json"
    slots = json.loads(path.read_text())
    write_json(path, [slots[0][:-3], *slots[1:-1]])
    details = found(folder, "missing")
    assert "19 slots of 20" in details
    assert any("slot 0" in detail for detail in details)


def test_a_text_that_is_not_there_is_missing(folder):
    texts = json.loads((folder / "texts.json").read_text())
    write_json(folder / "texts.json", texts | {"debrief": ""})
    assert "texts.json has no 'debrief'" in found(folder, "missing")


def test_a_practice_that_is_too_small_is_missing_trials(folder):
    change_trials(folder, lambda one: one | {"obvious": one["obvious"] and None})
    assert any("obvious practice" in detail for detail in found(folder, "missing"))


def test_a_unit_twice_in_a_session_is_repeated(folder):
    path = folder / "server" / "slots.json"
    slots = json.loads(path.read_text())
    slots[0][2] = slots[0][0]
    write_json(path, slots)
    assert any("in slot 0" in detail for detail in found(folder, "repeated"))


def test_a_unit_of_practice_and_main_trials_is_repeated(folder):
    study = read_study(folder)
    unit = dataclasses.asdict(study.of_kind("main")[0].task.unit)

    def change(one):
        task = one["task"] | {"unit": unit}
        return one | {"task": task} if one["kind"] == "practice" else one

    change_trials(folder, change)
    assert any("more than one kind" in detail for detail in found(folder, "repeated"))


def test_an_image_twice_in_a_main_trial_is_repeated(folder):
    trial = read_study(folder).of_kind("main")[0]
    path = folder / "atlases" / trial.atlas
    with Image.open(path) as atlas:
        atlas.paste(atlas.crop((0, 0, 224, 224)), (224, 0))
        atlas.save(path, "JPEG", quality=90, subsampling=0)
    details = found(folder, "repeated")
    assert any(trial.trial_id in detail for detail in details)


def test_a_name_that_says_what_it_is_leaks(folder):
    trial = read_study(folder).of_kind("catch")[0]
    (folder / "atlases" / trial.atlas).rename(folder / "atlases" / "catch_1.jpg")

    def change(one):
        return one | {"atlas": "catch_1.jpg"} if one["kind"] == "catch" else one

    change_trials(folder, change)
    assert any("catch_1.jpg" in detail for detail in found(folder, "leaking"))


@pytest.mark.parametrize("word", ["Catch", "positive", "toy-net", "layer1"])
def test_an_answer_word_in_the_instructions_leaks(folder, word):
    texts = json.loads((folder / "texts.json").read_text())
    texts["instructions"][0]["text"] += f" This is {word}."
    write_json(folder / "texts.json", texts)
    assert any(word in detail for detail in found(folder, "leaking"))


def test_a_comment_in_an_atlas_leaks(folder):
    trial = read_study(folder).of_kind("main")[0]
    path = folder / "atlases" / trial.atlas
    with Image.open(path) as atlas:
        atlas.save(path, "JPEG", quality=90, subsampling=0, comment=b"unit 3")
    assert any("a comment" in detail for detail in found(folder, "leaking"))


def test_exif_in_an_atlas_leaks(folder):
    trial = read_study(folder).of_kind("main")[0]
    path = folder / "atlases" / trial.atlas
    with Image.open(path) as atlas:
        exif = Image.Exif()
        exif[0x010E] = "the right one is above"
        atlas.save(path, "JPEG", quality=90, subsampling=0, exif=exif)
    assert any("application segment" in one for one in found(folder, "leaking"))


def test_bytes_behind_an_atlas_leak(folder):
    path = next((folder / "atlases").iterdir())
    path.write_bytes(path.read_bytes() + b"upper")
    assert any("bytes after" in detail for detail in found(folder, "leaking"))


def test_other_encoder_settings_leak(folder):
    for trial in read_study(folder).of_kind("catch"):
        path = folder / "atlases" / trial.atlas
        with Image.open(path) as atlas:
            atlas.save(path, "JPEG", quality=80, subsampling=0)
    assert "atlases of 2 encoder settings" in found(folder, "leaking")


def test_a_table_of_answers_outside_the_servers_part_leaks(folder):
    shutil.copy(folder / "server" / "trials.json", folder / "trials.json")
    assert any("trials.json" in detail for detail in found(folder, "leaking"))


def test_a_unit_named_in_the_public_part_leaks(folder):
    unit = str(read_study(folder).of_kind("main")[0].task.unit)
    texts = json.loads((folder / "texts.json").read_text())
    write_json(folder / "texts.json", texts | {"debrief": f"You saw {unit}."})
    assert any(unit in detail for detail in found(folder, "leaking"))


def test_cells_in_a_fixed_order_leak(folder):
    def change(one):
        n = len(one["cells"]["positive_explanations"])
        cells = {
            "positive_query": 0,
            "negative_query": 1,
            "positive_explanations": list(range(2, 2 + n)),
            "negative_explanations": list(range(2 + n, 2 + 2 * n)),
        }
        return one | {"cells": cells}

    change_trials(folder, change)
    details = " ".join(found(folder, "leaking"))
    assert "cell of a positive query" in details
    assert "the explanations tell their polarity" in details


def test_atlases_of_different_sizes_leak(folder):
    path = next((folder / "atlases").iterdir())
    path.write_bytes(padded(path.read_bytes(), path.stat().st_size + 10))
    assert "atlases of 2 sizes in bytes" in found(folder, "leaking")


def test_the_share_of_padding_is_told(compiled):
    study = read_study(compiled)
    padding = [atlas_facts(study.atlas_path(one)) for one in study.trials.values()]
    assert min(facts.n_padding for facts in padding) == 4
    assert "of it padding" in dict(check_study(study).facts)["atlases"]


def test_an_atlas_whose_cells_cannot_change_places_is_missing(folder):
    path = next((folder / "atlases").iterdir())
    with Image.open(path) as atlas:
        atlas.save(path, "JPEG", quality=90, subsampling=0)
    assert any("can change places" in detail for detail in found(folder, "missing"))


def test_a_side_that_is_always_the_same_is_unbalanced(folder):
    change_slots(folder, lambda one: one | {"positive_side": "left"})
    details = found(folder, "unbalanced")
    assert any("positive explanations right" in detail for detail in details)


def test_sides_that_give_the_row_away_are_unbalanced(folder):
    def change(one):
        upper = "positive" if one["positive_side"] == "right" else "negative"
        return one | {"upper_query": upper}

    change_slots(folder, change)
    details = found(folder, "unbalanced")
    assert any("not crossed" in detail for detail in details)
    assert any("the upper row is correct in" in detail for detail in details)


def test_a_unit_shown_more_often_is_unbalanced(folder):
    study = read_study(folder)
    path = folder / "server" / "slots.json"
    slots = json.loads(path.read_text())
    main = [
        [one for one in slot if study.trials[one["trial_id"]].kind == "main"]
        for slot in slots
    ]
    for slot in (1, 2, 3):
        place = slots[slot].index(main[slot][0])
        slots[slot][place] = main[0][0]
    write_json(path, slots)
    details = found(folder, "unbalanced")
    assert any("times" in detail and "unit" in detail for detail in details)


def test_one_task_of_a_unit_alone_is_unbalanced(folder):
    first = {}
    for trial in read_study(folder).of_kind("main"):
        first.setdefault(trial.task.unit, trial.trial_id)
    trials = read_study(folder).trials

    def change(one):
        trial = trials[one["trial_id"]]
        same = first.get(trial.task.unit, one["trial_id"])
        return one | {"trial_id": same}

    change_slots(folder, change)
    assert any("tasks of a unit" in detail for detail in found(folder, "unbalanced"))


def test_a_session_that_starts_with_a_catch_trial_is_unbalanced(folder):
    study = read_study(folder)
    catch = {one.trial_id for one in study.of_kind("catch")}
    path = folder / "server" / "slots.json"
    slots = json.loads(path.read_text())
    slots[4] = sorted(slots[4], key=lambda one: one["trial_id"] not in catch)
    write_json(path, slots)
    details = found(folder, "unbalanced")
    assert any("comes first: slot 4" in detail for detail in details)
    assert any("follows another one: slot 4" in detail for detail in details)


def test_instructed_trials_that_ask_for_one_row_are_unbalanced(folder):
    def change(one):
        row = "upper" if one["kind"] == "instructed" else None
        return one | {"instructed_query": row}

    change_trials(folder, change)
    assert any("instructed trials ask" in one for one in found(folder, "unbalanced"))


def test_the_command_exits_with_zero_for_a_clean_study(compiled, capsys):
    assert main([str(compiled)]) == 0
    assert "Nothing found" in capsys.readouterr().out


def test_the_command_exits_with_one_and_names_what_it_found(folder, capsys):
    next((folder / "atlases").iterdir()).unlink()
    assert main([str(folder)]) == 1
    out = capsys.readouterr().out
    assert "missing" in out
    assert "1 thing found" in out


def test_a_folder_that_is_no_study_could_not_be_checked(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


def test_a_broken_atlas_could_not_be_checked(folder, capsys):
    path = next((folder / "atlases").iterdir())
    path.write_bytes(path.read_bytes()[:1000])
    assert main([str(folder)]) == 2
    assert "can't be decoded" in capsys.readouterr().err
