import math

import numpy as np
import pytest

from data.errors import DataContractError
from data.tasks import NEGATIVE, POSITIVE, TaskConfig
from mis import methods
from tests.data.toy import recording_of
from tests.mis import reference
from tests.mis.toys import tasks_of

CONFIG = TaskConfig(n_tasks=3, n_explanations=4)


@pytest.fixture
def activations(rng):
    return rng.normal(size=(5, 60)).astype(np.float32)


@pytest.fixture
def tasks(activations):
    return tasks_of(activations, CONFIG)


@pytest.fixture
def features(rng):
    features = rng.normal(size=(60, 8)).astype(np.float32)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def pairs_mean(f, images, weights):
    """Return the weighted mean similarity over pairs, by the double loop."""
    total = norm = 0.0
    for first in range(len(images)):
        for second in range(first + 1, len(images)):
            both = weights[first] * weights[second]
            total += both * f(images[first], images[second])
            norm += both
    return total / norm


def test_top_similarity_is_the_mean_over_pairs_of_top_images(tasks, features):
    f = reference.cosine(features)
    found = methods.top_similarity(lambda index: features[index], tasks)
    for row in range(5):
        top = [*tasks.queries[row, :, POSITIVE]]
        top += [*tasks.explanations[row, :, POSITIVE].ravel()]
        assert len(set(top)) == 15
        assert found[row] == pytest.approx(pairs_mean(f, top, [1] * 15), abs=1e-6)


@pytest.mark.parametrize("full", [False, True])
def test_monosemanticity_is_the_weighted_mean_of_the_double_loop(
    activations, features, full
):
    recording = recording_of(activations, n_extremes=15, full=full)
    f = reference.cosine(features)
    found = methods.monosemanticity(
        lambda index: features[index], recording, list(range(5))
    )
    for row in range(5):
        own = activations[row].astype(float)
        scaled = (own - own.min()) / (own.max() - own.min())
        images = list(range(60))
        if not full:
            order = np.argsort(own)
            images = [*order[:15], *order[-15:]]
        expected = pairs_mean(f, images, [scaled[one] for one in images])
        assert found[row] == pytest.approx(expected, abs=1e-6)


def test_the_interpretability_index_z_scores_each_tasks_similarities(tasks, features):
    f = reference.cosine(features)
    found = methods.interpretability_index(lambda index: features[index], tasks)
    for row in range(5):
        total = 0.0
        for number in range(3):
            queries = tasks.queries[row, number]
            shown = tasks.explanations[row, number]
            similarity = {
                (q, e): [f(queries[q], one) for one in shown[e]]
                for q in (POSITIVE, NEGATIVE)
                for e in (POSITIVE, NEGATIVE)
            }
            values = [one for block in similarity.values() for one in block]
            mean = sum(values) / len(values)
            sd = math.sqrt(sum((one - mean) ** 2 for one in values) / len(values))
            evidence = {
                key: sum((one - mean) / sd for one in block) / 4
                for key, block in similarity.items()
            }
            # Evidence that the positive query is the positive one, and the other way.
            right = evidence[POSITIVE, POSITIVE] + evidence[NEGATIVE, NEGATIVE]
            wrong = evidence[NEGATIVE, POSITIVE] + evidence[POSITIVE, NEGATIVE]
            total += math.exp(right) / (math.exp(right) + math.exp(wrong))
        assert found[row] == pytest.approx(total / 3, abs=1e-6)


def test_images_that_are_all_alike_give_the_index_chance_and_full_similarity(tasks):
    alike = np.zeros((60, 8), dtype=np.float32)
    alike[:, 0] = 1
    index = methods.interpretability_index(lambda index: alike[index], tasks)
    np.testing.assert_array_equal(index, 0.5)
    top = methods.top_similarity(lambda index: alike[index], tasks)
    np.testing.assert_allclose(top, 1)


def test_cutting_the_units_into_chunks_changes_nothing(tasks, features, monkeypatch):
    whole = methods.top_similarity(lambda index: features[index], tasks)
    monkeypatch.setattr(methods, "_CHUNK_BYTES", 1)
    cut = methods.top_similarity(lambda index: features[index], tasks)
    np.testing.assert_array_equal(cut, whole)


def test_one_image_has_no_pairs():
    found = methods.weighted_similarity(np.ones((1, 1, 3)), np.ones((1, 1)))
    assert np.isnan(found[0])


@pytest.mark.parametrize("method", methods.METHODS)
def test_every_methods_values_become_scores_in_0_to_1_in_their_order(method):
    low = -1.0 if "(1 +" in methods.METHODS[method].scale else 0.0
    high = 7.0 if method == "local-contrast" else 1.0
    values = np.linspace(low, high, 5)
    scores = methods.scaled(method, values)
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert (np.diff(scores) > 0).all()


def test_sparsity_is_the_recordings(activations):
    recording = recording_of(activations, n_extremes=15)
    recording.statistics["sparsity"] = [0.1, 0.2, 0.3, 0.4, 0.5]
    found = methods.from_statistics("sparsity", recording, [3, 0])
    assert found.tolist() == [0.4, 0.1]


def test_a_recording_without_contrast_is_refused(activations):
    recording = recording_of(activations, n_extremes=15)
    with pytest.raises(DataContractError, match="has no 'local_contrast' of its units"):
        methods.from_statistics("local-contrast", recording, [0])
