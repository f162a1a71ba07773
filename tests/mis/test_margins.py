from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from data.errors import DataContractError
from mis import kernels, torch_kernels
from mis.margins import (
    plan_of,
    streamed_margins,
    task_margins,
    task_margins_from_features,
    task_margins_from_pairs,
)
from mis.plan import DEFAULT_MEMORY, Sizes, make_plan
from tests.mis import reference

WAYS = [
    {"strategy": strategy, "backend": backend}
    for strategy in ("gather", "gram")
    for backend in ("numpy", "torch")
]
if torch_kernels.torch.cuda.is_available():
    WAYS += [
        {"strategy": strategy, "backend": "torch", "device": "cuda"}
        for strategy in ("gather", "gram")
    ]
ways = pytest.mark.parametrize(
    "way", WAYS, ids=[" ".join(way.values()) for way in WAYS]
)

similarities = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.just(2), st.just(2), st.integers(1, 9)),
    elements=st.floats(-1, 1),
)


@st.composite
def problems(draw):
    """Unit-norm features, some of images that are alike, and some units' tasks."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_images, n_features = draw(st.integers(2, 40)), draw(st.integers(2, 30))
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 5)), 2
    n_explanations = draw(st.integers(1, 9))
    features = rng.normal(size=(n_images, n_features)).astype(np.float32)
    features[: draw(st.integers(0, n_images))] = features[0]
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    queries = rng.integers(n_images, size=shape)
    explanations = rng.integers(n_images, size=(*shape, n_explanations))
    return features, queries, explanations


def margins_by(way, features, queries, explanations, *, rows=None, **options):
    plan = plan_of(features, queries, explanations, rows=rows, **way, **options)
    return task_margins_from_features(
        features, queries, explanations, rows=rows, plan=plan
    )


def expected_margins(features, queries, explanations):
    f = reference.cosine(features)
    return [
        [
            reference.margin(f, queries[unit, task], explanations[unit, task])
            for task in range(queries.shape[1])
        ]
        for unit in range(len(queries))
    ]


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
@settings(max_examples=30, deadline=None)
def test_all_ways_agree_with_the_reference(problem):
    expected = expected_margins(*problem)
    for way in WAYS:
        np.testing.assert_allclose(margins_by(way, *problem), expected, atol=1e-5)
    features, *tasks = problem
    paired = task_margins_from_pairs(pair_similarity(features), *tasks)
    np.testing.assert_allclose(paired, expected, atol=1e-5)


@ways
@given(problem=problems())
@settings(deadline=None)
def test_swapping_the_polarity_of_every_task_changes_no_bit(problem, way):
    features, queries, explanations = problem
    found = margins_by(way, features, queries, explanations)
    swapped = margins_by(way, features, queries[..., ::-1], explanations[:, :, ::-1])
    np.testing.assert_array_equal(found, swapped)


@ways
@given(problem=problems())
@settings(max_examples=30, deadline=None)
def test_half_precision_features_give_the_margins_to_their_precision(problem, way):
    features, queries, explanations = problem
    half = margins_by(way, features.astype(np.float16), queries, explanations)
    full = expected_margins(features, queries, explanations)
    np.testing.assert_allclose(half, full, atol=4 * 2**-10)


@ways
def test_features_cut_to_fit_in_memory_give_the_same_up_to_rounding(rng, way):
    features = rng.normal(size=(50, 40)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    tasks = rng.integers(50, size=(23, 4, 2)), rng.integers(50, size=(23, 4, 2, 3))
    small = 2 * 4 * 50**2
    plan = make_plan(
        Sizes(n_images=50, n_features=40, n_units=23, n_tasks=4, n_explanations=3),
        memory=2000 if way["strategy"] == "gather" else small,
        **way,
    )
    assert way["strategy"] == "gram" or plan.columns == 5
    assert plan.streams == (way["strategy"] == "gather")
    cut = task_margins_from_features(features, *tasks, plan=plan)
    np.testing.assert_allclose(cut, margins_by(way, features, *tasks), atol=1e-6)


@ways
@pytest.mark.parametrize("n_threads", ["1", "3"])
def test_chunks_and_threads_change_no_bit(rng, monkeypatch, way, n_threads):
    features = rng.normal(size=(50, 8)).astype(np.float32)
    tasks = rng.integers(50, size=(23, 4, 2)), rng.integers(50, size=(23, 4, 2, 3))
    whole = margins_by(way, features, *tasks)
    monkeypatch.setattr(kernels, "_CHUNK_BYTES", 3000)
    monkeypatch.setattr(torch_kernels, "_CHUNK_BYTES", 3000)
    monkeypatch.setenv("OMP_NUM_THREADS", n_threads)
    monkeypatch.setattr(torch_kernels.torch, "get_num_threads", lambda: int(n_threads))
    cut = margins_by(way, features, *tasks)
    np.testing.assert_array_equal(cut, whole)


@pytest.mark.parametrize("strategy", ["gather", "gram"])
def test_chunks_for_a_device_other_than_the_cpu_give_the_same(
    rng, monkeypatch, strategy
):
    way = {"strategy": strategy, "backend": "torch"}
    features = rng.normal(size=(50, 8)).astype(np.float32)
    tasks = rng.integers(50, size=(23, 4, 2)), rng.integers(50, size=(23, 4, 2, 3))
    expected = margins_by(way, features, *tasks)
    run, chunks = torch_kernels._run, []

    def as_on_a_device(work, n_units, per_unit, device):
        def noted(chunk):
            chunks.append(chunk)
            work(chunk)

        run(noted, n_units, per_unit, SimpleNamespace(type="cuda"))

    monkeypatch.setattr(torch_kernels, "_run", as_on_a_device)
    monkeypatch.setattr(torch_kernels, "_DEVICE_BYTES", 3000)
    np.testing.assert_array_equal(margins_by(way, features, *tasks), expected)
    assert len(chunks) > 1


@ways
def test_only_the_rows_that_tasks_name_have_a_part(rng, way):
    features = rng.normal(size=(30, 8)).astype(np.float32)
    used = np.sort(rng.choice(60, size=20, replace=False))
    rows = np.full(60, -1)
    rows[used] = rng.permutation(30)[:20]
    queries = rng.choice(used, size=(5, 4, 2))
    explanations = rng.choice(used, size=(5, 4, 2, 3))
    expected = margins_by(way, features, rows[queries], rows[explanations])
    features[np.setdiff1d(np.arange(30), rows)] = np.nan
    found = margins_by(way, features, queries, explanations, rows=rows)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@ways
def test_blocks_of_units_give_what_all_at_once_do(rng, tmp_path, way):
    features = rng.normal(size=(30, 8)).astype(np.float32)
    tasks = rng.integers(30, size=(9, 4, 2)), rng.integers(30, size=(9, 4, 2, 3))
    plan = plan_of(features, *tasks, **way)
    blocks = [(tasks[0][s], tasks[1][s]) for s in (slice(0, 4), slice(4, 9))]
    found = np.concatenate(list(streamed_margins(features, blocks, plan=plan)))
    np.testing.assert_array_equal(found, margins_by(way, features, *tasks))


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


def sizes(**more):
    paper = {"n_tasks": 20, "n_explanations": 9, "n_features": 1792}
    return Sizes(**(paper | more))


@pytest.mark.parametrize(
    ("n_images", "n_units", "chosen"),
    [
        (1000, 10_000, "gram"),
        (2000, 10**6, "gram"),
        (20_000, 10_000, "gather"),
        (20_000, 10**6, "gram"),
        (1_281_167, 10**7, "gather"),
    ],
)
def test_what_moves_fewer_bytes_is_taken_if_it_fits(n_images, n_units, chosen):
    plan = make_plan(sizes(n_images=n_images, n_units=n_units))
    assert plan.strategy == chosen


def test_a_plan_says_why_it_was_made():
    plan = make_plan(sizes(n_images=100_000, n_units=10**8, itemsize=2))
    text = "\n".join(plan.explained())
    assert "chosen: gather, the Gram matrix takes more than half of the memory" in text
    assert "16 bits each: 358 MB" in text
    assert "(1 pass);" in text
    far = make_plan(sizes(n_images=1_281_167, n_units=10**7))
    assert "passes, streamed)" in far.explained()[3]
    few = make_plan(sizes(n_images=2000, n_units=10))
    assert "chosen: gather, it moves fewer bytes; numpy on cpu" in few.explained()[2]


def test_a_gram_matrix_that_does_not_fit_is_refused():
    with pytest.raises(
        DataContractError, match=r"take 6\.57 TB; they must fit in half"
    ):
        make_plan(sizes(n_images=1_281_167, n_units=1), strategy="gram")


def test_memory_that_holds_not_one_feature_of_all_images_is_refused():
    with pytest.raises(DataContractError, match="do not hold one feature of 1,281,167"):
        make_plan(sizes(n_images=1_281_167, n_units=1), memory=10**6)


def test_a_device_needs_torch_and_must_be_there(rng):
    with pytest.raises(DataContractError, match="NumPy has the CPU only"):
        make_plan(sizes(n_images=10, n_units=1), backend="numpy", device="cuda")
    plan = make_plan(sizes(n_images=9, n_units=1), device="no-such-device")
    assert plan.backend == "torch"
    tasks = np.zeros((1, 20, 2), dtype=int), np.zeros((1, 20, 2, 9), dtype=int)
    with pytest.raises(DataContractError, match="'no-such-device' can't be used"):
        task_margins_from_features(np.eye(9, dtype=np.float32), *tasks, plan=plan)


def test_a_plan_holds_what_it_may():
    for n_images in (10, 1000, 30_000, 10**6):
        plan = make_plan(sizes(n_images=n_images, n_units=10**5))
        held = 4 * n_images * plan.columns
        held += (plan.strategy == "gram") * 4 * n_images**2
        assert held <= DEFAULT_MEMORY
