from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image

from data.errors import DataContractError
from data.images import read_image_set
from mis.features import fill_store, open_store
from tests.mis.toys import ColourHistogram, image_set_of, one_colour


@pytest.fixture
def image_set(tmp_path):
    pictures = {f"{number:02}.png": one_colour(number) for number in range(21)}
    return image_set_of(tmp_path / "images", pictures)


@dataclass
class Killed(ColourHistogram):
    """Embeds a few batches; then the process is gone."""

    batches_left: int = 2
    config: dict[str, str] = field(default_factory=lambda: {"weights": "none"})

    def embed(self, images):
        if not self.batches_left:
            raise KeyboardInterrupt
        self.batches_left -= 1
        return super().embed(images)


def filled(tmp_path, image_set, encoder=None, **options):
    encoder = encoder or ColourHistogram()
    store = open_store(tmp_path / "features", "colour", encoder, **options)
    fill_store(store, encoder, image_set, image_set.image_ids)
    return store


def features_by_image(store, image_set):
    rows, matrix = store.rows(), store.matrix()
    return np.array([matrix[rows[one]] for one in image_set.manifest["sha256"]])


def test_features_are_read_back_by_content(tmp_path, image_set):
    store = filled(tmp_path, image_set)
    found = features_by_image(store, image_set)
    np.testing.assert_array_equal(found.argmax(axis=1), range(21))
    assert isinstance(store.matrix(), np.memmap)


def test_an_image_is_embedded_once(tmp_path, image_set):
    filled(tmp_path, image_set)
    again = ColourHistogram()
    filled(tmp_path, image_set, again)
    assert again.n_embedded == 0


def test_only_images_that_are_new_are_embedded(tmp_path, image_set):
    encoder = ColourHistogram()
    store = open_store(tmp_path / "features", "colour", encoder)
    assert fill_store(store, encoder, image_set, image_set.image_ids[:9]) == 9
    assert fill_store(store, encoder, image_set, image_set.image_ids) == 12
    found = features_by_image(store, image_set)
    np.testing.assert_array_equal(found.argmax(axis=1), range(21))


def test_the_same_content_under_two_names_is_embedded_once(tmp_path):
    pictures = {"a.png": one_colour(1), "b.png": one_colour(1)}
    twins = image_set_of(tmp_path / "images", pictures)
    assert len(filled(tmp_path, twins).rows()) == 1


def test_progress_counts_every_image_also_those_stored_before(tmp_path, image_set):
    store = filled(tmp_path, image_set)
    steps = []
    ids = image_set.image_ids
    fill_store(store, ColourHistogram(), image_set, ids, advance=steps.append)
    assert sum(steps) == 21
    other = open_store(tmp_path / "other", "colour", ColourHistogram())
    fill_store(other, ColourHistogram(), image_set, ids, advance=steps.append)
    assert sum(steps) == 42


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, image_set, monkeypatch):
    monkeypatch.setattr("mis.features._CHUNK_BYTES", 1)
    with pytest.raises(KeyboardInterrupt):
        filled(tmp_path, image_set, Killed())
    rest = ColourHistogram()
    store = filled(tmp_path, image_set, rest)
    assert rest.n_embedded == 8
    whole = filled(tmp_path / "whole", image_set)
    assert (store.folder / "features.bin").read_bytes() == (
        whole.folder / "features.bin"
    ).read_bytes()


@pytest.mark.parametrize("file", ["features.bin", "chunks.jsonl"])
def test_what_a_killed_write_left_is_no_part_of_the_store(tmp_path, image_set, file):
    encoder = ColourHistogram()
    store = open_store(tmp_path / "features", "colour", encoder)
    fill_store(store, encoder, image_set, image_set.image_ids[:9])
    with (store.folder / file).open("ab") as end:
        end.write(b'{"content": ["0123' * 500)
    assert len(store.rows()) == 9
    fill_store(store, encoder, image_set, image_set.image_ids)
    assert (store.folder / "features.bin").stat().st_size == 21 * 64 * 4
    assert (store.folder / "chunks.jsonl").read_bytes().endswith(b"}\n")
    found = features_by_image(store, image_set)
    np.testing.assert_array_equal(found.argmax(axis=1), range(21))


def test_a_changed_bit_in_the_features_is_refused(tmp_path, image_set):
    store = filled(tmp_path, image_set)
    path = store.folder / "features.bin"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        DataContractError, match=r"chunk 0 .* another checksum; .*Delete"
    ):
        store.matrix()


def test_features_cut_short_are_refused(tmp_path, image_set):
    store = filled(tmp_path, image_set)
    path = store.folder / "features.bin"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataContractError, match="shorter than the 21 rows"):
        store.matrix()


def test_chunks_that_are_no_json_are_refused(tmp_path, image_set):
    store = filled(tmp_path, image_set)
    (store.folder / "chunks.jsonl").write_text("what?\n")
    with pytest.raises(DataContractError, match="not a list of chunks"):
        store.rows()


def test_other_weights_have_a_store_of_their_own(tmp_path, image_set):
    first = filled(tmp_path, image_set)
    other = filled(tmp_path, image_set, ColourHistogram(config={"weights": "new"}))
    assert first.folder != other.folder


def test_a_folder_with_features_of_another_encoder_is_refused(tmp_path, image_set):
    first = filled(tmp_path, image_set)
    renamed = ColourHistogram(config={"weights": "new"})
    other = open_store(tmp_path / "features", "colour", renamed)
    (other.folder / "features.json").write_bytes(
        (first.folder / "features.json").read_bytes()
    )
    with pytest.raises(DataContractError, match="features of another encoder"):
        open_store(tmp_path / "features", "colour", renamed)


def test_half_precision_takes_half_the_space_and_a_folder_of_its_own(
    tmp_path, image_set
):
    full = filled(tmp_path, image_set)
    half = filled(tmp_path, image_set, dtype="float16")
    sizes = [(one.folder / "features.bin").stat().st_size for one in (full, half)]
    assert sizes == [21 * 64 * 4, 21 * 64 * 2]
    np.testing.assert_allclose(
        features_by_image(half, image_set),
        features_by_image(full, image_set),
        atol=1e-3,
    )


def test_an_image_that_changed_on_disk_is_refused(tmp_path, image_set):
    Image.new("RGB", (16, 16)).save(image_set.root / "07.png")
    with pytest.raises(DataContractError, match=r"07.png has changed since"):
        filled(tmp_path, read_image_set(tmp_path / "images"))


def test_features_that_are_not_finite_are_refused_with_the_image(tmp_path, image_set):
    class Broken(ColourHistogram):
        def embed(self, images):
            return super().embed(images) * np.float32(np.nan)

    with pytest.raises(DataContractError, match=r"image '\d\d.png' are not finite"):
        filled(tmp_path, image_set, Broken())
