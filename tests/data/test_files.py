import os

import pytest

from data.errors import DataContractError
from data.files import folder_hash, read_json, whole_file, whole_folder, write_json
from data.formats import Header, read_header, write_header


class Cut(Exception):
    pass


def write_halfway(path):
    with whole_file(path) as part:
        part.write_text("half")
        raise Cut


def test_a_half_written_file_never_replaces_a_good_one(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("good")
    with pytest.raises(Cut):
        write_halfway(path)
    assert path.read_text() == "good"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    done = []

    def noted(name, real):
        return lambda *given: done.append(name) or real(*given)

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    write_json(tmp_path / "answers.json", [1])
    assert done == ["fsync", "replace"]


def fill_halfway(path):
    with whole_folder(path) as part:
        (part / "one").write_text("half")
        raise Cut


def test_a_half_filled_folder_never_replaces_a_good_one(tmp_path):
    folder = tmp_path / "study"
    with whole_folder(folder) as part:
        write_json(part / "study.json", {"format": "unitscope/study"})
    with pytest.raises(Cut):
        fill_halfway(folder)
    assert [path.name for path in folder.iterdir()] == ["study.json"]
    assert os.listdir(tmp_path) == ["study"]


def test_a_written_folder_replaces_the_old_one_whole(tmp_path):
    folder = tmp_path / "study"
    for name in ("old", "new"):
        with whole_folder(folder) as part:
            write_json(part / "study.json", {"format": "unitscope/study"})
            (part / name).touch()
    assert sorted(path.name for path in folder.iterdir()) == ["new", "study.json"]


def test_the_old_folder_stays_where_the_new_one_can_not_take_its_place(
    tmp_path, monkeypatch
):
    folder, real = tmp_path / "study", os.replace
    with whole_folder(folder) as part:
        write_json(part / "study.json", {"format": "unitscope/study"})

    def refuse_the_new(source, target):
        if target == folder and not str(source).endswith(".old"):
            raise PermissionError(13, "Permission denied")
        real(source, target)

    with pytest.raises(PermissionError), whole_folder(folder):
        monkeypatch.setattr(os, "replace", refuse_the_new)
    assert [path.name for path in folder.iterdir()] == ["study.json"]
    assert os.listdir(tmp_path) == ["study"]


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("three years")
    with (
        pytest.raises(DataContractError, match="did not write"),
        whole_folder(tmp_path),
    ):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "three years"


def test_equal_content_gives_equal_bytes(tmp_path):
    write_json(tmp_path / "a", {"x": 1, "y": 2})
    write_json(tmp_path / "b", {"y": 2, "x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_renamed_file_changes_the_hash_of_its_folder(tmp_path):
    (tmp_path / "a").write_text("1")
    before = folder_hash(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert folder_hash(tmp_path) != before


def test_text_that_is_no_json_is_named(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(DataContractError, match=r"x\.json is not JSON"):
        read_json(tmp_path / "x.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataContractError, match=r"x\.json does not exist"):
        read_json(tmp_path / "x.json")


HEADER = Header(
    format="tasks", version=1, config={"n": 3}, seed=5, made_from={"a": "b"}
)


def test_a_header_reads_back_equal_with_the_files_own_entries(tmp_path):
    write_header(tmp_path / "h.json", HEADER, own=[1, 2])
    assert read_header(tmp_path / "h.json", format="tasks", versions=(1,)) == (
        HEADER,
        {"own": [1, 2]},
    )


def test_a_file_of_another_version_says_which_can_be_read(tmp_path):
    write_header(tmp_path / "h.json", HEADER)
    with pytest.raises(
        DataContractError, match=r"version 1; this program reads.* 2 or 3"
    ):
        read_header(tmp_path / "h.json", format="tasks", versions=(2, 3))


def test_a_file_of_another_kind_is_refused(tmp_path):
    write_header(tmp_path / "h.json", HEADER)
    with pytest.raises(
        DataContractError, match=r"'unitscope/tasks'.*'unitscope/study'"
    ):
        read_header(tmp_path / "h.json", format="study", versions=(1,))


def test_a_header_without_its_configuration_is_refused(tmp_path):
    write_json(tmp_path / "h.json", {"format": "unitscope/tasks", "version": 1})
    with pytest.raises(DataContractError, match="has no 'config' entry"):
        read_header(tmp_path / "h.json", format="tasks", versions=(1,))
