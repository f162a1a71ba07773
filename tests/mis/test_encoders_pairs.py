"""Pairs within memory, batches that shrink, and features that are no features."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from data.errors import DataContractError
from data.tasks import TaskConfig
from mis.batches import Batches, decoded_ahead
from mis.features import fill_store, open_store
from mis.fresh_pairs import FreshPairs
from mis.inputs import StoredFeatures, margins_of, pair_features, used_images
from tests.mis import reference
from tests.mis.toys import ColourHistogram, image_set_of, one_colour, tasks_of


@dataclass
class Squared(ColourHistogram):
    """Negated squared distances of features that are not unit-norm."""

    batch_size: int = 4
    is_squared_distance: bool = True
    config: dict[str, str] = field(default_factory=lambda: {"weights": "squared"})

    def embed(self, images):
        rows = super().embed(images)
        # One-hot rows would have no margins; mixed ones do.
        mixed = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
        return rows @ mixed

    def similarity(self, first, second):
        return -np.square(first - second).sum(axis=1)


@dataclass
class Crowded(ColourHistogram):
    """Has memory for a few images only."""

    most: int = 3

    def embed(self, images):
        if len(images) > self.most:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        self.batch_size = len(images)
        return super().embed(images)


@pytest.fixture(scope="module")
def image_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colours")
    pictures = {f"{number:02}.png": one_colour(number) for number in range(30)}
    return image_set_of(folder / "images", pictures)


@pytest.fixture(scope="module")
def tasks(image_set):
    activations = np.random.default_rng(0).normal(size=(4, 30))
    config = TaskConfig(n_tasks=3, n_explanations=3)
    return tasks_of(activations, config, image_set=image_set)


def features_of(tasks, image_set, encoder, root, **options):
    return pair_features(
        tasks.image_ids,
        tasks.content,
        used_images(tasks),
        image_set=image_set,
        encoder=encoder,
        name="toy",
        root=root,
        **options,
    )


def by_pairs(tasks, image_set, memory):
    encoder = Squared()
    fresh = FreshPairs(
        batches=Batches(encoder),
        image_set=image_set,
        image_ids=tasks.image_ids,
        used=used_images(tasks),
        memory=memory,
    )
    return margins_of(tasks, fresh, encoder), fresh


def test_margins_of_squared_distances_follow_from_features(tasks, image_set, tmp_path):
    encoder = Squared()
    stored = features_of(tasks, image_set, encoder, tmp_path)
    assert isinstance(stored, StoredFeatures)
    found = margins_of(tasks, stored, encoder)
    expected, _ = by_pairs(tasks, image_set, 2**30)
    # Squared distances are some 128 here.
    np.testing.assert_allclose(found, expected, atol=1e-5 * 128)
    assert np.ptp(expected) > 1


def test_features_of_pairs_beyond_the_memory_are_not_stored(tasks, image_set, tmp_path):
    stored = features_of(tasks, image_set, Squared(), tmp_path, memory=1000)
    assert isinstance(stored, FreshPairs)
    assert not any(tmp_path.iterdir())


def test_pairs_are_the_same_to_the_last_bit_whatever_the_memory(tasks, image_set):
    whole, once = by_pairs(tasks, image_set, 2**30)
    assert once.n_embedded == len(used_images(tasks))
    for memory in (1, 8 * 64 * 8, 8 * 64 * 13):
        found, fresh = by_pairs(tasks, image_set, memory)
        np.testing.assert_array_equal(found, whole)
        n_blocks = -(-len(fresh.used) // fresh.block_size)
        assert n_blocks > 1
        assert fresh.n_embedded <= n_blocks * len(fresh.used)
        held = sum(one.nbytes for block in fresh._blocks.values() for one in block)
        assert held <= max(memory, 2 * 4 * 4 * 64)


def test_pairs_agree_with_a_plain_loop(tasks, image_set):
    encoder = Squared(batch_size=30)
    images = [image_set.display(one) for one in tasks.image_ids]
    features = encoder.embed(images).astype(np.float64)

    def similarity(one, other):
        return -float(((features[one] - features[other]) ** 2).sum())

    expected = [
        [
            reference.margin(similarity, tasks.queries[unit, task], explanations)
            for task, explanations in enumerate(tasks.explanations[unit])
        ]
        for unit in range(len(tasks.units))
    ]
    found, _ = by_pairs(tasks, image_set, 8 * 64 * 8)
    np.testing.assert_allclose(found, expected, atol=1e-5 * 128)


def test_out_of_memory_halves_the_batch_and_says_so(image_set, tmp_path, capsys):
    encoder = Crowded()
    store = open_store(tmp_path, "toy", encoder)
    fill_store(store, encoder, image_set, image_set.image_ids)
    said = capsys.readouterr().err
    assert "batches of 4" in said
    assert "batches of 2" in said
    found = store.matrix()[[store.rows()[one] for one in image_set.manifest["sha256"]]]
    np.testing.assert_array_equal(found.argmax(axis=1), range(30))
    chunks = (store.folder / "chunks.jsonl").read_text().splitlines()
    assert [json.loads(one)["batch_size"] for one in chunks] == [2]


def test_memory_for_no_image_at_all_is_refused(image_set):
    with pytest.raises(DataContractError, match="does not hold one image"):
        Batches(Crowded(most=0)).embed([one_colour(0)])


def test_another_error_of_the_network_is_not_taken_for_memory():
    class Wrong(ColourHistogram):
        def embed(self, images):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        Batches(Wrong()).embed([one_colour(0)])


def test_features_that_are_not_unit_norm_are_refused():
    class Long(ColourHistogram):
        def embed(self, images):
            return 3 * super().embed(images)

    with pytest.raises(DataContractError, match="must be unit-norm"):
        Batches(Long()).embed([one_colour(0)])


def test_features_of_another_shape_are_refused():
    class Short(ColourHistogram):
        def embed(self, images):
            return super().embed(images)[:, :5]

    with pytest.raises(DataContractError, match=r"shape \(8, 5\); they must be"):
        Batches(Short()).embed([one_colour(0)])


def test_images_come_in_order_and_not_far_ahead():
    seen = []

    def load(name):
        seen.append(name)
        return name

    names = [str(number) for number in range(50)]
    images = decoded_ahead(load, names, ahead=4)
    assert next(images) == "0"
    assert len(seen) <= 6
    assert list(images) == names[1:]
