import numpy as np
import pytest

from mis.features import fill_store, open_store
from mis.features_command import main
from tests.mis.toys import ColourHistogram, image_set_of, one_colour


@pytest.fixture
def sets(tmp_path):
    """Two image sets that share one picture."""
    return [
        image_set_of(
            tmp_path / name, {f"{one:02}.png": one_colour(one) for one in which}
        )
        for name, which in (("first", range(4)), ("second", range(3, 9)))
    ]


@pytest.fixture
def root(tmp_path, sets):
    """A store with the features of both sets."""
    encoder = ColourHistogram()
    store = open_store(tmp_path / "features", "colour", encoder)
    for one in sets:
        fill_store(store, encoder, one, one.image_ids)
    return tmp_path / "features"


def the_store(root):
    return open_store(root, "colour", ColourHistogram())


def test_ls_tells_encoder_images_features_and_bytes(root, capsys):
    assert main(["ls", str(root)]) == 0
    line = capsys.readouterr().out
    assert ": colour, 9 images × 64 float32," in line
    assert "MB" in line


def test_verify_passes_a_whole_store(root, capsys):
    assert main(["verify", str(root)]) == 0
    assert "whole, 9 images" in capsys.readouterr().out


def test_verify_fails_a_store_with_a_changed_byte_and_says_what_to_do(root, capsys):
    path = the_store(root).folder / "features.bin"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    assert main(["verify", str(root)]) == 1
    out = capsys.readouterr().out
    assert "another checksum" in out
    assert "Delete the folder; the features are made again." in out


def test_verify_fails_features_that_are_not_finite(root, capsys):
    store = the_store(root)
    with store.lock():
        store.append(["f" * 64], np.full((1, 64), np.nan))
    assert main(["verify", str(root)]) == 1
    assert "not finite" in capsys.readouterr().out


def test_gc_tells_what_would_go_and_deletes_nothing_unasked(root, tmp_path, capsys):
    kept = str(tmp_path / "first")
    assert main(["gc", str(root), "--images", kept]) == 0
    out = capsys.readouterr().out
    assert "5 of 9 images would be removed" in out
    assert "add --delete" in out
    assert len(the_store(root).rows()) == 9


def test_gc_leaves_the_features_of_the_image_sets_named(root, tmp_path, sets):
    before = the_store(root)
    features = before.matrix()[[before.rows()[one] for one in _content(sets[0])]].copy()
    kept = str(tmp_path / "first")
    assert main(["gc", str(root), "--images", kept, "--delete"]) == 0
    after = the_store(root)
    assert set(after.rows()) == set(_content(sets[0]))
    found = after.matrix()[[after.rows()[one] for one in _content(sets[0])]]
    np.testing.assert_array_equal(found, features)
    assert main(["verify", str(root)]) == 0


def _content(image_set):
    return list(image_set.manifest["sha256"])


def test_gc_removes_stores_of_encoders_that_are_not_named(root, capsys):
    assert main(["gc", str(root), "--encoder", "other", "--delete"]) == 0
    assert "the store removed" in capsys.readouterr().out
    assert not list(root.glob("*/features.json"))


def test_gc_without_anything_to_keep_is_refused(root, capsys):
    assert main(["gc", str(root)]) == 2
    assert "Nothing says what to keep" in capsys.readouterr().err


@pytest.mark.parametrize("make", [False, True])
def test_a_folder_without_stores_is_refused(tmp_path, capsys, make):
    folder = tmp_path / "none"
    if make:
        folder.mkdir()
    assert main(["ls", str(folder)]) == 2
    assert "error: " in capsys.readouterr().err
