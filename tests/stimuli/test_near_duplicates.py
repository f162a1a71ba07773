import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stimuli.near_duplicates import difference_hash, near_duplicates, stacked
from tests.stimuli.toy import save_pictures


def flipped(base, n_bits):
    """The hash that differs from ``base`` in its first n bits."""
    bits = np.unpackbits(base.view(np.uint8))
    bits[:n_bits] ^= 1
    return np.packbits(bits).view(np.uint64)


def test_the_limit_itself_is_near_and_one_bit_more_is_not(rng):
    base = rng.integers(0, 2**63, size=4, dtype=np.uint64)
    hashes = stacked([base, flipped(base, 14), flipped(base, 15)])
    assert near_duplicates(hashes, bits=14) == {1: (0, 14)}


def test_only_kept_images_count_as_the_first(rng):
    base = rng.integers(0, 2**63, size=4, dtype=np.uint64)
    hashes = stacked([base, flipped(base, 10), flipped(base, 20)])
    assert near_duplicates(hashes, bits=14) == {1: (0, 10)}


@given(n_images=st.integers(0, 30), n_bits=st.integers(0, 3), seed=st.integers(0, 99))
def test_every_kept_pair_is_further_apart_than_the_limit(n_images, n_bits, seed):
    small = np.random.default_rng(seed).integers(0, 64, (n_images, 4), dtype=np.uint64)
    dropped = near_duplicates(stacked(list(small)), bits=n_bits)
    kept = [index for index in range(n_images) if index not in dropped]
    for index in kept:
        for other in kept[: kept.index(index)]:
            apart = np.bitwise_count(small[index] ^ small[other]).sum()
            assert apart > n_bits
    for index, (first, distance) in dropped.items():
        assert first in kept
        assert first < index
        assert distance == np.bitwise_count(small[index] ^ small[first]).sum()


def test_a_resized_and_recompressed_copy_is_near_and_another_picture_is_not(tmp_path):
    save_pictures(tmp_path, 2, size=(300, 240))
    first, other = (Image.open(tmp_path / f"000{index}.png") for index in (0, 1))
    first.resize((150, 120)).save(tmp_path / "copy.jpg", quality=60)
    copy = Image.open(tmp_path / "copy.jpg")
    hashes = stacked([difference_hash(one) for one in (first, other, copy)])
    assert list(near_duplicates(hashes)) == [2]
