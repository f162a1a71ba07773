import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data.errors import DataContractError
from data.formats import Header
from data.images import (
    DISPLAY_SIDE,
    decode,
    describe_images,
    display_crop,
    read_image_set,
    write_image_set,
)

HEADER = Header(format="images", version=1, config={})


def file_bytes(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.fixture
def photographs(tmp_path, rng):
    root = tmp_path / "photographs"
    root.mkdir()
    for name in ("b.png", "a.png"):
        pixels = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / name)
    return root


@pytest.fixture
def image_set(photographs, tmp_path):
    manifest = pd.DataFrame(describe_images(photographs, ["b.png", "a.png"]))
    write_image_set(
        tmp_path / "set", root=photographs, manifest=manifest, header=HEADER
    )
    return tmp_path / "set"


def test_an_image_set_is_in_the_order_of_its_ids(image_set):
    assert read_image_set(image_set).image_ids == ("a.png", "b.png")


def test_an_image_set_moves_with_its_photographs(image_set, tmp_path):
    before = read_image_set(image_set)
    elsewhere = tmp_path.parent / f"{tmp_path.name}-moved"
    tmp_path.rename(elsewhere)
    after = read_image_set(elsewhere / "set")
    assert after.fingerprint == before.fingerprint
    assert after.load("a.png").size == (40, 30)


def test_a_photograph_that_changed_is_refused(image_set, photographs):
    Image.new("RGB", (40, 30)).save(photographs / "a.png")
    with pytest.raises(DataContractError, match=r"a\.png has changed"):
        read_image_set(image_set).load("a.png")


def test_a_photograph_that_is_gone_is_named(image_set, photographs):
    (photographs / "a.png").unlink()
    with pytest.raises(DataContractError, match=r"a\.png is in the image set but not"):
        read_image_set(image_set).load("a.png")


def test_an_unknown_image_is_refused_with_near_names(image_set):
    with pytest.raises(DataContractError, match=r"'c\.png' is not in.*Did you mean"):
        read_image_set(image_set).load("c.png")


@pytest.mark.parametrize(
    "content", [b"", b"no image", file_bytes(Image.new("L", (99, 99)))[:60]]
)
def test_a_broken_file_is_named(content):
    with pytest.raises(DataContractError, match=r"broken\.png can't be decoded"):
        decode(content, "broken.png")


def test_a_photograph_taken_sideways_is_turned_upright():
    image = Image.new("RGB", (20, 10))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(file_bytes(image, "JPEG", exif=exif), "x").size == (10, 20)


def test_transparency_lies_on_white():
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert decode(file_bytes(clear), "x").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("size", [(30, 40), (1000, 200), (224, 224), (3, 7)])
def test_the_display_crop_is_a_square_from_the_centre(size):
    image = Image.new("RGB", size, "black")
    image.putpixel((size[0] // 2, size[1] // 2), (255, 255, 255))
    crop = display_crop(image)
    assert crop.size == (DISPLAY_SIDE, DISPLAY_SIDE)
    brightest = np.unravel_index(np.asarray(crop).sum(axis=2).argmax(), crop.size)
    step = 256 / min(size)
    assert np.abs(np.array(brightest) - DISPLAY_SIDE / 2).max() <= step + 1


def test_the_display_crop_leaves_a_picture_of_256_unscaled(rng):
    pixels = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    crop = np.asarray(display_crop(Image.fromarray(pixels)))
    np.testing.assert_array_equal(crop, pixels[16:240, 16:240])
