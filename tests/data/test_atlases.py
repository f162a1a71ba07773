"""What an atlas file is, and that its cells change places without a loss."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data.atlases import (
    cell_hashes,
    encode_atlas,
    index_atlas,
    least_padded,
    padded,
    rearranged,
)
from data.errors import DataContractError
from data.studies import cell_position

N_CELLS = 10


def noise(seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (56, 140, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((1120, 448), Image.Resampling.BICUBIC)


ATLAS = encode_atlas(noise())
INDEX = index_atlas(ATLAS, "The atlas")


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def cell_of(image, cell):
    x, y = cell_position(cell)
    return image[y : y + 224, x : x + 224]


@given(st.permutations(range(N_CELLS)))
def test_every_cell_decodes_to_the_same_pixels_at_its_new_place(places):
    before, after = pixels(ATLAS), pixels(rearranged(ATLAS, INDEX, places))
    for cell, place in enumerate(places):
        np.testing.assert_array_equal(cell_of(after, place), cell_of(before, cell))


@given(st.permutations(range(N_CELLS)))
def test_a_rearranged_atlas_is_as_long_and_can_be_put_back(places):
    moved = rearranged(ATLAS, INDEX, places)
    assert len(moved) == len(ATLAS)
    back = [places.index(cell) for cell in range(N_CELLS)]
    assert rearranged(moved, index_atlas(moved, "The atlas"), back) == ATLAS


def test_a_cell_is_known_by_its_hash_at_any_place():
    places = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7]
    moved = rearranged(ATLAS, INDEX, places)
    before = cell_hashes(ATLAS, INDEX)
    after = cell_hashes(moved, index_atlas(moved, "The atlas"))
    assert [after[place] for place in places] == list(before)
    assert len(set(before)) == N_CELLS


@pytest.mark.parametrize("more", [0, 1, 65_533, 65_534, 65_535, 65_540, 300_000])
def test_a_padded_atlas_has_the_size_and_the_same_pixels(more):
    wide = padded(ATLAS, least_padded(ATLAS) + more)
    assert len(wide) == least_padded(ATLAS) + more
    np.testing.assert_array_equal(pixels(wide), pixels(ATLAS))
    assert index_atlas(wide, "The atlas").n_cells == N_CELLS


def test_padding_to_less_than_it_takes_is_an_error():
    with pytest.raises(ValueError, match=r"'n_bytes' is \d+; .* must be at least \d+"):
        padded(ATLAS, least_padded(ATLAS) - 1)


def test_a_jpeg_without_restart_markers_has_no_cells_to_move():
    content = io.BytesIO()
    noise().save(content, "JPEG", quality=90, subsampling=0)
    with pytest.raises(DataContractError, match=r"x\.jpg.*can't change places"):
        index_atlas(content.getvalue(), "x.jpg")


def test_an_atlas_that_ends_early_is_refused():
    with pytest.raises(DataContractError, match="can't change places"):
        index_atlas(ATLAS[: len(ATLAS) // 2] + b"\xff\xd9", "x.jpg")


def test_another_kind_of_image_is_refused():
    with pytest.raises(DataContractError, match="not a JPEG"):
        index_atlas(b"\x89PNG....", "x.png")
