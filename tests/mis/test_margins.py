import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mis import margins
from mis.margins import (
    cheaper_strategy,
    task_margins,
    task_margins_from_features,
    task_margins_from_pairs,
)
from tests.mis import reference

similarities = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.just(2), st.just(2), st.integers(1, 9)),
    elements=st.floats(-1, 1),
)


@st.composite
def problems(draw):
    """Unit-norm features and the indices of some units' tasks."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_images, n_features = draw(st.integers(2, 40)), draw(st.integers(2, 30))
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 5)), 2
    n_explanations = draw(st.integers(1, 9))
    features = rng.normal(size=(n_images, n_features)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    queries = rng.integers(n_images, size=shape)
    explanations = rng.integers(n_images, size=(*shape, n_explanations))
    return features, queries, explanations


def pair_similarity(features):
    return lambda first, second: np.sum(features[first] * features[second], axis=1)


@given(similarities)
def test_swapping_the_queries_negates_every_margin(similarity):
    swapped = similarity[:, ::-1]
    np.testing.assert_array_equal(task_margins(swapped), -task_margins(similarity))


@given(similarities)
def test_swapping_both_polarities_changes_no_margin(similarity):
    swapped = similarity[:, ::-1, ::-1]
    np.testing.assert_array_equal(task_margins(swapped), task_margins(similarity))


@given(similarities, st.floats(-3, 3))
def test_a_constant_on_all_similarities_changes_no_margin(similarity, constant):
    np.testing.assert_allclose(
        task_margins(similarity + constant), task_margins(similarity), atol=1e-12
    )


def test_a_query_that_fits_its_own_explanations_gives_a_margin_above_zero():
    similarity = np.zeros((1, 2, 2, 3))
    similarity[0, 0, 0] = 0.5
    assert task_margins(similarity) == pytest.approx([0.5])
    similarity[0, 1, 0] = 0.7
    assert task_margins(similarity) == pytest.approx([-0.2])


@given(problems())
@settings(max_examples=30)
def test_all_ways_agree_with_the_reference(problem):
    features, queries, explanations = problem
    f = reference.cosine(features)
    expected = [
        [
            reference.margin(f, queries[unit, task], explanations[unit, task])
            for task in range(queries.shape[1])
        ]
        for unit in range(len(queries))
    ]
    for strategy in ("gather", "gram"):
        found = task_margins_from_features(
            features, queries, explanations, strategy=strategy
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)
    paired = task_margins_from_pairs(pair_similarity(features), queries, explanations)
    np.testing.assert_allclose(paired, expected, atol=1e-5)


@pytest.mark.parametrize("strategy", ["gather", "gram"])
@given(problem=problems())
def test_swapping_the_polarity_of_every_task_changes_no_bit(problem, strategy):
    features, queries, explanations = problem
    found = task_margins_from_features(
        features, queries, explanations, strategy=strategy
    )
    swapped = task_margins_from_features(
        features, queries[..., ::-1], explanations[:, :, ::-1], strategy=strategy
    )
    np.testing.assert_array_equal(found, swapped)


@given(problems())
def test_half_precision_features_give_the_margins_to_their_precision(problem):
    features, queries, explanations = problem
    full = task_margins_from_features(features, queries, explanations)
    half = task_margins_from_features(
        features.astype(np.float16), queries, explanations
    )
    np.testing.assert_allclose(half, full, atol=5e-3)


@pytest.mark.parametrize("strategy", ["gather", "gram"])
def test_cutting_the_units_into_chunks_changes_nothing(rng, monkeypatch, strategy):
    features = rng.normal(size=(50, 8)).astype(np.float32)
    queries = rng.integers(50, size=(23, 4, 2))
    explanations = rng.integers(50, size=(23, 4, 2, 3))
    whole = task_margins_from_features(
        features, queries, explanations, strategy=strategy
    )
    monkeypatch.setattr(margins, "_CHUNK_BYTES", 3000)
    cut = task_margins_from_features(features, queries, explanations, strategy=strategy)
    np.testing.assert_array_equal(cut, whole)


def test_a_pair_that_recurs_is_compared_once_and_in_one_order(rng):
    compared = []

    def similarity(first, second):
        compared.extend(zip(first.tolist(), second.tolist(), strict=True))
        return np.zeros(len(first))

    queries = rng.integers(6, size=(10, 4, 2))
    explanations = rng.integers(6, size=(10, 4, 2, 3))
    task_margins_from_pairs(similarity, queries, explanations)
    assert len(compared) == len(set(compared))
    assert all(first <= second for first, second in compared)


def test_no_units_give_no_margins():
    features = np.eye(3, dtype=np.float32)
    queries = np.empty((0, 5, 2), dtype=np.int32)
    explanations = np.empty((0, 5, 2, 9), dtype=np.int32)
    assert task_margins_from_features(features, queries, explanations).shape == (0, 5)
    paired = task_margins_from_pairs(pair_similarity(features), queries, explanations)
    assert paired.shape == (0, 5)


def test_gram_is_taken_for_many_units_on_few_images_and_never_beyond_memory():
    size = {"n_tasks": 20, "n_explanations": 9, "n_features": 1792}
    assert cheaper_strategy(n_images=1000, n_units=10_000, **size) == "gram"
    assert cheaper_strategy(n_images=20_000, n_units=30, **size) == "gather"
    assert cheaper_strategy(n_images=1_281_167, n_units=10**7, **size) == "gather"
